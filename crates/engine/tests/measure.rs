//! What a snapshot says it changed, as the guard judges it (R21), from real backups.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use common::{backup, backup_job, items_of, noise, outcome_of};
use domain::guard::Measure;
use engine::job::{BackupJob, SourceConfig};

/// A home with notebooks that compress, pictures that do not, and a cache.
fn home(root: &Path) {
    fs::create_dir_all(root.join("work")).unwrap();
    fs::create_dir_all(root.join("pictures")).unwrap();
    fs::create_dir_all(root.join(".cache/pip")).unwrap();
    for n in 0..40_u64 {
        fs::write(root.join(format!("work/n{n:02}.ipynb")), notebook(n)).unwrap();
        fs::write(root.join(format!("pictures/p{n:02}.jpg")), picture(n)).unwrap();
        fs::write(root.join(format!(".cache/pip/{n}")), notebook(n + 1_000)).unwrap();
    }
}

fn notebook(n: u64) -> String {
    let cells: Vec<String> =
        (0..60).map(|c| format!("{{\"cell_type\": \"code\", \"source\": [\"x{c} = load({n}, {})\"], \"outputs\": []}}", n * 7919 + c)).collect();
    format!("{{\"cells\": [{}]}}", cells.join(",\n"))
}

fn picture(n: u64) -> Vec<u8> {
    [b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), noise(n + 500, 9_000)].concat()
}

struct Site {
    dir: tempfile::TempDir,
    job: BackupJob,
    round: usize,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        home(&dir.path().join("homes/ada"));
        let job = backup_job(&dir.path().join("homes"), &dir.path().join("repo"), "r0");
        let mut site = Self { dir, job, round: 0 };
        let first = site.backup();
        assert_eq!((first.compared, first.files, first.turned), (false, 80, 0), "a first snapshot is compared with nothing; caches stand apart");
        site
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("homes/ada")
    }

    fn backup(&mut self) -> Measure {
        self.round += 1;
        self.job.run = format!("r{}", self.round);
        let events = backup(&self.job).unwrap();
        self.job.root_parent = outcome_of(&events).root_snapshot;
        let item = items_of(&events).pop().unwrap();
        let snapshot = item.snapshot.unwrap();
        self.job.parents.insert(item.name, snapshot.id);
        snapshot.measure.unwrap()
    }
}

#[test]
fn nothing_changed_is_nothing_measured() {
    let mut site = Site::new();
    let m = site.backup();
    assert_eq!(m, Measure { compared: true, files: 80, bytes: m.bytes, noise_bytes: Some(0), ..Measure::default() });
}

#[test]
fn files_overwritten_with_noise_have_turned() {
    let mut site = Site::new();
    for n in 0..30 {
        fs::write(site.home().join(format!("work/n{n:02}.ipynb")), noise(n, 5_000)).unwrap();
    }
    // Edited notebooks are no noise, edited pictures were noise before and say still what they are.
    for n in 30..40 {
        fs::write(site.home().join(format!("work/n{n:02}.ipynb")), notebook(n + 77)).unwrap();
        fs::write(site.home().join(format!("pictures/p{n:02}.jpg")), picture(n + 77)).unwrap();
    }
    let m = site.backup();
    assert_eq!((m.rewritten, m.added, m.removed), (50, 0, 0));
    assert!((25..=34).contains(&m.turned), "30 turned, told from a sample: {m:?}");
    assert!(m.examples.iter().all(|e| e.starts_with("work/n")) && m.examples.len() == 5, "{:?}", m.examples);
    assert!(m.noise_bytes.unwrap() * 10 > m.came_bytes * 5, "{m:?}");
}

