//! Every mistake with its exact words, the whole good file, what `apply` writes, and texts of any kind.

use proptest::prelude::*;
use serde_json::json;
use store::{audit, repositories, services, sources, testing};

use super::*;
use crate::{Actor, Ctx, OpsError};

pub(super) const GOOD: &str = r#"version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { file: /etc/holdfast/main.password }
  - name: cloud
    location: s3://bucket/some/prefix/
    endpoint: http://127.0.0.1:5000
    region: eu-west-1
    access_key_id: AKIA1
    secret_access_key: { env: S3_KEY }
    session_token: { file: /run/token }
    password: { env: CLOUD_PASSWORD }
services:
  - name: notebooks
    title: EGI Notebooks
    owner: notebooks-ops
    rpo: 24h
    rto: 1h30m
    mtpod: 48h
    canary: { item: alice, path: sub/canary.txt, sha256: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA }
    sources:
      - name: homes
        kind: directory
        path: /srv/exports/
        items: children
        repository: main
        exclude: ["*.tmp", '.cache']
      - name: shared
        kind: directory
        path: /srv/shared
        items: self
        repository: cloud
  - name: small
    owner: somebody
    sources:
      - { name: data, kind: directory, path: /data, items: self, repository: main }
"#;

#[test]
fn the_whole_file_is_read() {
    let config = parse(GOOD).unwrap();
    let [main, cloud] = &config.repositories[..] else { panic!("{config:?}") };
    assert_eq!(main.location, "file:///srv/backup/main");
    assert_eq!(serde_json::to_value(&main.password).unwrap(), json!({"file": "/etc/holdfast/main.password"}));
    assert_eq!(cloud.location, "s3://bucket/some/prefix");
    assert_eq!(
        serde_json::to_value(&cloud.options).unwrap(),
        json!({
            "plain": {"endpoint": "http://127.0.0.1:5000", "region": "eu-west-1", "access_key_id": "AKIA1", "allow_http": "true"},
            "secret": {"secret_access_key": {"env": "S3_KEY"}, "session_token": {"file": "/run/token"}},
        })
    );
    let [notebooks, small] = &config.services[..] else { panic!("{config:?}") };
    assert_eq!((notebooks.rpo_s, notebooks.rto_s, notebooks.mtpod_s), (Some(86_400), Some(5_400), Some(172_800)));
    assert_eq!(notebooks.canary, Some(Canary { item: "alice".into(), path: "sub/canary.txt".into(), sha256: "a".repeat(64) }));
    assert_eq!(
        serde_json::to_value(&notebooks.sources[0].config).unwrap(),
        json!({"kind": "directory", "path": "/srv/exports", "items": "children", "exclude": ["*.tmp", ".cache"]})
    );
    assert_eq!((small.title.as_str(), small.rpo_s, &small.canary), ("small", None, &None));
    assert_eq!(parse("version: 1\n").unwrap(), Config::default());
}

#[test]
fn a_repository_may_say_how_many_runs_use_it_at_a_time() {
    let text = |n: &str| format!("version: 1\nrepositories:\n  - name: main\n    location: file:///srv/a\n    password: {{ env: P }}\n    max_parallel: {n}\n");
    assert_eq!(parse(&text("2")).unwrap().repositories[0].max_parallel, Some(2));
    for wrong in ["0", "-1", "many", "1001", "2.5"] {
        let said = parse(&text(wrong)).unwrap_err();
        assert_eq!(said[0].to_string(), format!("6:19: “max_parallel”: “{wrong}” is not a whole number from 1 to 1000"));
    }
}

