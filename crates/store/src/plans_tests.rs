//! Plans: one open and one approved version a service, changes only from what was seen, signatures that fall.

use domain::{
    id::{PlanVersionId, ServiceId},
    plan::{Annex, Event, PlanContent, Role, State},
    units::Timestamp,
};

use crate::{
    Db, StoreError,
    plans::{self, NewVersion, Submission},
    services::{self, NewService},
    testing,
};

async fn service(db: &Db, name: &str) -> ServiceId {
    let mut t = db.begin().await.unwrap();
    let new = NewService { name: name.into(), title: name.to_uppercase(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let id = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    id
}

async fn start(db: &Db, service: ServiceId) -> Result<PlanVersionId, StoreError> {
    let mut t = db.begin().await.unwrap();
    let content = PlanContent { outcome: "first".into(), rto_s: Some(86_400), ..PlanContent::default() };
    let id = plans::start(t.tx(), &NewVersion { service, content: &content, roles: &Role::usual(), based_on: None, by: "ada" }, Timestamp(10)).await?;
    t.commit().await.unwrap();
    Ok(id)
}

async fn submit(db: &Db, id: PlanVersionId, revision: i64) -> bool {
    let mut t = db.begin().await.unwrap();
    let with = Submission { sha256: "aa", annex: &Annex::default(), roles: &Role::usual() };
    let done = plans::submit(t.tx(), id, revision, &with, Timestamp(20)).await.unwrap();
    t.commit().await.unwrap();
    done
}

#[tokio::test]
async fn a_version_goes_its_way_and_is_locked_at_its_end() {
    for t in testing::databases().await {
        let service = service(&t.db, "notebooks").await;
        let id = start(&t.db, service).await.unwrap();
        assert!(matches!(start(&t.db, service).await, Err(StoreError::Conflict(_))), "{}: one open version a service", t.name);
        let mut tx = t.db.begin().await.unwrap();
        let row = plans::open(tx.tx(), service).await.unwrap().unwrap();
        assert_eq!((row.number, row.revision, row.state(), row.content.0.rto_s), (1, 1, State::Draft, Some(86_400)));
        let changed = PlanContent { outcome: "second".into(), ..row.content.0 };
        assert!(plans::save(tx.tx(), id, 1, &changed, "bob", Timestamp(11)).await.unwrap());
        assert!(!plans::save(tx.tx(), id, 1, &changed, "eve", Timestamp(12)).await.unwrap(), "{}: a stale save changes nothing", t.name);
        tx.commit().await.unwrap();
        assert!(!submit(&t.db, id, 1).await && submit(&t.db, id, 2).await, "{}: what is submitted is what was seen", t.name);

        let mut tx = t.db.begin().await.unwrap();
        assert_eq!(plans::count_waiting(tx.tx()).await.unwrap(), 1, "{}", t.name);
        assert!(!plans::save(tx.tx(), id, 2, &changed, "bob", Timestamp(21)).await.unwrap());
        assert!(!plans::discard(tx.tx(), id, 2, Timestamp(21)).await.unwrap());
        assert!(!plans::sign(tx.tx(), id, "Service owner", "ada", "bb", Timestamp(22)).await.unwrap(), "another content");
        assert!(plans::sign(tx.tx(), id, "Service owner", "ada", "aa", Timestamp(22)).await.unwrap());
        assert!(!plans::approve(tx.tx(), id, "bb", Timestamp(23)).await.unwrap());
        assert!(plans::approve(tx.tx(), id, "aa", Timestamp(23)).await.unwrap());
        for now in [24, 25] {
            assert!(!plans::save(tx.tx(), id, 2, &changed, "bob", Timestamp(now)).await.unwrap());
            assert!(!plans::give_back(tx.tx(), id, Timestamp(now)).await.unwrap());
            assert!(!plans::approve(tx.tx(), id, "aa", Timestamp(now)).await.unwrap());
            assert!(!plans::sign(tx.tx(), id, "Continuity office", "bob", "aa", Timestamp(now)).await.unwrap());
        }
        let row = plans::approved(tx.tx(), service).await.unwrap().unwrap();
        assert_eq!((row.content.0.outcome.as_str(), row.approved_at, row.annex.is_some()), ("second", Some(23), true));
        tx.commit().await.unwrap();

        // The next one: the former steps aside in the same transaction, or the index refuses.
        let next = start(&t.db, service).await.unwrap();
        assert!(submit(&t.db, next, 1).await);
        let mut tx = t.db.begin().await.unwrap();
        assert!(matches!(plans::approve(tx.tx(), next, "aa", Timestamp(30)).await, Err(StoreError::Conflict(_))), "{}", t.name);
        tx.rollback().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        assert!(plans::supersede(tx.tx(), id, Timestamp(31)).await.unwrap() && !plans::supersede(tx.tx(), id, Timestamp(31)).await.unwrap());
        assert!(plans::approve(tx.tx(), next, "aa", Timestamp(31)).await.unwrap());
        let states: Vec<_> = plans::of_service(tx.tx(), service, 9).await.unwrap().iter().map(|v| (v.number, v.state())).collect();
        assert_eq!(states, [(2, State::Approved), (1, State::Superseded)]);
        assert_eq!(plans::newest(tx.tx(), service).await.unwrap().map(|v| v.number), Some(2));
        assert_eq!(plans::by_number(tx.tx(), service, 1).await.unwrap().map(|v| v.id()), Some(id));
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn signatures_are_of_two_people_and_fall_with_the_return() {
    for t in testing::databases().await {
        let service = service(&t.db, "notebooks").await;
        let id = start(&t.db, service).await.unwrap();
        assert!(submit(&t.db, id, 1).await);
        for (role, who) in [("Service owner", "bob"), ("Continuity office", "ada")] {
            let mut tx = t.db.begin().await.unwrap();
            assert!(plans::sign(tx.tx(), id, "Service owner", "ada", "aa", Timestamp(21)).await.unwrap());
            let twice = plans::sign(tx.tx(), id, role, who, "aa", Timestamp(22)).await;
            assert!(matches!(twice, Err(StoreError::Conflict(_))), "{}: {role} {who}", t.name);
            tx.rollback().await.unwrap();
        }
        let mut tx = t.db.begin().await.unwrap();
        assert!(plans::sign(tx.tx(), id, "Service owner", "ada", "aa", Timestamp(21)).await.unwrap());
        assert!(plans::give_back(tx.tx(), id, Timestamp(22)).await.unwrap());
        let row = plans::find(tx.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.state(), row.revision, row.content_sha256, row.annex), (State::Draft, 2, None, None));
        let fallen = plans::signatures(tx.tx(), id).await.unwrap();
        assert_eq!(fallen.iter().map(|s| s.fallen_at).collect::<Vec<_>>(), [Some(22)]);
        tx.commit().await.unwrap();
        assert!(submit(&t.db, id, 2).await);
        let mut tx = t.db.begin().await.unwrap();
        assert!(plans::sign(tx.tx(), id, "Service owner", "ada", "aa", Timestamp(31)).await.unwrap(), "{}: a fallen one is in nobody's way", t.name);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_list_says_of_each_service_how_its_plan_stands() {
    for t in testing::databases().await {
        let (a, b) = (service(&t.db, "a").await, service(&t.db, "b").await);
        let id = start(&t.db, a).await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        plans::note(tx.tx(), id, Event::Started, "ada", "from the empty form", Timestamp(10)).await.unwrap();
        let all = plans::list(tx.tx(), "", "", 9).await.unwrap();
        assert_eq!(
            all.iter().map(|p| (p.service_id, p.open, p.open_state.as_deref(), p.approved)).collect::<Vec<_>>(),
            [(a.0, Some(1), Some("draft"), None), (b.0, None, None, None)]
        );
        assert_eq!(plans::list(tx.tx(), "a", "", 9).await.unwrap().len(), 1);
        assert_eq!(plans::list(tx.tx(), "", "B", 9).await.unwrap().len(), 1);
        assert_eq!(plans::count_waiting(tx.tx()).await.unwrap(), 0, "{}: a draft waits for nobody", t.name);
        assert!(plans::discard(tx.tx(), id, 1, Timestamp(11)).await.unwrap());
        assert!(plans::open(tx.tx(), a).await.unwrap().is_none());
        let events = plans::events(tx.tx(), a, 9).await.unwrap();
        assert_eq!(events.iter().map(|e| (e.number, e.kind.as_str(), e.note.as_str())).collect::<Vec<_>>(), [(1, "started", "from the empty form")]);
        tx.commit().await.unwrap();
        let again = start(&t.db, a).await.unwrap();
        assert_eq!(plans::find(t.db.read().await.unwrap().tx(), again).await.unwrap().unwrap().number, 2, "{}: a number never comes back", t.name);
    }
}
