//! Looking into snapshots: folders, versions, differences, ranges of files, archives.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Instant,
};

use engine::{
    ErrorKind,
    browse::{Browser, Entry},
    job::NodeKind,
    repository::Repository,
};
use serde_json::json;

use crate::{
    common::{folder_access, rt},
    disk::{assert_same, inside, state},
    forge::Forge,
    scratch,
    stock::{backup, furnish, noise},
};

fn open(repository: &Path) -> (Browser, Vec<String>) {
    let repository = Repository::open(&folder_access(repository), &rt()).unwrap();
    let trees = repository.snapshots().unwrap().into_iter().map(|s| s.tree).collect();
    (Browser::open(repository).unwrap(), trees)
}

#[allow(clippy::disallowed_methods, reason = "tests start other programs themselves")]
fn run(program: &str, args: &[&str], dir: &Path) -> String {
    let out = std::process::Command::new(program).args(args).current_dir(dir).output().unwrap_or_else(|e| panic!("{program} is needed by the tests: {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {text}{}", String::from_utf8_lossy(&out.stderr));
    text
}

#[test]
fn a_folder_of_ten_thousand_entries_is_paged_fast() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    fs::create_dir_all(home.join("many")).unwrap();
    for n in 0..10_000 {
        fs::write(home.join(format!("many/file {n}")), "").unwrap();
    }
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    let mut names = Vec::new();
    let mut after: Option<String> = None;
    let start = Instant::now();
    loop {
        let page = browser.entries(&trees[0], "many", after.as_deref(), 500).unwrap();
        assert_eq!(page.total, 10_000);
        assert!(page.entries.len() <= 500);
        names.extend(page.entries.into_iter().map(|e| e.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let took = start.elapsed();
    let mut want: Vec<_> = (0..10_000).map(|n| format!("file {n}")).collect();
    want.sort();
    assert!(names == want, "every name once, in order");
    assert!(took.as_secs() < 10, "twenty pages took {took:?}");
}

#[test]
fn entries_versions_differences_and_ranges() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    furnish(&home);
    backup(&repo, &home);
    fs::write(home.join("work/copy.bin"), noise(9, 3_000_000)).unwrap();
    fs::set_permissions(home.join("work/deep/009"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(home.join("link")).unwrap();
    backup(&repo, &home);
    fs::remove_file(home.join("work/deep/009")).unwrap();
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    let entry = |path: &str| browser.entry(&trees[0], path).unwrap().unwrap();

    let small: Entry = entry("/work/small.txt/");
    assert_eq!((small.kind, small.bytes, small.links, small.xattrs), (NodeKind::File, 5, 2, 3));
    assert_eq!(
        small.modified_at.unwrap().0,
        fs::metadata(home.join("work/small.txt")).unwrap().mtime() * 1_000_000 + fs::metadata(home.join("work/small.txt")).unwrap().mtime_nsec() / 1000
    );
    assert_eq!(entry("absolute link").link.as_deref(), Some("/etc/passwd"));
    assert_eq!(entry("work/deep").mode, "drwxrwxrwt");
    assert_eq!(entry("work/deep/001").mode, "-rwsr-xr-x");
    assert_eq!(entry("pipe").kind, NodeKind::Other);
    assert_eq!(entry("work/large.bin").content, entry("work/copy.bin").content, "equal content is seen as equal");
    assert_ne!(entry("work/large.bin").content, small.content);
    if rustix::process::geteuid().is_root() {
        assert_eq!((small.uid, small.gid, small.owner.as_str()), (Some(1003), Some(1004), "1003:1004"));
    }
    let odd = "work/not\\xff\\xfeutf8\\x0a\\\\";
    assert_eq!(entry(odd).name, odd.strip_prefix("work/").unwrap());
    assert_eq!(browser.entry(&trees[0], "work/nowhere").unwrap(), None);
    assert_eq!(browser.entry(&trees[0], "work/small.txt/below").unwrap(), None);
    assert_eq!(browser.entries(&trees[0], "nowhere", None, 5).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(browser.entries(&trees[0], "pipe", None, 5).unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(browser.entries(&trees[0], "\\q", None, 5).unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(browser.entries("../x", "", None, 5).unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(browser.entries(&"0".repeat(64), "", None, 5).unwrap_err().kind, ErrorKind::Damaged);

    let all: Vec<&str> = trees.iter().map(String::as_str).collect();
    let versions = |path: &str| browser.versions(&all, path).unwrap().iter().map(|v| (v.entry.is_some(), v.changed)).collect::<Vec<_>>();
    assert_eq!(versions("work/copy.bin"), [(true, true), (true, true), (true, false)]);
    assert_eq!(versions("work/deep/009"), [(true, true), (true, true), (false, true)]);
    assert_eq!(versions("link"), [(true, true), (false, true), (false, false)]);

    let whole = browser.changes(&trees[0], &trees[2], 0, 1_000).unwrap();
    let told: Vec<_> = whole.changes.iter().map(|d| (d.change.path.as_str(), d.content)).collect();
    assert_eq!(told, [("link", true), ("work/copy.bin", true), ("work/deep/009", true)]);
    assert_eq!(whole.next, None);
    let (first, second) = (browser.changes(&trees[0], &trees[2], 0, 2).unwrap(), browser.changes(&trees[0], &trees[2], 2, 2).unwrap());
    assert_eq!(first.next, Some(2));
    assert_eq!([first.changes, second.changes].concat(), whole.changes);
    let counts = browser.count_changes(&trees[0], &trees[2]).unwrap();
    assert_eq!((counts.added, counts.changed, counts.removed), (0, 1, 2));

    for (path, content) in [
        ("work/large.bin", noise(1, 9_000_000)),
        ("work/small.txt", b"hello".to_vec()),
        ("work/nothing", Vec::new()),
        ("work/sparse", fs::read(home.join("work/sparse")).unwrap()),
    ] {
        let size = content.len() as u64;
        assert_eq!(browser.file_size(&trees[0], path).unwrap(), size);
        for range in [0..size, 0..1, size / 2..size / 2 + 2_000_000, size.saturating_sub(1)..u64::MAX, 3..3, size + 5..size + 9] {
            let mut out = Vec::new();
            let sent = browser.read(&trees[0], path, range.clone(), &mut out).unwrap();
            let (from, to) = (range.start.min(size) as usize, range.end.min(size) as usize);
            assert!(out == content[from..to.max(from)] && sent == out.len() as u64, "{path} {range:?}");
        }
    }
    assert_eq!(browser.read(&trees[0], "work", 0..9, &mut Vec::new()).unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(browser.read(&trees[0], "work/large.bin", 0..9, &mut Gone).unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(browser.zip(&trees[0], "work", "x", Gone).unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(browser.tar(&trees[0], "work", "x", Gone).unwrap_err().kind, ErrorKind::Cancelled);
}

/// Whoever downloads may go away.
struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes an archive into a file and says what is in it.
fn archive(browser: &Browser, tree: &str, path: &str, file: &Path) -> engine::browse::Archived {
    let mut out = fs::File::create(file).unwrap();
    let done = if file.extension().is_some_and(|e| e == "zip") { browser.zip(tree, path, "home", &mut out) } else { browser.tar(tree, path, "home", &mut out) };
    out.flush().unwrap();
    done.unwrap()
}

#[test]
fn tar_brings_everything_back() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("source"));
    furnish(&home);
    fs::create_dir_all(home.join("a").join("long".repeat(50)).join("path".repeat(40))).unwrap();
    fs::write(home.join("a").join("long".repeat(50)).join("path".repeat(40)).join("file"), "deep").unwrap();
    symlink("t".repeat(200), home.join("long link")).unwrap();
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    let file = dir.path().join("home.tar");
    let done = archive(&browser, &trees[0], "", &file);
    assert_eq!((done.left_out, done.left_out_total), (vec![], 0));
    run("tar", &["-xpf", "home.tar", "--same-owner"], dir.path());
    // Tar's times are whole seconds, and holes and extended attributes are not in it.
    let plain = |root: &Path| {
        let text = inside(root).into_iter().map(|(path, text)| {
            let mut words: Vec<String> = text.split(" user.").next().unwrap().split(' ').map(str::to_owned).collect();
            words[2] = words[2].split('.').next().unwrap().replace("-3", "0");
            (path, words.join(" "))
        });
        text.collect()
    };
    assert_same(&plain(&home), &plain(&dir.path().join("home")));
    assert_eq!(done.files as usize, inside(&home).values().filter(|v| !v.starts_with('4')).count());
    // A single file, too.
    archive(&browser, &trees[0], "work/small.txt", &dir.path().join("one.tar"));
    assert_eq!(run("tar", &["-xOf", "one.tar", "small.txt"], dir.path()), "hello");
}

#[test]
fn zip_is_read_by_others() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("source"));
    furnish(&home);
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    let done = archive(&browser, &trees[0], "work", &dir.path().join("home.zip"));
    let script = r"
import zipfile, hashlib, stat
z = zipfile.ZipFile('home.zip')
assert z.testzip() is None
for i in sorted(z.infolist(), key=lambda i: i.filename):
    print(i.filename, oct(i.external_attr >> 16 & 0o7777), hashlib.sha256(z.read(i)).hexdigest(), sep='|')
";
    let listing = run("python3", &["-c", script], dir.path());
    let lines: Vec<Vec<&str>> = listing.lines().map(|l| l.split('|').collect()).collect();
    let find = |name: &str| lines.iter().find(|l| l[0] == name).unwrap_or_else(|| panic!("{name} in {listing}"));
    let digest = |path: PathBuf| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(fs::read(path).unwrap()));
    for name in ["small.txt", "large.bin", "sparse", "all holes", "nothing", "deep/299", "deep/deeper/ünï cödé.txt", "deep/same.txt"] {
        assert_eq!(find(&format!("home/{name}"))[2], digest(home.join("work").join(name)), "{name}");
    }
    assert_eq!(find("home/not%FF%FEutf8%0A%5C")[2], hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"bytes")));
    assert_eq!(find("home/deep/001")[1], "0o755", "no set-user-id bit goes into a zip");
    assert_eq!(find("home/deep/003")[1], "0o400");
    assert_eq!(lines.iter().filter(|l| !l[0].ends_with('/')).count() as i64, done.files);
    assert_eq!(done.left_out_total, 0);
    archive(&browser, &trees[0], "", &dir.path().join("all.zip"));
    let listing = run("python3", &["-c", "import zipfile; print(zipfile.ZipFile('all.zip').read('NOT IN THIS ARCHIVE.txt').decode())"], dir.path());
    for line in ["home/pipe: zip cannot hold", "home/absolute link: it is a symbolic link that leads out of the archive, to /etc/passwd"] {
        assert!(listing.contains(line), "{line}: {listing}");
    }
}

#[test]
fn no_archive_leads_out_of_the_folder_it_is_unpacked_in() {
    let dir = scratch();
    let (repo, outside) = (dir.path().join("repo"), dir.path().join("outside"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let before = state(&outside);
    let mut forge = Forge::new(&repo);
    let evil = forge.file("precious", "evil");
    let link = |name: &str, to: &str| json!({ "name": name, "type": "symlink", "linktarget": to, "mode": 0o777_u32 | 1 << 27 });
    let mut nodes: Vec<_> = ["..", "", "../outside/precious", "/outside/precious", "..\\outside\\precious", "a/../../outside/precious", "C:\\precious"]
        .iter()
        .map(|name| forge.file(&name.replace('\\', "\\\\"), "evil"))
        .collect();
    nodes.push(forge.dir("..", std::slice::from_ref(&evil)));
    nodes.push(link("out", "../../outside"));
    nodes.push(forge.dir("OUT", std::slice::from_ref(&evil)));
    nodes.push(link("down", "."));
    nodes.push(link("up", "down/down/down/../../../outside"));
    nodes.push(link("fine", "./good"));
    nodes.push(forge.file("good", "good"));
    nodes.push(forge.file("Good", "another"));
    nodes.push(json!({ "name": "lost", "type": "file", "size": 3, "content": ["ab".repeat(32)] }));
    let root = forge.tree(&nodes);
    forge.snapshot(&root);
    let (browser, trees) = open(&repo);
    let zip = archive(&browser, &trees[0], "", &dir.path().join("evil.zip"));
    let tar = archive(&browser, &trees[0], "", &dir.path().join("evil.tar"));
    fs::create_dir(dir.path().join("zip")).unwrap();
    fs::create_dir(dir.path().join("tar")).unwrap();
    let script = r"
import zipfile, os, stat
z = zipfile.ZipFile('../evil.zip')
names = [i.filename for i in z.infolist()]
assert len({n.lower() for n in names}) == len(names), names
# As a program that makes links the moment it meets them.
for i in z.infolist():
    assert not i.filename.startswith('/') and '..' not in i.filename.replace('\\', '/').split('/'), i.filename
    if stat.S_ISLNK(i.external_attr >> 16):
        os.symlink(z.read(i).decode(), i.filename)
    else:
        z.extract(i)
print('\n'.join(names))
";
    let names = run("python3", &["-c", script], &dir.path().join("zip"));
    run("tar", &["-xf", "../evil.tar"], &dir.path().join("tar"));
    assert_same(&before, &state(&outside));
    for name in ["home/fine", "home/good~2", "home/..%5Coutside%5Cprecious", "home/C%3A%5Cprecious"] {
        assert!(names.lines().any(|n| n == name), "{name} in {names}");
    }
    for name in ["out~2", "up", "lost"] {
        assert!(zip.left_out.iter().any(|p| p.path == format!("home/{name}")), "{name}: {:#?}", zip.left_out);
    }
    assert_eq!(tar.left_out_total, 7, "five names, a folder, and what is lost: {:#?}", tar.left_out);
    assert_eq!(fs::read_to_string(dir.path().join("tar/home/good")).unwrap(), "good");
    let notes = fs::read_to_string(dir.path().join("tar/NOT IN THIS ARCHIVE.txt")).unwrap();
    assert!(notes.contains("home/lost: the repository lacks a part of this file"), "{notes}");
}

#[test]
fn an_archive_that_broke_off_does_not_look_whole() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("a"), "a").unwrap();
    fs::write(home.join("large"), noise(2, 5_000_000)).unwrap();
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    // A byte of the largest pack is turned, behind the first blobs.
    let packs = run("find", &["data", "-type", "f", "-size", "+1000k"], &repo);
    let pack = repo.join(packs.lines().next().expect("a pack with the large file"));
    let mut bytes = fs::read(&pack).unwrap();
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 1;
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pack, bytes).unwrap();
    let mut out = Vec::new();
    assert_eq!(browser.zip(&trees[0], "", "home", &mut out).unwrap_err().kind, ErrorKind::Damaged);
    fs::write(dir.path().join("broken.zip"), &out).unwrap();
    let script = "import zipfile; print(zipfile.is_zipfile('broken.zip'))";
    assert_eq!(run("python3", &["-c", script], dir.path()).trim(), "False");
    let mut out = Vec::new();
    assert_eq!(browser.read(&trees[0], "large", 0..u64::MAX, &mut out).unwrap_err().kind, ErrorKind::Damaged);
    assert!(out.len() < 5_000_000 && out == noise(2, out.len()), "what was sent before is right");
}