#[test]
fn the_time_within_which_all_is_read_is_a_day_or_longer() {
    let text =
        |n: &str| format!("version: 1\nrepositories:\n  - name: main\n    location: file:///srv/a\n    password: {{ env: P }}\n    read_all_within: {n}\n");
    assert_eq!(parse(&text("30d")).unwrap().repositories[0].read_all_within_s, Some(30 * 86_400));
    assert_eq!(parse(&text("1d")).unwrap().repositories[0].read_all_within_s, Some(86_400));
    let said = |n: &str| parse(&text(n)).unwrap_err()[0].to_string();
    assert!(said("23h").starts_with("6:22: “read_all_within” is shorter than a day; write at least 1d"), "{}", said("23h"));
    assert!(said("often").starts_with("6:22: “read_all_within”: “often” is not a duration"), "{}", said("often"));
}

/// The good file with its only `old` replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "{old} must stand once in the good file");
    GOOD.replacen(old, new, 1)
}

fn told(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    let secret = "must not stand in this file; put it into a file that only the server reads and write";
    let changed = "change the secret if others have seen this file";
    let cases: &[(&str, &str, &[&str])] = &[
        // keys
        (
            "repositories:\n",
            "repositorys:\n",
            &[
                "2:1: unknown key “repositorys” in the top level; did you mean “repositories”?",
                "27:21: there is no repository “main”; add it to the list of repositories",
                "33:21: there is no repository “cloud”; add it to the list of repositories",
                "37:78: there is no repository “main”; add it to the list of repositories",
            ],
        ),
        ("    rpo: 24h\n", "    rop: 24h\n", &["18:5: unknown key “rop” in a service; did you mean “rpo”?"]),
        (
            "        exclude: [\"*.tmp\", '.cache']\n",
            "        rpo: 24h\n",
            &["28:9: “rpo” does not belong in a source; it belongs in a service or a restore test"],
        ),
        ("    rpo: 24h\n", "    path: /srv\n", &["18:5: “path” does not belong in a service; it belongs in a canary, a source or a further check"]),
        (
            "    rpo: 24h\n",
            "    passwort: 24h\n",
            &["18:5: unknown key “passwort” in a service; did you mean “password”, which belongs in a repository or a channel?"],
        ),
        ("    owner: somebody\n", "    owner:\n      title: somebody\n", &["36:7: “owner” must be text; write owner: notebooks-ops"]),
        (
            "    sources:\n      - { name: data,",
            "sources:\n      - { name: data,",
            &["34:5: a service needs “sources”; add sources: and a list below", "36:1: “sources” does not belong in the top level; it belongs in a service"],
        ),
        (
            "    rto: 1h30m\n",
            "    rto: 90 minutes\n",
            &["19:10: “rto”: “90 minutes” is not a duration; write a number and a unit, such as 90s, 15m, 24h or 7d"],
        ),
        (
            "    rpo: 24h\n",
            "    zzz: 1\n",
            &["18:5: unknown key “zzz” in a service; known are name, title, owner, rpo, rto, mtpod, canary, sources and restore_tests"],
        ),
        ("    rpo: 24h\n", "    rpo: 24h\n    rpo: 25h\n", &["19:5: “rpo” is given twice here; the first is on line 18; remove one"]),
        ("    rpo: 24h\n", "    [a]: 24h\n", &["18:5: a key must be a plain word"]),
        // what must be there
        ("version: 1\n", "", &["1:1: the top level needs “version”; add version: 1"]),
        ("version: 1\n", "version: 2\n", &["1:10: version “2” is not known; this Holdfast reads version: 1"]),
        (
            "    location: file:///srv/backup/main\n",
            "",
            &[
                "3:5: a repository needs “location”; add location: file:///srv/backup/main, s3://bucket/prefix or openstack+https://keystone.example.org:5000/v3",
            ],
        ),
        ("    password: { env: CLOUD_PASSWORD }\n", "", &["6:5: a repository needs “password”; add password: { file: /etc/holdfast/main.password }"]),
        ("    owner: notebooks-ops\n", "", &["15:5: a service needs “owner”; add owner: notebooks-ops"]),
        ("        path: /srv/exports/\n", "", &["23:9: a source needs “path”; add path: /srv/exports"]),
        ("        path: /srv/exports/\n", "        path:\n", &["25:9: “path” has no value; write path: /srv/exports"]),
        ("    title: EGI Notebooks\n", "    title: ''\n", &["16:12: “title” is empty; write title: EGI Notebooks"]),
        // types
        ("    title: EGI Notebooks\n", "    title: [a]\n", &["16:12: “title” must be text; write title: EGI Notebooks"]),
        ("        exclude: [\"*.tmp\", '.cache']\n", "        exclude: tmp\n", &["28:18: “exclude” must be a list; write exclude: [\"*.tmp\"]"]),
        (
            "        exclude: [\"*.tmp\", '.cache']\n",
            "        exclude: [[a], '']\n",
            &[
                "28:19: each entry of “exclude” must be a pattern in quotes, such as \"*.tmp\"",
                "28:24: each entry of “exclude” must be a pattern in quotes, such as \"*.tmp\"",
            ],
        ),
        (
            "      - { name: data, kind: directory, path: /data, items: self, repository: main }\n",
            "        name: data\n",
            &["37:9: “sources” must be a list; begin each entry with “- ”"],
        ),
        (
            "      - { name: data, kind: directory, path: /data, items: self, repository: main }\n",
            "      - data\n",
            &["37:9: a source is written as keys and values, such as name: homes"],
        ),
        (
            "      - { name: data, kind: directory, path: /data, items: self, repository: main }\n",
            "      []\n",
            &["37:7: “sources” is empty; a service needs at least one source to be backed up"],
        ),
        ("rpo: 24h", "rpo: 24", &["18:10: “rpo”: “24” is not a duration; write a number and a unit, such as 90s, 15m, 24h or 7d"]),
        ("rpo: 24h", "rpo: 9999999w", &["18:10: “rpo” is longer than a hundred years; write a shorter span"]),
        // names and references
        ("  - name: small\n", "  - name: notebooks\n", &["34:11: a second service is called “notebooks”; the first is on line 15; rename one"]),
        ("      - name: shared\n", "      - name: homes\n", &["29:15: a second source of this service is called “homes”; the first is on line 23; rename one"]),
        ("  - name: small\n", "  - name: Small One\n", &["34:11: the name “Small One” must start with a lower-case letter or a digit"]),
        ("        repository: cloud\n", "        repository: clout\n", &["33:21: there is no repository “clout”; did you mean “cloud”?"]),
        (
            "        repository: cloud\n",
            "        repository: other\n",
            &["33:21: there is no repository “other”; use cloud or main, or add it to the list of repositories"],
        ),
        (
            "location: s3://bucket/some/prefix/",
            "location: file:///srv/backup/main/",
            &[
                "7:15: this is the location of “main” on line 3 already; use that repository, or another place",
                "8:5: “endpoint” is for s3:// locations; remove it, a folder needs none",
                "9:5: “region” is for s3:// locations; remove it, a folder needs none",
                "10:5: “access_key_id” is for s3:// locations; remove it, a folder needs none",
                "11:5: “secret_access_key” is for s3:// locations; remove it, a folder needs none",
                "12:5: “session_token” is for s3:// locations; remove it, a folder needs none",
            ],
        ),
        // secrets
        (
            "password: { env: CLOUD_PASSWORD }",
            "password: hunter2",
            &[&format!("13:15: “password” {secret} password: {{ file: /path }}, or password: {{ env: NAME }}; {changed}")],
        ),
        (
            "secret_access_key: { env: S3_KEY }",
            "secret_access_key: hunter2",
            &[&format!("11:24: “secret_access_key” {secret} secret_access_key: {{ file: /path }}, or secret_access_key: {{ env: NAME }}; {changed}")],
        ),
        ("{ env: CLOUD_PASSWORD }", "{ env: $hunter2 }", &["13:22: “env” must be the name of an environment variable: letters, digits and “_”, without “$”"]),
        (
            "{ env: CLOUD_PASSWORD }",
            "{ file: hunter2 }",
            &["13:23: “file” must be the absolute path of a file whose first line is the secret; begin it with /"],
        ),
        ("{ env: CLOUD_PASSWORD }", "{ env: A, file: /b }", &["13:17: both “file” and “env” are given; keep one"]),
        ("{ env: CLOUD_PASSWORD }", "{}", &["13:15: “password” needs “file” or “env”; write password: { file: /path } or password: { env: NAME }"]),
        (
            "{ env: CLOUD_PASSWORD }",
            "{ value: hunter2 }",
            &[
                "13:15: “password” needs “file” or “env”; write password: { file: /path } or password: { env: NAME }",
                "13:17: unknown key “value” in a reference to a secret; known are file and env",
            ],
        ),
        ("{ env: CLOUD_PASSWORD }", "", &["13:5: “password” has no value; write password: { file: /path } or password: { env: NAME }"]),
        (
            "s3://bucket/some/prefix/",
            "s3://me:hunter2@bucket/x",
            &["7:15: the location must not hold credentials (the part before “@”); give them as access_key_id and secret_access_key"],
        ),
        (
            "http://127.0.0.1:5000",
            "http://me:hunter2@127.0.0.1",
            &["8:15: “endpoint” must not hold credentials (the part before “@”); give them as access_key_id and secret_access_key"],
        ),
        ("http://127.0.0.1:5000", "127.0.0.1:5000", &["8:15: “endpoint”: “127.0.0.1:5000” is not an address; write it as https://s3.example.org"]),
        (
            "    secret_access_key: { env: S3_KEY }\n",
            "",
            &["10:5: “access_key_id” needs “secret_access_key” beside it; add secret_access_key: { file: /etc/holdfast/s3.key }"],
        ),
        // paths and locations
        ("path: /srv/exports/", "path: exports", &["25:15: “path” must be an absolute path; “exports” depends on where the server starts, begin it with /"]),
        ("path: /srv/exports/", "path: /srv/a/../b", &["25:15: “path” must not hold “..”; write where it leads"]),
        (
            "path: /srv/exports/",
            "path: /srv/",
            &["25:15: the repository lies inside this path (/srv/backup/main) and would back itself up; keep the two apart"],
        ),
        (
            "file:///srv/backup/main",
            "file://srv/backup",
            &["4:15: the location “file://srv/backup” must be absolute: file:///absolute/path, with three slashes"],
        ),
        ("file:///srv/backup/main", "/srv/backup", &["4:15: the location needs its kind in front; write file:///srv/backup"]),
        (
            "file:///srv/backup/main",
            "sftp://host/path",
            &[
                "4:15: the location “sftp://host/path” is of a kind that is not supported; use file:///absolute/path, s3://bucket/prefix or openstack+https://keystone.example.org/v3",
            ],
        ),
        ("s3://bucket/some/prefix/", "s3:///prefix", &["7:15: the location “s3:///prefix” names no bucket; write s3://bucket/prefix"]),
        ("file:///srv/backup/main", "memory://x", &["4:15: memory:// lasts no longer than a process; use file:///absolute/path or s3://bucket/prefix"]),
        (
            "items: children",
            "items: child",
            &["26:16: “items”: “child” is not known; write children (each folder below is an item) or self (the folder is the item)"],
        ),
        (
            "        kind: directory\n        path: /srv/shared",
            "        kind: postgresql\n        path: /srv/shared",
            &["30:15: the kind “postgresql” is not known; use directory or openstack-instance"],
        ),
        // canary
        ("sub/canary.txt", "../canary.txt", &["21:34: “path”: “../canary.txt” must lie inside the item; write it without a leading / and without “..”"]),
        ("item: alice, ", "", &["21:13: a canary needs “item”; add item: alice"]),
        (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "abc",
            &["21:58: “sha256” must be 64 hexadecimal digits; take what sha256sum prints for the file"],
        ),
        // what is no YAML, or more of it than is wanted
        ("    rpo: 24h\n", "\trpo: 24h\n", &["18:1: a tab; indent with spaces, two for each level"]),
        ("[\"*.tmp\", '.cache']", "[*.tmp]", &["28:19: “*” and “&” have a meaning of their own in YAML; put the value in quotes, such as \"*.tmp\""]),
        ("EGI Notebooks", "&a EGI Notebooks", &["16:12: anchors (&) are not supported; write the plain value, or quote it"]),
        ("EGI Notebooks", "!secret EGI", &["16:12: tags (!) are not supported; write the plain value, or quote it"]),
        ("EGI Notebooks", "EGI: Notebooks", &["16:15: a “:” in the wrong place; check the indentation, or put a value that holds “: ” in quotes"]),
        ("version: 1\n", "version: 1\n---\nversion: 1\n", &["2:1: a second document starts here; keep one configuration in a file"]),
    ];
    for (old, new, want) in cases {
        let got = told(&with(old, new));
        assert_eq!(got, *want, "{old} -> {new}");
        assert!(!got.concat().contains("hunter2"), "a secret is repeated: {got:?}");
    }
    for (text, want) in [
        ("", "1:1: the file is empty; begin with version: 1"),
        ("# nothing\n", "1:1: the file is empty; begin with version: 1"),
        ("just words", "1:1: the top level is written as keys and values, such as version: 1"),
        ("a: {\n", "1:4: the “{” is not closed; close it, or look for a missing comma below"),
        ("a: \"x\n", "1:4: the quotes do not close or hold something wrong (while scanning a quoted scalar, found unexpected end of stream)"),
    ] {
        assert_eq!(told(text), [want], "{text:?}");
    }
    assert_eq!(told(&"[".repeat(10_000)), ["1:256: lists and mappings stand too deep in each other here"]);
    assert_eq!(told(&"- ".repeat(100))[0], "1:33: lists and mappings stand too deep in each other here");
}

