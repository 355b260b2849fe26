//! Read-only links on both databases: who makes which, what they show, when that ends.

use domain::{
    id::{LinkId, ServiceId},
    units::Timestamp,
};
use jiff::civil::date;
use store::{
    Clock,
    services::{self, NewService},
    testing::{self, TestDb},
};

use crate::{
    Actor, Ctx, OpsError, Role,
    links::{self, Wanted},
    permission::{Action, On, Sight, allowed, period, require, require_on, sight},
};

const NOW: Timestamp = Timestamp::from_secs(1_591_012_800);

async fn stage(t: &TestDb) -> (Clock, [ServiceId; 2]) {
    let mut tx = t.db.begin().await.unwrap();
    let mut ids = Vec::new();
    for name in ["alpha", "beta"] {
        let new = NewService { name: name.into(), title: name.into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        ids.push(services::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap());
    }
    tx.commit().await.unwrap();
    (Clock::fixed(NOW), [ids[0], ids[1]])
}

fn as_actor(t: &TestDb, clock: &Clock, actor: Actor) -> Ctx {
    Ctx { clock: clock.clone(), ..Ctx::new(t.db.clone(), actor, "192.0.2.9") }
}

fn wanted(services: &[&str]) -> Wanted {
    let services = services.iter().map(|s| (*s).to_owned()).collect();
    Wanted { label: "audit 2020".into(), all: false, services, from: "2020-01-01".into(), to: "2020-06-30".into(), days: 30 }
}

#[tokio::test]
async fn a_link_shows_evidence_of_its_services_until_it_ends() {
    for t in testing::databases().await {
        let (clock, [alpha, beta]) = stage(&t).await;
        let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let nobody = as_actor(&t, &clock, Actor::anonymous());
        let (row, secret) = links::make(&admin, &wanted(&["alpha"])).await.unwrap();
        assert!(secret.len() == links::PREFIX.len() + 64 && !row.issued.hash.contains(&secret[4..]));
        let guest = links::open(&nobody, &secret).await.unwrap();
        assert_eq!((guest.role, guest.name.as_str(), guest.shown()), (Role::Guest, "guest by link audit 2020", "audit 2020"));
        let c = as_actor(&t, &clock, guest.clone());
        assert_eq!(period(&c), Some((date(2020, 1, 1), date(2020, 6, 30))));
        assert_eq!(sight(&c, Action::Evidence).unwrap(), Sight::Part { services: vec![alpha], person: None }, "{}", t.name);
        assert!(require_on(&c, Action::Evidence, On::Service(alpha)).is_ok() && require_on(&c, Action::Evidence, On::Service(beta)).is_err());
        // Nothing else: neither pages, nor tokens, nor links.
        assert!(matches!(crate::services::list(&c, "", "", 9).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(crate::tokens::list(&c).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(links::make(&c, &wanted(&["alpha"])).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(require(&c, Action::Evidence), Err(OpsError::Forbidden(_))));

        links::open(&nobody, &secret).await.unwrap();
        let listed = links::list(&admin).await.unwrap().remove(0);
        assert_eq!((listed.uses, listed.issued.last_used_at, listed.issued.last_used_from.as_deref()), (2, Some(NOW.0), Some("192.0.2.9")), "{}", t.name);
        let named = guest.guest.clone().unwrap();
        assert!(links::still_in(&t.db, &clock, &named).await.unwrap().is_some());
        let late = Clock::fixed(NOW.plus_secs(30 * 86_400));
        assert!(links::still_in(&t.db, &late, &named).await.unwrap().is_none(), "{}: its time is over", t.name);
        links::revoke(&admin, LinkId(row.issued.id)).await.unwrap();
        links::revoke(&admin, LinkId(row.issued.id)).await.unwrap();
        assert!(links::still_in(&t.db, &clock, &named).await.unwrap().is_none(), "{}: revoked at once", t.name);
        let other = if secret.ends_with('0') { "1" } else { "0" };
        for bad in [secret.clone(), format!("{}{other}", &secret[..secret.len() - 1]), row.issued.hash.clone(), String::new()] {
            assert!(matches!(links::open(&nobody, &bad).await, Err(OpsError::Invalid(_))), "{}: {bad}", t.name);
        }
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap();
        assert_eq!(trail.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(), ["link.make", "link.open", "link.open", "link.revoke"]);
        assert!(!format!("{trail:?}").contains(&secret), "the trail holds no secret");
    }
}

#[tokio::test]
async fn an_owner_shows_their_services_and_an_admin_all() {
    for t in testing::databases().await {
        let (clock, [alpha, beta]) = stage(&t).await;
        let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
        let olga = as_actor(&t, &clock, Actor { services: vec![alpha], ..Actor::new("olga", Role::Owner) });
        let nobody = as_actor(&t, &clock, Actor::anonymous());
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            let c = as_actor(&t, &clock, Actor::new("x", role));
            assert!(matches!(links::make(&c, &wanted(&["alpha"])).await, Err(OpsError::Forbidden(_))), "{role}");
            assert!(matches!(links::list(&c).await, Err(OpsError::Forbidden(_))), "{role}");
        }
        assert!(matches!(links::make(&olga, &wanted(&["alpha", "beta"])).await, Err(OpsError::Forbidden(_))), "{}: one of two is another's", t.name);
        let all = Wanted { all: true, ..wanted(&[]) };
        assert!(matches!(links::make(&olga, &all).await, Err(OpsError::Forbidden(_))), "{}: all is an admin's", t.name);
        let program = as_actor(&t, &clock, Actor { scopes: Some(vec![Action::Plan]), ..Actor::new("ada by token ci", Role::Admin) });
        assert!(matches!(links::make(&program, &wanted(&["alpha"])).await, Err(OpsError::Forbidden(_))));

        let (_, secret) = links::make(&admin, &all).await.unwrap();
        let guest = links::open(&nobody, &secret).await.unwrap();
        assert!(allowed(&guest, Action::Evidence, On::All) && allowed(&guest, Action::Evidence, On::Service(beta)));
        assert_eq!(sight(&as_actor(&t, &clock, guest), Action::Evidence).unwrap(), Sight::All);
        // Hers is there, and shows nothing: no account says that she owns the service now.
        let (hers, secret) = links::make(&olga, &wanted(&["alpha"])).await.unwrap();
        assert!(matches!(links::open(&nobody, &secret).await, Err(OpsError::Invalid(_))), "{}", t.name);
        assert_eq!((links::list(&olga).await.unwrap().len(), links::list(&admin).await.unwrap().len()), (1, 2));
        assert_eq!(links::service_names(&olga, &hers).await.unwrap(), Some(vec!["alpha".to_owned()]));
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_field() {
    let t = testing::sqlite().await;
    let (clock, _) = stage(&t).await;
    let admin = as_actor(&t, &clock, Actor::new("ada", Role::Admin));
    let fields = async |w: Wanted| match links::make(&admin, &w).await {
        Err(OpsError::Invalid(all)) => all.into_iter().map(|f| f.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fields(Wanted { label: " ".into(), from: "today".into(), days: 91, ..wanted(&[]) }).await, ["label", "services", "from", "days"]);
    assert_eq!(fields(Wanted { to: "2019-12-31".into(), days: 0, ..wanted(&["alpha"]) }).await, ["to", "days"]);
    assert_eq!(fields(wanted(&["gamma"])).await, ["services"]);
}
