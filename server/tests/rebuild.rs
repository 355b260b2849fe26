//! The real binary: everything but the repository is deleted while a backup runs, and Holdfast comes back from it.

mod common;

use std::{collections::BTreeMap, fs, time::Duration};

use common::{Place, restic};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const KEY_FILE: &str = "recovery-key";

/// A place, and the PostgreSQL that its commands use instead of SQLite.
struct Site {
    place: Place,
    postgres: Option<String>,
}

impl Site {
    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let database = self.postgres.as_deref().map(|url| ["--database", url]);
        [database.as_slice().concat().as_slice(), args].concat()
    }

    fn run(&self, args: &[&str]) -> common::Said {
        self.place.run(&self.args(args))
    }

    fn url(&self) -> String {
        self.postgres.clone().unwrap_or_else(|| format!("sqlite://{}", self.place.path("data/holdfast.db").display()))
    }
}

/// Two people, one backup with a restore test and a copy; then new data and a backup that is killed in its middle.
fn lost_in_mid_operation(postgres: Option<String>) -> (Site, Value) {
    let place = Site { place: Place::with_homes(), postgres };
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    place.place.write("data/server.key", "the key of the server");
    let key = place.run(&["installation", "recovery-key"]);
    assert_eq!(key.code, 0, "{}", key.err);
    place.place.write(KEY_FILE, &key.out);
    assert_eq!(place.run(&["backup", "notebooks"]).code, 0);
    assert_eq!(place.run(&["restore-test", "notebooks", "--all"]).code, 0);
    place.place.write("homes/carol/large.bin", &"carol's own data ".repeat(3_000_000));
    let mut running = place.place.start(&place.args(&["backup", "notebooks"]));
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let child = loop {
        if let Some(child) = child_of(running.id()) {
            break child;
        }
        assert!(std::time::Instant::now() < deadline, "the backup never starts its work");
        std::thread::sleep(Duration::from_millis(5));
    };
    // Its work stands still, so that however slow the machine is, carol's data is not in the repository yet.
    kill_process(child, Signal::STOP).expect("it stands still");
    // The copy is made beside it, by another process.
    let copy = place.run(&["installation", "backup", "main", "--json"]);
    assert_eq!(copy.code, 0, "{}", copy.err);
    running.kill().expect("kill -9");
    running.wait().expect("it is gone");
    // It may have noticed by itself that nobody waits for it.
    kill_process(child, Signal::KILL).ok();
    (place, copy.json())
}

type Records = BTreeMap<String, Vec<String>>;

/// The records of the database as lines, by table.
fn records(place: &Site, folder: &str) -> Records {
    let folder = place.place.path(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let db = store::Db::open(&place.url()).await.expect("a database");
        let mut t = db.begin_read().await.expect("a transaction");
        assert!(store::audit::verify(t.tx()).await.expect("events").is_ok(), "the audit chain is whole");
        let exported = store::portable::export(t.tx(), &folder).await.expect("an export");
        drop(t);
        db.close().await;
        let lines = |name: &str| fs::read_to_string(folder.join(store::portable::file_of(name))).expect("lines").lines().map(str::to_owned).collect();
        exported.tables.iter().map(|t| (t.name.clone(), lines(&t.name))).collect()
    })
}

/// The process that carries out a job for that one.
fn child_of(parent: u32) -> Option<Pid> {
    let parent = parent.to_string();
    fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let of = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
        if of == parent { Pid::from_raw(entry.file_name().to_str()?.parse().ok()?) } else { None }
    })
}

fn rebuild<'a>(more: &[&'a str], from: &'a str) -> Vec<&'a str> {
    [&["rebuild", "--from", from, "--password-file", "password", "--json"][..], more].concat()
}

#[test]
fn everything_but_the_repository_goes_and_comes_back() {
    come_back(None, None);
}

#[test]
fn everything_but_the_repository_goes_and_comes_back_on_postgresql() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fresh = || runtime.block_on(store::testing::postgres_place());
    come_back(Some(fresh()), Some(fresh()));
}

