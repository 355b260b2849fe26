//! Backup: one pass, one snapshot an item, and stock restic agrees (R1, R10, R12).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use common::{
    backup, backup_job, items_of, outcome_of, restic, restic_json,
    tree::{compare, hostile_tree},
};
use domain::run::ItemState;
use engine::job::{BackupOutcome, ChangeKind, Event, ItemResult};

fn three_users(root: &Path) {
    for (user, text) in [("alice", "alpha"), ("bob", "beta"), ("carol", "gamma")] {
        fs::create_dir_all(root.join(user).join("work/deep")).unwrap();
        fs::write(root.join(user).join("work/deep/note"), text).unwrap();
        fs::write(root.join(user).join("shared"), "the same in all ".repeat(100_000)).unwrap();
    }
}

/// What the runner keeps between passes: the root and each item's newest snapshot.
fn follow(job: &mut engine::job::BackupJob, events: &[Event], run: &str) {
    let outcome: BackupOutcome = outcome_of(events);
    job.root_parent = outcome.root_snapshot.or(job.root_parent.take());
    for item in items_of(events) {
        if let Some(snapshot) = item.snapshot {
            job.parents.insert(item.name, snapshot.id);
        }
    }
    run.clone_into(&mut job.run);
}

#[test]
fn each_item_gets_its_own_snapshot_that_restic_restores_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo, out) = (dir.path().join("source"), dir.path().join("repo"), dir.path().join("out"));
    three_users(&source);
    hostile_tree(&source.join("dave"));
    let events = backup(&backup_job(&source, &repo, "r1")).unwrap();
    let items = items_of(&events);
    assert_eq!(
        items.iter().map(|i| (i.name.as_str(), i.state)).collect::<BTreeMap<_, _>>(),
        [("alice", ItemState::Ok), ("bob", ItemState::Ok), ("carol", ItemState::Ok), ("dave", ItemState::Ok)].into()
    );
    restic(&repo, &["check", "--read-data"]);
    for item in &items {
        let snapshot = item.snapshot.as_ref().unwrap();
        let target = out.join(&item.name);
        restic(&repo, &["restore", &snapshot.id, "--target", target.to_str().unwrap()]);
        compare(&source.join(&item.name), &target);
    }
    // What the snapshot says of itself is what restic shows.
    let listed = restic_json(&repo, &["snapshots", "--tag", "item:alice"]);
    assert_eq!(listed[0]["hostname"], "notebooks");
    assert_eq!(listed[0]["paths"][0], source.join("alice").to_str().unwrap());
    let tags: Vec<&str> = listed[0]["tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert_eq!(tags, ["item:alice", "run:r1", "service:notebooks", "source:homes"]);
    let outcome: BackupOutcome = outcome_of(&events);
    assert_eq!((outcome.items, outcome.items_present.len()), (4, 4));
    assert_eq!(restic_json(&repo, &["snapshots", "--tag", "holdfast:root"])[0]["id"], outcome.root_snapshot.unwrap());
}

#[test]
fn one_stream_of_packs_stores_what_items_share_once() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo, single) = (dir.path().join("source"), dir.path().join("repo"), dir.path().join("single"));
    for user in 0..8 {
        let home = source.join(format!("user{user}"));
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("common"), common::noise(7, 4_000_000)).unwrap();
        fs::write(home.join("own"), common::noise(100 + user, 200_000)).unwrap();
    }
    let events = backup(&backup_job(&source, &repo, "r1")).unwrap();
    restic(&single, &["init"]);
    restic(&single, &["backup", source.to_str().unwrap()]);
    let (ours, theirs) = (common::size_of(&repo.join("data")), common::size_of(&single.join("data")));
    assert!(ours * 100 <= theirs * 103, "{ours} bytes against {theirs}");
    let outcome: BackupOutcome = outcome_of(&events);
    assert!(outcome.bytes_added.unsigned_abs().abs_diff(ours) < 10_000, "{} bytes added, {ours} bytes of packs", outcome.bytes_added);
    let by_item: i64 = items_of(&events).iter().map(|i| i.bytes_added).sum();
    assert!(by_item <= outcome.bytes_added && by_item * 100 >= outcome.bytes_added * 98, "{by_item} of {}", outcome.bytes_added);
}

