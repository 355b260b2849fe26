//! Use cases of instances on both databases: lists, snapshots, schedules and their ledger, what a cloud refuses.

use domain::{
    instance::{BootType, Credential},
    schedule::{Missed, ScheduleKind, TickState},
    work::{InstanceSnapshotParams, PruneParams},
};
use store::{Clock, items, repositories, runs as rows, testing, testing::TestDb, ticks};

use super::*;
use crate::{
    Actor, Role, backups, checks, config, installation, ledger, prunes,
    repositories::{Need, Registry, keeping, require_files},
    schedules::{self, Draft},
    tamper_tests,
};

const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);

const CONFIG: &str = r#"version: 1
repositories:
  - { name: main, location: "file:///srv/backup/main", password: { env: MAIN } }
  - name: geneva
    location: openstack+https://keystone.example.org:5000/v3
    application_credential_id: 21dced0f
    password: { env: GENEVA }
services:
  - name: web
    owner: ops
    rpo: 24h
    sources:
      - { name: vms, kind: openstack-instance, repository: geneva }
      - { name: conf, kind: directory, path: /etc/web, items: self, repository: main }
  - name: empty
    owner: ops
    sources:
      - { name: vms, kind: openstack-instance, repository: geneva }
"#;

pub(super) struct Stage {
    pub db: TestDb,
    pub ctx: Ctx,
}

impl Stage {
    pub async fn on(db: TestDb) -> Self {
        let ctx = Ctx { clock: Clock::fixed(NOW), ..Ctx::new(db.db.clone(), Actor::shell(), "test") };
        config::apply(&ctx, &config::parse(CONFIG).unwrap(), None).await.unwrap();
        let s = Self { db, ctx };
        s.list(&[("id-web-1", "web-1", "web-1"), ("id-db", "db", "db"), ("aaaaaaaa1", "twin.aaaaaaaa", "twin")]).await;
        s
    }

    /// What a look at the cloud would record.
    async fn list(&self, all: &[(&str, &str, &str)]) {
        let source = self.source().await;
        let now = self.ctx.now();
        let mut t = self.db.db.begin().await.unwrap();
        for (id, item, name) in all {
            let boot = if *name == "db" { BootType::Volume } else { BootType::Image };
            items::listed(t.tx(), source.id(), ServiceId(source.service_id), item, &testing::server(id, name, boot), now).await.unwrap();
        }
        items::mark_gone(t.tx(), source.id(), now).await.unwrap();
        t.commit().await.unwrap();
    }

    async fn source(&self) -> SourceRow {
        place(&self.ctx, Action::Read, "web", "vms").await.unwrap().source
    }

    async fn params(&self, run: RunId) -> InstanceSnapshotParams {
        rows::find(self.db.db.read().await.unwrap().tx(), run).await.unwrap().unwrap().params().unwrap()
    }

    async fn said(&self) -> Vec<String> {
        let rows = ledger::list(&self.ctx, ticks::Filter::default(), None, 500).await.unwrap();
        let mut said: Vec<String> = rows.into_iter().map(|r| format!("{} {} {}", r.target, r.state, r.reason.unwrap_or_default())).collect();
        said.sort();
        said
    }
}

pub(super) fn fields(e: &OpsError) -> Vec<String> {
    let OpsError::Invalid(fields) = e else { panic!("{e:?}") };
    fields.iter().map(|f| f.field.clone()).collect()
}

#[tokio::test]
async fn instances_are_listed_with_what_the_cloud_said() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let page = list(&s.ctx, "web", "vms", "", 2).await.unwrap();
        let names: Vec<_> = page.instances.iter().map(|i| i.item.name.as_str()).collect();
        assert_eq!((names, page.next.as_deref()), (vec!["db", "twin.aaaaaaaa"], Some("twin.aaaaaaaa")), "{}", s.db.name);
        assert_eq!(page.instances[0].item.native.as_ref().unwrap().boot, BootType::Volume);
        let rest = list(&s.ctx, "web", "vms", "twin.aaaaaaaa", 2).await.unwrap();
        assert_eq!((rest.instances.len(), rest.next), (1, None));
        assert_eq!(find(&s.ctx, "web", "vms", "db").await.unwrap().item.name, "db");
        // One that vanished stays in the list, and comes back when it is listed again.
        s.ctx.clock.advance_secs(60);
        s.list(&[("id-db", "db", "db")]).await;
        assert!(find(&s.ctx, "web", "vms", "web-1").await.unwrap().item.gone_at.is_some());
        assert!(matches!(find(&s.ctx, "web", "vms", "none").await, Err(OpsError::NotFound { entity: "instance", .. })));
        assert!(matches!(list(&s.ctx, "web", "conf", "", 9).await, Err(OpsError::Conflict(text)) if text.contains("is a source of kind directory")));
        let stranger = Ctx { actor: Actor { services: Vec::new(), ..Actor::new("x", Role::Owner) }, ..s.ctx.clone() };
        assert!(matches!(list(&stranger, "web", "vms", "", 9).await, Err(OpsError::Forbidden(_))));
        let auditor = Ctx { actor: Actor::new("a", Role::Auditor), ..s.ctx.clone() };
        assert!(list(&auditor, "web", "vms", "", 9).await.is_ok());
        let asked = SnapshotParams { instance: "db".into(), ..SnapshotParams::default() };
        assert!(matches!(snapshot(&auditor, "web", "vms", asked).await, Err(OpsError::Forbidden(_))), "{}", s.db.name);
    }
}

