//! Every conflict mode with everything that can be in the way.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use domain::{
    restore::{ConflictMode, RestoreCounts},
    run::ItemState,
};
use engine::{EngineError, ErrorKind, job::PlannedAction, restore::Ending};

use crate::{
    STAGING,
    disk::{assert_same, inside, state},
    forge::Forge,
    job, restore, restore_until, scratch,
    stock::backup,
    unwind,
};

const SNAPSHOT: u64 = 1_700_000_000;

fn at(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn put(path: &Path, text: &str, seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    at(path, seconds);
}

/// The snapshot: each path holds “snapshot”, and `dir/` two files.
fn home(home: &Path) {
    for name in ["absent", "same", "older", "newer", "was-link", "was-dir", "was-empty-dir", "dir/one", "dir/two", "merged/inside"] {
        put(&home.join(name), "snapshot", SNAPSHOT);
    }
    symlink("somewhere", home.join("link")).unwrap();
    for dir in ["dir", "merged", ""] {
        at(&home.join(dir), SNAPSHOT);
    }
}

/// The target before the restore, with a folder outside it that links lead to.
fn target(target: &Path, outside: &Path) {
    put(&outside.join("precious"), "outside", SNAPSHOT + 5);
    put(&target.join("same"), "snapshot", SNAPSHOT);
    put(&target.join("older"), "target", SNAPSHOT - 5);
    put(&target.join("newer"), "target", SNAPSHOT + 5);
    symlink(outside.join("precious"), target.join("was-link")).unwrap();
    put(&target.join("was-dir/kept"), "target", SNAPSHOT);
    fs::create_dir(target.join("was-empty-dir")).unwrap();
    symlink(outside, target.join("dir")).unwrap();
    put(&target.join("merged/other"), "target", SNAPSHOT);
    put(&target.join("unrelated"), "target", SNAPSHOT);
    put(&target.join("link"), "a file where the snapshot has a link", SNAPSHOT - 5);
}

#[test]
fn each_mode_does_what_it_says() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    home(&source);
    let snapshot = backup(&repo, &source);
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    for mode in ConflictMode::ALL {
        let name = mode.as_str();
        let (here, outside) = (dir.path().join(name), dir.path().join(format!("{name}-outside")));
        target(&here, &outside);
        let (before, sentinel) = (state(&here), state(&outside));
        let mut plan = job(&repo, &snapshot, &here, mode);
        plan.preview = true;
        let planned = restore(&plan);
        assert_same(&before, &state(&here));
        let ran = restore(&job(&repo, &snapshot, &here, mode));
        assert_same(&sentinel, &state(&outside));
        assert!(!dir.path().join(STAGING).exists(), "{name}: nothing is left behind");
        if mode == ConflictMode::Fail {
            let error = ran.result.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.message.contains("older") && error.message.contains("paths are at the target already"), "{}", error.message);
            assert_same(&before, &state(&here));
            assert_eq!(planned.ok().conflicts, 7, "older, newer, was-link, was-dir, was-empty-dir, dir, link");
            let create = RestoreCounts { create: 2, replace: 0, same: 1, skip: 8, bytes: 16 };
            assert_eq!(planned.ok().counts, create, "absent and merged/inside");
            continue;
        }
        let counts = ran.ok().counts;
        assert_eq!(counts, planned.ok().counts, "{name}");
        let (create, replace, skip) = match mode {
            ConflictMode::Skip => (2, 0, 8),
            ConflictMode::Overwrite => (4, 5, 1),
            _ => (2, 2, 6),
        };
        assert_eq!((counts.create, counts.replace, counts.same, counts.skip), (create, replace, 1, skip), "{name}: {counts:?}");
        assert_eq!(text(&here.join("absent")), "snapshot");
        assert_eq!(text(&here.join("merged/inside")), "snapshot");
        assert_eq!(text(&here.join("merged/other")), "target");
        assert_eq!(text(&here.join("unrelated")), "target");
        assert_eq!(text(&here.join("was-dir/kept")), "target", "a folder with content is never replaced by a file");
        assert!(ran.problem("was-dir").contains("there is a folder with content at the target where the snapshot has a file"));
        assert_eq!(ran.item().state, ItemState::Partial);
        let replaced = mode == ConflictMode::Overwrite;
        assert_eq!(text(&here.join("newer")), if replaced { "snapshot" } else { "target" });
        assert_eq!(text(&here.join("older")), if mode == ConflictMode::Skip { "target" } else { "snapshot" });
        assert_eq!(fs::read_link(here.join("link")).is_ok(), mode != ConflictMode::Skip);
        for link in ["was-link", "dir"] {
            assert_eq!(fs::symlink_metadata(here.join(link)).unwrap().is_symlink(), !replaced, "{name}: {link}");
        }
        if replaced {
            assert_eq!(text(&here.join("dir/two")), "snapshot");
            let (ours, theirs) = (inside(&here), inside(&source));
            assert_eq!(ours["merged"], theirs["merged"], "a folder that was there gets the snapshot's times");
        } else {
            assert!(ran.problem("dir").contains("there is a symbolic link at the target where the snapshot has a folder"));
        }
        let action = |path: &str| planned.ok().sample.iter().find(|s| s.path == path).unwrap().action;
        assert_eq!(action("absent"), PlannedAction::Create);
        assert_eq!(action("same"), PlannedAction::Same);
        assert_eq!(action("newer"), if replaced { PlannedAction::Replace } else { PlannedAction::Skip });
    }
}