/// `after` is the empty database that takes the place of the lost one.
fn come_back(before: Option<String>, after: Option<String>) {
    let (mut place, copy) = lost_in_mid_operation(before);
    let from = format!("file://{}", place.place.path("repository").display());
    // What was there, as commands show it.
    let before = place.run(&["snapshots", "--json"]).json();
    let records = records(&place, "before");
    fs::remove_dir_all(place.place.path("data")).expect("the loss");
    place.postgres = after;

    // Without the recovery key nothing happens; it is said which one is wanted.
    let refused = place.run(&rebuild(&[], &from));
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("--recovery-key-file") && !place.place.path("data/holdfast.db").exists(), "{refused:?}");

    let said = place.run(&rebuild(&["--recovery-key-file", KEY_FILE], &from));
    assert_eq!(said.code, 0, "{said:?}");
    let back = said.json();
    assert_eq!(back["copy"], copy["result"]["copy"], "{back}");
    assert_eq!((back["rows"].clone(), back["secrets"].clone()), (copy["result"]["rows"].clone(), serde_json::json!(["server.key"])), "{back}");
    assert_eq!(fs::read_to_string(place.place.path("data/server.key")).expect("the key"), "the key of the server");
    assert_eq!(back["runs_ended"].as_array().map(Vec::len), Some(1), "the killed backup: {back}");
    assert_eq!((&back["tables"]["service"], &back["tables"]["restore_test"]), (&1.into(), &1.into()), "{back}");
    assert_eq!(back["checks"][0]["state"], "succeeded", "{back}");

    // Services, people and history are the same line for line, and so is the audit chain up to the copy.
    let brought = self::records(&place, "after");
    for table in ["person", "source", "restore_test"] {
        assert_eq!(brought[table], records[table], "{table}");
    }
    let configured = |of: &Records| -> Vec<String> {
        let keys = ["id", "name", "title", "owner", "rpo_s", "rto_s", "best_level", "last_test_verdict"];
        of["service"].iter().map(|l| serde_json::from_str::<Value>(l).expect("JSON")).map(|s| keys.map(|k| s[k].to_string()).join(" ")).collect()
    };
    assert_eq!(configured(&brought), configured(&records));
    assert_eq!(brought["person"].len(), 2, "{:?}", brought["person"]);
    let carried = usize::try_from(back["audit_events"].as_i64().expect("a number")).expect("a count");
    assert_eq!(brought["audit_event"][..carried], records["audit_event"][..carried]);
    assert!(brought["audit_event"][carried].contains("installation.rebuild"), "{}", brought["audit_event"][carried]);
    let runs = |of: &Records| -> Vec<Value> { of["run"].iter().map(|l| serde_json::from_str(l).expect("JSON")).collect() };
    let ended = |r: &&Value| !matches!(r["state"].as_str(), Some("queued" | "running"));
    let copied = copy["id"].clone();
    for run in runs(&records).iter().filter(ended).filter(|r| r["id"] != copied) {
        assert!(runs(&brought).contains(run), "{run:#}");
    }
    let lost = runs(&brought).into_iter().find(|r| r["id"] == back["runs_ended"][0]).expect("the killed run");
    assert_eq!((lost["state"].as_str(), lost["failure"]["code"].as_str()), (Some("interrupted"), Some("installation_lost")), "{lost:#}");

    // The same snapshots are known as before, with what they prove; those of the killed run may have been adopted.
    let after = place.run(&["snapshots", "--json"]).json();
    for one in before["snapshots"].as_array().expect("snapshots") {
        let again = after["snapshots"].as_array().expect("snapshots").iter().find(|s| s["snapshot"] == one["snapshot"]);
        assert_eq!(again.map(|s| (&s["item"], &s["evidence"], &s["taken_at"])), Some((&one["item"], &one["evidence"], &one["taken_at"])), "{after}");
    }
    // It works: the next backup is whole, nobody is lost, and a copy of the new installation can be proven.
    let next = place.run(&["backup", "notebooks", "--json"]);
    assert_eq!(next.code, 0, "{next:?}");
    let items: Vec<_> = next.json()["items"].as_array().expect("items").iter().map(|i| i["name"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(items, ["alice", "bob", "carol"]);
    assert_eq!(place.run(&["installation", "backup", "main"]).code, 0);
    let proven = place.run(&["installation", "test", "main", "--json"]);
    assert_eq!((proven.code, proven.json()["result"]["verdict"].as_str()), (0, Some("passed")), "{proven:?}");

    let again = place.run(&rebuild(&["--recovery-key-file", KEY_FILE], &from));
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("is not empty: it holds") || again.err.contains("holds an installation already"), "{again:?}");
}

