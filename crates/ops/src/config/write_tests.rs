//! Notifications in the file, and the file written back from what is configured.

use serde_json::json;
use store::{repositories, testing};

use super::{tests::GOOD, *};
use crate::{Actor, Ctx};

const TOLD: &str = r"version: 1
notifications:
  address: https://holdfast.example.org/
  channels:
    - name: ops-mail
      kind: mail
      host: smtp.example.org
      username: holdfast
      password: { file: /etc/holdfast/smtp.password }
      from: Holdfast <holdfast@example.org>
      to: [ops@example.org, second@example.org]
    - name: pager
      kind: pagerduty
      routing_key: { env: PAGERDUTY_KEY }
  rules:
    - name: everything
      channels: [ops-mail]
      success: true
      remind: 1d
    - name: night
      channels: [pager]
      severity: critical
      alerts: [no_copy, rpo_overdue]
      services: [notebooks]
  heartbeats:
    - name: outside
      url: { env: HEARTBEAT_URL }
";

#[tokio::test]
async fn notifications_are_read_and_applied_once() {
    let config = parse(TOLD).unwrap();
    assert_eq!(config.notifications.address.as_deref(), Some("https://holdfast.example.org"));
    for db in testing::databases().await {
        let ctx = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let applied = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        let names: Vec<_> = applied.created.iter().map(|s| format!("{} {}", s.entity, s.name)).collect();
        assert_eq!(names, ["address https://holdfast.example.org", "channel ops-mail", "channel pager", "rule everything", "rule night", "heartbeat outside"]);
        let again = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        assert_eq!((again.created.len(), again.changed.len(), again.unchanged.len()), (0, 0, 6), "{}", db.name);
        let mail = crate::notifications::channels::find(&ctx, "ops-mail").await.unwrap();
        assert_eq!(mail.shown(), "ops@example.org, second@example.org by smtp.example.org:587");
        let night = crate::notifications::rules::find(&ctx, "night").await.unwrap();
        assert_eq!(serde_json::to_value(&night.what.0).unwrap()["kinds"], json!(["no_copy", "rpo_overdue"]));
    }
}

#[test]
fn mistakes_of_notifications_are_told_with_their_place() {
    for (old, new, want) in [
        ("kind: mail", "kind: fax", "6:13: “kind”: “fax” is not known; use mail, webhook, slack, teams or pagerduty"),
        ("{ file: /etc/holdfast/smtp.password }", "hunter2", "9:17: “password” must not stand in this file"),
        ("to: [ops@example.org, second@example.org]", "to: [ops]", "11:11: “to” “ops” is not a mail address; write it as ops@example.org"),
        ("host: smtp.example.org", "hots: x", "7:7: unknown key “hots” in a channel; did you mean “host”?"),
        ("routing_key: { env: PAGERDUTY_KEY }", "url: { env: X }", "14:7: “url” is not for a channel of kind pagerduty; it takes routing_key or endpoint"),
        ("channels: [pager]", "channels: [phone]", "21:17: there is no channel “phone” in this file; add it to the list of channels"),
        ("severity: critical", "severity: dire", "22:17: “severity”: “dire” is not known; use info, warning or critical"),
        ("[no_copy, rpo_overdue]", "[late]", "23:15: “alerts”: “late” is not known; use no_copy"),
        ("success: true", "success: yes", "18:16: “success” must be true or false, not “yes”"),
        ("address: https://holdfast.example.org/", "address: holdfast", "3:12: “address” is not an address"),
    ] {
        assert_eq!(TOLD.matches(old).count(), 1, "{old}");
        let mistakes = parse(&TOLD.replace(old, new)).unwrap_err();
        let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|m| m.starts_with(want)), "{new}: {told:#?}");
        assert!(!told.iter().any(|m| m.contains("hunter2")), "a secret is never repeated");
    }
}

const SIGN_IN: &str = r#"version: 1
providers:
  - name: checkin
    issuer: https://aai.egi.eu/auth/realms/egi
    client_id: holdfast
    client_secret: { env: CHECKIN }
    person: [voperson_id, sub]
    refresh: 10m
    roles:
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo.example.org:admins#aai.egi.eu", role: admin }
"#;

