//! Snapshots that somebody wrote to do harm: restored safely, or refused by name.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink},
    path::Path,
};

use domain::{restore::ConflictMode, run::ItemState};
use engine::ErrorKind;
use serde_json::json;

use crate::{
    disk::{assert_same, state},
    forge::Forge,
    job, restore, scratch,
    stock::{compare, noise},
};

/// A folder beside the target that nothing may touch.
fn sentinel(outside: &Path) {
    fs::create_dir_all(outside.join("folder")).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    fs::write(outside.join("folder/inner"), "inner").unwrap();
}

#[test]
fn names_that_lead_out_are_refused_and_the_rest_is_restored() {
    let dir = scratch();
    let (repo, target, outside) = (dir.path().join("repo"), dir.path().join("target"), dir.path().join("outside"));
    sentinel(&outside);
    let before = state(&outside);
    let mut forge = Forge::new(&repo);
    let absolute = outside.join("precious").display().to_string();
    let long = "x".repeat(256);
    let bad = ["", ".", "..", "../outside/precious", "a/../../outside/precious", "a/b", "nul\\x00byte", &absolute, &long, "/"];
    let mut nodes: Vec<_> = bad.iter().map(|name| forge.file(name, "evil")).collect();
    for name in bad {
        let inner = forge.file("precious", "evil");
        let deeper = forge.dir("deeper", std::slice::from_ref(&inner));
        nodes.push(forge.dir(name, &[inner, deeper]));
    }
    nodes.push(forge.file("good", "good"));
    nodes.push(forge.file("good", "second of that name"));
    nodes.push(forge.file("..good", "good too"));
    nodes.push(forge.file("not\\xff\\xfeutf8", "bytes"));
    nodes.push(forge.file("Twin", "upper"));
    nodes.push(forge.file("twin", "lower"));
    let root = forge.tree(&nodes);
    let snapshot = forge.snapshot(&root);
    let ran = restore(&job(&repo, &snapshot, &target, ConflictMode::Overwrite));
    assert_same(&before, &state(&outside));
    assert_eq!(ran.item().state, ItemState::Partial);
    assert_eq!(ran.item().problems_total as usize, 2 * bad.len() + 1, "{:#?}", ran.item().problems);
    for (path, why) in [
        ("..", "leads out"),
        ("../outside/precious", "slash"),
        ("nul\\x00byte", "zero byte"),
        (".", "empty"),
        ("good", "twice"),
        (&absolute, "slash"),
        (&long, "longer than 255"),
    ] {
        assert!(ran.problem(path).contains(why), "{path}: {}", ran.problem(path));
    }
    let names: Vec<_> = state(&target).into_keys().collect();
    assert_eq!(names, ["", "..good", "Twin", "good", "not\\xff\\xfeutf8", "twin"]);
    assert_eq!(fs::read_to_string(target.join("good")).unwrap(), "good");
    assert_eq!(fs::read_to_string(target.join("Twin")).unwrap(), "upper");
    let (compared, _) = compare(&repo, &snapshot, &target, &[]);
    assert!(compared.differences_total > 0, "a comparison tells what could not be restored");
    assert!(compared.differences.iter().any(|d| d.path == "alice/good" && d.message.contains("twice")), "{:#?}", compared.differences);
}