#[tokio::test]
async fn one_run_is_of_one_instance() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let asked = |instance: &str| SnapshotParams { instance: instance.into(), max_snapshots: 5, ..SnapshotParams::default() };
        let run = snapshot(&s.ctx, "web", "vms", asked("twin.aaaaaaaa")).await.unwrap();
        let params = s.params(run).await;
        assert_eq!(params.parameters, SnapshotParams { instance: "twin".into(), max_snapshots: 5, ..SnapshotParams::default() }, "its own name names it");
        assert_eq!(params.server.as_deref(), Some("aaaaaaaa1"));
        let row = runs::find(&s.ctx, run).await.unwrap();
        assert_eq!((row.kind().unwrap(), row.title.as_str()), (RunKind::InstanceSnapshot, "Snapshot of web/vms: twin.aaaaaaaa"));
        assert!(matches!(snapshot(&s.ctx, "web", "vms", asked("twin.aaaaaaaa")).await, Err(OpsError::Underway { .. })), "{}", s.db.name);
        for (wrong, field) in [
            (asked(""), "instance"),
            (asked("web-2"), "instance"),
            (SnapshotParams { pattern: "{1}".into(), ..asked("db") }, "pattern"),
            (SnapshotParams { pattern: format!("{}{{0}}-{{1}}", "x".repeat(230)), ..asked("db") }, "pattern"),
            (SnapshotParams { to_addr_success: vec!["ops".into()], ..asked("db") }, "to_addr_success"),
        ] {
            let e = snapshot(&s.ctx, "web", "vms", wrong.clone()).await.unwrap_err();
            assert_eq!(fields(&e), [field], "{wrong:?}");
        }
        let e = snapshot(&s.ctx, "web", "vms", asked("web-2")).await.unwrap_err();
        assert!(e.to_string().contains("did you mean “web-1”?"), "{e}");

        // A backup of the service is one run of each source, and one of each instance.
        let all = backups::start(&s.ctx, "web", None, None).await.unwrap();
        assert_eq!((all.len(), all.contains(&run)), (4, true), "{}: what is under way stands in the answer", s.db.name);
        let named = backups::start(&s.ctx, "web", Some("vms"), Some(vec!["db".into(), "db".into()])).await;
        assert!(matches!(named, Err(OpsError::Underway { .. })), "{}: {named:?}", s.db.name);
        assert_eq!(fields(&backups::start(&s.ctx, "web", Some("vms"), Some(vec!["none".into()])).await.unwrap_err()), ["instance"]);
        let none = backups::start(&s.ctx, "empty", None, None).await;
        assert!(matches!(&none, Err(OpsError::Conflict(text)) if text.contains("has listed no instance yet")), "{none:?}");

        // A retry asks for the same.
        runs::cancel(&s.ctx, run, "").await.unwrap();
        let again = runs::retry(&s.ctx, run, runs::Retry::All).await.unwrap();
        assert_eq!(s.params(again).await, params, "{}", s.db.name);
        assert!(matches!(runs::retry(&s.ctx, run, runs::Retry::FailedItems).await, Err(OpsError::Invalid(_))));
    }
}

