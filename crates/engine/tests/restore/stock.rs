//! Restores of what stock restic wrote, compared with what stock restic restores.

use std::{
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use domain::{restore::ConflictMode, run::ItemState};
use engine::{
    job::{CompareJob, CompareOutcome, ItemResult, PlannedAction},
    repository::Repository,
    restore::run_compare,
};
use rustix::fs::{AtFlags, CWD, Dev, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::{
    common::{folder_access, restic, rt, with_ctx},
    disk::{assert_same, inside, state},
    job, restore, scratch,
};

/// Content that does not compress and does not repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(length).collect()
}

/// A home folder with one of everything.
pub fn furnish(home: &Path) {
    fs::create_dir_all(home.join("papers/deep/deeper")).unwrap();
    fs::create_dir_all(home.join("empty")).unwrap();
    fs::write(home.join("papers/small.txt"), "hello").unwrap();
    fs::write(home.join("papers/nothing"), "").unwrap();
    fs::write(home.join("papers/large.bin"), noise(1, 9_000_000)).unwrap();
    fs::write(home.join("papers/copy.bin"), noise(1, 9_000_000)).unwrap();
    fs::write(home.join("papers/deep/deeper/ünï cödé.txt"), "names").unwrap();
    fs::write(home.join(std::ffi::OsStr::from_bytes(b"papers/not\xff\xfeutf8\n\\")), "bytes").unwrap();
    fs::write(home.join("papers").join("n".repeat(255)), "long").unwrap();
    for n in 0..300 {
        fs::write(home.join(format!("papers/deep/{n:03}")), noise(n, 100 + n as usize * 7)).unwrap();
    }
    fs::hard_link(home.join("papers/small.txt"), home.join("papers/deep/same.txt")).unwrap();
    fs::hard_link(home.join("papers/large.bin"), home.join("same-large.bin")).unwrap();
    symlink("papers/small.txt", home.join("link")).unwrap();
    symlink("/etc/passwd", home.join("absolute link")).unwrap();
    symlink("nowhere/at all", home.join("broken link")).unwrap();
    let sparse = File::create(home.join("papers/sparse")).unwrap();
    sparse.set_len(40_000_000).unwrap();
    sparse.write_all_at(&noise(5, 70_000), 17_000_001).unwrap();
    fs::File::create(home.join("papers/all holes")).unwrap().set_len(3_000_000).unwrap();
    rustix::fs::mknodat(CWD, home.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    for (name, value) in [("user.note", &b"hello"[..]), ("user.empty", b""), ("user.bytes", &[0, 255, 10])] {
        rustix::fs::setxattr(home.join("papers/small.txt"), name, value, XattrFlags::empty()).unwrap();
        rustix::fs::setxattr(home.join("papers/deep"), name, value, XattrFlags::empty()).unwrap();
    }
    if rustix::process::geteuid().is_root() {
        rustix::fs::mknodat(CWD, home.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), 0x103 as Dev).unwrap();
        rustix::fs::mknodat(CWD, home.join("loop"), FileType::BlockDevice, Mode::from_raw_mode(0o660), 0x700 as Dev).unwrap();
        for (path, uid, gid) in
            [("papers", 1001, 1002), ("papers/small.txt", 1003, 1004), ("link", 1005, 1006), ("pipe", 1007, 1008), ("papers/deep/007", 7, 7)]
        {
            rustix::fs::chownat(CWD, home.join(path), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }
    for (path, mode) in [
        ("papers/deep/001", 0o4755),
        ("papers/deep/002", 0o2711),
        ("papers/deep/003", 0o400),
        ("papers/deep", 0o1777),
        ("papers/deep/deeper", 0o2750),
        ("empty", 0o555),
    ] {
        fs::set_permissions(home.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let times = Timestamps { last_access: Timespec { tv_sec: 1, tv_nsec: 2 }, last_modification: Timespec { tv_sec: -3, tv_nsec: 123_456_789 } };
    rustix::fs::utimensat(CWD, home.join("link"), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    File::open(home.join("papers/nothing")).unwrap().set_modified(UNIX_EPOCH + Duration::new(1_700_000_000, 987_654_321)).unwrap();
    for dir in ["empty", "papers/deep/deeper", "papers/deep", "papers"] {
        File::open(home.join(dir)).unwrap().set_modified(UNIX_EPOCH + Duration::new(1_600_000_000, 111_222_333)).unwrap();
    }
}

/// Backs a folder up with stock restic, from inside it, so that the snapshot's root is the folder's content.
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
pub fn backup(repository: &Path, home: &Path) -> String {
    if !repository.join("config").exists() {
        restic(repository, &["init"]);
    }
    let mut command = std::process::Command::new("restic");
    command.current_dir(home).args(["--no-cache", "backup", "--json", ".", "-r"]).arg(repository).env("RESTIC_PASSWORD", crate::common::PASSWORD);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut all = Repository::open(&folder_access(repository), &rt()).unwrap().snapshots().unwrap();
    all.pop().unwrap().id
}

pub fn compare(repository: &Path, snapshot: &str, target: &Path, paths: &[&str]) -> (CompareOutcome, ItemResult) {
    let mut items = job(repository, snapshot, target, ConflictMode::Fail).items;
    items[0].paths = paths.iter().map(|p| (*p).to_owned()).collect();
    let (done, events) = with_ctx(|ctx| run_compare(&CompareJob { access: folder_access(repository), items }, ctx));
    let item = events.into_iter().find_map(|e| if let engine::job::Event::Item(i) = e { Some(i) } else { None }).unwrap();
    (done.unwrap(), item)
}

#[test]
fn restores_as_restic_does() {
    let dir = scratch();
    let (repo, home, ours, theirs) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("a/b/ours"), dir.path().join("theirs"));
    furnish(&home);
    let snapshot = backup(&repo, &home);

    let mut preview = job(&repo, &snapshot, &ours, ConflictMode::Fail);
    preview.preview = true;
    let planned = restore(&preview);
    assert!(!dir.path().join("a").exists(), "a preview writes nothing");

    let ran = restore(&job(&repo, &snapshot, &ours, ConflictMode::Fail));
    assert_eq!(ran.item().problems, []);
    assert_eq!(ran.item().state, ItemState::Ok);
    assert_eq!(ran.ok().counts, planned.ok().counts, "the preview counted exactly");
    assert_eq!((ran.ok().files, ran.ok().dirs), (planned.ok().files, planned.ok().dirs));
    assert_eq!(ran.ok().files as usize, inside(&home).values().filter(|v| !v.starts_with('4')).count());
    assert_eq!(planned.ok().sample.len() as i64, planned.ok().files);
    assert!(planned.ok().sample.iter().all(|s| s.action == PlannedAction::Create));
    assert!(!dir.path().join("a/b").join(crate::STAGING).exists() && !dir.path().join(crate::STAGING).exists(), "nothing is left behind");

    restic(&repo, &["restore", &snapshot, "--target", theirs.to_str().unwrap()]);
    assert_same(&inside(&theirs), &inside(&ours));
    assert_same(&inside(&home), &inside(&ours));
    for sparse in ["papers/sparse", "papers/all holes"] {
        let (a, b) = (fs::metadata(home.join(sparse)).unwrap(), fs::metadata(ours.join(sparse)).unwrap());
        assert!(b.blocks() <= a.blocks() + 16, "{sparse}: {} blocks instead of {}", b.blocks(), a.blocks());
    }

    // A second time everything is there already.
    let again = restore(&job(&repo, &snapshot, &ours, ConflictMode::Fail));
    let counts = again.ok().counts;
    assert_eq!((counts.create, counts.replace, counts.same, counts.skip, counts.bytes), (0, 0, ran.ok().files, 0, 0));
    assert_same(&state(&ours), &state(&ours));

    let (outcome, item) = compare(&repo, &snapshot, &ours, &[]);
    assert_eq!(outcome.differences, []);
    assert_eq!((outcome.files, item.state), (ran.ok().files, ItemState::Ok));
    assert!(outcome.bytes > 60_000_000, "every byte is compared: {}", outcome.bytes);
}

#[test]
fn a_comparison_finds_every_kind_of_difference() {
    let dir = scratch();
    let (repo, home, target) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    furnish(&home);
    let snapshot = backup(&repo, &home);
    restore(&job(&repo, &snapshot, &target, ConflictMode::Fail)).result.unwrap();
    let keep_time = |path: &Path, change: &dyn Fn()| {
        let parent = path.parent().unwrap();
        let (t, p) = (fs::symlink_metadata(path).unwrap().modified().unwrap(), fs::metadata(parent).unwrap().modified().unwrap());
        change();
        if let Ok(f) = File::open(path) {
            f.set_modified(t).unwrap();
        }
        File::open(parent).unwrap().set_modified(p).unwrap();
    };
    let large = target.join("papers/copy.bin");
    keep_time(&large, &|| fs::OpenOptions::new().write(true).open(&large).unwrap().write_all_at(b"!", 8_999_999).unwrap());
    let longer = target.join("papers/deep/100");
    keep_time(&longer, &|| fs::OpenOptions::new().write(true).open(&longer).unwrap().write_all_at(b"!", 10_000).unwrap());
    let hole = target.join("papers/all holes");
    keep_time(&hole, &|| fs::OpenOptions::new().write(true).open(&hole).unwrap().write_all_at(b"!", 2_000_000).unwrap());
    File::open(target.join("papers/deep/101")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    fs::set_permissions(target.join("papers/deep/102"), fs::Permissions::from_mode(0o600)).unwrap();
    let extra = target.join("papers/deep/extra");
    keep_time(&target.join("papers/deep/103"), &|| {
        fs::write(&extra, "").unwrap();
        fs::remove_file(target.join("papers/deep/104")).unwrap();
    });
    rustix::fs::setxattr(target.join("papers/deep/105"), "user.more", b"x", XattrFlags::empty()).unwrap();
    let split = target.join("papers/deep/same.txt");
    keep_time(&split, &|| {
        let copy = fs::read(&split).unwrap();
        fs::remove_file(&split).unwrap();
        fs::write(&split, copy).unwrap();
        for (name, value) in crate::disk::xattrs(&target.join("papers/small.txt")) {
            rustix::fs::setxattr(&split, name.as_str(), &value, XattrFlags::empty()).unwrap();
        }
        let m = fs::metadata(target.join("papers/small.txt")).unwrap();
        std::os::unix::fs::chown(&split, Some(m.uid()), Some(m.gid())).unwrap();
        fs::set_permissions(&split, m.permissions()).unwrap();
    });
    let (outcome, item) = compare(&repo, &snapshot, &target, &[]);
    let told = |path: &str| {
        let found = item.problems.iter().find(|p| p.path == path);
        found.unwrap_or_else(|| panic!("{path} differs: {:#?}", item.problems)).message.clone()
    };
    for (path, what) in [
        ("papers/copy.bin", "another content"),
        ("papers/deep/100", "10001 bytes instead of"),
        ("papers/all holes", "another content"),
        ("papers/deep/101", "another modification time"),
        ("papers/deep/102", "has mode 600"),
        ("papers/deep/104", "not at the target"),
        ("papers/deep/extra", "not in the snapshot"),
        ("papers/deep/105", "extended attributes"),
        ("papers/deep/same.txt", "no hard link to"),
    ] {
        assert!(told(path).contains(what), "{path}: {}", told(path));
    }
    assert_eq!((outcome.differences_total, item.state), (9, ItemState::Failed), "{:#?}", item.problems);
    let (whole, _) = compare(&repo, &snapshot, &target, &["papers/deep/00", "papers/deep/001", "link"]);
    assert_eq!(whole.differences_total, 1, "only what was chosen is compared: {:?}", whole.differences);
    let (missing, _) = compare(&repo, &snapshot, &dir.path().join("nowhere"), &[]);
    assert_eq!(missing.differences_total, 1, "a folder that is not there never compares well");
}

#[test]
fn restores_what_was_chosen() {
    let dir = scratch();
    let (repo, home, target) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    furnish(&home);
    let snapshot = backup(&repo, &home);
    let mut some = job(&repo, &snapshot, &target, ConflictMode::Fail);
    some.items[0].paths = vec!["/papers/deep/001".into(), "empty".into(), "papers/not\\xff\\xfeutf8\\x0a\\\\".into(), "papers/nowhere".into()];
    let ran = restore(&some);
    assert_eq!(ran.item().state, ItemState::Partial);
    assert_eq!(ran.problem("papers/nowhere"), "this path is not in the snapshot");
    let all = state(&home);
    let here = inside(&target);
    let want = ["empty", "papers", "papers/deep", "papers/deep/001", "papers/not\\xff\\xfeutf8\\x0a\\\\"];
    assert_eq!(here.keys().map(String::as_str).collect::<Vec<_>>(), want);
    for path in want {
        assert_eq!(here[path], all[path], "{path}");
    }
    some.items[0].paths = vec!["papers/nowhere".into()];
    assert_eq!(restore(&some).result.unwrap_err().kind, engine::ErrorKind::NotFound);
}