#[test]
fn links_are_made_but_never_followed() {
    let dir = scratch();
    let (repo, target, outside) = (dir.path().join("repo"), dir.path().join("target"), dir.path().join("outside"));
    sentinel(&outside);
    let before = state(&outside);
    let mut forge = Forge::new(&repo);
    let link = |name: &str, to: &str| json!({ "name": name, "type": "symlink", "linktarget": to, "mode": 0o777_u32 | 1 << 27 });
    let evil = forge.file("precious", "evil");
    let folder = forge.dir("folder", std::slice::from_ref(&evil));
    // A link out of the tree, and then a folder of the same name whose content would go through it.
    let nodes = vec![
        link("way", outside.to_str().unwrap()),
        forge.dir("way", std::slice::from_ref(&evil)),
        forge.dir("planted", std::slice::from_ref(&evil)),
        forge.dir("planted-deep", &[folder]),
        link("planted-file", "replaced by a link"),
        forge.file("planted-plain", "evil"),
        link("nowhere", ""),
        link("long", &"l".repeat(5000)),
        json!({ "name": "raw", "type": "symlink", "linktarget": "?", "linktarget_raw": "/y9ub3doZXJl" }),
        // Hard links that claim to be the same file but are not.
        json!({ "name": "hard-a", "type": "file", "mode": 0o644, "inode": 7, "device_id": 1, "links": 2, "size": 1, "content": [forge.data(b"a")] }),
        json!({ "name": "hard-b", "type": "file", "mode": 0o644, "inode": 7, "device_id": 1, "links": 2, "size": 1, "content": [forge.data(b"b")] }),
        json!({ "name": "hard-c", "type": "file", "mode": 0o644, "inode": 7, "device_id": 1, "links": 9_000_000_000_u64, "size": 1, "content": [forge.data(b"b")] }),
    ];
    let root = forge.tree(&nodes);
    let snapshot = forge.snapshot(&root);
    // Somebody has prepared the target.
    fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("planted")).unwrap();
    symlink(&outside, target.join("planted-deep")).unwrap();
    symlink(outside.join("precious"), target.join("planted-file")).unwrap();
    symlink(outside.join("precious"), target.join("planted-plain")).unwrap();
    let planted = state(&target);
    for mode in [ConflictMode::Skip, ConflictMode::Overwrite] {
        let ran = restore(&job(&repo, &snapshot, &target, mode));
        assert_same(&before, &state(&outside));
        assert!(ran.problem("way").contains("twice"));
        assert!(ran.problem("nowhere").contains("leads nowhere"));
        assert!(ran.problem("long").contains("refuses it"));
        assert_eq!(fs::read_link(target.join("way")).unwrap(), outside);
        assert_eq!(fs::read_link(target.join("raw")).unwrap().as_os_str().as_encoded_bytes(), b"\xff/nowhere");
        let (a, b, c) =
            (fs::metadata(target.join("hard-a")).unwrap(), fs::metadata(target.join("hard-b")).unwrap(), fs::metadata(target.join("hard-c")).unwrap());
        assert_eq!(fs::read(target.join("hard-a")).unwrap(), b"a");
        assert_eq!(fs::read(target.join("hard-b")).unwrap(), b"b");
        assert!(a.ino() != b.ino() && b.ino() == c.ino(), "only files with the same content become one");
        let now = state(&target);
        for name in ["planted", "planted-deep", "planted-file", "planted-plain"] {
            assert_eq!(now[name] == planted[name], mode == ConflictMode::Skip, "{name}");
        }
    }
    assert_eq!(fs::read_to_string(target.join("planted/precious")).unwrap(), "evil");
    assert!(!fs::symlink_metadata(target.join("planted")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(target.join("planted-deep/folder/precious")).unwrap(), "evil");
    assert_eq!(fs::read_to_string(target.join("planted-plain")).unwrap(), "evil");
}

fn evil_tree(forge: &mut Forge) -> String {
    let evil = forge.file("precious", "evil");
    forge.tree(&[evil])
}

#[test]
fn special_files_and_wild_metadata() {
    let dir = scratch();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("target"));
    let mut forge = Forge::new(&repo);
    let root_user = rustix::process::geteuid().is_root();
    let x = forge.data(b"x");
    let nodes = vec![
        json!({ "name": "suid", "type": "file", "mode": 0o755_u32 | 1 << 23 | 1 << 22, "uid": 4321, "gid": 4322, "size": 1, "content": [x] }),
        json!({ "name": "pipe", "type": "fifo", "mode": 0o600_u32 | 1 << 25 }),
        json!({ "name": "socket", "type": "socket", "mode": 0o600 }),
        json!({ "name": "zero", "type": "chardev", "mode": 0o666, "device": 0x105 }),
        json!({ "name": "nobody", "type": "file", "mode": 0o644, "uid": u32::MAX, "gid": u32::MAX, "size": 1, "content": [x] }),
        json!({ "name": "liar", "type": "file", "mode": 0o644, "size": u64::MAX, "content": [x] }),
        json!({ "name": "bare", "type": "file" }),
        json!({ "name": "old", "type": "file", "mode": 0, "mtime": "0001-01-01T00:00:00Z", "content": [] }),
        json!({ "name": "closed", "type": "dir", "mode": 0, "subtree": evil_tree(&mut forge) }),
        json!({ "name": "no tree", "type": "dir", "mode": 0o755 }),
        json!({ "name": "lost tree", "type": "dir", "mode": 0o755, "subtree": "ab".repeat(32) }),
        json!({ "name": "lost data", "type": "file", "mode": 0o644, "size": 5, "content": [x, "cd".repeat(32)] }),
        json!({ "name": "xattr", "type": "file", "mode": 0o444, "content": [x], "extended_attributes": [
            { "name": "user.ok", "value": "b2s=" }, { "name": "nonsense", "value": "b2s=" }, { "name": "user.\u{0}nul", "value": null } ] }),
    ];
    let root = forge.tree(&nodes);
    let snapshot = forge.snapshot(&root);
    let ran = restore(&job(&repo, &snapshot, &target, ConflictMode::Fail));
    let meta = |name: &str| fs::symlink_metadata(target.join(name)).unwrap();
    assert!(meta("pipe").file_type().is_fifo());
    assert!(!target.join("socket").exists());
    assert_eq!((meta("liar").len(), meta("bare").len(), meta("nobody").len()), (1, 0, 1));
    assert!(ran.problem("no tree").contains("does not say"));
    assert!(ran.problem("lost tree").contains("not found"), "{}", ran.problem("lost tree"));
    assert!(ran.problem("lost data").contains(&"cd".repeat(32)), "the missing part is named");
    assert!(!target.join("lost data").exists(), "never half a file");
    assert!(ran.problem("xattr").contains("extended attributes"));
    assert_eq!(crate::disk::xattrs(&target.join("xattr")), [("user.ok".to_owned(), b"ok".to_vec())]);
    if root_user {
        assert_eq!((meta("suid").mode() & 0o7777, meta("suid").uid(), meta("suid").gid()), (0o6755, 4321, 4322));
        assert!(meta("zero").file_type().is_char_device() && meta("zero").rdev() == 0x105);
    } else {
        assert_eq!(meta("suid").mode() & 0o7777, 0o755, "no set-user-id bit without its owner");
        assert!(ran.problem("zero").contains("only root"));
    }
}

