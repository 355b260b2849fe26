//! Folders, files and archives of a snapshot that stock restic wrote; GNU tar and Python's zip reader unpack them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, symlink},
    },
    path::Path,
    process::Command,
};

use common::{folder_access, noise, restic, rt};
use engine::{
    ErrorKind,
    browse::{Browser, Format, Trees as _, archive, trees::tree_id},
    job::NodeKind,
    repository::Repository,
};

/// Backs the folder up from within it, so that the snapshot's paths are its own; the tree's id.
fn backup(repository: &Path, folder: &Path) -> String {
    #[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
    let done = Command::new("restic")
        .current_dir(folder)
        .args(["--no-cache", "--quiet", "-r"])
        .arg(repository)
        .args(["backup", "."])
        .env("RESTIC_PASSWORD", common::PASSWORD)
        .status()
        .unwrap();
    assert!(done.success());
    Repository::open(&folder_access(repository), &rt()).unwrap().snapshots().unwrap().pop().unwrap().tree
}

#[allow(clippy::disallowed_methods, reason = "tests unpack with the system's own tools")]
fn unpack(program: &str, args: &[&str], at: &Path) {
    fs::create_dir_all(at).unwrap();
    let out = Command::new(program).args(args).current_dir(at).output().unwrap();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Names, permissions, links and contents are the same.
fn same(want: &Path, got: &Path) {
    assert_eq!(common::tree::paths(want), common::tree::paths(got));
    for path in common::tree::paths(want) {
        let (a, b) = (want.join(&path), got.join(&path));
        let (x, y) = (fs::symlink_metadata(&a).unwrap(), fs::symlink_metadata(&b).unwrap());
        if x.is_symlink() {
            assert_eq!(fs::read_link(&a).unwrap(), fs::read_link(&b).unwrap());
            continue;
        }
        assert_eq!(x.mode(), y.mode(), "{}", path.display());
        if x.is_file() {
            assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "{}", path.display());
        }
    }
}

/// A receiver that takes nothing.
struct Full;
impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn folders_are_paged_folders_first() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir_all(home.join("many/zdir")).unwrap();
    for n in 0..2_500 {
        fs::write(home.join(format!("many/f{n:05}")), format!("{n}")).unwrap();
    }
    symlink("../x", home.join("many/link")).unwrap();
    let tree = backup(&repo, &home);
    let browser = Browser::open(&folder_access(&repo), &rt()).unwrap();
    assert!(browser.knows(&tree).unwrap());
    assert!(!browser.knows(&"0".repeat(64)).unwrap());
    assert_eq!(browser.knows("nonsense").unwrap_err().kind, ErrorKind::Invalid);

    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = browser.list(&tree, "/many/", after.as_deref(), 1_000).unwrap().unwrap();
        assert_eq!((page.total, page.before), (2_502, seen.len()));
        after = page.next().map(str::to_owned);
        seen.extend(page.entries);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 2_502);
    assert_eq!((seen[0].name.as_str(), seen[0].kind), ("zdir", NodeKind::Dir));
    assert_eq!((seen[1].name.as_str(), seen[1].bytes), ("f00000", 1));
    assert_eq!(seen[2_501].link.as_deref(), Some("../x"));
    let names: std::collections::BTreeSet<_> = seen.iter().map(|e| &e.name).collect();
    assert_eq!(names.len(), 2_502, "no entry is told twice");
    let gone_key = browser.list(&tree, "many", Some("f00000x"), 1).unwrap().unwrap();
    assert_eq!(gone_key.entries[0].name, "f00001", "a key that is no entry continues where it would stand");

    assert!(browser.list(&tree, "many/f00000", None, 9).unwrap().is_none(), "a file is no folder");
    assert!(browser.list(&tree, "none", None, 9).unwrap().is_none());
    assert!(browser.file(&tree, "many").unwrap().is_none());
    assert!(browser.find(&tree, "many/../many").unwrap().is_none(), "dots are names like others, and there are none");
    assert!(matches!(browser.find(&tree, "\\q").map(|_| ()), Err(e) if e.kind == ErrorKind::Invalid));
}

#[test]
fn a_folder_tells_what_changed_since() {
    use engine::job::ChangeKind::{Added, Changed, Removed};
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir_all(home.join("f/deep")).unwrap();
    for name in ["same", "edited", "gone", "deep/inside"] {
        fs::write(home.join("f").join(name), name).unwrap();
    }
    let old = backup(&repo, &home);
    fs::write(home.join("f/edited"), "otherwise").unwrap();
    fs::remove_file(home.join("f/gone")).unwrap();
    fs::write(home.join("f/new"), "n").unwrap();
    fs::write(home.join("f/deep/more"), "m").unwrap();
    let new = backup(&repo, &home);
    let browser = Browser::open(&folder_access(&repo), &rt()).unwrap();
    let told = |path: &str| browser.since(&new, &old, path).unwrap().into_iter().map(|(n, k)| (n, format!("{k:?}"))).collect::<Vec<_>>();
    let want = [("deep", Changed), ("edited", Changed), ("gone", Removed), ("new", Added)];
    assert_eq!(told("f"), want.map(|(n, k)| (n.to_owned(), format!("{k:?}"))));
    assert_eq!(browser.since(&new, &new, "f").unwrap().len(), 0);
    assert_eq!(browser.since(&new, &old, "none").unwrap().len(), 0);
}