#[test]
fn targets_that_cannot_be_are_refused() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    home(&source);
    let snapshot = backup(&repo, &source);
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("mine")).unwrap();
    symlink("real", dir.path().join("theirs")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let try_it = |target: &Path| restore(&job(&repo, &snapshot, target, ConflictMode::Fail)).result.map(|_| ()).map_err(|e| (e.kind, e.message));
    assert_eq!(try_it(Path::new("relative")).unwrap_err().0, ErrorKind::Invalid);
    assert_eq!(try_it(&dir.path().join("real/../x")).unwrap_err().0, ErrorKind::Invalid);
    assert_eq!(try_it(&dir.path().join("file")).unwrap_err().0, ErrorKind::Conflict);
    assert_eq!(try_it(&dir.path().join("file/below")).unwrap_err().0, ErrorKind::Conflict);
    if rustix::process::geteuid().is_root() {
        let user = Some(rustix::fs::Uid::from_raw(1234));
        rustix::fs::chownat(rustix::fs::CWD, dir.path().join("theirs"), user, None, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let (kind, message) = try_it(&dir.path().join("theirs/home")).unwrap_err();
        assert_eq!(kind, ErrorKind::Unsafe);
        assert!(message.contains("another user made"), "{message}");
    }
    assert_eq!(fs::read_dir(dir.path().join("real")).unwrap().count(), 0);
    try_it(&dir.path().join("mine/home")).unwrap();
    assert_same(&inside(&source), &inside(&dir.path().join("real/home")));

    let mut two = job(&repo, &snapshot, &dir.path().join("real/one"), ConflictMode::Fail);
    let mut inner = two.items[0].clone();
    inner.target = dir.path().join("mine/one/inner");
    two.items.push(inner);
    assert_eq!(restore(&two).result.unwrap_err().kind, ErrorKind::Invalid, "one target lies in the other, behind a link");
    assert!(!dir.path().join("real/one").exists());
    two.items[1].snapshot = "0".repeat(64);
    two.items[1].target = dir.path().join("real/two");
    let ran = restore(&two);
    assert_eq!((ran.ok().items, ran.item().state), (1, ItemState::Failed), "an item without a snapshot does not stop the other");
    assert_same(&inside(&source), &inside(&dir.path().join("real/one")));
    assert!(!dir.path().join("real/two").exists());
    assert_eq!(unwind(&[&dir.path().join("real/one"), &dir.path().join("nowhere")]).unwrap().put_back, 0, "what stands is not unwound");
    assert_same(&inside(&source), &inside(&dir.path().join("real/one")));
}

#[test]
fn what_looks_the_same_but_is_damaged_is_restored() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    for name in ["whole", "damaged", "attributes"] {
        put(&source.join("folder").join(name), "what the snapshot holds", SNAPSHOT);
    }
    rustix::fs::setxattr(source.join("folder/attributes"), "user.mark", b"snapshot", rustix::fs::XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(source.join("folder"), "user.mark", b"snapshot", rustix::fs::XattrFlags::empty()).unwrap();
    at(&source.join("folder"), SNAPSHOT);
    let snapshot = backup(&repo, &source);
    for mode in ConflictMode::ALL {
        let here = dir.path().join(mode.as_str());
        restore(&job(&repo, &snapshot, &here, ConflictMode::Fail)).result.unwrap();
        // The same size and times, other bytes; and attributes that no time tells of.
        put(&here.join("folder/damaged"), "what the snapshot h0lds", SNAPSHOT);
        rustix::fs::removexattr(here.join("folder/attributes"), "user.mark").unwrap();
        rustix::fs::setxattr(here.join("folder"), "user.mark", b"target", rustix::fs::XattrFlags::empty()).unwrap();
        at(&here.join("folder"), SNAPSHOT);
        let before = state(&here);
        let mut plan = job(&repo, &snapshot, &here, mode);
        plan.preview = true;
        let planned = restore(&plan);
        let ran = restore(&job(&repo, &snapshot, &here, mode));
        match mode {
            ConflictMode::Fail => {
                let error = ran.result.unwrap_err();
                assert!(error.kind == ErrorKind::Conflict && error.message.contains("folder/damaged"), "{}", error.message);
                assert_eq!(planned.ok().conflicts, 2);
                assert_same(&before, &state(&here));
            }
            ConflictMode::Skip => assert_same(&before, &state(&here)),
            ConflictMode::Overwrite | ConflictMode::KeepNewer => {
                let counts = ran.ok().counts;
                assert_eq!((counts.same, counts.replace), (1, 2), "{mode:?}: {counts:?}");
                assert_eq!(counts, planned.ok().counts, "{mode:?}");
                assert_same(&inside(&source), &inside(&here));
            }
        }
    }
}

#[test]
fn a_folder_whose_content_is_replaced_keeps_the_snapshots_times() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    put(&source.join("folder/file"), "snapshot", SNAPSHOT);
    at(&source.join("folder"), SNAPSHOT);
    let snapshot = backup(&repo, &source);
    // The file was written in place: its folder's own times are still those of the snapshot.
    put(&here.join("folder/file"), "target", SNAPSHOT + 9);
    at(&here.join("folder"), SNAPSHOT);
    let ran = restore(&job(&repo, &snapshot, &here, ConflictMode::Overwrite));
    assert_eq!(ran.ok().counts.replace, 1);
    assert_same(&inside(&source), &inside(&here));
}

