//! The example that `serve --example` shows: a notebook service with 75 users' folders.
//!
//! Lives here: the folders, the repository's password file and the configuration that names them.
//! The same folders with the same bytes, modes and times are made on every machine.
//! May not: touching anything outside `DATA/example`, applying the configuration, starting runs.
//! Invariant: what is there already is never written again; a half-made tree is never taken for a whole one.

mod content;
mod names;
mod plan;
mod random;
mod show;

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use content::{CANARY, CANARY_TEXT};
use sha2::{Digest, Sha256};
pub use show::show;

/// How many users' folders there are.
pub const USERS: usize = 75;

/// What stands on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Users' folders, which are the items of the source.
    pub users: u64,
    /// Files and symlinks.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Where the users' folders are.
pub fn exports(data_dir: &Path) -> PathBuf {
    data_dir.join("example/exports")
}

/// Makes what is missing of the example below `data_dir` and says what is there.
///
/// Some 200 MB are written the first time. A run that was interrupted starts again from nothing.
pub fn generate(data_dir: &Path) -> io::Result<Summary> {
    generate_users(data_dir, USERS)
}

fn generate_users(data_dir: &Path, users: usize) -> io::Result<Summary> {
    let target = exports(data_dir);
    if !target.exists() {
        let partial = target.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        let shared = content::shared();
        for user in 0..users {
            content::write_home(&partial.join(names::folder(user)), user, &shared)?;
        }
        fs::rename(&partial, &target)?;
    }
    write_password(&data_dir.join("example/repository.password"))?;
    let mut summary = Summary::default();
    for home in fs::read_dir(&target)? {
        summary.users += 1;
        count(&home?.path(), &mut summary)?;
    }
    Ok(summary)
}

fn count(dir: &Path, summary: &mut Summary) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            count(&entry.path(), summary)?;
        } else {
            summary.files += 1;
            summary.bytes += if meta.is_file() { meta.size() } else { 0 };
        }
    }
    Ok(())
}

/// A password of 192 random bits, readable by its owner alone. One that is there stays: the repository was made with it.
fn write_password(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut bits = [0_u8; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bits)?;
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", hex::encode(bits))?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// The configuration of the example, in the form that `holdfast apply` reads. `data_dir` must be absolute.
pub fn config(data_dir: &Path) -> String {
    // A JSON string is a YAML string: any path is quoted right.
    let quote = |text: String| serde_json::Value::String(text).to_string();
    let example = data_dir.join("example");
    let location = quote(format!("file://{}", example.join("repository").display()));
    let password = quote(example.join("repository.password").display().to_string());
    let path = quote(exports(data_dir).display().to_string());
    let local = jiff::tz::TimeZone::system();
    let zone = local.iana_name().filter(|z| ops::cron::zone(z).is_some()).unwrap_or("UTC");
    let (item, sha256) = (names::folder(0), hex::encode(Sha256::digest(CANARY_TEXT)));
    format!(
        "\
# The example that `holdfast serve --example` applies. Copy it, change the paths, and give it to `holdfast apply`.
version: 1
repositories:
  - name: example
    location: {location}
    password: {{ file: {password} }}
policies:
  - name: standard
    keep_last: 3
    keep_daily: 7
    keep_weekly: 5
    keep_monthly: 12
    keep_yearly: 2
services:
  - name: notebooks
    title: EGI Notebooks
    owner: notebooks-ops
    rpo: 24h
    rto: 24h
    mtpod: 48h
    canary: {{ item: {item}, path: {CANARY}, sha256: {sha256} }}
    sources:
      - name: homes
        kind: directory
        path: {path}
        items: children
        repository: example
        policy: standard
        exclude: [\"*.tmp\"]
schedules:
  - name: notebooks-daily
    kind: backup
    service: notebooks
    cron: \"15 1 * * *\"
    zone: {zone}
    jitter: 10m
    max_duration: 6h
  - name: notebooks-test
    kind: restore_test
    service: notebooks
    sample: 10
    cron: \"30 5 * * SUN\"
    zone: {zone}
    max_duration: 12h
  - name: example-check
    kind: check
    repository: example
    cron: \"30 3 * * SAT\"
    zone: {zone}
    max_duration: 12h
"
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::ffi::OsStrExt};

    use super::*;

    /// Every path with its kind, mode, time and content.
    fn fingerprint(root: &Path) -> BTreeMap<String, String> {
        fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                let content = if meta.is_file() {
                    hex::encode(Sha256::digest(fs::read(&path).unwrap()))
                } else if meta.is_symlink() {
                    fs::read_link(&path).unwrap().display().to_string()
                } else {
                    walk(root, &path, out);
                    String::new()
                };
                let name = hex::encode(path.strip_prefix(root).unwrap().as_os_str().as_bytes());
                let time = if meta.is_symlink() { 0 } else { meta.mtime() };
                out.insert(name, format!("{:o} {time} {content}", meta.mode()));
            }
        }
        let mut out = BTreeMap::new();
        walk(root, root, &mut out);
        out
    }

    #[test]
    fn two_machines_make_the_same_folders() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = generate_users(a.path(), 3).unwrap();
        let two = generate_users(b.path(), 3).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.users, 3);
        assert!(one.files > 60 && one.bytes > 2_000_000, "{one:?}");
        let prints = fingerprint(&exports(a.path()));
        assert_eq!(prints, fingerprint(&exports(b.path())));
        assert!(prints.len() as u64 > one.files);
    }

    #[test]
    fn what_is_there_stays_and_what_is_half_made_does_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("example/exports.partial/left-over")).unwrap();
        generate_users(dir.path(), 1).unwrap();
        let home = exports(dir.path()).join(names::folder(0));
        let password = fs::read(dir.path().join("example/repository.password")).unwrap();
        fs::write(home.join("mine.txt"), "kept").unwrap();
        let before = fingerprint(&exports(dir.path()));
        assert_eq!(generate_users(dir.path(), 1).unwrap().users, 1, "nothing left over is an item");
        assert_eq!(fingerprint(&exports(dir.path())), before);
        assert_eq!(fs::read(dir.path().join("example/repository.password")).unwrap(), password);
        assert_eq!(fs::read_to_string(home.join(CANARY)).unwrap(), CANARY_TEXT);
    }

    #[test]
    fn passwords_are_private_and_differ() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read = |dir: &Path| {
            generate_users(dir, 0).unwrap();
            let path = dir.join("example/repository.password");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            fs::read_to_string(path).unwrap()
        };
        let (one, two) = (read(a.path()), read(b.path()));
        assert_eq!(one.trim().len(), 48);
        assert_ne!(one, two);
    }

    #[test]
    fn the_configuration_is_one_that_apply_takes() {
        let text = config(Path::new("/srv/a \"b\""));
        let read = ops::config::parse(&text).unwrap();
        assert_eq!((read.repositories.len(), read.services.len(), read.services[0].sources.len(), read.schedules.len()), (1, 1, 1, 3));
        assert_eq!(read.services[0].canary.as_ref().unwrap().item, names::folder(0));
        assert!(text.contains(r#"path: "/srv/a \"b\"/example/exports""#), "{text}");
        assert!(text.contains(r#"location: "file:///srv/a \"b\"/example/repository""#), "{text}");
    }
}
