//! Archives of whole homes and of hostile snapshots, unpacked by others; a large folder by pages.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Instant,
};

use engine::{
    browse::{Archived, Browser, Format, archive},
    repository::Repository,
};
use serde_json::json;

use crate::{
    common::{folder_access, rt},
    disk::{assert_same, inside, state},
    forge::Forge,
    scratch,
    stock::{backup, furnish},
};

fn open(repository: &Path) -> (Browser, Vec<String>) {
    let access = folder_access(repository);
    let trees = Repository::open(&access, &rt()).unwrap().snapshots().unwrap().into_iter().map(|s| s.tree).collect();
    (Browser::open(&access, &rt()).unwrap(), trees)
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
        let page = browser.list(&trees[0], "many", after.as_deref(), 500).unwrap().unwrap();
        assert_eq!(page.total, 10_000);
        assert!(page.entries.len() <= 500);
        after = page.next().map(str::to_owned);
        names.extend(page.entries.into_iter().map(|e| e.name));
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

/// Writes an archive into a file and says what is in it.
fn write(browser: &Browser, tree: &str, paths: &[&str], file: &Path) -> Archived {
    let mut out = fs::File::create(file).unwrap();
    let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
    let format = if file.extension().is_some_and(|e| e == "zip") { Format::Zip } else { Format::Tar };
    let done = archive(browser, tree, &paths, format, &mut out).unwrap();
    out.flush().unwrap();
    done
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
    let done = write(&browser, &trees[0], &[], &file);
    assert_eq!((done.left_out, done.left_out_total), (vec![], 0));
    fs::create_dir(dir.path().join("home")).unwrap();
    run("tar", &["-xpf", "../home.tar", "--same-owner"], &dir.path().join("home"));
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
    write(&browser, &trees[0], &["papers/small.txt"], &dir.path().join("one.tar"));
    assert_eq!(run("tar", &["-xOf", "one.tar", "small.txt"], dir.path()), "hello");
}

#[test]
fn zip_is_read_by_others() {
    let dir = scratch();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("source"));
    furnish(&home);
    backup(&repo, &home);
    let (browser, trees) = open(&repo);
    let done = write(&browser, &trees[0], &["papers"], &dir.path().join("home.zip"));
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
        assert_eq!(find(&format!("papers/{name}"))[2], digest(home.join("papers").join(name)), "{name}");
    }
    assert_eq!(find("papers/not%FF%FEutf8%0A%5C")[2], hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"bytes")));
    assert_eq!(find("papers/deep/001")[1], "0o755", "no set-user-id bit goes into a zip");
    assert_eq!(find("papers/deep/003")[1], "0o400");
    assert_eq!(lines.iter().filter(|l| !l[0].ends_with('/')).count() as i64, done.files);
    assert_eq!(done.left_out_total, 0);
    write(&browser, &trees[0], &[], &dir.path().join("all.zip"));
    let listing = run("python3", &["-c", "import zipfile; print(zipfile.ZipFile('all.zip').read('NOT IN THIS ARCHIVE.txt').decode())"], dir.path());
    for line in ["pipe: zip cannot hold", "absolute link: it is a symbolic link that leads out of the archive, to /etc/passwd"] {
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
    let zip = write(&browser, &trees[0], &[], &dir.path().join("evil.zip"));
    let tar = write(&browser, &trees[0], &[], &dir.path().join("evil.tar"));
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
    for name in ["fine", "good~2", "..%5Coutside%5Cprecious", "C%3A%5Cprecious"] {
        assert!(names.lines().any(|n| n == name), "{name} in {names}");
    }
    for name in &["out~2", "up", "lost"] {
        assert!(zip.left_out.iter().any(|p| p.path == *name), "{name}: {:#?}", zip.left_out);
    }
    assert_eq!(tar.left_out_total, 7, "five names, a folder, and what is lost: {:#?}", tar.left_out);
    assert_eq!(fs::read_to_string(dir.path().join("tar/good")).unwrap(), "good");
    let notes = fs::read_to_string(dir.path().join("tar/NOT IN THIS ARCHIVE.txt")).unwrap();
    assert!(notes.contains("lost: the repository lacks a part of this file"), "{notes}");
}
