//! A folder and everything below it, never above it.
//!
//! Lives here: every system call by which a restore looks at or changes a file system.
//! May not: trees, decisions, journals.
//! Invariants: a path is resolved by the kernel below one opened folder, and no symbolic link on it is followed
//! (`openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, Linux 5.6); the last name is never followed either.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags},
    io::Errno,
};

use super::names::{join, show, split};
use crate::{EngineError, ErrorKind, Result};

type Io<T> = std::result::Result<T, Errno>;

const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An error of the system as one of the engine.
pub fn fail(what: &str, path: &str, error: Errno) -> EngineError {
    match error {
        Errno::LOOP => EngineError::new(ErrorKind::Unsafe, format!("{what} {path}: a symbolic link is in the way, and it is not followed")),
        Errno::XDEV => EngineError::new(ErrorKind::Conflict, format!("{what} {path}: it lies on another file system; restore that part on its own")),
        Errno::DQUOT | Errno::NOSPC => EngineError::new(ErrorKind::Full, format!("{what} {path}: {}", std::io::Error::from(error))),
        _ => EngineError::io(what, Path::new(path), error.into()),
    }
}

/// What stands under a name, without following it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub kind: FileType,
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    pub size: u64,
    pub rdev: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    pub atime: (i64, i64),
}

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
impl From<Stat> for Found {
    fn from(s: Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(s.st_mode as _),
            dev: s.st_dev as u64,
            ino: s.st_ino as u64,
            mode: s.st_mode as u32 & 0o7777,
            uid: s.st_uid as u32,
            gid: s.st_gid as u32,
            links: s.st_nlink as u64,
            size: s.st_size as u64,
            rdev: s.st_rdev as u64,
            mtime: (s.st_mtime as i64, s.st_mtime_nsec as i64),
            atime: (s.st_atime as i64, s.st_atime_nsec as i64),
        }
    }
}

impl Found {
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }
}