/// The good files together, with every kind of thing.
pub(super) fn whole() -> Config {
    let policies = "policies:\n  - name: standard\n    keep_last: 3\n    keep_within: 14d\n    keep_within_monthly: 1y2m\n    keep_tags: [\"keep\", \"a,b\"]\n    max_snapshots: 60\n    time_zone: Europe/Berlin\n";
    let schedules = "schedules:\n  - { name: a, kind: backup, source: notebooks/homes, cron: \"15 1 * * *\", zone: Europe/Prague, jitter: 10m, max_duration: 6h, misfire: skip }\n  \
        - { name: b, kind: restore_test, service: notebooks, cron: \"0 5 * * 0\", zone: UTC, sample: 7 }\n  \
        - { name: c, kind: check, repository: main, cron: \"0 6 * * 0\", zone: UTC, read_data: true }\n  \
        - { name: d, kind: backup, service: notebooks, cron: \"*/20 * * * *\", zone: UTC, runs_a_day: 72 }\n";
    let named = GOOD.replacen("repository: main\n        exclude", "repository: main\n        policy: standard\n        exclude", 1);
    let mut config = parse(&format!("{named}{policies}{schedules}")).unwrap_or_else(|e| panic!("{e:?}"));
    config.notifications = parse(TOLD).unwrap().notifications;
    config.providers = parse(SIGN_IN).unwrap().providers;
    config.notifications.rules[1].what.services = vec!["notebooks".into()];
    config
}

#[test]
fn what_is_written_is_read_the_same() {
    let config = whole();
    assert_eq!(parse(&write(&config)).unwrap_or_else(|e| panic!("{e:?}\n{}", write(&config))), config);
    assert_eq!(parse(&write(&Config::default())).unwrap(), Config::default());
    let mut odd = config.clone();
    odd.services[0].title = "a: \"b\" # {c} ü".to_owned();
    odd.services[0].owner = "- yes".to_owned();
    odd.repositories[0].max_parallel = Some(2);
    odd.repositories[0].read_all_within_s = Some(30 * 86_400);
    assert_eq!(parse(&write(&odd)).unwrap(), odd);
    let taken = GOOD.replace("name: small", "name: holdfast-installation");
    assert!(parse(&taken).unwrap_err()[0].message.contains("Holdfast's own snapshots"));
}

#[tokio::test]
async fn what_is_configured_is_collected_again_without_what_is_sealed() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
        let config = whole();
        apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        let mut found = current(t.db.read().await.unwrap().tx()).await.unwrap();
        found.repositories.sort_by_key(|r| config.repositories.iter().position(|c| c.name == r.name));
        assert_eq!(found, config, "{}", t.name);
        let mut tx = t.db.begin().await.unwrap();
        let sealed = [("routing_key".to_owned(), repositories::SecretRef::Sealed("v1.a.b".into()))].into();
        let pager = &config.notifications.channels[1];
        store::channels::upsert(tx.tx(), "pager", pager.kind, &pager.options, &sealed, ctx.now()).await.unwrap();
        tx.commit().await.unwrap();
        let text = export(&ctx).await.unwrap();
        let live = parse(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}")).notifications;
        assert_eq!((live.channels.len(), live.rules.len()), (1, 1), "{}: what is sealed, and the rule that needs it, stand in comments", t.name);
        assert!(text.contains("## The routing_key of channel “pager” was typed in a page and is sealed"), "{text}");
        assert!(text.contains("## Rule “night” names channel “pager”, which is not in this file"), "{text}");
        assert!(!text.contains("v1.a.b"), "{}: not even what is sealed leaves the database", t.name);
        assert!(preview(&ctx, &parse(&text).unwrap(), Some("holdfast.yaml")).await.unwrap().is_nothing(), "{}", t.name);
        // As the comment says: a path in its place, and the signs taken away.
        let mended: Vec<_> = text.lines().filter(|l| !l.starts_with("## ")).map(|l| l.strip_prefix("# ").unwrap_or(l)).collect();
        let again = parse(&mended.join("\n")).unwrap().notifications;
        assert_eq!(again.channels[1].secrets["routing_key"], repositories::SecretRef::File("/path/of/the/secret".into()));
        assert_eq!(again.rules, config.notifications.rules);
    }
}