#[test]
fn a_file_is_read_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir(&home).unwrap();
    let content = noise(7, 9_000_001);
    fs::write(home.join("big"), &content).unwrap();
    fs::write(home.join("same"), &content).unwrap();
    fs::write(home.join("empty"), "").unwrap();
    let tree = backup(&repo, &home);
    let browser = Browser::open(&folder_access(&repo), &rt()).unwrap();
    let file = browser.file(&tree, "big").unwrap().unwrap();
    assert_eq!(file.bytes, 9_000_001);
    assert_eq!(file.tag, browser.file(&tree, "same").unwrap().unwrap().tag);
    for (offset, length) in [(0, 10), (4_000_000, 3_000_000), (9_000_000, 5), (9_000_001, 5), (u64::MAX, 5)] {
        let (mut at, mut got) = (offset, Vec::new());
        while got.len() < length {
            let piece = browser.read(&file, at, length - got.len()).unwrap();
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            got.extend_from_slice(&piece);
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        assert_eq!(got, content[from..content.len().min(from.saturating_add(length))], "{offset} {length}");
    }
    assert_eq!(browser.head(&file, 5_000_000).unwrap(), content[..5_000_000]);
    let empty = browser.file(&tree, "empty").unwrap().unwrap();
    assert_eq!((empty.bytes, browser.head(&empty, 9).unwrap().len()), (0, 0));
}

#[test]
fn archives_hold_what_was_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir_all(home.join("a/deep/er")).unwrap();
    fs::create_dir(home.join("a/hollow")).unwrap();
    fs::write(home.join("a/deep/er/big"), noise(3, 3_000_000)).unwrap();
    fs::write(home.join("a/ünï and a \\ backslash"), "odd").unwrap();
    fs::write(home.join("a").join("n".repeat(200)), "long").unwrap();
    fs::write(home.join("a").join(OsStr::from_bytes(b"not-utf8-\xff")), "bytes").unwrap();
    symlink("deep/er", home.join("a/link")).unwrap();
    fs::write(home.join("b"), "not chosen").unwrap();
    let tree = backup(&repo, &home);
    let browser = Browser::open(&folder_access(&repo), &rt()).unwrap();
    let write = |paths: &[&str], format, name: &str| {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        let file = dir.path().join(name);
        let mut out = fs::File::create(&file).unwrap();
        archive(&browser, &tree, &paths, format, &mut out).unwrap();
        out.flush().unwrap();
        file
    };

    let tar = write(&["a"], Format::Tar, "a.tar");
    unpack("tar", &["-xf", tar.to_str().unwrap()], &dir.path().join("t"));
    same(&home.join("a"), &dir.path().join("t/a"));

    // Zip has text for names: what it cannot hold is told by number.
    let zip = write(&["a"], Format::Zip, "a.zip");
    zip::ZipArchive::new(fs::File::open(zip).unwrap()).unwrap().extract(dir.path().join("z")).unwrap();
    let z = dir.path().join("z/a");
    fs::rename(z.join("ünï and a %5C backslash"), z.join("ünï and a \\ backslash")).unwrap();
    fs::rename(z.join("not-utf8-%FF"), z.join(OsStr::from_bytes(b"not-utf8-\xff"))).unwrap();
    same(&home.join("a"), &z);

    let some = write(&["a/deep/er/big", "a/hollow"], Format::Tar, "some.tar");
    unpack("tar", &["-xf", some.to_str().unwrap()], &dir.path().join("s"));
    assert_eq!(common::tree::paths(&dir.path().join("s")).len(), 4, "deep, er, big and hollow");
    assert_eq!(fs::read(dir.path().join("s/deep/er/big")).unwrap(), noise(3, 3_000_000));
    let all = write(&[], Format::Tar, "all.tar");
    unpack("tar", &["-xf", all.to_str().unwrap()], &dir.path().join("w"));
    assert_eq!(fs::read(dir.path().join("w/b")).unwrap(), b"not chosen");

    let missing = archive(&browser, &tree, &["none".to_owned()], Format::Zip, Vec::new()).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    for format in [Format::Tar, Format::Zip] {
        assert_eq!(archive(&browser, &tree, &[], format, Full).unwrap_err().kind, ErrorKind::Cancelled);
    }
}

#[test]
fn a_damaged_pack_ends_the_archive_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir(&home).unwrap();
    fs::write(home.join("big"), noise(9, 6_000_000)).unwrap();
    let tree = backup(&repo, &home);
    let browser = Browser::open(&folder_access(&repo), &rt()).unwrap();
    browser.tree(&tree_id(&tree).unwrap()).unwrap();
    for pack in common::tree::paths(&repo.join("data")) {
        let pack = repo.join("data").join(pack);
        if pack.is_file() && fs::metadata(&pack).unwrap().len() > 1_000_000 {
            let mut bytes = fs::read(&pack).unwrap();
            bytes[500] ^= 1;
            fs::remove_file(&pack).unwrap();
            fs::write(&pack, bytes).unwrap();
        }
    }
    for format in [Format::Tar, Format::Zip] {
        let mut out = Vec::new();
        let e = archive(&browser, &tree, &[], format, &mut out).unwrap_err();
        assert!(zip::ZipArchive::new(std::io::Cursor::new(out)).is_err(), "half an archive does not look whole");
        assert!(!matches!(e.kind, ErrorKind::Cancelled | ErrorKind::NotFound), "{:?}: {e}", e.kind);
    }
}