#[test]
fn a_second_pass_reads_nothing_that_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    three_users(&source);
    let mut job = backup_job(&source, &repo, "r1");
    let first = backup(&job).unwrap();
    follow(&mut job, &first, "r2");
    let old_root = job.root_parent.clone().unwrap();

    fs::write(source.join("bob").join("work/deep/new"), "new").unwrap();
    fs::remove_file(source.join("bob/shared")).unwrap();
    fs::write(source.join("carol").join("work/deep/note"), "gamma changed").unwrap();
    let second = backup(&job).unwrap();
    let outcome: BackupOutcome = outcome_of(&second);
    assert_eq!(outcome.bytes_read, 3 + 13);
    let mut changes: Vec<_> = second
        .iter()
        .filter_map(|e| match e {
            Event::Changes { item, entries, .. } => Some(entries.iter().map(|c| (item.clone(), c.path.clone(), c.change)).collect::<Vec<_>>()),
            _ => None,
        })
        .flatten()
        .collect();
    changes.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let want = [("bob", "shared", ChangeKind::Removed), ("bob", "work/deep/new", ChangeKind::Added), ("carol", "work/deep/note", ChangeKind::Changed)];
    assert_eq!(changes, want.map(|(i, p, c)| (i.to_owned(), p.to_owned(), c)));
    let items: BTreeMap<String, ItemResult> = items_of(&second).into_iter().map(|i| (i.name.clone(), i)).collect();
    let alice = items["alice"].snapshot.as_ref().unwrap();
    assert_eq!((alice.files_added, alice.files_changed, alice.files_removed, items["alice"].bytes_added), (0, 0, 0, 0));
    let bob = items["bob"].snapshot.as_ref().unwrap();
    assert_eq!((bob.files_added, bob.files_changed, bob.files_removed), (1, 0, 1));
    assert_eq!(bob.parent.as_ref(), job.parents.get("bob"));
    // The former root is gone, the new one is the only one, and restic finds nothing wrong.
    let roots = restic_json(&repo, &["snapshots", "--tag", "holdfast:root"]);
    assert_eq!(roots.as_array().unwrap().len(), 1);
    assert_ne!(roots[0]["id"], old_root);
    restic(&repo, &["check", "--read-data"]);
}

#[test]
fn a_file_replaced_with_the_same_size_and_time_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo, out) = (dir.path().join("source"), dir.path().join("repo"), dir.path().join("out"));
    three_users(&source);
    let mut job = backup_job(&source, &repo, "r1");
    let first = backup(&job).unwrap();
    follow(&mut job, &first, "r2");
    let note = source.join("alice").join("work/deep/note");
    let time = fs::metadata(&note).unwrap().modified().unwrap();
    fs::write(source.join("alice").join("work/deep/tmp"), "ALPHA").unwrap();
    fs::rename(source.join("alice").join("work/deep/tmp"), &note).unwrap();
    fs::File::options().write(true).open(&note).unwrap().set_modified(time).unwrap();
    let second = backup(&job).unwrap();
    let alice = items_of(&second).into_iter().find(|i| i.name == "alice").unwrap();
    restic(&repo, &["restore", &alice.snapshot.unwrap().id, "--target", out.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(out.join("work/deep/note")).unwrap(), "ALPHA");
}

