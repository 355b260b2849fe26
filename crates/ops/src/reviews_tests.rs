//! Reviews and calendar addresses on both databases: who may, what is refused and why, who sees what.

use domain::{
    field::FieldError,
    id::{FeedId, ServiceId},
    review::{Done, ReviewKind, Standing},
    units::Timestamp,
};
use jiff::civil::{Date, date};
use store::{
    Clock,
    services::{self, NewService},
    testing::{self, TestDb},
};

use crate::{
    Actor, Ctx, OpsError, Role, feeds,
    permission::Action,
    reviews::{self, Filter},
    version::Seen,
};

/// 2020-06-01 at noon.
const NOW: Timestamp = Timestamp::from_secs(1_591_012_800);
/// 2019-01-15.
const CONFIGURED: Timestamp = Timestamp::from_secs(1_547_510_400);

/// Two services, of which olga owns the first.
async fn stage(t: &TestDb) -> (Clock, [ServiceId; 2]) {
    let mut tx = t.db.begin().await.unwrap();
    let mut ids = Vec::new();
    for (name, title) in [("notebooks", "EGI Notebooks"), ("portal", "Accounting; Portal")] {
        let new = NewService { name: name.into(), title: title.into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        ids.push(services::upsert(tx.tx(), &new, CONFIGURED).await.unwrap());
    }
    tx.commit().await.unwrap();
    (Clock::fixed(NOW), [ids[0], ids[1]])
}

fn as_actor(t: &TestDb, clock: &Clock, actor: Actor) -> Ctx {
    Ctx { clock: clock.clone(), ..Ctx::new(t.db.clone(), actor, "test") }
}

fn done(on: Date) -> Done {
    Done { on, by: "Olga".into(), outcome: "eight risks, all in order".into() }
}

fn fields<T: std::fmt::Debug>(r: crate::Result<T>) -> Vec<String> {
    let Err(OpsError::Invalid(all)) = r else { panic!("{r:?}") };
    all.into_iter().map(|f: FieldError| f.field).collect()
}

const RISK: ReviewKind = ReviewKind::Risk;

#[tokio::test]
async fn owners_record_on_their_services_and_others_are_refused() {
    for t in testing::databases().await {
        let (clock, [one, _]) = stage(&t).await;
        let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let olga = as_actor(&t, &clock, Actor { services: vec![one], ..Actor::new("olga", Role::Owner) });
        let of_2019 = done(date(2019, 5, 28));
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            let c = as_actor(&t, &clock, Actor::new("x", role));
            assert!(matches!(reviews::record(&c, "notebooks", RISK, &of_2019).await, Err(OpsError::Forbidden(_))), "{role}");
            assert!(matches!(reviews::set_interval(&c, "notebooks", RISK, 6, &Seen::Any).await, Err(OpsError::Forbidden(_))), "{role}");
            assert!(matches!(reviews::exempt(&c, "notebooks", RISK, date(2021, 1, 1), "x").await, Err(OpsError::Forbidden(_))), "{role}");
            assert!(matches!(reviews::end_exemption(&c, "notebooks", RISK).await, Err(OpsError::Forbidden(_))), "{role}");
        }
        let nobody = as_actor(&t, &clock, Actor::anonymous());
        assert!(matches!(reviews::calendar(&nobody, &Filter::default()).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(reviews::of_service(&nobody, "notebooks").await, Err(OpsError::Forbidden(_))));
        assert!(matches!(reviews::record(&olga, "portal", RISK, &of_2019).await, Err(OpsError::Forbidden(_))), "{}: another's", t.name);
        assert!(matches!(reviews::find(&olga, "portal", RISK).await, Err(OpsError::Forbidden(_))));

        reviews::record(&olga, "notebooks", RISK, &of_2019).await.unwrap();
        let found = reviews::of_service(&olga, "notebooks").await.unwrap();
        assert_eq!((found.reviews[0].facts.due, found.reviews[0].standing), (date(2020, 5, 28), Standing::Overdue { days: 4 }), "{}", t.name);
        assert_eq!((found.history[0].done_by.as_str(), found.history[0].actor.as_str()), ("Olga", "olga"));
        assert!(found.bus.is_low());
        // An owner sees their own alone; what is overdue comes first.
        let seen = reviews::calendar(&olga, &Filter::default()).await.unwrap();
        assert_eq!(
            seen.iter().map(|r| (r.service.name.as_str(), r.facts.due)).collect::<Vec<_>>(),
            [("notebooks", date(2020, 1, 15)), ("notebooks", date(2020, 5, 28))]
        );
        reviews::record(&admin, "notebooks", ReviewKind::Plan, &done(date(2020, 6, 1))).await.unwrap();
        reviews::record(&admin, "portal", RISK, &done(date(2019, 7, 1))).await.unwrap();
        let all = reviews::calendar(&admin, &Filter::default()).await.unwrap();
        let shown: Vec<_> = all.iter().map(|r| (r.service.name.as_str(), r.facts.kind, r.standing.as_str())).collect();
        let plan = ReviewKind::Plan;
        assert_eq!(shown, [("portal", plan, "overdue"), ("notebooks", RISK, "overdue"), ("portal", RISK, "soon"), ("notebooks", plan, "later")], "{}", t.name);
        let filter = Filter { service: "portal".into(), kind: Some(RISK) };
        assert_eq!(reviews::calendar(&admin, &filter).await.unwrap().len(), 1);
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap();
        assert_eq!(trail.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(), ["review.record"; 3]);
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    for t in testing::databases().await {
        let (clock, _) = stage(&t).await;
        let c = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        assert_eq!(fields(reviews::record(&c, "notebooks", RISK, &Done { by: String::new(), ..done(date(2020, 6, 2)) }).await), ["on", "by"]);
        assert_eq!(fields(reviews::set_interval(&c, "notebooks", RISK, 0, &Seen::Any).await), ["months"]);
        assert_eq!(fields(reviews::exempt(&c, "notebooks", RISK, date(2020, 5, 31), "").await), ["until", "reason"]);
        assert!(matches!(reviews::record(&c, "none", RISK, &done(date(2020, 6, 1))).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(reviews::end_exemption(&c, "notebooks", RISK).await, Err(OpsError::Conflict(_))));
        assert!(matches!(reviews::kind("lunch"), Err(OpsError::NotFound { .. })));
        // Of two who say how often from the same page one is refused.
        let seen = Seen::in_form(&reviews::find(&c, "notebooks", RISK).await.unwrap().version());
        assert!(reviews::set_interval(&c, "notebooks", RISK, 6, &seen).await.unwrap());
        assert!(matches!(reviews::set_interval(&c, "notebooks", RISK, 24, &seen).await, Err(OpsError::Stale(_))), "{}", t.name);
        let now = Seen::in_form(&reviews::find(&c, "notebooks", RISK).await.unwrap().version());
        assert!(!reviews::set_interval(&c, "notebooks", RISK, 6, &now).await.unwrap(), "the same is no change");
        assert_eq!(store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_exemption_holds_until_its_day_or_its_end() {
    for t in testing::databases().await {
        let (clock, _) = stage(&t).await;
        let c = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let standing = |c: Ctx| async move { reviews::find(&c, "notebooks", RISK).await.unwrap().standing };
        assert_eq!(standing(c.clone()).await.as_str(), "overdue");
        reviews::exempt(&c, "notebooks", RISK, date(2020, 6, 1), "being replaced").await.unwrap();
        assert_eq!(standing(c.clone()).await, Standing::Exempt { until: date(2020, 6, 1) });
        clock.advance_secs(86_400);
        assert_eq!(standing(c.clone()).await.as_str(), "overdue", "{}: its day is over", t.name);
        // A new one takes its place.
        reviews::exempt(&c, "notebooks", RISK, date(2020, 12, 31), "still being replaced").await.unwrap();
        assert_eq!(standing(c.clone()).await, Standing::Exempt { until: date(2020, 12, 31) });
        reviews::end_exemption(&c, "notebooks", RISK).await.unwrap();
        assert_eq!(standing(c.clone()).await.as_str(), "overdue");
        let all = reviews::of_service(&c, "notebooks").await.unwrap().exemptions;
        assert_eq!(all.iter().map(|e| e.ended_by.as_deref()).collect::<Vec<_>>(), [Some("ada"), Some("ada")], "{}", t.name);
    }
}

#[tokio::test]
async fn one_that_was_recorded_by_mistake_is_withdrawn_and_counts_no_longer() {
    for t in testing::databases().await {
        let (clock, [one, _]) = stage(&t).await;
        let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let olga = as_actor(&t, &clock, Actor { services: vec![one], ..Actor::new("olga", Role::Owner) });
        let first = reviews::record(&olga, "notebooks", RISK, &done(date(2019, 5, 28))).await.unwrap();
        clock.advance_secs(60);
        let wrong = reviews::record(&admin, "notebooks", RISK, &done(date(2020, 5, 28))).await.unwrap();
        let found = async || reviews::of_service(&olga, "notebooks").await.unwrap();
        assert_eq!(found().await.reviews[0].facts.due, date(2021, 5, 28));
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            let c = as_actor(&t, &clock, Actor::new("x", role));
            assert!(matches!(reviews::withdraw(&c, "notebooks", RISK, wrong, "x").await, Err(OpsError::Forbidden(_))), "{role}");
        }
        assert!(matches!(reviews::withdraw(&olga, "portal", RISK, wrong, "x").await, Err(OpsError::Forbidden(_))), "{}: another's", t.name);
        assert!(matches!(reviews::withdraw(&admin, "portal", RISK, wrong, "x").await, Err(OpsError::NotFound { .. })), "{}: of another service", t.name);
        assert!(matches!(reviews::withdraw(&olga, "notebooks", ReviewKind::Plan, wrong, "x").await, Err(OpsError::NotFound { .. })));
        assert_eq!(fields(reviews::withdraw(&olga, "notebooks", RISK, wrong, " ").await), ["reason"]);

        clock.advance_secs(60);
        reviews::withdraw(&olga, "notebooks", RISK, wrong, "it was of the portal").await.unwrap();
        let after = found().await;
        let facts = &after.reviews[0].facts;
        assert_eq!((facts.due, facts.changed_at), (date(2020, 5, 28), clock.now()), "{}: the one before counts again", t.name);
        let shown: Vec<_> = after.history.iter().map(|r| (r.id, r.withdrawn_by.as_deref(), r.withdraw_reason.as_deref())).collect();
        assert_eq!(shown, [(wrong.0, Some("olga"), Some("it was of the portal")), (first.0, None, None)], "{}", t.name);
        let calendar = reviews::calendar(&olga, &Filter::default()).await.unwrap();
        assert!(calendar.iter().any(|r| r.facts == *facts), "{}: all at once and one alone say the same", t.name);
        assert!(matches!(reviews::withdraw(&olga, "notebooks", RISK, wrong, "again").await, Err(OpsError::Conflict(_))));
        reviews::withdraw(&olga, "notebooks", RISK, first, "as well").await.unwrap();
        assert_eq!(found().await.reviews[0].facts.last, None, "{}", t.name);
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap();
        assert_eq!(trail.iter().filter(|e| e.action == "review.withdraw").count(), 2);
    }
}

#[tokio::test]
async fn an_address_shows_what_its_maker_sees_until_it_is_revoked() {
    for t in testing::databases().await {
        let (clock, [one, _]) = stage(&t).await;
        let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let olga = as_actor(&t, &clock, Actor { services: vec![one], ..Actor::new("olga", Role::Owner) });
        let (row, secret) = feeds::make(&admin, "my phone", 30).await.unwrap();
        assert!(secret.len() == feeds::PREFIX.len() + 64 && !row.issued.hash.contains(&secret[4..]));
        let text = feeds::read(&t.db, &clock, &secret, "192.0.2.7").await.unwrap().unwrap();
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 4, "{}", t.name);
        assert!(text.contains("SUMMARY:Accounting\\; Portal: risk assessment\r\n") && text.contains("DTSTART;VALUE=DATE:20200115\r\n"), "{text}");
        assert!(!text.contains("URL:"), "nobody has said where this site is");
        let before = text.clone();
        reviews::record(&admin, "notebooks", RISK, &done(date(2020, 5, 28))).await.unwrap();
        let text = feeds::read(&t.db, &clock, &secret, "192.0.2.7").await.unwrap().unwrap();
        let uids = |text: &str| text.lines().filter(|l| l.starts_with("UID:")).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!((uids(&before), uids(&before).len()), (uids(&text), 4), "events move and keep their names");
        assert!(text.contains("DTSTART;VALUE=DATE:20210528\r\n"), "{}: {text}", t.name);
        let listed = feeds::list(&admin).await.unwrap().remove(0);
        assert_eq!((listed.issued.last_used_from.as_deref(), listed.issued.last_used_at), (Some("192.0.2.7"), Some(NOW.0)));

        // An owner without an account owns nothing when the address is read: accounts say what somebody sees now.
        let (_, hers) = feeds::make(&olga, "laptop", 1).await.unwrap();
        let text = feeds::read(&t.db, &clock, &hers, "x").await.unwrap().unwrap();
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 0, "{}", t.name);
        assert_eq!((feeds::list(&olga).await.unwrap().len(), feeds::list(&admin).await.unwrap().len()), (1, 2));
        assert!(matches!(feeds::revoke(&olga, FeedId(row.issued.id)).await, Err(OpsError::Forbidden(_))));

        // Another letter, no prefix, a hash, the time is over, revoked: nothing.
        let other = if secret.ends_with('0') { "1" } else { "0" };
        for bad in [format!("{}{other}", &secret[..secret.len() - 1]), secret[4..].to_owned(), String::new(), row.issued.hash.clone(), format!("{secret}0")] {
            assert!(feeds::read(&t.db, &clock, &bad, "x").await.unwrap().is_none());
        }
        let late = Clock::fixed(NOW.plus_secs(30 * 86_400));
        assert!(feeds::read(&t.db, &late, &secret, "x").await.unwrap().is_none(), "{}: expired", t.name);
        feeds::revoke(&admin, FeedId(row.issued.id)).await.unwrap();
        feeds::revoke(&admin, FeedId(row.issued.id)).await.unwrap();
        assert!(feeds::read(&t.db, &clock, &secret, "x").await.unwrap().is_none(), "{}: revoked", t.name);
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap();
        assert_eq!(trail.iter().filter(|e| e.action == "calendar.revoke").count(), 1);
        assert!(!format!("{trail:?}").contains(&secret), "the trail holds no secret");
    }
}

#[tokio::test]
async fn programs_and_strangers_make_no_address() {
    let t = testing::sqlite().await;
    let (clock, _) = stage(&t).await;
    let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
    assert_eq!(fields(feeds::make(&admin, " ", 0).await), ["name", "days"]);
    let program = as_actor(&t, &clock, Actor { scopes: Some(vec![Action::Read]), ..Actor::new("ada by token ci", Role::Admin) });
    assert!(matches!(feeds::make(&program, "x", 1).await, Err(OpsError::Forbidden(_))));
    let nobody = as_actor(&t, &clock, Actor::anonymous());
    assert!(matches!(feeds::make(&nobody, "x", 1).await, Err(OpsError::Forbidden(_))));
    assert!(matches!(feeds::list(&nobody).await, Err(OpsError::Forbidden(_))));
}
