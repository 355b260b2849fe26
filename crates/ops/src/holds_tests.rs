//! Use cases of holds on both databases: who may, what is refused and why, what a decision leaves.

use domain::{
    guard::{Facts, Measure},
    id::{HoldId, ItemId, ServiceId, SnapshotId},
    units::Timestamp,
};
use store::{
    Db, guard,
    holds::{self as rows, Filter, HoldKind, NewHold},
    items,
    snapshots::{self, Doubt, NewSnapshot, SnapshotRow},
    testing,
};

use crate::{
    Ctx, OpsError, Role,
    holds::{self, Place, State},
    runs_tests::{ctx, fill},
    snapshots as listing,
};

async fn row(db: &Db, id: SnapshotId) -> SnapshotRow {
    snapshots::find(db.read().await.unwrap().tx(), id).await.unwrap().unwrap()
}

/// Another snapshot of the same item, `n` seconds later.
async fn another(db: &Db, first: SnapshotId, n: i64) -> SnapshotId {
    let s = row(db, first).await;
    let new = NewSnapshot {
        repository: domain::id::RepositoryId(s.repository_id),
        service: s.service_id.map(ServiceId),
        source: s.source_id.map(domain::id::SourceId),
        item: s.item_id.map(ItemId),
        person: None,
        run: None,
        restic_id: format!("{n:064}"),
        tree: s.tree,
        parent_restic_id: None,
        taken_at: Timestamp(s.taken_at).plus_secs(n),
        host: s.host,
        label: s.label,
        paths: s.paths.0,
        tags: s.tags.0,
        state: "complete",
        files: 9,
        dirs: 0,
        bytes: 9,
        bytes_added: 9,
        files_added: 0,
        files_changed: 9,
        files_removed: 0,
        errors: 0,
        measure: Some(Measure { compared: true, files: 9, turned: n, ..Measure::default() }),
    };
    let mut t = db.begin().await.unwrap();
    let id = snapshots::insert(t.tx(), &new).await.unwrap();
    items::set_snapshot(t.tx(), ItemId(s.item_id.unwrap()), id, new.taken_at, 9).await.unwrap();
    t.commit().await.unwrap();
    id
}

/// What the guard does when it finds a snapshot.
async fn found(db: &Db, snapshot: SnapshotId) -> HoldId {
    let s = row(db, snapshot).await;
    let measure = Measure { turned: 9, examples: vec!["secret/name.txt".into()], ..Measure::default() };
    let facts = Facts { snapshot: Some(snapshot), taken_at: Timestamp(s.taken_at), findings: vec![], measure, compared: 3, crowd: None };
    let new = NewHold {
        service: ServiceId(s.service_id.unwrap()),
        item: s.item_id.map(ItemId),
        snapshot: None,
        kind: HoldKind::Guard,
        reason: "9 files turned".into(),
        facts: serde_json::to_value(facts).ok(),
        run: None,
        actor: "holdfast".into(),
    };
    let mut t = db.begin().await.unwrap();
    let id = rows::place(t.tx(), &new, Timestamp(5)).await.unwrap();
    guard::mark(t.tx(), snapshot, id).await.unwrap();
    t.commit().await.unwrap();
    id
}

async fn doubt(ctx: &Ctx, id: SnapshotId) -> Option<Doubt> {
    listing::listed(ctx, id).await.unwrap().doubt()
}

