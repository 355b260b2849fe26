//! Orphans on both databases: what is told of, deletion, adopting one and all that fit a pattern.

use domain::{
    instance::{BootType, OrphanWhy, Server, SnapshotParams, orphan},
    schedule::ScheduleKind,
};
use store::{native, orphans as rows, repositories, snapshots, testing};

use super::{
    adopting, orphans,
    orphans::Removal,
    tests::{Stage, fields},
    *,
};
use crate::{Actor, Role, schedules, schedules::Draft};

/// What a look at the cloud would record.
async fn found(s: &Stage, unit: &str, name: &str, why: OrphanWhy) -> RepositoryId {
    let mut t = s.db.db.begin().await.unwrap();
    let cloud = repositories::find_by_name(t.tx(), "geneva").await.unwrap().unwrap().id();
    let native = testing::native(unit, name, Server::unknown(String::new(), BootType::Image));
    let new = rows::NewOrphan { native, made_at: s.ctx.now(), ready: true, why, detail: "x".into(), snapshot: None };
    rows::see(t.tx(), cloud, &new, s.ctx.now()).await.unwrap();
    t.commit().await.unwrap();
    cloud
}

async fn told(s: &Stage) -> Vec<orphans::Orphan> {
    orphans::list(&s.ctx, "geneva", None, 100).await.unwrap().orphans
}

async fn one(s: &Stage, name: &str) -> orphans::Orphan {
    told(s).await.into_iter().find(|o| o.row.name == name).unwrap()
}

#[tokio::test]
async fn an_orphan_goes_only_by_its_name_and_with_a_reason() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        found(&s, "u1", "web-1_snapshot_202102250800", OrphanWhy::FitsPattern).await;
        found(&s, "u2", "golden", OrphanWhy::Foreign).await;
        assert_eq!(told(&s).await.len(), 1, "{}: what is somebody else's is not told of", s.db.name);
        let id = one(&s, "web-1_snapshot_202102250800").await.row.id();
        let typed = |name: &str, reason: &str| Removal { name: name.into(), reason: reason.into() };
        for (wrong, want) in [
            (typed("", ""), vec!["name", "reason"]),
            (typed("web-1_snapshot_202102250801", "old"), vec!["name"]),
            (typed("web-1_snapshot_202102250800", &"x".repeat(501)), vec!["reason"]),
        ] {
            assert_eq!(fields(&orphans::delete(&s.ctx, "geneva", id, &wrong).await.unwrap_err()), want, "{}: {wrong:?}", s.db.name);
        }
        let good = typed("web-1_snapshot_202102250800", "left by a trial");
        for actor in [Actor::new("a", Role::Auditor), Actor::new("o", Role::Owner)] {
            let stranger = Ctx { actor, ..s.ctx.clone() };
            assert!(matches!(orphans::delete(&stranger, "geneva", id, &good).await, Err(OpsError::Forbidden(_))), "{}", s.db.name);
            assert!(matches!(orphans::adopt(&stranger, "geneva", id).await, Err(OpsError::Forbidden(_))));
            assert!(matches!(adopting::preview(&stranger, "web", "vms", "{0}_{1}").await, Err(OpsError::Forbidden(_))));
        }
        assert!(matches!(orphans::list(&s.ctx, "main", None, 9).await, Err(OpsError::Conflict(text)) if text.contains("is no cloud")));
        assert!(matches!(orphans::delete(&s.ctx, "geneva", domain::id::OrphanId(Uuid::nil()), &good).await, Err(OpsError::NotFound { entity: "orphan", .. })));
        orphans::delete(&s.ctx, "geneva", id, &good).await.unwrap();
        let row = one(&s, "web-1_snapshot_202102250800").await;
        assert_eq!((row.row.delete_reason.as_deref(), row.place.is_err()), (Some("left by a trial"), true), "{}", s.db.name);
        assert!(matches!(orphans::delete(&s.ctx, "geneva", id, &good).await, Err(OpsError::Conflict(_))));
        assert!(matches!(orphans::adopt(&s.ctx, "geneva", id).await, Err(OpsError::Conflict(text)) if text.contains("about to be deleted")));
    }
}

