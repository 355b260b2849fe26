//! The conformance suite of sources, and what a source does when things change or cannot be read (R1, R9).
//!
//! A new driver calls [`conformance`] with its own configuration.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek as _, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use common::{backup, backup_job, items_of, outcome_of, restic, tree::hostile_tree};
use domain::run::ItemState;
use engine::{
    Ctx,
    job::{BackupJob, DirectoryItems, Event, ItemResult, SourceConfig},
    repository::{Repository, run_backup},
};

/// What every source must do: list in a stable order, capture each item alone and all together with the same result,
/// say of a missing item that it is missing, and notice that nothing changed.
fn conformance(make: impl Fn(&Path) -> BackupJob, items: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let job = make(dir.path());
    let all = backup(&job).unwrap();
    let outcome = outcome_of(&all);
    assert_eq!(outcome.items_present, items, "all items, in the order of their bytes");
    let results = by_name(&all);
    assert!(results.len() == items.len() && items.iter().all(|i| results.contains_key(*i)), "{:?}", results.keys());
    for (name, result) in &results {
        assert_eq!(result.state, ItemState::Ok, "{name}: {:?}", result.problems);
        let snapshot = result.snapshot.as_ref().unwrap();
        assert_eq!((snapshot.label.as_str(), snapshot.files, snapshot.bytes, snapshot.errors), (name.as_str(), result.files, result.bytes, 0));
        assert_eq!((snapshot.files_added, snapshot.files_changed, snapshot.files_removed), (result.files, 0, 0));
        assert!(snapshot.tags.contains(&format!("item:{name}")));
    }
    // Alone, each item has the same tree as together.
    for (run, name) in items.iter().enumerate() {
        let mut alone = job.clone();
        alone.run = format!("alone{run}");
        alone.items = Some(vec![(*name).to_owned()]);
        let events = backup(&alone).unwrap();
        assert_eq!(outcome_of(&events).root_snapshot, None);
        assert_eq!(by_name(&events)[*name].snapshot.as_ref().unwrap().tree, results[*name].snapshot.as_ref().unwrap().tree, "{name}");
    }
    // Unchanged: nothing is read, nothing is added, and each item has a snapshot all the same.
    let mut again = job.clone();
    again.run = "again".into();
    again.root_parent = outcome.root_snapshot;
    again.parents = results.iter().map(|(n, r)| (n.clone(), r.snapshot.as_ref().unwrap().id.clone())).collect();
    let events = backup(&again).unwrap();
    assert_eq!(outcome_of(&events).bytes_read, 0);
    assert!(!events.iter().any(|e| matches!(e, Event::Changes { .. })));
    assert_eq!(by_name(&events).len(), items.len());
    // Not there.
    let mut missing = job.clone();
    missing.run = "missing".into();
    missing.items = Some(vec!["no such item".into()]);
    let events = backup(&missing).unwrap();
    assert_eq!((items_of(&events)[0].state, items_of(&events)[0].problems_total), (ItemState::Failed, 1));
}

fn by_name(events: &[Event]) -> BTreeMap<String, ItemResult> {
    items_of(events).into_iter().map(|i| (i.name.clone(), i)).collect()
}