#[test]
fn many_mistakes_come_together_and_bounded() {
    let text = with("    rpo: 24h\n", "    rop: 24h\n").replace("rto: 1h30m", "rto: soon").replace("items: self\n", "items: all\n");
    assert_eq!(told(&text).len(), 3);
    let many: Vec<String> = (0..200).map(|n| format!("key{n}: 1")).collect();
    let got = told(&format!("version: 1\n{}\n", many.join("\n")));
    assert_eq!(got.len(), 51);
    assert_eq!(got[50], "52:1: and 150 more from here on; mend the ones above first");
}

#[tokio::test]
async fn applying_writes_what_differs_and_an_event_for_each() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "shell");
        let config = parse(GOOD).unwrap();
        let first = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        assert_eq!(
            first.created.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["main", "cloud", "notebooks", "notebooks/homes", "notebooks/shared", "small", "small/data"]
        );
        assert!(first.changed.is_empty() && first.unchanged.is_empty());

        let again = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        let names = |all: &[Subject]| all.iter().map(|s| (s.entity, s.name.clone())).collect::<Vec<_>>();
        assert!(again.is_nothing(), "{}: {again:?}", t.name);
        assert_eq!(names(&again.unchanged), names(&first.created), "{}", t.name);

        // A root snapshot is the parent in its own repository only.
        let service = services::find_by_name(t.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap();
        let homes = sources::of_service(t.db.read().await.unwrap().tx(), service.id()).await.unwrap().remove(0);
        let mut tx = t.db.begin().await.unwrap();
        sources::set_root(tx.tx(), homes.id(), "abc").await.unwrap();
        tx.commit().await.unwrap();
        let edited = with("rpo: 24h", "rpo: 12h").replace("repository: main\n        exclude: [\"*.tmp\", '.cache']", "repository: cloud");
        let third = apply(&ctx, &parse(&edited).unwrap(), Some("holdfast.yaml")).await.unwrap();
        assert_eq!(third.changed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["notebooks", "notebooks/homes"]);
        let mut reader = t.db.read().await.unwrap();
        let moved = sources::find(reader.tx(), homes.id()).await.unwrap().unwrap();
        let cloud = repositories::find_by_name(reader.tx(), "cloud").await.unwrap().unwrap();
        assert_eq!((moved.repository_id, moved.root_snapshot), (cloud.id, None), "{}", t.name);

        let events = audit::page(reader.tx(), 0, 100).await.unwrap();
        assert_eq!(events.len(), 9, "{}", t.name);
        let service_event = &events[7];
        assert_eq!((service_event.action.as_str(), service_event.actor.as_str(), service_event.origin.as_str()), ("service.apply", "shell", "shell"));
        assert_eq!(service_event.entity_id, service.id().to_string());
        assert_eq!(service_event.before.as_ref().unwrap().0, json!({"name": "notebooks", "rpo_s": 86_400}));
        assert_eq!(service_event.after.as_ref().unwrap().0, json!({"name": "notebooks", "rpo_s": 43_200}));
        assert_eq!(events[8].before.as_ref().unwrap().0["repository"], "main");
        assert_eq!(audit::verify(reader.tx()).await.unwrap(), Ok(9));

        // What the file no longer names stays.
        let nothing = apply(&ctx, &parse("version: 1\n").unwrap(), Some("holdfast.yaml")).await.unwrap();
        assert!(nothing.is_nothing() && nothing.unchanged.is_empty(), "{nothing:?}");
        let sorted = |mut all: Vec<_>| {
            all.sort();
            all
        };
        assert_eq!(sorted(names(&nothing.left_alone)), sorted(names(&first.created)));
        assert_eq!(services::count(reader.tx()).await.unwrap(), 2);

        let auditor = Ctx { actor: Actor::new("eva", crate::Role::Auditor), ..ctx };
        assert!(matches!(apply(&auditor, &config, Some("holdfast.yaml")).await, Err(OpsError::Forbidden(_))));
    }
}