#[test]
fn the_same_run_again_finds_what_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    three_users(&source);
    let job = backup_job(&source, &repo, "0199f000-0000-7000-8000-000000000001");
    let first = backup(&job).unwrap();
    // As after a kill between two items: bob's snapshot was not written yet.
    let bob = items_of(&first).into_iter().find(|i| i.name == "bob").unwrap().snapshot.unwrap();
    fs::remove_file(repo.join("snapshots").join(&bob.id)).unwrap();
    let again = backup(&job).unwrap();
    let ids = |events: &[Event]| items_of(events).into_iter().map(|i| (i.name, i.snapshot.unwrap().id)).collect::<BTreeMap<_, _>>();
    let (before, after) = (ids(&first), ids(&again));
    assert_eq!(before["alice"], after["alice"]);
    assert_eq!(before["carol"], after["carol"]);
    assert_ne!(before["bob"], after["bob"]);
    assert_eq!(outcome_of(&again).bytes_read, 0, "the killed pass's root is the parent");
    assert_eq!(restic_json(&repo, &["snapshots", "--tag", "holdfast:root"]).as_array().unwrap().len(), 1);
    assert_eq!(restic_json(&repo, &["snapshots"]).as_array().unwrap().len(), 4);
    restic(&repo, &["check", "--read-data"]);
}

#[test]
fn some_items_alone_leave_the_root_of_all_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    three_users(&source);
    let mut job = backup_job(&source, &repo, "r1");
    let first = backup(&job).unwrap();
    follow(&mut job, &first, "r2");
    job.items = Some(vec!["bob".into(), "nobody".into()]);
    let second = backup(&job).unwrap();
    let items = items_of(&second);
    assert_eq!(items.len(), 2);
    assert_eq!(items.iter().find(|i| i.name == "nobody").unwrap().state, ItemState::Failed);
    let outcome = outcome_of(&second);
    assert_eq!((outcome.root_snapshot, outcome.bytes_read, outcome.items_present.len()), (None, 0, 3));
    let roots = restic_json(&repo, &["snapshots", "--tag", "holdfast:root"]);
    assert_eq!(roots.as_array().unwrap().len(), 1);
    assert_eq!(Some(roots[0]["id"].as_str().unwrap()), job.root_parent.as_deref());
}

#[test]
fn one_folder_is_one_item_and_links_out_of_it_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("data"), dir.path().join("repo"));
    fs::create_dir_all(source.join("in")).unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    symlink(dir.path(), source.join("out")).unwrap();
    fs::write(source.join("in/skip.tmp"), "x").unwrap();
    fs::set_permissions(source.join("in"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut job = backup_job(&source, &repo, "r1");
    let engine::job::SourceConfig::Directory(config) = &mut job.source else { panic!("a folder") };
    config.items = engine::job::DirectoryItems::Itself;
    config.exclude = vec!["*.tmp".into()];
    let events = backup(&job).unwrap();
    let items = items_of(&events);
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].name.as_str(), items[0].files), ("data", 1));
    let ls = restic(&repo, &["ls", "-l", &items[0].snapshot.as_ref().unwrap().id]);
    assert!(ls.contains("/in\n") && ls.contains("/out") && !ls.contains("secret") && !ls.contains("skip.tmp"), "{ls}");
    assert_eq!(fs::metadata(source.join("in")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_link_target_that_is_not_utf8_is_stored_as_it_is() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    fs::create_dir_all(source.join("erin")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"\xff-target"), source.join("erin/link")).unwrap();
    let job = backup_job(&source, &repo, "r1");
    let events = backup(&job).unwrap();
    let repository = engine::repository::Repository::open(&job.access, &common::rt()).unwrap();
    let file = repository.snapshot(&items_of(&events)[0].snapshot.as_ref().unwrap().id).unwrap();
    let node = repository.to_indexed().unwrap().get_tree(&file.tree).unwrap().nodes.remove(0);
    assert_eq!(node.node_type.to_link().as_os_str().as_bytes(), b"\xff-target");
}

#[test]
fn loose_files_beside_the_item_folders_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    three_users(&source);
    fs::write(source.join("README"), "x").unwrap();
    symlink("alice", source.join("link")).unwrap();
    let events = backup(&backup_job(&source, &repo, "r1")).unwrap();
    assert_eq!(items_of(&events).len(), 3);
    assert!(events.iter().any(|e| matches!(e, Event::Log { message, .. } if message.contains("README") && message.contains("link"))));
}

