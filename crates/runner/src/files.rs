//! The scratch folder of a restore test: making it, finding and hashing files in it, removing it.
//!
//! Lives here: those. May not: any path outside the scratch folder.
//! Invariant: the folder is open to this user alone, and no symbolic link in it is followed.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use sha2::{Digest, Sha256};

/// Makes the folder and what is missing above it, for this user alone.
pub fn make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the folder with all that is in it, also where people took the rights away from their own folders.
pub fn remove(path: &Path) -> io::Result<()> {
    for _ in 0..3 {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => open_up(path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_absent(path)? => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ if is_absent(path)? => return Ok(()),
            _ => {}
        }
    }
    if is_absent(path)? { Ok(()) } else { Err(io::Error::other("it is still there after three attempts")) }
}

/// Whether nothing stands under the path. An error when that cannot be seen.
pub fn is_absent(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}

fn open_up(path: &Path) -> io::Result<()> {
    let mut todo: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = todo.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // The type of the entry itself: a link to a folder is no folder.
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Ok(())
}

/// A file below `root`, opened for reading.
fn open(root: &Path, inner: &Path) -> io::Result<fs::File> {
    let folder = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat2(&folder, inner, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?;
    let file = fs::File::from(file);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// The path of a regular file below `root` that can be read and that no link leads to.
pub fn regular(root: &Path, inner: &Path) -> io::Result<PathBuf> {
    open(root, inner)?;
    Ok(root.join(inner))
}

/// SHA-256 of a file below `root`, in hexadecimal, and its size.
pub fn hash(root: &Path, inner: &Path) -> io::Result<(String, u64)> {
    let mut file = open(root, inner)?;
    let mut hash = Sha256::new();
    let (mut size, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        let n = io::Read::read(&mut file, &mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        size += n as u64;
    }
    Ok((hex::encode(hash.finalize()), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_up_tree_goes_and_what_its_links_point_to_stays() {
        let outer = tempfile::tempdir().unwrap();
        let kept = outer.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "here").unwrap();
        let scratch = outer.path().join("scratch/run");
        make(&scratch.join("ada/private")).unwrap();
        fs::write(scratch.join("ada/private/file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, scratch.join("ada/link")).unwrap();
        fs::set_permissions(scratch.join("ada/private"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(scratch.join("ada"), fs::Permissions::from_mode(0o500)).unwrap();
        remove(&scratch).unwrap();
        assert!(is_absent(&scratch).unwrap());
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "here");
        remove(&scratch).unwrap();
    }

    #[test]
    fn hashing_follows_no_link_and_stays_inside() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("outside"), "x").unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("canary"), "abc").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        let (hash_hex, size) = hash(&root, Path::new("canary")).unwrap();
        assert_eq!((hash_hex.as_str(), size), ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3));
        assert_eq!(regular(&root, Path::new("canary")).unwrap(), root.join("canary"));
        for bad in ["link", "../outside", ".", "none"] {
            assert!(regular(&root, Path::new(bad)).is_err(), "{bad}");
        }
        assert!(hash(&root, Path::new("link")).is_err());
        assert!(hash(&root, Path::new("../outside")).is_err());
        assert!(hash(&root, Path::new(".")).is_err());
    }
}