/// Reads the text and checks that every place lies in it.
fn survives(text: &str) {
    // A carriage return alone ends a line, too (YAML 1.2, 5.4).
    let lines = text.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\r')).count() + 1;
    if let Err(mistakes) = parse(text) {
        assert!(!mistakes.is_empty() && mistakes.len() <= 51);
        for m in mistakes {
            assert!((1..=lines).contains(&m.line) && m.col >= 1 && !m.message.is_empty(), "{m:?} in {text:?}");
        }
    }
}

#[test]
fn what_is_left_out_at_the_end_has_a_place_in_the_text() {
    for text in ["? ", "version: 1\nrepositories:", "version: 1\n? \r\n", "- "] {
        survives(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        survives(&text);
    }

    #[test]
    fn any_yaml_like_text_is_survived(text in "([ \\t\\n\\r]{0,3}[-:?,\\[\\]{}#&*!|>'\"%@`~a1\u{feff}é]{0,3}){0,40}") {
        survives(&text);
    }

    #[test]
    fn a_damaged_file_is_survived(at in 0..GOOD.len(), remove in 0_usize..20, insert in "([-:?,\\[\\]{}#&*!|>'\"%@`~a1é \\n\\t]|name: |- ){0,4}") {
        let end = (at + remove).min(GOOD.len());
        survives(&format!("{}{insert}{}", &GOOD[..at], &GOOD[end..]));
    }

    #[test]
    fn shuffled_lines_are_survived(lines in Just(GOOD.lines().collect::<Vec<_>>()).prop_shuffle(), keep in 0_usize..40) {
        survives(&lines[..keep.min(lines.len())].join("\n"));
    }
}
