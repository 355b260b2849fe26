//! Clouds and instances in the file: every way to prove who one is, what does not go together, `clouds.yaml`, and the
//! file written back.

use domain::instance::SnapshotParams;
use engine::{job::InstanceConfig, sources::openstack::CloudConfig};
use serde_json::json;
use store::{repositories, repositories::SecretRef, testing};

use super::{clouds::named, *};
use crate::{Actor, Ctx, OpsError};

pub(super) const CLOUDS: &str = r#"version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { env: MAIN }
  - name: geneva
    location: openstack+https://keystone.example.org:5000/v3/
    region: cern
    interface: internal
    application_credential_id: 21dced0f
    ca: /etc/ssl/cern.pem
    password: { file: /etc/holdfast/geneva.secret }
    max_parallel: 4
  - name: meyrin
    location: openstack+https://keystone.example.org:5000/v3
    auth: password
    username: backup
    user_domain: CERN
    project: IT web
    password: { env: MEYRIN }
  - name: prevessin
    clouds_file: /etc/openstack/clouds.yaml
    cloud: prod
    region: two
services:
  - name: web
    owner: web-ops
    sources:
      - { name: vms, kind: openstack-instance, instances: ["web-*", db], repository: geneva }
      - { name: all, kind: openstack-instance, repository: prevessin }
      - { name: conf, kind: directory, path: /etc/web, items: self, repository: main }
schedules:
  - name: vms-nightly
    kind: backup
    source: web/vms
    cron: "15 1 * * *"
    zone: UTC
    instance: web-1
    pattern: "{0}-nightly-{1}"
    max_snapshots: 5
    wait: false
    instance_stop: true
    to_addr_error: [ops@example.org]
  - { name: all-nightly, kind: backup, service: web, cron: "15 2 * * *", zone: UTC, max_snapshots: 3 }
  - { name: plain, kind: backup, source: web/all, cron: "15 3 * * *", zone: UTC }
"#;

#[test]
fn clouds_and_instances_are_read_and_written_back() {
    let config = parse(CLOUDS).unwrap();
    let [_, geneva, meyrin, prevessin] = &config.repositories[..] else { panic!("{config:?}") };
    assert_eq!((geneva.location.as_str(), geneva.max_parallel), ("openstack+https://keystone.example.org:5000/v3", Some(4)));
    assert_eq!(
        json!(geneva.options.plain),
        json!({"region": "cern", "interface": "internal", "application_credential_id": "21dced0f", "ca": "/etc/ssl/cern.pem"})
    );
    assert_eq!(json!(meyrin.options.plain), json!({"auth": "password", "username": "backup", "user_domain": "CERN", "project": "IT web"}));
    assert_eq!(prevessin.location, "openstack+file:///etc/openstack/clouds.yaml#prod");
    assert_eq!(prevessin.password, SecretRef::File("/etc/openstack/clouds.yaml".into()));
    // What is read here, the client takes.
    for of in [geneva, meyrin] {
        CloudConfig::of(&of.location, &of.options.plain).unwrap();
    }
    let [vms, all, _] = &config.services[0].sources[..] else { panic!("{config:?}") };
    assert_eq!(vms.config, SourceConfig::OpenstackInstance(InstanceConfig { instances: vec!["web-*".into(), "db".into()], offsite: None }));
    let SourceConfig::OpenstackInstance(globs) = &vms.config else { panic!() };
    assert!(globs.takes("web-17") && globs.takes("db") && !globs.takes("db-2") && !globs.takes("webmail"));
    assert_eq!(all.config, SourceConfig::OpenstackInstance(InstanceConfig::default()));
    let asked: Vec<_> = config.schedules.iter().map(|s| s.snapshot.clone()).collect();
    let first = SnapshotParams {
        instance: "web-1".into(),
        pattern: "{0}-nightly-{1}".into(),
        max_snapshots: 5,
        wait: false,
        instance_stop: true,
        to_addr_error: vec!["ops@example.org".into()],
        ..SnapshotParams::default()
    };
    assert_eq!(asked, [Some(first), Some(SnapshotParams { max_snapshots: 3, ..SnapshotParams::default() }), None]);
    let text = write(&config);
    assert_eq!(parse(&text).unwrap(), config, "{text}");
    assert!(!text.contains("openstack+file") && text.contains("clouds_file: /etc/openstack/clouds.yaml"), "{text}");
}

