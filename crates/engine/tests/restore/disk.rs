//! What stands on a disk, as text that can be compared.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

/// Everything below a folder, the folder itself too: kind, mode, owner, times, links, content, attributes, by path.
pub fn state(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if fs::symlink_metadata(root).is_ok() {
        add(root, "", &mut all);
    }
    all
}

fn add(path: &Path, name: &str, all: &mut BTreeMap<String, String>) {
    let m = fs::symlink_metadata(path).unwrap();
    let kind = m.file_type();
    let mut text = format!("{:o} {}:{} {}.{:09} {:x}", m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec(), m.rdev());
    if kind.is_symlink() {
        write!(text, " -> {}", domain::naming::escape(fs::read_link(path).unwrap().as_os_str().as_bytes())).unwrap();
    } else if kind.is_file() {
        write!(text, " {} bytes, {} names, {}", m.len(), m.nlink(), digest(path, m.len())).unwrap();
    }
    for (key, value) in xattrs(path) {
        write!(text, " {key}={value:x?}").unwrap();
    }
    all.insert(name.to_owned(), text);
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let inner = domain::naming::escape(entry.file_name().as_bytes());
            let inner = if name.is_empty() { inner } else { format!("{name}/{inner}") };
            add(&entry.path(), &inner, all);
        }
    }
}

fn digest(path: &Path, length: u64) -> String {
    if length > 1 << 30 {
        return format!("{} blocks", fs::metadata(path).unwrap().blocks());
    }
    hex::encode(Sha256::digest(fs::read(path).unwrap()))
}

pub fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0_u8; 1 << 16];
    let Ok(n) = rustix::fs::llistxattr(path, list.as_mut_slice()) else { return Vec::new() };
    let names = list[..n].split(|b| *b == 0).filter(|n| !n.is_empty());
    let mut all: Vec<_> = names
        .map(|name| {
            let mut value = vec![0_u8; 1 << 16];
            let n = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(n);
            (String::from_utf8(name.to_vec()).unwrap(), value)
        })
        .collect();
    all.sort();
    all
}

/// Fails with the lines that differ.
pub fn assert_same(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) {
    let mut lines = Vec::new();
    for key in a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>() {
        if a.get(key) != b.get(key) {
            lines.push(format!("{key}:\n  {:?}\n  {:?}", a.get(key), b.get(key)));
        }
    }
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// The same without the folder itself, whose metadata a snapshot of its content does not hold.
pub fn inside(root: &Path) -> BTreeMap<String, String> {
    let mut all = state(root);
    all.remove("");
    all
}