#[tokio::test]
async fn every_tick_has_a_row_for_each_instance() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let draft = |name: &str, instance: &str| Draft {
            name: name.into(),
            of: "web/vms".into(),
            cron: "0 * * * *".into(),
            snapshot: Some(SnapshotParams { instance: instance.into(), max_snapshots: 30, ..SnapshotParams::default() }),
            ..Draft::default()
        };
        let id = schedules::save(&s.ctx, &draft("all", ""), None).await.unwrap();
        assert_eq!(schedules::draft_of(&schedules::find(&s.ctx, "all").await.unwrap()).unwrap(), draft("all", ""), "{}", s.db.name);
        s.ctx.clock.advance_secs(3_600);
        let ticked = schedules::tick(&s.ctx, id).await.unwrap();
        assert_eq!((ticked.runs.len(), ticked.missed), (3, 0), "{}", s.db.name);
        assert_eq!(s.params(ticked.runs[0]).await.parameters.max_snapshots, 30);
        // Nobody took them on: of the next tick each is missed, and one that has gone has no row.
        s.ctx.clock.advance_secs(60);
        s.list(&[("id-db", "db", "db")]).await;
        s.ctx.clock.advance_secs(3_540);
        let ticked = schedules::tick(&s.ctx, id).await.unwrap();
        assert_eq!((ticked.runs.len(), ticked.missed), (0, 1), "{}", s.db.name);
        s.list(&[]).await;
        s.ctx.clock.advance_secs(3_600);
        s.list(&[]).await;
        schedules::tick(&s.ctx, id).await.unwrap();
        let want = ["web/vms missed no_target", "web/vms: db missed overlap", "web/vms: db open ", "web/vms: twin.aaaaaaaa open ", "web/vms: web-1 open "];
        assert_eq!(s.said().await, want, "{}", s.db.name);
        let rows = ledger::list(&s.ctx, ticks::Filter { state: Some(TickState::Missed), ..ticks::Filter::default() }, None, 9).await.unwrap();
        assert_eq!((rows[0].reason(), rows[0].detail.as_deref()), (Some(Missed::NoTarget), Some("web/vms lists no instance")));
    }
}

#[tokio::test]
async fn a_schedule_of_one_instance_is_checked_against_what_is_listed() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let good = Draft {
            name: "one".into(),
            of: "web/vms".into(),
            cron: "0 5 * * *".into(),
            snapshot: Some(SnapshotParams { instance: "db".into(), max_snapshots: 5, ..SnapshotParams::default() }),
            ..Draft::default()
        };
        let of = |change: &dyn Fn(&mut SnapshotParams)| {
            let mut d = good.clone();
            change(d.snapshot.as_mut().unwrap());
            d
        };
        for (wrong, field) in [
            (of(&|p| p.instance = "web-2".into()), "instance"),
            (of(&|p| p.pattern = "{0}".into()), "pattern"),
            (Draft { of: "web".into(), ..good.clone() }, "instance"),
            (Draft { of: "web/conf".into(), ..good.clone() }, "snapshot"),
            (Draft { kind: ScheduleKind::Check, of: "main".into(), ..good.clone() }, "snapshot"),
            // CERN's burnt history: every minute of the sixth hour.
            (Draft { cron: "* 5 * * *".into(), ..good.clone() }, "runs_a_day"),
        ] {
            let e = schedules::save(&s.ctx, &wrong, None).await.unwrap_err();
            assert_eq!(fields(&e), [field], "{}: {wrong:?}", s.db.name);
            let (_, said) = schedules::preview(&s.ctx, &wrong).await.unwrap();
            assert!(said.iter().any(|f| f.field == field), "{}: {said:?}", s.db.name);
        }
        let e = schedules::save(&s.ctx, &Draft { cron: "* 5 * * *".into(), ..good.clone() }, None).await.unwrap_err();
        assert!(e.to_string().contains("only the last 5 of them would be left") && e.to_string().contains("write 0 5 * * *"), "{e}");
        schedules::save(&s.ctx, &Draft { cron: "* 5 * * *".into(), runs_a_day: Some(60), ..good.clone() }, None).await.unwrap();
        let (preview, _) = schedules::preview(&s.ctx, &good).await.unwrap();
        let keeping = preview.unwrap().keeping.unwrap();
        let kept = keeping.typed.iter().filter(|i| i.decision.is_kept()).count();
        assert_eq!((keeping.policy.as_str(), keeping.typed.len(), kept), ("max_snapshots", 30, 5), "{}", s.db.name);
        let row = schedules::find(&s.ctx, "one").await.unwrap();
        s.ctx.clock.advance_secs(24 * 3_600);
        let ticked = schedules::tick(&s.ctx, row.id()).await.unwrap();
        assert_eq!(ticked.runs.len(), 1, "{}", s.db.name);
    }
}