#[test]
fn a_source_that_is_not_there_fails_and_leaves_no_repository() {
    let dir = tempfile::tempdir().unwrap();
    let error = backup(&backup_job(&dir.path().join("none"), &dir.path().join("repo"), "r1")).unwrap_err();
    assert_eq!(error.kind, engine::ErrorKind::NotFound);
    assert!(error.message.contains("none"), "{}", error.message);
    assert!(!dir.path().join("repo").exists());
}

#[test]
fn pieces_are_cut_where_restic_cuts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    fs::create_dir_all(source.join("alice")).unwrap();
    for (name, length) in [("large", 30_000_000), ("small", 1_000), ("smallest", 512 * 1024), ("window", 512 * 1024 + 1), ("just-below", 512 * 1024 - 1)] {
        fs::write(source.join("alice").join(name), common::noise(length as u64, length)).unwrap();
    }
    fs::write(source.join("alice/zeros"), vec![0; 20_000_000]).unwrap();
    restic(&repo, &["init", "--repository-version", "2"]);
    restic(&repo, &["backup", source.to_str().unwrap()]);
    let events = backup(&backup_job(&source, &repo, "r1")).unwrap();
    let outcome = outcome_of(&events);
    assert_eq!(outcome.bytes_read, 30_000_000 + 1_000 + 3 * 512 * 1024 + 20_000_000);
    assert!(outcome.bytes_added < 20_000, "{} bytes were stored a second time", outcome.bytes_added);
    restic(&repo, &["check", "--read-data"]);
}

#[test]
fn a_repository_of_the_first_version_stays_without_compression() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo, out) = (dir.path().join("source"), dir.path().join("repo"), dir.path().join("out"));
    three_users(&source);
    restic(&repo, &["init", "--repository-version", "1"]);
    let events = backup(&backup_job(&source, &repo, "r1")).unwrap();
    restic(&repo, &["check", "--read-data"]);
    let alice = items_of(&events).into_iter().find(|i| i.name == "alice").unwrap();
    restic(&repo, &["restore", &alice.snapshot.unwrap().id, "--target", out.to_str().unwrap()]);
    compare(&source.join("alice"), &out);
}

#[test]
fn a_repository_inside_the_source_is_refused_unless_it_is_excluded() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("source/backup"));
    three_users(&source);
    let mut job = backup_job(&source, &repo, "r1");
    let error = backup(&job).unwrap_err();
    assert!(error.kind == engine::ErrorKind::Invalid && error.message.contains("exclude"), "{error:?}");
    assert!(!repo.exists());
    let engine::job::SourceConfig::Directory(config) = &mut job.source else { panic!("a folder") };
    config.exclude = vec!["/".to_owned() + repo.strip_prefix("/").unwrap().to_str().unwrap()];
    assert_eq!(items_of(&backup(&job).unwrap()).len(), 3);
}

#[test]
fn a_resumed_pass_tells_again_what_changed_in_the_items_that_it_had_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    three_users(&source);
    let mut job = backup_job(&source, &repo, "0199f000-0000-7000-8000-000000000001");
    let first = backup(&job).unwrap();
    follow(&mut job, &first, "0199f000-0000-7000-8000-000000000002");
    fs::write(source.join("alice/new"), "new").unwrap();
    fs::remove_file(source.join("bob/shared")).unwrap();
    let changes = |events: &[Event]| {
        let mut all: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Changes { item, snapshot, entries } = e { Some((item.clone(), snapshot.clone(), entries.clone())) } else { None })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let second = backup(&job).unwrap();
    assert_eq!(changes(&second).len(), 2);
    // The worker died after it had recorded the items and before their names: it asks again, and by now these very
    // snapshots are the items' newest.
    let mut again = job.clone();
    follow(&mut again, &second, &job.run);
    again.root_parent.clone_from(&job.root_parent);
    assert_eq!(changes(&backup(&again).unwrap()), changes(&second));
}
