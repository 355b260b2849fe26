//! Differences between two snapshots of a repository that stock restic wrote, against `restic diff`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, fs, ops::ControlFlow, os::unix::fs::symlink, path::Path};

use common::{folder_access, restic, rt};
use engine::{
    browse::{Difference, diff, trees::tree_id},
    job::ChangeKind,
    repository::Repository,
};

fn backup(repository: &Path, folder: &Path) {
    restic(repository, &["backup", "--quiet", folder.to_str().unwrap()]);
}

fn differences(repository: &Repository, old: &str, new: &str, limit: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    diff(&repository.to_indexed().unwrap(), Some(tree_id(old).unwrap()), Some(tree_id(new).unwrap()), &mut |d| {
        found.push(d);
        Ok(if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .unwrap();
    found
}

#[test]
fn agrees_with_restic_diff() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, home) = (dir.path().join("repo"), dir.path().join("home"));
    restic(&repo, &["init"]);
    fs::create_dir_all(home.join("same/deep")).unwrap();
    fs::create_dir_all(home.join("gone/deep")).unwrap();
    for (name, text) in [("same/deep/a", "a"), ("gone/x", "x"), ("gone/deep/y", "y"), ("edited", "one"), ("touched", "t"), ("kind", "file")] {
        fs::write(home.join(name), text).unwrap();
    }
    symlink("edited", home.join("link")).unwrap();
    backup(&repo, &home);
    fs::remove_dir_all(home.join("gone")).unwrap();
    fs::write(home.join("edited"), "two!").unwrap();
    fs::File::open(home.join("touched")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::remove_file(home.join("kind")).unwrap();
    fs::create_dir(home.join("kind")).unwrap();
    fs::write(home.join("kind/inside"), "i").unwrap();
    fs::create_dir(home.join("new")).unwrap();
    fs::write(home.join("new/\u{fc} file"), "n").unwrap();
    backup(&repo, &home);

    let repository = Repository::open(&folder_access(&repo), &rt()).unwrap();
    let snapshots = repository.snapshots().unwrap();
    let [old, new] = &snapshots[..] else { panic!("two snapshots were made") };
    let all = differences(&repository, &old.tree, &new.tree, usize::MAX);
    let prefix = home.to_str().unwrap()[1..].to_owned() + "/";
    let mut ours: BTreeMap<String, String> = BTreeMap::new();
    for d in &all {
        let letter = match (d.change.change, d.content) {
            (ChangeKind::Added, _) => "+",
            (ChangeKind::Removed, _) => "-",
            (ChangeKind::Changed, true) => "M",
            (ChangeKind::Changed, false) => "U",
        };
        let path = d.change.path.strip_prefix(&prefix).expect("every change is below the folder").to_owned();
        ours.entry(path).or_default().push_str(letter);
    }
    let mut theirs: BTreeMap<String, String> = BTreeMap::new();
    for line in restic(&repo, &["diff", "--metadata", &old.id, &new.id]).lines() {
        let Some((letter, path)) = line.split_once(' ') else { continue };
        let Some(path) = path.trim().strip_prefix(&format!("/{prefix}")) else { continue };
        let path = path.trim_end_matches('/');
        // restic tells the kind's change with one letter and nothing below it, and folders whose times alone changed.
        match letter {
            "T" | "TU" => theirs.insert(path.to_owned(), "-+".to_owned()),
            "U" if home.join(path).is_dir() => None,
            _ => theirs.insert(path.to_owned(), letter.to_owned()),
        };
    }
    assert_eq!(ours.remove("kind/inside").as_deref(), Some("+"));
    assert_eq!(ours, theirs);
    assert_eq!(differences(&repository, &old.tree, &new.tree, 2), all[..2], "the walk ends where it is told to");
    assert_eq!(differences(&repository, &new.tree, &new.tree, 9), []);
}
