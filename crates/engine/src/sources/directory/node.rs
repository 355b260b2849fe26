//! From what the system says about a file to restic's node.
//!
//! Lives here: modes, times, owners with their names, extended attributes, links. May not: opening files.
//! Access times are stored as the modification time, as restic does without `--with-atime`: reading must not change
//! what is stored.

use std::{
    collections::HashMap,
    ffi::{CStr, OsStr},
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::PathBuf,
};

use base64::Engine as _;
use rustic_core::{
    jiff::Timestamp,
    repofile::{Metadata, NodeType},
};
use rustix::{
    fs::{FileType, Stat},
    io::Errno,
};

/// Turns what the system says into nodes; remembers the names of users and groups.
#[derive(Default)]
pub struct Mapper {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Mapper {
    /// Everything but the extended attributes.
    pub fn metadata(&mut self, stat: &Stat) -> Metadata {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let folder = kind == FileType::Directory;
        let mtime = time(stat.st_mtime, stat.st_mtime_nsec);
        #[allow(clippy::useless_conversion, reason = "its width differs between platforms")]
        let links = if folder { 0 } else { u64::from(stat.st_nlink) };
        Metadata {
            mode: Some(go_mode(stat.st_mode)),
            mtime,
            atime: mtime,
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            uid: Some(stat.st_uid),
            gid: Some(stat.st_gid),
            user: self.users.entry(stat.st_uid).or_insert_with(|| user(stat.st_uid)).clone(),
            group: self.groups.entry(stat.st_gid).or_insert_with(|| group(stat.st_gid)).clone(),
            inode: stat.st_ino,
            // The device tells hard links of different file systems apart. Elsewhere it would make unchanged trees differ.
            device_id: if links > 1 { stat.st_dev } else { 0 },
            size: if kind == FileType::RegularFile { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
            links,
            extended_attributes: Vec::new(),
        }
    }
}

fn time(seconds: i64, nanoseconds: impl TryInto<i32>) -> Option<Timestamp> {
    Timestamp::new(seconds, nanoseconds.try_into().unwrap_or(0)).ok()
}

fn user(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|u| u.name)
}

fn group(gid: u32) -> Option<String> {
    nix::unistd::Group::from_gid(gid.into()).ok().flatten().map(|g| g.name)
}

/// The mode as Go's `os.FileMode`, which is what restic stores.
pub const fn go_mode(mode: u32) -> u32 {
    const DIR: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const FIFO: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const SETUID: u32 = 1 << 23;
    const SETGID: u32 = 1 << 22;
    const CHAR_DEVICE: u32 = 1 << 21;
    const STICKY: u32 = 1 << 20;
    let kind = match mode & 0o170_000 {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR_DEVICE,
        0o010_000 => FIFO,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let setuid = if mode & 0o4000 == 0 { 0 } else { SETUID };
    let setgid = if mode & 0o2000 == 0 { 0 } else { SETGID };
    let sticky = if mode & 0o1000 == 0 { 0 } else { STICKY };
    (mode & 0o777) | kind | setuid | setgid | sticky
}

/// The kind of node. `None` for sockets, which restic leaves out too: they mean nothing without their process.
pub fn kind_of(stat: &Stat, target: impl FnOnce() -> Result<PathBuf, Errno>) -> Result<Option<NodeType>, Errno> {
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeType::File,
        FileType::Directory => NodeType::Dir,
        FileType::Symlink => NodeType::from_link(&target()?),
        FileType::Fifo => NodeType::Fifo,
        FileType::BlockDevice => NodeType::Dev { device: stat.st_rdev },
        FileType::CharacterDevice => NodeType::Chardev { device: stat.st_rdev },
        _ => return Ok(None),
    }))
}

/// Where a link in `folder` points to.
pub fn target(folder: BorrowedFd<'_>, name: &CStr) -> Result<PathBuf, Errno> {
    Ok(std::ffi::OsString::from_vec(rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes()).into())
}

/// Reads extended attributes without following links and without opening the file. A value may have 64 KiB, as the
/// system limits it. An empty list for file systems that have none.
///
/// The name is looked up through `/proc/self/fd`, because the calls that take a folder and a name are newer than the
/// kernels we run on. `None` as name means the folder itself.
pub fn xattrs(folder: BorrowedFd<'_>, name: Option<&CStr>, buffer: &mut Vec<u8>, into: &mut Metadata) -> Result<(), Errno> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.map_or(b".", CStr::to_bytes));
    let path = OsStr::from_bytes(&path);
    buffer.resize(1 << 16, 0);
    let length = match rustix::fs::llistxattr(path, &mut buffer[..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(length) => length,
        Err(e) => return Err(e),
    };
    let mut names: Vec<Vec<u8>> = buffer[..length].split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect();
    names.sort();
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let value = match rustix::fs::lgetxattr(path, &name[..], &mut buffer[..]) {
            Ok(length) => base64::engine::general_purpose::STANDARD.encode(&buffer[..length]),
            Err(Errno::NODATA) => continue,
            Err(e) => return Err(e),
        };
        let name = String::from_utf8(name).map_err(|_| Errno::ILSEQ)?;
        all.push(serde_json::json!({ "name": name, "value": value }));
    }
    // The library does not export the attribute's type, but reads it from restic's JSON.
    into.extended_attributes = serde_json::from_value(all.into()).map_err(|_| Errno::INVAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_those_of_go() {
        for (unix, go) in [
            (0o100_644, 0o644),
            (0o040_755, 0o755 | 1 << 31),
            (0o104_755, 0o755 | 1 << 23),
            (0o042_775, 0o775 | 1 << 31 | 1 << 22),
            (0o041_777, 0o777 | 1 << 31 | 1 << 20),
            (0o020_600, 0o600 | 1 << 26 | 1 << 21),
            (0o060_600, 0o600 | 1 << 26),
            (0o010_600, 0o600 | 1 << 25),
            (0o120_777, 0o777 | 1 << 27),
        ] {
            assert_eq!(go_mode(unix), go, "{unix:o}");
        }
    }
}