#[test]
fn directory_of_children() {
    conformance(
        |dir| {
            let source = dir.join("source");
            for name in ["b", "a", "a.b", "ä", "with space"] {
                fs::create_dir_all(source.join(name).join("sub")).unwrap();
                fs::write(source.join(name).join("sub/file"), name).unwrap();
            }
            fs::create_dir_all(source.join(std::ffi::OsStr::new("empty"))).unwrap();
            fs::create_dir_all(source.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"))).unwrap();
            hostile_tree(&source.join("hostile"));
            // A restore is under way: what it has staged is no item.
            fs::create_dir_all(source.join(".holdfast-restore-1/data")).unwrap();
            backup_job(&source, &dir.join("repo"), "all")
        },
        &["a", "a.b", "b", "empty", "hostile", "with space", "ä", "\\xff"],
    );
}

#[test]
fn directory_itself() {
    conformance(
        |dir| {
            let source = dir.join("source");
            hostile_tree(&source);
            let mut job = backup_job(&source, &dir.join("repo"), "all");
            let SourceConfig::Directory(config) = &mut job.source else { panic!("a folder") };
            config.items = DirectoryItems::Itself;
            job
        },
        &["source"],
    );
}

#[test]
fn files_that_may_not_be_read_are_named_and_make_the_item_partial() {
    // Nothing is unreadable to root, so the pass is made by nobody, in this test's own program.
    const AS_NOBODY: &str = "HOLDFAST_TEST_AS_NOBODY";
    #[allow(clippy::disallowed_methods, reason = "the test starts itself as another user")]
    if let Ok(dir) = std::env::var(AS_NOBODY) {
        return unreadable(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    if !rustix::process::getuid().is_root() {
        return unreadable(dir.path());
    }
    // Program and folders must be reachable for nobody, whatever the way to them is.
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    #[allow(clippy::disallowed_methods, reason = "the test starts itself as another user")]
    let out = std::process::Command::new(&program)
        .args(["--exact", "files_that_may_not_be_read_are_named_and_make_the_item_partial"])
        .env(AS_NOBODY, dir.path())
        .current_dir(dir.path())
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

fn unreadable(dir: &Path) {
    let source = dir.join("source");
    for user in ["alice", "bob", "carol"] {
        fs::create_dir_all(source.join(user).join("closed")).unwrap();
        fs::write(source.join(user).join("open"), "x").unwrap();
    }
    fs::write(source.join("alice/secret\nfile"), "x").unwrap();
    fs::set_permissions(source.join("alice/secret\nfile"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(source.join("alice/closed"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(source.join("carol"), fs::Permissions::from_mode(0o0)).unwrap();
    let job = backup_job(&source, &dir.join("repo"), "r1");
    let events = backup(&job).unwrap();
    let items = by_name(&events);
    let named: Vec<_> = items["alice"].problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!((items["alice"].state, named, items["alice"].problems_total), (ItemState::Partial, vec!["closed", "secret\\x0afile"], 2));
    assert_eq!(items["alice"].files, 1, "what is missing is not counted");
    assert_eq!(items["bob"].state, ItemState::Ok);
    assert_eq!((items["carol"].state, items["carol"].snapshot.is_none()), (ItemState::Failed, true));
    // The snapshot itself says so too.
    let snapshot = items["alice"].snapshot.as_ref().unwrap();
    assert!(snapshot.errors == 2 && snapshot.tags.contains(&"partial".to_owned()), "{snapshot:?}");
    let found = Repository::open(&job.access, &common::rt()).unwrap().snapshots().unwrap().into_iter().find(|s| s.id == snapshot.id).unwrap();
    assert_eq!(&found, snapshot);
    restic(&dir.join("repo"), &["check", "--read-data"]);
    for closed in ["alice/closed", "carol"] {
        fs::set_permissions(source.join(closed), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs a backup and calls `change` whenever a second or so of reading has begun.
fn backup_while(job: &BackupJob, change: impl Fn(i64) + Send + Sync) -> Vec<Event> {
    let events = Mutex::new(Vec::new());
    let sink = |event: Event| {
        if let Event::Progress(p) = &event
            && p.bytes_done > 0
        {
            change(p.bytes_done);
        }
        events.lock().unwrap().push(event);
    };
    let cancel = AtomicBool::new(false);
    let outcome = run_backup(job, &Ctx { sink: &sink, cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO }).unwrap();
    let mut events = events.into_inner().unwrap();
    events.push(Event::Done(engine::job::Outcome::Backup(outcome)));
    events
}

#[test]
fn a_file_cut_short_while_it_is_read_is_read_once_more_and_is_whole_then() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("alice")).unwrap();
    let file = source.join("alice/big");
    fs::write(&file, common::noise(1, 200_000_000)).unwrap();
    let cut = AtomicBool::new(false);
    let job = backup_job(&source, &dir.path().join("repo"), "r1");
    let events = backup_while(&job, |_| {
        if !cut.swap(true, Relaxed) {
            fs::File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        }
    });
    assert!(cut.into_inner(), "the file was read before it could be cut; make it larger");
    let alice = &by_name(&events)["alice"];
    assert_eq!((alice.state, alice.files, alice.bytes), (ItemState::Ok, 1, 100), "{:?}", alice.problems);
    let out = dir.path().join("out");
    restic(&dir.path().join("repo"), &["restore", &alice.snapshot.as_ref().unwrap().id, "--target", out.to_str().unwrap()]);
    assert_eq!(fs::read(out.join("big")).unwrap(), &common::noise(1, 100)[..]);
    restic(&dir.path().join("repo"), &["check", "--read-data"]);
    assert_eq!(common::restic_json(&dir.path().join("repo"), &["snapshots"]).as_array().unwrap().len(), 2, "one item, one root");
}

#[test]
fn a_file_that_never_rests_makes_the_item_partial_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("alice")).unwrap();
    let file = source.join("alice/log");
    fs::write(&file, common::noise(1, 150_000_000)).unwrap();
    let job = backup_job(&source, &dir.path().join("repo"), "r1");
    let stop = AtomicBool::new(false);
    let events = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                fs::File::options().append(true).open(&file).unwrap().write_all(b"line\n").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let events = backup_while(&job, |_| {});
        stop.store(true, Relaxed);
        events
    });
    let alice = &by_name(&events)["alice"];
    assert_eq!((alice.state, alice.problems_total, alice.problems[0].path.as_str()), (ItemState::Partial, 1, "log"));
    assert!(alice.problems[0].message.contains("changed while it was read"), "{}", alice.problems[0].message);
    // What was saved has the size that the snapshot says.
    let ls = restic(&dir.path().join("repo"), &["ls", "--json", &alice.snapshot.as_ref().unwrap().id]);
    let node: serde_json::Value = serde_json::from_str(ls.lines().find(|l| l.contains("\"log\"")).unwrap()).unwrap();
    let dump = restic_bytes(&dir.path().join("repo"), &["dump", &alice.snapshot.as_ref().unwrap().id, "/log"]);
    assert_eq!(node["size"].as_u64().unwrap(), dump as u64);
    restic(&dir.path().join("repo"), &["check", "--read-data"]);
}

fn restic_bytes(repo: &Path, args: &[&str]) -> usize {
    let out = common::restic_raw(repo, args);
    assert!(out.status.success());
    out.stdout.len()
}

#[test]
fn a_folder_swapped_for_a_link_is_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (source, outside) = (dir.path().join("source"), dir.path().join("outside"));
    fs::create_dir_all(source.join("alice/docs")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("shadow"), "secret of root").unwrap();
    fs::write(source.join("alice/docs/shadow"), "mine").unwrap();
    fs::write(source.join("alice/big"), common::noise(1, 60_000_000)).unwrap();
    let job = backup_job(&source, &dir.path().join("repo"), "r0");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The attack: the folder and a link to a foreign one take turns under the same name.
            while !stop.load(Relaxed) {
                fs::rename(source.join("alice/docs"), source.join("alice/.docs")).unwrap();
                symlink(&outside, source.join("alice/docs")).unwrap();
                fs::remove_file(source.join("alice/docs")).unwrap();
                fs::rename(source.join("alice/.docs"), source.join("alice/docs")).unwrap();
            }
        });
        for round in 0..15 {
            let mut job = job.clone();
            job.run = format!("r{round}");
            let events = backup(&job).unwrap();
            let alice = &by_name(&events)["alice"];
            let id = alice.snapshot.as_ref().unwrap().id.clone();
            let ls = restic(&dir.path().join("repo"), &["ls", "--json", &id]);
            for line in ls.lines().filter(|l| l.contains("shadow")) {
                let node: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(node["size"], 4, "the foreign file was followed: {line}");
            }
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn holes_and_huge_sparse_files_cost_little() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("alice")).unwrap();
    let mut file = fs::File::create(source.join("alice/image")).unwrap();
    file.set_len(400_000_000).unwrap();
    file.seek(std::io::SeekFrom::Start(200_000_000)).unwrap();
    file.write_all(b"island").unwrap();
    let events = backup(&backup_job(&source, &dir.path().join("repo"), "r1")).unwrap();
    let alice = &by_name(&events)["alice"];
    assert_eq!((alice.state, alice.bytes), (ItemState::Ok, 400_000_000));
    assert!(alice.bytes_added < 3_000_000, "{}", alice.bytes_added);
}