#[test]
fn what_does_not_go_together_is_named_with_its_remedy() {
    let of = |lines: &str| format!("version: 1\nrepositories:\n  - name: c\n    {}\n", lines.trim_end().replace('\n', "\n    "));
    let cloud = "location: openstack+https://k.example.org/v3\npassword: { env: C }\n";
    for (lines, want) in [
        ("", "auth: application_credential needs “application_credential_id”; add application_credential_id: "),
        ("application_credential_name: holdfast", "auth: application_credential needs “username”; add username: backup"),
        ("application_credential_id: a\napplication_credential_name: b", "name the same; keep the id"),
        (
            "application_credential_id: a\nproject: p",
            "“project” does not go with auth: application_credential; remove it; an application credential names its user and its project by itself, or write auth: password",
        ),
        ("application_credential_id: a\ntrust_id: t", "“trust_id” does not go with auth: application_credential"),
        ("auth: password\nproject: p", "auth: password needs “username”; add username: backup"),
        ("auth: password\nusername: u", "auth: password needs “project”; add project: notebooks"),
        (
            "auth: password\nusername: u\nproject: p\napplication_credential_id: a",
            "“application_credential_id” does not go with auth: password; remove it, or write the “auth” that it belongs to",
        ),
        ("auth: trust\nusername: u", "auth: trust needs “trust_id”; add trust_id: "),
        ("auth: trust\nusername: u\ntrust_id: t\nproject: p", "“project” does not go with auth: trust; remove it; a trust is of one project by itself"),
        ("auth: token", "“auth”: “token” is not known; write application_credential, password or trust"),
        ("application_credential_id: a\ninterface: private", "“interface”: “private” is not known; write public, internal or admin"),
        ("application_credential_id: a\nca: our.pem", "“ca” must be an absolute path"),
        ("application_credential_id: a\nendpoint: https://s3.example.org", "“endpoint” is for s3:// locations; remove it"),
        ("application_credential_id: a\nread_all_within: 30d", "“read_all_within” is about packs, which a cloud does not have; remove it"),
        ("application_credential_id: a\ncloud: x", "“cloud” goes with “clouds_file”; add clouds_file: /etc/openstack/clouds.yaml, or remove it"),
        ("clouds_file: /etc/c.yaml\ncloud: x", "“location” is what the clouds_file says; remove it, or remove “clouds_file” and “cloud”"),
    ] {
        let said = parse(&of(&format!("{cloud}{lines}"))).unwrap_err();
        assert!(said.iter().any(|m| m.message.contains(want)), "{want}: {said:#?}");
    }
    for (lines, want) in [
        (
            "location: openstack+https://k.example.org\npassword: { env: C }\napplication_credential_id: a",
            "does not end in /v3, the only version of Keystone's API; write openstack+https://k.example.org/v3",
        ),
        ("location: openstack+https://me:hunter2@k.example.org/v3\npassword: { env: C }\napplication_credential_id: a", "must not hold credentials"),
        ("location: openstack+file:///etc/clouds.yaml\npassword: { env: C }\napplication_credential_id: a", "is not the address of a Keystone"),
        ("location: openstack+https://k.example.org/v3\napplication_credential_id: a", "a repository needs “password”"),
        ("location: openstack+https://k.example.org/v3\napplication_credential_id: a\npassword: hunter2", "“password” must not stand in this file"),
        ("clouds_file: /etc/clouds.yaml", "a repository needs “cloud”; add cloud: production"),
        ("clouds_file: clouds.yaml\ncloud: x", "“clouds_file” must be an absolute path"),
        ("location: file:///srv/a\npassword: { env: C }\ninterface: public", "“interface” is for openstack+https:// locations; remove it"),
    ] {
        let said = parse(&of(lines)).unwrap_err();
        assert!(said.iter().any(|m| m.message.contains(want)), "{want}: {said:#?}");
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
    for (old, new, want) in [
        ("repository: geneva }", "repository: main }", "snapshots of instances stay in their cloud, and the repository “main” is none"),
        ("items: self, repository: main }", "items: self, repository: geneva }", "the repository “geneva” is a cloud, which keeps no files"),
        ("items: self, repository: main }", "items: self, instances: [a], repository: main }", "“instances” is for openstack-instance"),
        ("[\"web-*\", db]", "[\"web-[\"]", "the pattern “web-[” cannot be read"),
        ("kind: openstack-instance, repository: prevessin", "kind: openstack-instance, path: /srv, repository: prevessin", "“path” is for kind: directory"),
        ("kind: directory", "kind: folder", "the kind “folder” is not known; use directory or openstack-instance"),
        ("pattern: \"{0}-nightly-{1}\"", "pattern: nightly", "“pattern”: has neither {0} for the instance nor {1} for the time"),
        ("[ops@example.org]", "[ops]", "“to_addr_error”: “ops” is not a mail address"),
        ("max_snapshots: 5", "max_snapshots: -1", "“max_snapshots”: “-1” is not a whole number"),
        ("wait: false", "wait: maybe", "“wait” must be true or false"),
        ("service: web, cron", "service: web, instance: web-1, cron", "“instance” is one of a source"),
        (
            "source: web/all, cron",
            "source: web/conf, max_snapshots: 3, cron",
            "“max_snapshots” is for backups of a source of kind openstack-instance; remove it",
        ),
        ("cron: \"15 1 * * *\"", "cron: \"* 5 * * *\"", "with 5 snapshots kept, only the last 5 of them would be left"),
    ] {
        assert_eq!(CLOUDS.matches(old).count(), 1, "{old}");
        let said = parse(&CLOUDS.replacen(old, new, 1)).unwrap_err();
        assert!(said.iter().any(|m| m.message.contains(want)), "{want}: {said:#?}");
    }
    let policy = CLOUDS.replacen("services:\n", "policies:\n  - { name: p, keep_daily: 7 }\nservices:\n", 1).replacen(
        "db], repository: geneva }",
        "db], repository: geneva, policy: p }",
        1,
    );
    assert!(parse(&policy).unwrap_err()[0].message.contains("“policy” of an openstack-instance is for its offsite copies; name a repository by “offsite”"));
}

#[test]
fn a_cloud_of_openstacks_own_file_is_found() {
    let text = "clouds:\n  app:\n    auth_type: v3applicationcredential\n    region_name: one\n    interface: internalURL\n    cacert: /etc/ca.pem\n    auth:\n      auth_url: https://k.example.org:5000\n      application_credential_id: ab\n      application_credential_secret: hunter2\n  user:\n    auth:\n      auth_url: http://127.0.0.1:5000/v3/\n      username: lab\n      password: hunter2\n      project_name: lab\n      user_domain_name: Default\n      project_domain_name: Default\n  trusted:\n    auth: { auth_url: https://k/v3, username: t, password: hunter2, trust_id: cd }\n  bad: { auth: { auth_url: https://k/v3, username: t } }\n  lax: { verify: false, auth: { auth_url: https://k/v3, username: t, password: hunter2 } }\n  old: { auth_type: v2password, auth: { auth_url: https://k/v3, username: t, password: hunter2 } }\n";
    for (name, location, plain) in [
        (
            "app",
            "openstack+https://k.example.org:5000/v3",
            json!({"auth": "application_credential", "application_credential_id": "ab", "region": "one", "interface": "internal", "ca": "/etc/ca.pem"}),
        ),
        (
            "user",
            "openstack+http://127.0.0.1:5000/v3",
            json!({"auth": "password", "username": "lab", "user_domain": "Default", "project": "lab", "project_domain": "Default"}),
        ),
        ("trusted", "openstack+https://k/v3", json!({"auth": "trust", "username": "t", "trust_id": "cd"})),
    ] {
        let found = named(text, name).unwrap();
        assert_eq!((found.location.as_str(), json!(found.plain), found.secret.reveal()), (location, plain, "hunter2"), "{name}");
        CloudConfig::of(&found.location, &found.plain).unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
    for (name, want) in [
        ("none", "has no cloud “none”; it has “app”, “user”, “trusted”"),
        ("bad", "has no “password” in “bad”"),
        ("lax", "switches the proof of certificates off"),
        ("old", "has the auth_type “v2password”"),
    ] {
        let said = named(text, name).unwrap_err();
        assert!(said.contains(want) && !said.contains("hunter2"), "{said}");
    }
    assert!(named("a: [", "x").unwrap_err().contains("is no YAML"));
    assert!(named("a: b", "x").unwrap_err().contains("has no list “clouds”"));
}

#[tokio::test]
async fn clouds_are_applied_exported_and_looked_at_again_after_a_change() {
    for db in testing::databases().await {
        let ctx = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let config = parse(CLOUDS).unwrap();
        apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        let text = export(&ctx).await.unwrap();
        // Things come back by name.
        let sorted = |mut c: Config| {
            c.repositories.sort_by(|a, b| a.name.cmp(&b.name));
            c.schedules.sort_by(|a, b| a.name.cmp(&b.name));
            c
        };
        assert_eq!(sorted(parse(&text).unwrap()), sorted(config.clone()), "{}: {text}", db.name);
        assert!(apply(&ctx, &config, None).await.unwrap().is_nothing(), "{}", db.name);
        let row = || async { repositories::find_by_name(db.db.read().await.unwrap().tx(), "geneva").await.unwrap().unwrap() };
        let mut t = db.db.begin().await.unwrap();
        assert!(repositories::take(t.tx(), &row().await, ctx.now()).await.unwrap());
        t.commit().await.unwrap();
        assert!(row().await.looked_at.is_some());
        let changed = parse(&CLOUDS.replacen("[\"web-*\", db]", "[\"web-*\"]", 1)).unwrap();
        apply(&ctx, &changed, None).await.unwrap();
        assert_eq!(row().await.looked_at, None, "{}: other instances are items now", db.name);
    }
}

#[tokio::test]
async fn a_clouds_file_is_read_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clouds.yaml");
    std::fs::write(&path, "clouds:\n  prod:\n    region_name: one\n    auth: { auth_url: https://k/v3, username: u, password: hunter2, project_name: p }\n")
        .unwrap();
    let db = testing::sqlite().await;
    let ctx = Ctx::new(db.db.clone(), Actor::shell(), "shell");
    let text = CLOUDS.replace("/etc/openstack/clouds.yaml", path.to_str().unwrap());
    apply(&ctx, &parse(&text).unwrap(), None).await.unwrap();
    let row = |name: &'static str| {
        let db = db.db.clone();
        async move { repositories::find_by_name(db.read().await.unwrap().tx(), name).await.unwrap().unwrap() }
    };
    let env = std::sync::Arc::default();
    let found = crate::clouds::reach(&row("prevessin").await, &env).await.unwrap();
    assert_eq!((found.location.as_str(), found.plain["region"].as_str(), found.secret.reveal()), ("openstack+https://k/v3", "two", "hunter2"));
    std::fs::write(&path, "clouds: {}\n").unwrap();
    let Err(OpsError::Invalid(said)) = crate::clouds::reach(&row("prevessin").await, &env).await else { panic!() };
    assert!(said[0].field == "repositories.prevessin.clouds_file" && said[0].message.contains("has no cloud “prod”; it has none"), "{said:?}");
    let Err(OpsError::Invalid(said)) = crate::clouds::reach(&row("meyrin").await, &env).await else { panic!() };
    assert!(said[0].to_string().contains("the environment variable MEYRIN is not set"), "{said:?}");
    assert!(matches!(crate::clouds::reach(&row("main").await, &env).await, Err(OpsError::Conflict(_))));
}
