//! Disks that are full, read-only, or mounted in the way.

use std::{fs, path::Path};

use domain::restore::ConflictMode;
use engine::{ErrorKind, restore::SPLIT_FILE_SYSTEM};

use crate::{
    STAGING,
    disk::{assert_same, inside, state},
    job, restore, scratch,
    stock::{backup, noise},
};

/// A small memory file system that goes away with the value; `None` where this process may not mount.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        match rustix::mount::mount("tmpfs", at, "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(e) => {
                // Said loudly: without root's rights this test proves nothing.
                eprintln!("SKIPPED: a file system cannot be mounted here ({e})");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).ok();
    }
}

#[test]
fn a_full_disk_leaves_the_target_as_it_was() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    fs::create_dir(&source).unwrap();
    for n in 0..30 {
        fs::write(source.join(format!("{n}")), noise(n, 500_000)).unwrap();
    }
    let snapshot = backup(&repo, &source);
    let Some(disk) = Mount::new(&dir.path().join("disk"), "size=8m") else { return };
    let here = disk.0.join("target");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("5"), "old").unwrap();
    let before = state(&here);
    let error = restore(&job(&repo, &snapshot, &here, ConflictMode::Overwrite)).result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{}", error.message);
    assert_same(&before, &state(&here));
    assert!(!disk.0.join(STAGING).exists(), "the room is given back");
    let missing = disk.0.join("new/folder");
    assert_eq!(restore(&job(&repo, &snapshot, &missing, ConflictMode::Overwrite)).result.unwrap_err().kind, ErrorKind::Full);
    assert!(!disk.0.join("new").exists());
    drop(disk);
    // No room for names, though there is room for bytes.
    let Some(disk) = Mount::new(&dir.path().join("few names"), "size=64m,nr_inodes=20") else { return };
    let here = disk.0.join("target");
    let error = restore(&job(&repo, &snapshot, &here, ConflictMode::Fail)).result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{}", error.message);
    assert_eq!(inside(&disk.0).len(), 0);
}

#[test]
fn a_target_that_is_a_mount_is_staged_inside() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/file"), "snapshot").unwrap();
    let snapshot = backup(&repo, &source);
    let here = dir.path().join("mounted");
    let Some(mount) = Mount::new(&here, "size=8m") else { return };
    fs::write(here.join("other"), "other").unwrap();
    restore(&job(&repo, &snapshot, &here, ConflictMode::Fail)).result.unwrap();
    let now = inside(&here);
    assert_eq!(now.keys().collect::<Vec<_>>(), ["other", "sub", "sub/file"]);
    assert_eq!(now["sub/file"], inside(&source)["sub/file"]);
    // A mount inside the target cannot be reached by renaming: told, and everything is as it was.
    fs::create_dir(dir.path().join("plain")).unwrap();
    let inner = Mount::new(&dir.path().join("plain/sub"), "size=8m");
    assert!(inner.is_some());
    let before = state(&dir.path().join("plain"));
    let error = restore(&job(&repo, &snapshot, &dir.path().join("plain"), ConflictMode::Overwrite)).result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("another file system"), "{}", error.message);
    assert_same(&before, &state(&dir.path().join("plain")));
    drop(mount);
}

#[test]
fn a_target_on_a_subvolume_is_staged_inside() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("place/target"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/file"), "snapshot").unwrap();
    let snapshot = backup(&repo, &source);
    fs::create_dir_all(&here).unwrap();
    fs::write(here.join("other"), "other").unwrap();
    SPLIT_FILE_SYSTEM.set(true);
    let before = state(dir.path().join("place").as_path());
    let stop = |what: &'static str| if what == "after a change" { Err(engine::EngineError::new(ErrorKind::Internal, "stop")) } else { Ok(()) };
    crate::restore_until(&job(&repo, &snapshot, &here, ConflictMode::Fail), &stop, engine::restore::Ending::Crash).result.unwrap_err();
    assert!(here.join(STAGING).exists() && !dir.path().join("place").join(STAGING).exists());
    crate::unwind(&[&here]).unwrap();
    // Only the folder above shows that something was tried beside the target.
    let (mut before, mut after) = (before, state(&dir.path().join("place")));
    assert!(before.remove("").is_some() && after.remove("").is_some());
    assert_same(&before, &after);
    restore(&job(&repo, &snapshot, &here, ConflictMode::Fail)).result.unwrap();
    assert_eq!(inside(&here).keys().collect::<Vec<_>>(), ["other", "sub", "sub/file"]);
    SPLIT_FILE_SYSTEM.set(false);
}

#[test]
fn a_read_only_target_is_refused_untouched() {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("file"), "snapshot").unwrap();
    let snapshot = backup(&repo, &source);
    let here = dir.path().join("disk");
    let Some(mount) = Mount::new(&here, "size=8m,ro") else { return };
    let error = restore(&job(&repo, &snapshot, &here.join("target"), ConflictMode::Fail)).result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", error.message);
    drop(mount);
}