#[tokio::test]
async fn what_needs_files_is_refused_of_a_cloud() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let cloud = repositories::find_by_name(s.db.db.read().await.unwrap().tx(), "geneva").await.unwrap().unwrap();
        assert!(keeping(&cloud).is_cloud());
        let registry = Registry::new(std::sync::Arc::default());
        let mut said = vec![
            checks::start(&s.ctx, "geneva", false).await.unwrap_err(),
            prunes::start(&s.ctx, "geneva", PruneParams::default()).await.unwrap_err(),
            tamper_tests::start(&s.ctx, "geneva").await.unwrap_err(),
            installation::backup(&s.ctx, "geneva").await.unwrap_err(),
            installation::test(&s.ctx, "geneva").await.unwrap_err(),
            crate::repositories::inside(&s.ctx, &registry, "geneva").await.map(drop).unwrap_err(),
            crate::repositories::kit(&s.ctx, &registry, "geneva", 10).await.map(drop).unwrap_err(),
        ];
        said.extend(Need::ALL.map(|need| require_files(&cloud, need).unwrap_err()));
        for e in said {
            assert!(matches!(&e, OpsError::Conflict(text) if text.starts_with("geneva is a cloud: ")), "{}: {e:?}", s.db.name);
        }
        for kind in [ScheduleKind::Check, ScheduleKind::Prune] {
            let draft = Draft { name: "x".into(), kind, of: "geneva".into(), cron: "0 5 * * *".into(), ..Draft::default() };
            let e = schedules::save(&s.ctx, &draft, None).await.unwrap_err();
            assert!(fields(&e) == ["of"] && e.to_string().contains("is a cloud"), "{e}");
        }
        let suggested = schedules::suggestions(&s.ctx).await.unwrap();
        assert!(suggested.iter().any(|x| x.of == "main") && !suggested.iter().any(|x| x.of == "geneva"));
        // Also when its project is known, no copy of Holdfast goes there by itself.
        let found = Credential { project_id: "p".into(), looked_at: NOW, ..Credential::default() };
        let mut t = s.db.db.begin().await.unwrap();
        assert!(repositories::set_credential(t.tx(), &cloud, &found, Some("p")).await.unwrap());
        t.commit().await.unwrap();
        assert_eq!(installation::tend(&s.ctx).await.unwrap(), [], "{}", s.db.name);
        assert!(installation::start_checks(&s.ctx, &[]).await.unwrap().is_empty(), "{}", s.db.name);
    }
}

#[tokio::test]
async fn a_cloud_is_looked_at_when_it_is_due_or_somebody_asks() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = || async { repositories::find_by_name(s.db.db.read().await.unwrap().tx(), "geneva").await.unwrap().unwrap() };
        let due = |row: &RepositoryRow, after: i64| crate::clouds::is_due(row, NOW.plus_secs(after));
        let before = row().await;
        assert!(due(&before, 0));
        let mut t = s.db.db.begin().await.unwrap();
        assert!(repositories::take(t.tx(), &before, NOW).await.unwrap());
        assert!(!repositories::take(t.tx(), &before, NOW).await.unwrap(), "{}: of two one looks", s.db.name);
        let well = Credential { project_id: "p".into(), looked_at: NOW, ..Credential::default() };
        assert!(repositories::set_credential(t.tx(), &before, &well, Some("p")).await.unwrap());
        t.commit().await.unwrap();
        let seen = row().await;
        assert_eq!((seen.restic_id.as_deref(), due(&seen, 6 * 3_600 - 1), due(&seen, 6 * 3_600), due(&seen, -1)), (Some("p"), false, true, true));
        let mut t = s.db.db.begin().await.unwrap();
        let failed = Credential::after_failure(Some(&well), "refused", NOW);
        assert!(repositories::set_credential(t.tx(), &seen, &failed, None).await.unwrap());
        t.commit().await.unwrap();
        let seen = row().await;
        assert_eq!((due(&seen, 899), due(&seen, 900)), (false, true), "{}", s.db.name);
        assert_eq!(seen.credential.as_ref().unwrap().project_id, "p");
        crate::clouds::look(&s.ctx, "geneva").await.unwrap();
        assert!(due(&row().await, 1));
        assert!(matches!(crate::clouds::look(&s.ctx, "main").await, Err(OpsError::Conflict(_))));
        assert!(matches!(crate::clouds::look(&s.ctx, "none").await, Err(OpsError::NotFound { .. })));
        let auditor = Ctx { actor: Actor::new("a", Role::Auditor), ..s.ctx.clone() };
        assert!(matches!(crate::clouds::look(&auditor, "geneva").await, Err(OpsError::Forbidden(_))));
        // Other settings: nothing is known of them, and what a late look found of the old ones does not count.
        let changed = CONFIG.replace("21dced0f", "99999999");
        s.ctx.clock.advance_secs(1);
        config::apply(&s.ctx, &config::parse(&changed).unwrap(), None).await.unwrap();
        let now = row().await;
        assert!(now.credential.is_none() && now.looked_at.is_none(), "{}", s.db.name);
        let mut t = s.db.db.begin().await.unwrap();
        assert!(!repositories::set_credential(t.tx(), &seen, &well, None).await.unwrap(), "{}", s.db.name);
    }
}