/// A place whose channels were all typed in pages has no key without a value.
#[test]
fn nothing_but_comments_is_still_a_file() {
    let mut config = Config { notifications: parse(TOLD).unwrap().notifications, ..Config::default() };
    config.notifications.address = None;
    config.notifications.heartbeats.clear();
    for secret in config.notifications.channels.iter_mut().flat_map(|c| c.secrets.values_mut()) {
        *secret = repositories::SecretRef::Sealed("v1.a.b".into());
    }
    assert_eq!(parse(&write(&config)).unwrap(), Config::default(), "{}", write(&config));
}

#[tokio::test]
async fn what_is_exported_is_applied_elsewhere_and_exported_the_same() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
        apply(&ctx, &whole(), Some("holdfast.yaml")).await.unwrap();
        let text = export(&ctx).await.unwrap();
        let config = parse(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        let here = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        assert!(here.is_nothing() && here.left_alone.is_empty(), "{}: {here:?}", t.name);
        for other in testing::databases().await {
            let there = Ctx::new(other.db.clone(), Actor::shell(), "test");
            apply(&there, &config, Some("holdfast.yaml")).await.unwrap();
            assert_eq!(export(&there).await.unwrap(), text, "{} to {}", t.name, other.name);
        }
        let auditor = Ctx { actor: Actor::new("eva", crate::Role::Auditor), ..ctx };
        assert!(matches!(export(&auditor).await, Err(crate::OpsError::Forbidden(_))));
    }
}

#[tokio::test]
async fn a_preview_tells_what_applying_does_and_writes_nothing() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
        let mut config = whole();
        apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        let before = export(&ctx).await.unwrap();
        let events = async || store::audit::page(t.db.read().await.unwrap().tx(), 0, 200).await.unwrap().len();
        let told = events().await;
        config.services[0].rpo_s = Some(43_200);
        config.services[0].canary = None;
        config.repositories[0].password = repositories::SecretRef::Env("MAIN".into());
        config.policies[0].rules.keep_last = 5;
        config.notifications.address = Some("https://elsewhere.example.org".into());
        config.schedules.remove(0);
        config.services.remove(1);
        config.providers = Some(Vec::new());
        let seen = preview(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
        assert_eq!((export(&ctx).await.unwrap(), events().await), (before, told), "{}: a preview writes nothing", t.name);
        let words: Vec<_> =
            seen.changed.iter().flat_map(|s| s.differences.iter().map(|d| format!("{} {} {}: {}", s.entity, s.name, d.key, d.words()))).collect();
        assert_eq!(
            words,
            [
                "repository main password: { file: /etc/holdfast/main.password } → { env: MAIN }".to_owned(),
                "policy standard keep_last: 3 → 5".to_owned(),
                "service notebooks rpo: 24h → 12h".to_owned(),
                format!("service notebooks canary: {{ item: alice, path: sub/canary.txt, sha256: {} }} → none", "a".repeat(64)),
                "address https://elsewhere.example.org address: https://holdfast.example.org → https://elsewhere.example.org".to_owned(),
            ]
        );
        let names = |all: &[Subject]| all.iter().map(|s| format!("{} {}", s.entity, s.name)).collect::<Vec<_>>();
        assert_eq!(names(&seen.removed), ["provider checkin"]);
        assert_eq!(names(&seen.left_alone), ["service small", "source small/data", "schedule a"]);
        assert_eq!(apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap(), seen, "{}: what was told is what is done", t.name);
        let auditor = Ctx { actor: Actor::new("eva", crate::Role::Auditor), ..ctx };
        assert!(matches!(preview(&auditor, &config, Some("holdfast.yaml")).await, Err(crate::OpsError::Forbidden(_))));
    }
}

proptest::proptest! {
    #[test]
    fn any_title_comes_back(title in "[a-zA-Z0-9 :#/.,@'\"{}\\[\\]&*!|>%`~?_+=-]{1,40}|\\PC{1,20}") {
        let mut config = parse(GOOD).unwrap();
        config.services[0].title = title.trim().to_owned();
        proptest::prop_assume!(!config.services[0].title.is_empty() && !title.contains(char::is_control));
        proptest::prop_assert_eq!(parse(&write(&config)).unwrap_or_else(|e| panic!("{e:?}")).services[0].title.clone(), config.services[0].title.clone());
    }
}
