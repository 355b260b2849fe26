//! A tree with every kind of file that R1 names, and a comparison that forgives nothing.

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// Makes the tree. Needs root for owners and devices.
pub fn hostile_tree(root: &Path) {
    fs::create_dir_all(root.join("empty/deeper")).unwrap();
    fs::write(root.join("plain"), "plain\n").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("big"), super::noise(1, 9_000_000)).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), "bytes").unwrap();
    fs::write(root.join("new\nline \\ and \"quotes\" ünï"), "odd").unwrap();
    fs::write(root.join("x".repeat(255)), "long").unwrap();
    fs::create_dir(root.join("a")).unwrap();
    fs::write(root.join("a/inside"), "1").unwrap();
    fs::write(root.join("a.txt"), "sorts after a").unwrap();
    fs::write(root.join("a-b"), "sorts before a.txt").unwrap();
    symlink("../../etc/passwd", root.join("link-out")).unwrap();
    // Targets that are not UTF-8 are in a test of their own: restic 0.14 cannot restore them, later versions can.
    symlink("gone", root.join("link-dangling")).unwrap();
    fs::hard_link(root.join("plain"), root.join("a/hard")).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(40_000_000)).unwrap();
    sparse.write_all(b"end").unwrap();
    sparse.set_len(50_000_000).unwrap();
    fs::write(root.join("setuid"), "s").unwrap();
    fs::write(root.join("owned"), "o").unwrap();
    fs::write(root.join("closed"), "c").unwrap();
    rustix::fs::setxattr(root.join("plain"), "user.note", b"\x00\xffvalue", XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(root.join("a"), "user.folder", b"yes", XattrFlags::empty()).unwrap();
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    rustix::fs::mknodat(CWD, root.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), rustix::fs::makedev(1, 3)).unwrap();
    rustix::fs::mknodat(CWD, root.join("loop"), FileType::BlockDevice, Mode::from_raw_mode(0o660), rustix::fs::makedev(7, 99)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
    rustix::fs::chown(root.join("owned"), Some(Uid::from_raw(12_345)), Some(Gid::from_raw(54_321))).unwrap();
    rustix::fs::chownat(CWD, root.join("link-out"), Some(Uid::from_raw(1)), Some(Gid::from_raw(1)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    for (name, mode) in [("setuid", 0o4755), ("closed", 0), ("empty", 0o1777), ("a", 0o2751)] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let at = |s: i64, ns: i64| Timespec { tv_sec: s, tv_nsec: ns };
    for (name, time) in [
        ("plain", at(1_000_000_000, 123_456_789)),
        ("nothing", at(-5, 1)),
        ("link-dangling", at(1_234_567, 89)),
        ("empty", at(7, 7)),
        ("a", at(1, 999_999_999)),
    ] {
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// Everything below `root` but the root itself: sorted relative paths. Sockets are left out, as backups do.
pub fn paths(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(root.join(&dir)).unwrap() {
            let entry = entry.unwrap();
            let path = dir.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                todo.push(path.clone());
            }
            if !kind.is_socket() {
                all.push(path);
            }
        }
    }
    all.sort();
    all
}

/// Fails at the first difference in names, kinds, content, owners, modes, times, links, attributes or holes.
pub fn compare(want: &Path, got: &Path) {
    assert_eq!(paths(want), paths(got), "{} and {}", want.display(), got.display());
    for path in paths(want) {
        let (a, b) = (want.join(&path), got.join(&path));
        let (x, y) = (fs::symlink_metadata(&a).unwrap(), fs::symlink_metadata(&b).unwrap());
        let facts = |m: &fs::Metadata| {
            (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec(), if m.is_dir() { 0 } else { m.len() }, if m.is_dir() { 0 } else { m.nlink() }, m.rdev())
        };
        assert_eq!(facts(&x), facts(&y), "{}", path.display());
        if x.is_symlink() {
            assert_eq!(fs::read_link(&a).unwrap(), fs::read_link(&b).unwrap(), "{}", path.display());
            continue;
        }
        if x.is_file() {
            assert!(same_content(&a, &b), "content of {}", path.display());
        }
        if x.is_file() || x.is_dir() {
            assert_eq!(attributes(&a), attributes(&b), "{}", path.display());
        }
    }
    // Files that are one file there must be one file here.
    let links = |root: &Path| {
        let mut groups: std::collections::BTreeMap<u64, Vec<PathBuf>> = std::collections::BTreeMap::new();
        for path in paths(root) {
            let m = fs::symlink_metadata(root.join(&path)).unwrap();
            if m.nlink() > 1 && !m.is_dir() {
                groups.entry(m.ino()).or_default().push(path);
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort();
        groups
    };
    assert_eq!(links(want), links(got));
}

fn same_content(want: &Path, got: &Path) -> bool {
    let (mut want, mut got) = (fs::File::open(want).unwrap(), fs::File::open(got).unwrap());
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = want.read(&mut left).unwrap();
        if n == 0 {
            return got.read(&mut right).unwrap() == 0;
        }
        got.read_exact(&mut right[..n]).unwrap();
        if left[..n] != right[..n] {
            return false;
        }
    }
}

fn attributes(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 1 << 16];
    let n = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut all: Vec<_> = names[..n]
        .split(|b| *b == 0)
        .filter(|n| !n.is_empty())
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let n = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (name.to_vec(), value[..n].to_vec())
        })
        .collect();
    all.sort();
    all
}