#[tokio::test]
async fn an_orphan_becomes_a_snapshot_of_its_instance() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let cloud = found(&s, "u1", "web-1_snapshot_202102250800", OrphanWhy::FitsPattern).await;
        found(&s, "u2", "gone_snapshot_202102250800", OrphanWhy::FitsPattern).await;
        found(&s, "u3", "half_snapshot_202102250800", OrphanWhy::PartsMissing).await;
        found(&s, "u4", "whose", OrphanWhy::RunGone).await;
        let web = one(&s, "web-1_snapshot_202102250800").await;
        let fit = web.place.clone().unwrap();
        assert_eq!(
            (fit.service.as_str(), fit.source.as_str(), fit.instance.as_str(), fit.taken_at),
            ("web", "vms", "web-1", Timestamp::from_secs(1_614_240_000))
        );
        assert_eq!(web.unknown, ["flavour", "networks", "security groups", "availability zone", "key"], "what is not known is said");
        let id = orphans::adopt(&s.ctx, "geneva", web.row.id()).await.unwrap();
        let mut read = s.db.db.read().await.unwrap();
        let row = snapshots::find(read.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.state.as_str(), row.restic_id.as_str(), row.bytes, row.taken_at), ("adopted", "u1", 9, fit.taken_at.0), "{}", s.db.name);
        let item = items::find(read.tx(), ItemId(row.item_id.unwrap())).await.unwrap().unwrap();
        assert_eq!((item.name.as_str(), item.snapshots, item.last_snapshot_id, item.gone_at), ("web-1", 1, Some(row.id), None), "{}", s.db.name);
        assert_eq!(native::of_item(read.tx(), ItemId(item.id), cloud).await.unwrap().len(), 1, "max_snapshots counts it");
        drop(read);
        assert!(matches!(orphans::adopt(&s.ctx, "geneva", web.row.id()).await, Err(OpsError::NotFound { .. })), "{}: once", s.db.name);

        // An instance that is no longer in the cloud has an item all the same.
        let id = orphans::adopt(&s.ctx, "geneva", one(&s, "gone_snapshot_202102250800").await.row.id()).await.unwrap();
        let mut read = s.db.db.read().await.unwrap();
        let row = snapshots::find(read.tx(), id).await.unwrap().unwrap();
        let item = items::find(read.tx(), ItemId(row.item_id.unwrap())).await.unwrap().unwrap();
        assert!(item.name == "gone" && item.gone_at.is_some() && row.native.unwrap().server.name == "gone", "{}", s.db.name);
        drop(read);
        for (name, words) in [("half_snapshot_202102250800", "no whole copy"), ("whose", "of which instance")] {
            let e = orphans::adopt(&s.ctx, "geneva", one(&s, name).await.row.id()).await.unwrap_err();
            assert!(matches!(&e, OpsError::Conflict(text) if text.contains(words)), "{}: {e:?}", s.db.name);
        }
    }
}

#[tokio::test]
async fn all_that_fit_a_pattern_are_shown_and_then_adopted() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        for (unit, name) in [("u1", "old web-1 at 202102250800"), ("u2", "old web-1 at 202102250900"), ("u3", "old left at 202102250800"), ("u4", "older")] {
            found(&s, unit, name, OrphanWhy::Foreign).await;
        }
        found(&s, "u5", "old db at 202102250800", OrphanWhy::PartsMissing).await;
        let pattern = "old {0} at {1}";
        assert_eq!(fields(&adopting::preview(&s.ctx, "web", "vms", "{0}").await.unwrap_err()), ["pattern"]);
        assert!(matches!(adopting::preview(&s.ctx, "web", "conf", pattern).await, Err(OpsError::Conflict(_))));
        let draft = Draft {
            name: "keep2".into(),
            kind: ScheduleKind::Backup,
            of: "web/vms".into(),
            cron: "0 5 * * *".into(),
            snapshot: Some(SnapshotParams { pattern: pattern.into(), max_snapshots: 2, ..SnapshotParams::default() }),
            ..Draft::default()
        };
        schedules::save(&s.ctx, &draft, None).await.unwrap();
        let preview = adopting::preview(&s.ctx, "web", "vms", pattern).await.unwrap();
        let said: Vec<_> = preview.all.iter().map(|a| (a.orphan.unit_id.as_str(), a.instance.as_str(), a.present, a.cannot.is_some())).collect();
        assert_eq!(said, [("u5", "db", true, true), ("u3", "left", false, false), ("u1", "web-1", true, false), ("u2", "web-1", true, false)], "{}", s.db.name);
        let beyond = adopting::Beyond { schedule: "keep2".into(), max_snapshots: 2, snapshots: 1 };
        assert_eq!((preview.beyond, preview.more), (vec![beyond], false), "{}: the next one is the third of web-1", s.db.name);
        // Looking adopts nothing.
        assert_eq!(find(&s.ctx, "web", "vms", "web-1").await.unwrap().snapshots.len(), 0);
        assert_eq!(adopting::all(&s.ctx, "web", "vms", pattern).await.unwrap(), 3, "{}", s.db.name);
        assert_eq!(find(&s.ctx, "web", "vms", "web-1").await.unwrap().snapshots.len(), 2);
        assert!(find(&s.ctx, "web", "vms", "left").await.unwrap().item.gone_at.is_some(), "{}", s.db.name);
        assert!(matches!(adopting::all(&s.ctx, "web", "vms", pattern).await, Err(OpsError::Conflict(_))), "{}: nothing is left", s.db.name);
        assert_eq!(orphan::unknown(&find(&s.ctx, "web", "vms", "web-1").await.unwrap().snapshots[0].native.clone().unwrap()).len(), 5);
    }
}