/// An opened folder. All paths are relative to it; the empty path is the folder itself.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Root {
    /// Opens an absolute path whose links [`resolve`] has already taken out.
    pub fn open(path: &Path) -> Io<Self> {
        let flags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
        let fd = fs::openat2(fs::CWD, path, FOLDER | OFlags::RDONLY, Mode::empty(), flags)?;
        Ok(Self { fd })
    }

    /// Opens a folder below.
    pub fn sub(&self, path: &[u8]) -> Io<Self> {
        Ok(Self { fd: self.dir(path)? })
    }

    /// Opens a folder for reading its names or changing its metadata.
    pub fn dir(&self, path: &[u8]) -> Io<OwnedFd> {
        self.open_at(path, FOLDER | OFlags::RDONLY, Mode::empty())
    }

    /// Opens a path with `flags`, adding those that keep it from leading away.
    pub fn open_at(&self, path: &[u8], flags: OFlags, mode: Mode) -> Io<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        loop {
            match fs::openat2(&self.fd, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode, BELOW) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The folder that holds `path`, and the last name.
    pub fn parent<'p>(&self, path: &'p [u8]) -> Io<(OwnedFd, &'p [u8])> {
        let (folder, name) = split(path);
        Ok((self.open_at(folder, FOLDER | OFlags::PATH, Mode::empty())?, name))
    }

    /// What stands at `path`; `None` where nothing does.
    pub fn look(&self, path: &[u8]) -> Io<Option<Found>> {
        if path.is_empty() {
            return Ok(Some(fs::fstat(&self.fd)?.into()));
        }
        match self.parent(path) {
            Ok((dir, name)) => look_in(&dir, name),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The names in a folder, in no order.
    pub fn names(&self, path: &[u8]) -> Io<Vec<Vec<u8>>> {
        names_in(self.dir(path)?)
    }

    /// Makes one folder, for its owner only.
    pub fn mkdir(&self, path: &[u8]) -> Io<()> {
        let (dir, name) = self.parent(path)?;
        fs::mkdirat(&dir, name, Mode::RWXU)
    }

    /// Makes a folder and those above it that are missing.
    pub fn mkdir_all(&self, path: &[u8]) -> Io<()> {
        match self.mkdir(path) {
            Err(Errno::EXIST) if self.look(path)?.is_some_and(|f| f.is_dir()) => Ok(()),
            Err(Errno::NOENT) if !split(path).0.is_empty() => {
                self.mkdir_all(split(path).0)?;
                match self.mkdir(path) {
                    // Another thread was first.
                    Err(Errno::EXIST) if self.look(path)?.is_some_and(|f| f.is_dir()) => Ok(()),
                    other => other,
                }
            }
            other => other,
        }
    }

    pub fn unlink(&self, path: &[u8]) -> Io<()> {
        let (dir, name) = self.parent(path)?;
        fs::unlinkat(&dir, name, AtFlags::empty())
    }

    pub fn rmdir(&self, path: &[u8]) -> Io<()> {
        let (dir, name) = self.parent(path)?;
        fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)
    }

    /// Removes everything at `path`, however deep it is. Nothing there is as good as removed.
    pub fn remove_all(&self, path: &[u8]) -> Io<()> {
        match self.look(path)? {
            None => return Ok(()),
            Some(found) if !found.is_dir() => return self.unlink(path),
            Some(_) => {}
        }
        let mut moved = 0;
        self.empty(path, path, 0, &mut moved)?;
        // Folders that lay too deep were moved to the top, where they can be reached.
        let mut next = 0;
        while next < moved {
            let deep = deep_name(path, next);
            if self.look(&deep)?.is_some() {
                self.empty(path, &deep, 0, &mut moved)?;
                self.rmdir(&deep)?;
            }
            next += 1;
        }
        self.rmdir(path)
    }

    fn empty(&self, top: &[u8], path: &[u8], depth: usize, moved: &mut u64) -> Io<()> {
        /// Beyond this, a folder is moved up before it is emptied, so that no path grows too long.
        const REACH: usize = 40;
        let dir = self.dir(path)?;
        // A folder that its owner may not change would keep its content.
        let found = Found::from(fs::fstat(&dir)?);
        if found.mode & 0o700 != 0o700 {
            fs::fchmod(&dir, Mode::RWXU).ok();
        }
        let names = names_in(self.dir(path)?)?;
        for name in names {
            match fs::unlinkat(&dir, name.as_slice(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM | Errno::ACCESS) if look_in(&dir, &name)?.is_some_and(|f| f.is_dir()) => {}
                Err(e) => return Err(e),
            }
            let below = join(path, &name);
            if depth < REACH && below.len() < 2_000 {
                self.empty(top, &below, depth + 1, moved)?;
                fs::unlinkat(&dir, name.as_slice(), AtFlags::REMOVEDIR)?;
            } else {
                while self.look(&deep_name(top, *moved))?.is_some() {
                    *moved += 1;
                }
                let (up, new) = (self.dir(top)?, deep_name(b"", *moved));
                if let Ok(inner) = fs::openat(&dir, name.as_slice(), FOLDER | OFlags::RDONLY, Mode::empty()) {
                    fs::fchmod(&inner, Mode::RWXU).ok();
                }
                fs::renameat(&dir, name.as_slice(), &up, new.as_slice())?;
                *moved += 1;
            }
        }
        Ok(())
    }

    /// Whether this folder is where a file system is mounted: then nothing can be renamed across its edge.
    pub fn is_mount(&self) -> Io<bool> {
        let s = fs::statx(&self.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        Ok(s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }
}

fn deep_name(top: &[u8], n: u64) -> Vec<u8> {
    join(top, format!(".deep-{n}").as_bytes())
}

/// What stands under a name in an opened folder.
pub fn look_in(dir: impl AsFd, name: &[u8]) -> Io<Option<Found>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(s) => Ok(Some(s.into())),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The names in an opened folder. The handle's position moves, so it is taken.
pub fn names_in(dir: OwnedFd) -> Io<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in fs::Dir::new(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Moves `from` to a name that must be free. Falls back to look-then-move where the file system cannot promise it.
pub fn move_to_free(from_dir: impl AsFd, from: &[u8], to_dir: impl AsFd, to: &[u8]) -> Io<()> {
    match rename_with(&from_dir, from, &to_dir, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match look_in(&to_dir, to)? {
            Some(_) => Err(Errno::EXIST),
            None => fs::renameat(from_dir, from, to_dir, to),
        },
        other => other,
    }
}

#[cfg(feature = "testing")]
thread_local! {
    /// Makes this thread's file systems as poor as NFS: no exchange of names, no promise that a name is free.
    pub static POOR_FILE_SYSTEM: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// Makes every target of this thread one that nothing can be renamed into from beside it, as a subvolume.
    pub static SPLIT_FILE_SYSTEM: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A rename with flags, where the file system has them.
fn rename_with(from_dir: impl AsFd, from: &[u8], to_dir: impl AsFd, to: &[u8], flags: RenameFlags) -> Io<()> {
    #[cfg(feature = "testing")]
    if POOR_FILE_SYSTEM.get() {
        return Err(Errno::INVAL);
    }
    fs::renameat_with(from_dir, from, to_dir, to, flags)
}

/// Changes two names' places at once. `None` where the file system cannot do that, as NFS.
pub fn exchange(a_dir: impl AsFd, a: &[u8], b_dir: impl AsFd, b: &[u8]) -> Io<Option<()>> {
    match rename_with(a_dir, a, b_dir, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Some(())),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

/// An absolute path with its symbolic links taken out, as far as it exists.
///
/// A link is followed only when root or this process's own user made it, so that nobody who owns a folder on the way
/// can lead a restore elsewhere.
///
/// # Errors
/// `Invalid` for a path that is not absolute or contains `..`; `Unsafe` for a link of somebody else's; `Conflict`
/// where something that is no folder is in the way.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    use std::path::Component;
    let shown = path.display().to_string();
    let invalid = |why: &str| EngineError::new(ErrorKind::Invalid, format!("target {shown}: {why}"));
    let split_up = |p: &Path| -> Result<Vec<Vec<u8>>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for c in p.components() {
            match c {
                Component::RootDir => names.clear(),
                Component::Normal(n) => names.push(n.as_bytes().to_vec()),
                Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(invalid("give it without “..”")),
            }
        }
        Ok(names)
    };
    if !path.is_absolute() {
        return Err(invalid("give an absolute path, one that starts with a slash"));
    }
    let me = rustix::process::geteuid().as_raw();
    let mut todo: Vec<Vec<u8>> = split_up(path)?.into_iter().rev().collect();
    let mut done: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == b".." {
            // It stood in a link, and counts from the real folder, which `done` is.
            done.truncate(split(&done).0.len());
            continue;
        }
        let mut at = done.clone();
        at.push(b'/');
        at.extend_from_slice(&name);
        let found = match fs::lstat(at.as_slice()) {
            Ok(s) => Found::from(s),
            Err(Errno::NOENT) => {
                // From here on nothing exists.
                done = at;
                while let Some(name) = todo.pop() {
                    done.push(b'/');
                    done.extend_from_slice(&name);
                }
                break;
            }
            Err(e) => return Err(fail("look at target", &show(&at), e)),
        };
        match found.kind {
            FileType::Directory => done = at,
            FileType::Symlink => {
                links += 1;
                if links > 40 || (found.uid != 0 && found.uid != me) {
                    let message = format!("target {shown}: {} is a symbolic link that another user made; give the real path", show(&at));
                    return Err(EngineError::new(ErrorKind::Unsafe, message));
                }
                let link = fs::readlink(at.as_slice(), Vec::new()).map_err(|e| fail("read link", &show(&at), e))?.into_bytes();
                let link = Path::new(std::ffi::OsStr::from_bytes(&link));
                if link.is_absolute() {
                    done.clear();
                }
                for c in link.components().rev() {
                    match c {
                        Component::Normal(n) => todo.push(n.as_bytes().to_vec()),
                        Component::ParentDir => todo.push(b"..".to_vec()),
                        _ => {}
                    }
                }
            }
            _ => return Err(EngineError::new(ErrorKind::Conflict, format!("target {shown}: {} is not a folder; choose another target", show(&at)))),
        }
    }
    if done.is_empty() {
        done.push(b'/');
    }
    Ok(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(done)))
}
