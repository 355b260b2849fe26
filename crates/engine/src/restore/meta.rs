//! Owners, modes, times and extended attributes: from a snapshot's node to a file and back.
//!
//! Lives here: setting them, reading them, comparing them. May not: deciding whether they should be set.
//! Invariant: a set-user-id or set-group-id bit is never given to a file whose owner could not be set.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustic_core::repofile::{Metadata, Node, NodeType};
use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    names::show,
    target::{Found, fail},
};
use crate::Result;

type Io<T> = std::result::Result<T, Errno>;

/// The permission bits of a mode as restic writes it, which is Go's `os.FileMode`.
pub const fn unix_mode(go: u32) -> u32 {
    let mut mode = go & 0o777;
    if go & (1 << 23) != 0 {
        mode |= 0o4000;
    }
    if go & (1 << 22) != 0 {
        mode |= 0o2000;
    }
    if go & (1 << 20) != 0 {
        mode |= 0o1000;
    }
    mode
}

/// Seconds and nanoseconds since 1970, as the system has them.
pub fn moment(t: jiff::Timestamp) -> (i64, i64) {
    let (mut s, mut ns) = (t.as_second(), i64::from(t.subsec_nanosecond()));
    if ns < 0 {
        s -= 1;
        ns += 1_000_000_000;
    }
    (s, ns)
}

pub fn timestamps(mtime: (i64, i64), atime: (i64, i64)) -> Timestamps {
    let spec = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: spec(atime), last_modification: spec(mtime) }
}

/// What metadata is set on.
#[derive(Clone, Copy)]
pub enum On<'a> {
    /// A file or folder that is open.
    Open(BorrowedFd<'a>),
    /// A name in a folder that nobody else can change: a link, a pipe or a device.
    Name(BorrowedFd<'a>, &'a [u8]),
}

/// What could not be set, though the rest was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    pub owner: bool,
    pub xattrs: Option<Errno>,
}

/// Sets what `meta` says: owner, extended attributes, mode, times, in the order that keeps each of them.
///
/// # Errors
/// What the system says about modes and times. Owners and attributes that it refuses are in the answer.
pub fn apply(on: On, kind: FileType, meta: &Metadata) -> Io<Missed> {
    let mut missed = Missed { owner: !set_owner(on, meta)?, xattrs: None };
    // Capabilities are lost by a change of mode or owner, so they come last; ordinary attributes before the mode takes
    // the right to write away.
    for last in [false, true] {
        for xattr in meta.extended_attributes.iter().filter(|x| (x.name == "security.capability") == last) {
            if missed.owner && last {
                continue;
            }
            if let Err(e) = set_xattr(on, &xattr.name, xattr.value.as_deref().unwrap_or_default()) {
                missed.xattrs = Some(e);
            }
        }
        if !last
            && kind != FileType::Symlink
            && let Some(go) = meta.mode
        {
            let mut mode = unix_mode(go);
            if missed.owner && kind != FileType::Directory {
                mode &= 0o1777;
            }
            match on {
                On::Open(fd) => fs::fchmod(fd, Mode::from_raw_mode(mode))?,
                On::Name(dir, name) => fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?,
            }
        }
    }
    if let Some(mtime) = meta.mtime.map(moment) {
        let times = timestamps(mtime, meta.atime.map_or(mtime, moment));
        match on {
            On::Open(fd) => fs::futimens(fd, &times)?,
            On::Name(dir, name) => fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?,
        }
    }
    Ok(missed)
}