#[test]
fn stock_restic_restores_the_records_and_they_can_be_read() {
    let place = Place::with_homes();
    place.run(&["apply", "holdfast.yaml"]);
    place.run(&["backup", "notebooks"]);
    assert_eq!(place.run(&["installation", "backup", "main"]).code, 0);
    let listed: Value =
        serde_json::from_str(&restic(&place, &["snapshots", "--host", "holdfast-installation", "--tag", "holdfast-installation", "--json"])).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "the copy and the root of its pass: {listed}");
    restic(&place, &["restore", "latest", "--host", "holdfast-installation", "--tag", "item:holdfast-installation", "--target", "records"]);
    let file = find(&place, "records", "service.jsonl");
    let line: Value = serde_json::from_str(file.lines().next().expect("a service")).expect("JSON");
    assert_eq!((line["name"].as_str(), line["title"].as_str(), line["rpo_s"].as_i64()), (Some("notebooks"), Some("Notebooks"), Some(86_400)));
    assert!(find(&place, "records", "README.txt").contains("holdfast --data DIR rebuild"));
    let manifest: Value = serde_json::from_str(&find(&place, "records", "manifest.json")).expect("JSON");
    let table = manifest["tables"].as_array().expect("tables").iter().find(|t| t["name"] == "service").expect("the table");
    assert_eq!((&table["rows"], &table["sha256"]), (&1.into(), &Value::from(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&file)))));
    place.write("records.yaml", &find(&place, "records", "configuration.yaml"));
    assert!(place.run(&["apply", "records.yaml"]).out.contains("as it was"));
    restic(&place, &["check", "--read-data"]);
}

fn find(place: &Place, below: &str, name: &str) -> String {
    let mut todo = vec![place.path(below)];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                todo.push(entry.path());
            } else if entry.file_name().to_str() == Some(name) {
                return fs::read_to_string(entry.path()).expect("text");
            }
        }
    }
    panic!("{name} is not in {below}");
}

