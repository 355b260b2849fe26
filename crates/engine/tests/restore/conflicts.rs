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
use engine::{ErrorKind, job::PlannedAction};

use crate::{
    STAGING,
    disk::{assert_same, inside, state},
    job, restore, scratch,
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