/// Whether the owner is now the one that `meta` names.
fn set_owner(on: On, meta: &Metadata) -> Io<bool> {
    let (uid, gid) = (valid(meta.uid), valid(meta.gid));
    if uid.is_none() && gid.is_none() {
        return Ok(true);
    }
    let (user, group) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    let set = match on {
        On::Open(fd) => fs::fchown(fd, user, group),
        On::Name(dir, name) => fs::chownat(dir, name, user, group, AtFlags::SYMLINK_NOFOLLOW),
    };
    match set {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL | Errno::ACCESS | Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The largest number means “leave it” to the system, so it is no owner.
fn valid(id: Option<u32>) -> Option<u32> {
    id.filter(|id| *id != u32::MAX)
}

fn set_xattr(on: On, xattr: &str, value: &[u8]) -> Io<()> {
    match on {
        On::Open(fd) => fs::fsetxattr(fd, xattr, value, XattrFlags::empty()),
        On::Name(dir, name) => fs::lsetxattr(by_proc(dir, name), xattr, value, XattrFlags::empty()),
    }
}

/// The one way to name a link's own attributes: through the folder's handle.
fn by_proc(dir: BorrowedFd, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd as _;
    [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat()
}

/// The extended attributes, by name. Empty where the file system has none.
pub fn xattrs(on: On) -> Io<Vec<(String, Vec<u8>)>> {
    let mut list = vec![0_u8; 1 << 16];
    let length = match on {
        On::Open(fd) => fs::flistxattr(fd, list.as_mut_slice()),
        On::Name(dir, name) => fs::llistxattr(by_proc(dir, name), list.as_mut_slice()),
    };
    let length = match length {
        Ok(n) => n,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut all = Vec::new();
    for name in list[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0_u8; 1 << 16];
        let length = match on {
            On::Open(fd) => fs::fgetxattr(fd, name, value.as_mut_slice()),
            On::Name(dir, file) => fs::lgetxattr(by_proc(dir, file), name, value.as_mut_slice()),
        };
        match length {
            Ok(n) => value.truncate(n),
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => continue,
            Err(e) => return Err(e),
        }
        all.push((String::from_utf8_lossy(name).into_owned(), value));
    }
    all.sort();
    Ok(all)
}

/// Whether what stands under a name has the extended attributes that `meta` names, and no others.
pub fn same_xattrs(dir: &OwnedFd, name: &[u8], meta: &Metadata, found: &Found, full: &[u8]) -> Result<bool> {
    let regular = matches!(found.kind, FileType::RegularFile | FileType::Directory);
    let read = || {
        if regular {
            let fd = fs::openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
            xattrs(On::Open(fd.as_fd()))
        } else {
            xattrs(On::Name(dir.as_fd(), name))
        }
    };
    // Labels of the system's security module belong to the machine, not to the data.
    let mine = |name: &str| name != "security.selinux";
    let there = match read() {
        // Said when its content is read.
        Err(Errno::ACCESS) => return Ok(true),
        other => other.map_err(|e| fail("read the attributes of", &show(full), e))?,
    };
    let there: Vec<_> = there.into_iter().filter(|(n, _)| mine(n)).collect();
    let mut wanted: Vec<_> = meta.extended_attributes.iter().filter(|x| mine(&x.name)).map(|x| (x.name.clone(), x.value.clone().unwrap_or_default())).collect();
    wanted.sort();
    Ok(there == wanted)
}

/// A folder's metadata as it was before a restore changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, i64),
    pub atime: (i64, i64),
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Before {
    pub fn read(folder: impl AsFd) -> Io<Self> {
        let fd = folder.as_fd();
        let f = Found::from(fs::fstat(fd)?);
        Ok(Self { mode: f.mode, uid: f.uid, gid: f.gid, mtime: f.mtime, atime: f.atime, xattrs: xattrs(On::Open(fd))? })
    }

    /// Puts the folder's metadata back.
    pub fn put_back(&self, folder: impl AsFd) -> Io<()> {
        let fd = folder.as_fd();
        let f = Found::from(fs::fstat(fd)?);
        if (f.uid, f.gid) != (self.uid, self.gid) {
            fs::fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        let now = xattrs(On::Open(fd))?;
        for (name, _) in now.iter().filter(|(name, _)| !self.xattrs.iter().any(|(n, _)| n == name)) {
            fs::fremovexattr(fd, name.as_str())?;
        }
        for (name, value) in self.xattrs.iter().filter(|x| !now.contains(x)) {
            fs::fsetxattr(fd, name.as_str(), value, XattrFlags::empty())?;
        }
        if Found::from(fs::fstat(fd)?).mode != self.mode {
            fs::fchmod(fd, Mode::from_raw_mode(self.mode))?;
        }
        fs::futimens(fd, &timestamps(self.mtime, self.atime))
    }
}

/// The kind of file that a node is.
pub const fn file_type(node: &Node) -> FileType {
    match node.node_type {
        NodeType::File => FileType::RegularFile,
        NodeType::Dir => FileType::Directory,
        NodeType::Symlink { .. } => FileType::Symlink,
        NodeType::Dev { .. } => FileType::BlockDevice,
        NodeType::Chardev { .. } => FileType::CharacterDevice,
        NodeType::Fifo => FileType::Fifo,
        NodeType::Socket => FileType::Socket,
    }
}

/// What of a node's metadata differs from what is found, in words; empty when nothing does.
///
/// Owners count only where this process could set them.
pub fn differences(node: &Node, found: &Found, privileged: bool) -> Vec<String> {
    let mut out = Vec::new();
    let kind = file_type(node);
    if found.kind != kind {
        return vec![format!("is a {} instead of a {}", kind_name(found.kind), kind_name(kind))];
    }
    if kind == FileType::RegularFile && found.size != node.meta.size {
        out.push(format!("has {} bytes instead of {}", found.size, node.meta.size));
    }
    if kind != FileType::Symlink
        && let Some(mode) = node.meta.mode.map(unix_mode)
        && mode != found.mode
    {
        out.push(format!("has mode {:o} instead of {mode:o}", found.mode));
    }
    if privileged {
        let (uid, gid) = (valid(node.meta.uid).unwrap_or(found.uid), valid(node.meta.gid).unwrap_or(found.gid));
        if (uid, gid) != (found.uid, found.gid) {
            out.push(format!("belongs to {}:{} instead of {uid}:{gid}", found.uid, found.gid));
        }
    }
    if let Some(mtime) = node.meta.mtime.map(moment)
        && mtime != found.mtime
    {
        out.push("has another modification time".to_owned());
    }
    if let NodeType::Dev { device } | NodeType::Chardev { device } = node.node_type
        && device != found.rdev
    {
        out.push("is another device".to_owned());
    }
    out
}

/// A kind of file in words.
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "file of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        assert_eq!(unix_mode(0o644), 0o644);
        assert_eq!(unix_mode(1 << 31 | 0o755), 0o755);
        assert_eq!(unix_mode(1 << 23 | 1 << 22 | 1 << 20 | 0o755), 0o7755);
    }

    #[test]
    fn moments_before_1970_have_positive_nanoseconds() {
        assert_eq!(moment(jiff::Timestamp::new(-1, -500_000_000).unwrap()), (-2, 500_000_000));
        assert_eq!(moment(jiff::Timestamp::new(5, 7).unwrap()), (5, 7));
    }
}