#[test]
fn encrypted_pictures_have_turned_and_new_pictures_have_not() {
    let mut site = Site::new();
    for n in 0..40 {
        fs::write(site.home().join(format!("pictures/p{n:02}.jpg")), noise(n + 7_000, 9_016)).unwrap();
    }
    assert_eq!(site.backup().turned, 40);
    let mut site = Site::new();
    for n in 0..40 {
        fs::write(site.home().join(format!("pictures/p{n:02}.jpg")), picture(n + 9_000)).unwrap();
        fs::write(site.home().join(format!("pictures/q{n:02}.jpg")), picture(n + 8_000)).unwrap();
    }
    let m = site.backup();
    assert_eq!((m.turned, m.rewritten, m.added), (0, 40, 40));
}

#[test]
fn renamed_while_encrypted_counts_as_rewritten() {
    let mut site = Site::new();
    for n in 0..20 {
        let from = site.home().join(format!("work/n{n:02}.ipynb"));
        fs::write(from.with_extension("ipynb.locked"), noise(n, 5_000)).unwrap();
        fs::remove_file(from).unwrap();
    }
    // Under names that say nothing, told by their sizes.
    for n in 20..40 {
        let from = site.home().join(format!("work/n{n:02}.ipynb"));
        let length = usize::try_from(fs::metadata(&from).unwrap().len()).unwrap();
        fs::write(site.home().join(format!("work/{:032x}", n * 7_919 + 1)), noise(n, length + 60)).unwrap();
        fs::remove_file(from).unwrap();
    }
    let m = site.backup();
    assert_eq!((m.rewritten, m.turned, m.added, m.removed), (40, 40, 0, 0), "{m:?}");
    assert!(m.examples.iter().any(|e| e.ends_with(".locked")), "{:?}", m.examples);
}

#[test]
fn compressed_by_their_owner_they_say_what_they_are() {
    let mut site = Site::new();
    for n in 0..40 {
        let from = site.home().join(format!("work/n{n:02}.ipynb"));
        fs::write(from.with_extension("ipynb.gz"), [b"\x1f\x8b\x08\0".to_vec(), noise(n, 900)].concat()).unwrap();
        fs::remove_file(from).unwrap();
    }
    let m = site.backup();
    assert_eq!((m.rewritten, m.turned, m.removed), (40, 0, 0), "{m:?}");
}

#[test]
fn a_renamed_folder_moved_and_a_cleaned_cache_is_no_loss() {
    let mut site = Site::new();
    fs::rename(site.home().join("work"), site.home().join("thesis")).unwrap();
    fs::remove_dir_all(site.home().join(".cache")).unwrap();
    let m = site.backup();
    assert_eq!((m.moved, m.removed, m.added, m.shed, m.came_bytes), (40, 0, 0, 40, 0), "{m:?}");
    // A tag says of any folder that it is a cache.
    fs::create_dir_all(site.home().join("thesis/fits")).unwrap();
    fs::write(site.home().join("thesis/fits/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
    for n in 0..50 {
        fs::write(site.home().join(format!("thesis/fits/{n}")), notebook(n + 3_000)).unwrap();
    }
    assert_eq!(site.backup().files, 80);
    fs::remove_dir_all(site.home().join("thesis/fits")).unwrap();
    let m = site.backup();
    assert_eq!((m.removed, m.shed, m.files), (0, 51, 80), "{m:?}");
}

#[test]
fn what_is_gone_or_emptied_is_removed() {
    let mut site = Site::new();
    fs::remove_dir_all(site.home().join("pictures")).unwrap();
    for n in 0..10 {
        fs::write(site.home().join(format!("work/n{n:02}.ipynb")), "").unwrap();
    }
    let m = site.backup();
    assert_eq!((m.removed, m.files_before(), m.files), (50, 80, 40), "{m:?}");
    assert!(m.removed_bytes > 40 * 9_000, "{m:?}");
    assert!(m.examples.len() == 5, "{:?}", m.examples);
}

#[test]
fn what_is_only_left_out_is_not_counted_as_deleted() {
    let mut site = Site::new();
    let SourceConfig::Directory(config) = &mut site.job.source else { panic!("a folder") };
    config.exclude = vec!["*.jpg".into()];
    let m = site.backup();
    assert_eq!((m.removed, m.shed), (0, 40), "{m:?}");
}