#[test]
fn a_hole_of_a_hundred_gigabytes_takes_neither_time_nor_room() {
    let dir = scratch();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("target"));
    let mut forge = Forge::new(&repo);
    let (zeros, tail) = (forge.data(&vec![0; 8 << 20]), forge.data(&noise(3, 100_000)));
    let mut content = vec![zeros; 12_500];
    content.insert(6_000, tail.clone());
    content.push(tail);
    let size = 12_500_u64 * (8 << 20) + 200_000;
    let nodes = [json!({ "name": "huge", "type": "file", "mode": 0o600, "size": size, "mtime": "2024-05-06T07:08:09Z", "content": content })];
    let root = forge.tree(&nodes);
    let snapshot = forge.snapshot(&root);
    let start = std::time::Instant::now();
    let ran = restore(&job(&repo, &snapshot, &target, ConflictMode::Fail));
    assert_eq!(ran.item().problems, []);
    let meta = fs::metadata(target.join("huge")).unwrap();
    assert_eq!(meta.len(), size);
    assert!(meta.blocks() * 512 < 500_000, "{} bytes on the disk", meta.blocks() * 512);
    let mut tail = vec![0; 100_000];
    let file = fs::File::open(target.join("huge")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut tail, size - 100_000).unwrap();
    assert!(tail == noise(3, 100_000));
    let (compared, _) = compare(&repo, &snapshot, &target, &[]);
    assert_eq!((compared.differences, compared.bytes as u64), (vec![], size));
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn damaged_packs_cost_the_files_in_them_and_no_others() {
    let dir = scratch();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("target"));
    let mut forge = Forge::new(&repo);
    let first = forge.file("first", "first");
    let broken = forge.file("broken", "this one is damaged");
    let last = forge.file("last", "last");
    let both = json!({ "name": "both", "type": "file", "mode": 0o644, "size": 9, "content": [first["content"][0], broken["content"][0], last["content"][0]] });
    let root = forge.tree(&[first, broken.clone(), last, both]);
    let snapshot = forge.snapshot(&root);
    // One byte in the middle of the second blob of the data pack is turned.
    let mut packs = walk(&repo.join("data"));
    packs.sort_by_key(|p| fs::metadata(p).unwrap().len());
    let [data, trees] = &packs[..] else { panic!("two packs were written: {packs:?}") };
    let mut bytes = fs::read(data).unwrap();
    bytes[5 + 32 + 16 + 4] ^= 1;
    fs::write(data, &bytes).unwrap();
    let ran = restore(&job(&repo, &snapshot, &target, ConflictMode::Fail));
    assert_eq!(ran.item().state, ItemState::Partial);
    for name in ["broken", "both"] {
        assert!(ran.problem(name).contains(broken["content"][0].as_str().unwrap()), "{}", ran.problem(name));
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(target.join("last")).unwrap(), "last");
    // Cut short after the first blob, it still yields that one.
    fs::write(data, &bytes[..5 + 32 + 10]).unwrap();
    let short = restore(&job(&repo, &snapshot, &dir.path().join("short"), ConflictMode::Fail));
    assert_eq!((short.ok().files, short.item().problems_total), (1, 3), "{:?}", short.item().problems);
    fs::remove_file(data).unwrap();
    let gone = restore(&job(&repo, &snapshot, &dir.path().join("gone"), ConflictMode::Fail));
    assert_eq!((gone.ok().files, gone.item().problems_total), (0, 4));
    fs::remove_file(trees).unwrap();
    let gone = restore(&job(&repo, &snapshot, &dir.path().join("nothing"), ConflictMode::Fail));
    assert_eq!(gone.result.unwrap_err().kind, ErrorKind::Damaged, "without its trees nothing can be restored");
    assert!(!dir.path().join("nothing").exists());
}

fn walk(path: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_very_deep_tree_is_restored_as_far_as_paths_reach() {
    let dir = scratch();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("target"));
    let mut forge = Forge::new(&repo);
    let mut node = forge.file("bottom", "bottom");
    for _ in 0..600 {
        node = forge.dir("deep-deep", std::slice::from_ref(&node));
    }
    let other = forge.file("other", "other");
    let root = forge.tree(&[node, other]);
    let snapshot = forge.snapshot(&root);
    let ran = restore(&job(&repo, &snapshot, &target, ConflictMode::Fail));
    assert_eq!((ran.item().problems_total, ran.ok().files), (1, 1));
    assert!(ran.item().problems[0].message.contains("too long"));
    assert_eq!(fs::read_to_string(target.join("other")).unwrap(), "other");
    // Replacing it by overwriting and unwinding must cope with the depth too.
    fs::remove_dir_all(&target).unwrap();
}