#[tokio::test]
async fn sqlite_comes_back_as_postgresql_and_says_what_is_missing() {
    let place = Place::with_homes();
    place.run(&["apply", "holdfast.yaml"]);
    place.run(&["backup", "notebooks"]);
    assert_eq!(place.run(&["installation", "backup", "main"]).code, 0);
    fs::remove_dir_all(place.path("data")).expect("the loss");
    fs::rename(place.path("password"), place.path("elsewhere")).expect("another place");
    fs::rename(place.path("homes"), place.path("away")).expect("another place");
    let from = format!("file://{}", place.path("repository").display());
    let url = store::testing::postgres_place().await;
    let said = place.run(&["--database", &url, "rebuild", "--from", &from, "--password-file", "elsewhere"]);
    assert_eq!(said.code, 3, "{said:?}");
    for word in [
        "Holdfast is back",
        "the chain is whole",
        "Missing on this machine",
        "repository main: password",
        "source notebooks/homes",
        "configuration.rebuilt.yaml",
        "serve",
    ] {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
    assert!(!place.path("data/holdfast.db").exists());
    let found = place.run(&["--database", &url, "snapshots", "--json"]).json();
    assert_eq!(found["snapshots"].as_array().map(Vec::len), Some(2), "{found}");
    let again = place.run(&["--database", &url, "rebuild", "--from", &from, "--password-file", "elsewhere"]);
    assert_eq!(again.code, 2, "{again:?}");
}

#[test]
fn it_comes_back_from_s3_as_well() {
    use std::io::{Read as _, Write as _};
    #[allow(clippy::disallowed_methods, reason = "tests are told by the environment where the emulator is")]
    let emulator = std::env::var("HOLDFAST_TEST_S3").expect("HOLDFAST_TEST_S3 must name an S3 emulator; `make test` starts one");
    let host = emulator.trim_start_matches("http://").trim_end_matches('/');
    let bucket = format!("own-{}", std::process::id());
    let mut stream = std::net::TcpStream::connect(host).expect("the emulator");
    write!(stream, "PUT /{bucket} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(" 200 "), "{answer}");

    let place = Place::with_homes();
    let yaml = fs::read_to_string(place.path("holdfast.yaml")).expect("text");
    let folder = format!("location: file://{}", place.path("repository").display());
    let keys = "access_key_id: AK\n    secret_access_key: { env: AWS_SECRET_ACCESS_KEY }";
    place.write("holdfast.yaml", &yaml.replace(&folder, &format!("location: s3://{bucket}/main\n    endpoint: http://{host}\n    {keys}")));
    let run = |args: &[&str]| -> common::Said {
        let mut command = place.holdfast(&[&["--data", "data"], args].concat());
        command.env("AWS_ACCESS_KEY_ID", "AK").env("AWS_SECRET_ACCESS_KEY", "SK-of-the-storage").output().expect("holdfast runs").into()
    };
    for args in [&["apply", "holdfast.yaml"][..], &["backup", "notebooks"], &["installation", "backup", "main"]] {
        let said = run(args);
        assert_eq!(said.code, 0, "{said:?}");
    }
    fs::remove_dir_all(place.path("data")).expect("the loss");
    let (from, endpoint) = (format!("s3://{bucket}/main"), format!("http://{host}"));
    let said = run(&rebuild(&["--endpoint", &endpoint], &from));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!format!("{}{}", said.out, said.err).contains("SK-of-the-storage"), "{said:?}");
    assert_eq!(said.json()["tables"]["snapshot"], 2, "{said:?}");
}

#[test]
fn wrong_words_change_nothing() {
    let place = Place::with_homes();
    let from = format!("file://{}", place.path("repository").display());
    for (args, word) in [
        (vec!["rebuild"], "--from"),
        (vec!["rebuild", "--from", &from], "the repository's password is missing: give it with --password-file"),
        (rebuild(&[], &from), "holds no repository"),
        (rebuild(&["--at", "yesterday"], &from), "--at yesterday: write a day such as 2026-01-31"),
        (rebuild(&["--recovery-key-file", "password"], &from), "a recovery key has 55 letters and digits"),
        (rebuild(&["--recovery-key-file", "none"], &from), "--recovery-key-file none: it cannot be read"),
    ] {
        let said = place.run(&args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(said.err.contains(word), "{args:?}: {}", said.err);
        assert!(!place.path("data/holdfast.db").exists());
    }
}

#[test]
fn a_newer_database_is_refused_with_a_clear_word() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let db = store::Db::open(&format!("sqlite://{}", place.path("data/holdfast.db").display())).await.expect("SQLite");
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, x'', 0)";
        let mut t = db.begin().await.expect("a transaction");
        store::testing::execute(t.tx(), sql).await;
        t.commit().await.expect("committed");
        db.close().await;
    });
    for args in [&["snapshots"][..], &["serve", "--listen", "127.0.0.1:0"], &["backup", "notebooks"]] {
        let said = place.run(args);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("written by a newer version of Holdfast (migration 9999); start that version or restore the copy"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_on_an_old_database_at_once_migrate_it_once() {
    let place = Place::new();
    let postgres = store::testing::postgres_place().await;
    let sqlite = format!("sqlite://{}", place.path("old.db").display());
    for url in [sqlite, postgres] {
        store::Db::open_at(&url, 1).await.expect("the first schema").close().await;
        std::thread::scope(|s| {
            let all: Vec<_> = (0..4).map(|_| s.spawn(|| place.run(&["--database", &url, "snapshots"]))).collect();
            for one in all {
                let said = one.join().expect("a process");
                assert_eq!((said.code, said.err.as_str(), said.out.as_str()), (0, "", "There are no such snapshots.\n"), "{url}");
            }
        });
    }
    assert!(place.path("old.db.before-1").exists(), "the copy before the migration");
}

#[test]
fn secrets_stay_sealed_in_the_repository_and_come_back_with_the_key() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let keys = ops::seal::Keys::of(&place.path("data"));
    keys.make().expect("the server's key");
    let vault = ops::secrets::Vault::new(std::sync::Arc::default(), keys);
    let typed = "https://chat.example.org/hooks/typed-by-a-person";
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let open = || async {
        let db = store::Db::open(&format!("sqlite://{}", place.path("data/holdfast.db").display())).await.expect("SQLite");
        ops::Ctx::new(db, ops::Actor::shell(), "test")
    };
    runtime.block_on(async {
        let ctx = open().await;
        let secrets = [("url".to_owned(), ops::notifications::Given::Typed(engine::job::Secret::new(typed)))].into();
        let kind = domain::channel::ChannelKind::Slack;
        let new = ops::notifications::channels::NewChannel { name: "chat".into(), kind, options: domain::channel::Options::default(), secrets };
        ops::notifications::channels::save(&ctx, &vault, &new).await.expect("a channel");
        ctx.db.close().await;
    });
    let loud = |args: &[&str]| -> common::Said {
        let mut command = place.holdfast(&[&["--data", "data"], args].concat());
        command.env("RUST_LOG", "trace").output().expect("holdfast runs").into()
    };
    let key = place.run(&["installation", "recovery-key"]);
    place.write(KEY_FILE, &key.out);
    let server_key = fs::read_to_string(place.path("data/server.key")).expect("the key");
    let line = server_key.lines().find(|l| !l.starts_with('#')).expect("a key").to_owned();
    let paper = key.out.lines().next().expect("a key").to_owned();
    let secrets = [typed.to_owned(), "typed-by-a-person".into(), line, hex::encode(&server_key), paper.replace('-', ""), paper, "correct horse".into()];
    let clean = |what: &str, bytes: &[u8]| {
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{what} holds a secret in clear: {secret}");
        }
    };
    assert_eq!(place.run(&["backup", "notebooks"]).code, 0);
    let copy = loud(&["installation", "backup", "main"]);
    assert_eq!(copy.code, 0, "{copy:?}");
    clean("the log of the copy", format!("{}{}", copy.out, copy.err).as_bytes());

    // All that the snapshot holds, as stock restic decrypts it.
    restic(&place, &["restore", "latest", "--host", "holdfast-installation", "--target", "records"]);
    let mut files = 0;
    let mut todo = vec![place.path("records")];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                todo.push(entry.path());
            } else {
                files += 1;
                clean(&entry.path().display().to_string(), &fs::read(entry.path()).expect("bytes"));
            }
        }
    }
    assert!(files > 20, "{files}");

    fs::remove_dir_all(place.path("data")).expect("the loss");
    let from = format!("file://{}", place.path("repository").display());
    place.write("wrong-key", &domain::installation::RecoveryKey::new([9; 32]).text());
    let wrong = loud(&rebuild(&["--recovery-key-file", "wrong-key"], &from));
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("does not open the secrets of this copy"), "{wrong:?}");
    assert_eq!(fs::read_dir(place.path("data")).map_or(0, Iterator::count), 0, "nothing is left behind");
    let said = loud(&rebuild(&["--recovery-key-file", KEY_FILE], &from));
    assert_eq!(said.code, 0, "{said:?}");
    clean("the log of the rebuild", format!("{}{}{}{}", said.out, said.err, wrong.out, wrong.err).as_bytes());
    runtime.block_on(async {
        let ctx = open().await;
        let row = ops::notifications::channels::find(&ctx, "chat").await.expect("the channel").row;
        let revealed = ops::notifications::channels::reveal(&vault, &row).await.expect("it opens");
        assert_eq!(revealed["url"].reveal(), typed, "the channel works as before");
        ctx.db.close().await;
    });
    // Without the key all comes back but what was sealed, and what is to be entered again is named.
    fs::remove_dir_all(place.path("data")).expect("another loss");
    let without = place.run(&rebuild(&["--without-secrets"], &from));
    assert_eq!(without.code, 3, "{without:?}");
    assert!(without.json()["missing"].to_string().contains("channel chat"), "{without:?}");
}