#[tokio::test]
async fn wrong_roles_are_refused_everywhere() {
    for t in testing::databases().await {
        let first = fill(&t).await;
        let hold = found(&t.db, first).await;
        let place = Place { service: "notebooks".into(), reason: "legal".into(), ..Place::default() };
        for role in [Role::Auditor, Role::Anonymous] {
            let c = ctx(&t, role);
            assert!(matches!(holds::place(&c, &place).await, Err(OpsError::Forbidden(_))));
            assert!(matches!(holds::release(&c, hold, "x").await, Err(OpsError::Forbidden(_))));
            assert!(matches!(holds::keep(&c, hold, "x").await, Err(OpsError::Forbidden(_))));
        }
        let nobody = ctx(&t, Role::Anonymous);
        assert!(matches!(holds::list(&nobody, &Filter::default(), None, 9).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(holds::standing(&nobody, 9).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(holds::find(&nobody, hold).await, Err(OpsError::Forbidden(_))));
        let s = row(&t.db, first).await;
        let (service, item) = (ServiceId(s.service_id.unwrap()), ItemId(s.item_id.unwrap()));
        assert!(matches!(holds::over_service(&nobody, service).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(holds::over_snapshot(&nobody, service, item, first).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(holds::last_good(&nobody, item).await, Err(OpsError::Forbidden(_))));
        // An auditor sees the hold and no name of anybody's file.
        let seen = holds::find(&ctx(&t, Role::Auditor), hold).await.unwrap();
        assert_eq!((seen.state(), seen.facts.unwrap().measure.examples), (State::Undecided, Vec::<String>::new()));
        assert_eq!(holds::find(&ctx(&t, Role::Admin), hold).await.unwrap().facts.unwrap().measure.examples, ["secret/name.txt"], "{}", t.name);
    }
}

#[tokio::test]
async fn a_person_holds_a_service_an_item_or_a_snapshot() {
    for t in testing::databases().await {
        let first = fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let place = |service: &str, item: &str, snapshot| Place { service: service.into(), item: item.into(), snapshot, reason: "  a lawsuit ".into() };
        let of_service = holds::place(&c, &place("notebooks", "", None)).await.unwrap();
        let of_item = holds::place(&c, &place("notebooks", "ada", None)).await.unwrap();
        let of_snapshot = holds::place(&c, &place("", "", Some(first))).await.unwrap();
        let s = row(&t.db, first).await;
        let over = holds::over_snapshot(&c, ServiceId(s.service_id.unwrap()), ItemId(s.item_id.unwrap()), first).await.unwrap();
        assert_eq!(over.iter().map(|h| h.id()).collect::<Vec<_>>(), [of_service, of_item, of_snapshot]);
        assert!(over.iter().all(|h| h.reason == "a lawsuit"));
        assert_eq!(holds::standing(&c, 10).await.unwrap().len(), 3);
        assert_eq!(holds::find(&c, of_item).await.unwrap().listed.item_name.as_deref(), Some("ada"));

        let said = |r: crate::Result<HoldId>| r.unwrap_err().to_string();
        assert_eq!(said(holds::place(&c, &place("none", "", None)).await), "there is no service “none”");
        assert_eq!(said(holds::place(&c, &place("notebooks", "bob", None)).await), "there is no item “bob”");
        assert!(said(holds::place(&c, &place("", "", None)).await).starts_with("service: is empty"));
        assert!(said(holds::place(&c, &Place { reason: " ".into(), ..place("notebooks", "", None) }).await).starts_with("reason: is empty"));
        assert!(said(holds::place(&c, &Place { reason: "x".repeat(501), ..place("notebooks", "", None) }).await).contains("longer than 500"));

        assert!(holds::keep(&c, of_item, "why not").await.unwrap_err().to_string().contains("was placed by a person"));
        holds::release(&c, of_item, "settled").await.unwrap();
        assert_eq!(holds::release(&c, of_item, "again").await.unwrap_err().to_string(), "this hold has ended: somebody released it");
        let ended = holds::list(&c, &Filter { state: "ended".into(), ..Filter::default() }, None, 10).await.unwrap();
        assert_eq!((ended.len(), ended[0].state(), ended[0].row().release_reason.as_deref()), (1, State::Ended, Some("settled")));
        for (service, kind, n) in [("notebooks", "", 3), ("other", "", 0), ("", "guard", 0), ("", "person", 3)] {
            let filter = Filter { service: service.into(), kind: kind.into(), state: String::new() };
            assert_eq!(holds::list(&c, &filter, None, 10).await.unwrap().len(), n, "{service} {kind}");
        }
        let first_page = holds::list(&c, &Filter::default(), None, 2).await.unwrap();
        let last = first_page[1].row();
        assert_eq!(holds::list(&c, &Filter::default(), Some((Timestamp(last.created_at), last.id())), 2).await.unwrap().len(), 1);
        let chain = store::audit::verify(t.db.read().await.unwrap().tx()).await.unwrap();
        assert_eq!(chain, Ok(4), "three were placed and one released; what was refused left nothing");
    }
}

#[tokio::test]
async fn a_release_makes_the_new_state_normal() {
    for t in testing::databases().await {
        let first = fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let second = another(&t.db, first, 10).await;
        let hold = found(&t.db, second).await;
        assert_eq!(doubt(&c, second).await, Some(Doubt::InQuestion));
        let third = another(&t.db, first, 20).await;
        assert_eq!(doubt(&c, third).await, Some(Doubt::InQuestion), "it follows one that is in question");
        assert_eq!(holds::find(&c, hold).await.unwrap().marked, 2);
        let item = ItemId(row(&t.db, first).await.item_id.unwrap());
        assert_eq!(holds::last_good(&c, item).await.unwrap().unwrap().id, first.0);

        holds::release(&c, hold, "she compressed her data").await.unwrap();
        assert_eq!((doubt(&c, second).await, doubt(&c, third).await), (Some(Doubt::Accepted), Some(Doubt::Accepted)));
        assert_eq!(holds::last_good(&c, item).await.unwrap().unwrap().id, third.0);
        let fourth = another(&t.db, first, 30).await;
        assert_eq!(doubt(&c, fourth).await, None, "{}", t.name);
        let key = (Timestamp(i64::MAX), SnapshotId(uuid::Uuid::max()));
        let history = guard::history(t.db.read().await.unwrap().tx(), item, key, 30).await.unwrap();
        assert_eq!(history.iter().map(|p| p.accepted).collect::<Vec<_>>(), [false, true, true, false]);
    }
}

#[tokio::test]
async fn a_kept_hold_marks_what_is_bad_until_the_item_is_in_order_again() {
    for t in testing::databases().await {
        let first = fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let second = another(&t.db, first, 10).await;
        let hold = found(&t.db, second).await;
        let s = row(&t.db, first).await;
        let (item, repository) = (ItemId(s.item_id.unwrap()), domain::id::RepositoryId(s.repository_id));
        let pausing = async || rows::pausing(t.db.read().await.unwrap().tx(), repository, 9).await.unwrap().len();
        assert_eq!(pausing().await, 1);
        holds::keep(&c, hold, "encrypted by malware").await.unwrap();
        assert_eq!((pausing().await, doubt(&c, second).await), (0, Some(Doubt::Bad)), "prunes go on, what is held stays");
        assert!(holds::keep(&c, hold, "again").await.unwrap_err().to_string().contains("has decided to keep this hold already"));
        let third = another(&t.db, first, 20).await;
        assert_eq!(doubt(&c, third).await, Some(Doubt::Bad), "the home is still encrypted");
        assert_eq!(holds::last_good(&c, item).await.unwrap().unwrap().id, first.0);
        let kept = holds::find(&c, hold).await.unwrap();
        assert_eq!((kept.state(), kept.marked, kept.good.iter().map(|g| g.id).collect::<Vec<_>>()), (State::Kept, 2, vec![first.0]));
        for held in [first, second, third] {
            assert_eq!(holds::over_snapshot(&c, ServiceId(s.service_id.unwrap()), item, held).await.unwrap().len(), 1);
        }

        // It was restored, and backed up again.
        let fourth = another(&t.db, first, 30).await;
        holds::release(&c, hold, "restored and looked through").await.unwrap();
        assert_eq!((doubt(&c, second).await, doubt(&c, fourth).await), (Some(Doubt::Bad), None));
        assert_eq!(holds::last_good(&c, item).await.unwrap().unwrap().id, fourth.0);
        let key = (Timestamp(i64::MAX), SnapshotId(uuid::Uuid::max()));
        let history = guard::history(t.db.read().await.unwrap().tx(), item, key, 30).await.unwrap();
        assert_eq!(history.len(), 2, "{}: what was bad is no measure of what is usual", t.name);
        let chain = store::audit::verify(t.db.read().await.unwrap().tx()).await.unwrap();
        assert_eq!(chain, Ok(2));
    }
}