#[test]
fn a_batch_that_cannot_be_written_ends_the_restore_of_all() {
    let dir = scratch();
    let repo = dir.path().join("repo");
    let mut forge = Forge::new(&repo);
    let small = forge.file("precious", "precious");
    let tree = forge.tree(&[small]);
    let first = forge.snapshot(&tree);
    // So many files that the batch, in which the first item's still waits, is full in the midst of the second item.
    let one = forge.file("x", "x");
    let many: Vec<_> = (0..20_000)
        .map(|n| {
            let mut node = one.clone();
            node["name"] = format!("{n:05}").into();
            node
        })
        .collect();
    let tree = forge.tree(&many);
    let second = forge.snapshot(&tree);
    let mut both = job(&repo, &first, &dir.path().join("one"), ConflictMode::Fail);
    let mut item = both.items[0].clone();
    (item.snapshot, item.target) = (second, dir.path().join("two"));
    both.items.push(item);
    let hook = |what: &'static str| {
        if what == "before a batch is written" { Err(EngineError::new(ErrorKind::Denied, "the disk was made read-only")) } else { Ok(()) }
    };
    let ran = restore_until(&both, &hook, Ending::Unwind);
    assert_eq!(ran.result.unwrap_err().kind, ErrorKind::Denied, "it is nobody's own error");
    assert!(!dir.path().join("one").exists() && !dir.path().join("two").exists() && !dir.path().join(STAGING).exists());
}
