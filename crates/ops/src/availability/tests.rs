//! Who may say what of a month, that nothing is overwritten without a word, and that the key never comes out.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    availability::{
        Entry, Figures, Month, Origin,
        source::{Format, Settings, Version},
    },
    id::ServiceId,
    plan::PlanContent,
    units::Timestamp,
};
use engine::job::Secret;
use store::{
    audit,
    availability::{self as rows, Told},
    plans::{self, NewVersion},
    repositories::SecretRef,
    services::{self, NewService},
    testing::{self, TestDb},
};

use super::{
    enter, explain, explanation, forget, month, months, note_version, show,
    source::{self, NewSource},
    unexplain, version,
};
use crate::{Actor, Ctx, OpsError, Role, notifications::Given, seal::Keys, secrets::Vault, version::Seen};

const KEY: &str = "very-secret-key-of-a-tenant";

struct Place {
    _folder: tempfile::TempDir,
    keys: Keys,
    vault: Vault,
    ctx: Ctx,
    service: ServiceId,
}

/// One service on a database; it is November 2026.
async fn place(db: &TestDb) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::of(folder.path());
    keys.make().unwrap();
    let vault = Vault::new(Arc::new(BTreeMap::new()), keys.clone());
    let mut ctx = Ctx::new(db.db.clone(), Actor::shell(), "test");
    ctx.clock = store::Clock::fixed(Timestamp::from_secs(1_795_600_000));
    let new = NewService { name: "notebooks".into(), title: "Notebooks".into(), owner: "ops".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let mut t = db.db.begin().await.unwrap();
    let service = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    Place { _folder: folder, keys, vault, ctx, service }
}

fn m(text: &str) -> Month {
    text.parse().unwrap()
}

const fn both(a: f64, r: f64) -> Figures {
    Figures { availability: Some(a), reliability: Some(r) }
}

fn entry(month: &str, figures: Figures, instead: bool) -> Entry {
    Entry { month: m(month), figures, instead }
}

fn argo() -> NewSource {
    let settings = Settings {
        address: "https://api.argo.example.org/".into(),
        version: Version::V2,
        format: Format::Json,
        report: "Critical".into(),
        group: "/SITES/CESGA".into(),
        allow_http: false,
        since: m("2026-01"),
    };
    NewSource { settings, key: Given::Typed(Secret::new(KEY)) }
}

async fn from_argo(p: &Place, period: &str, figures: Figures) {
    let mut t = p.ctx.db.begin().await.unwrap();
    let told = Told { period, origin: Origin::Argo, figures, parts: None, by: "api.argo.example.org" };
    rows::record(t.tx(), p.service, &told, p.ctx.now()).await.unwrap();
    t.commit().await.unwrap();
}

/// A plan that promises so much.
async fn agree(p: &Place, percent: f64) {
    let mut content = PlanContent::default();
    content.performance.availability = Some(percent);
    let new = NewVersion { service: p.service, content: &content, roles: &[], based_on: None, by: "ada" };
    let mut t = p.ctx.db.begin().await.unwrap();
    plans::start(t.tx(), &new, Timestamp(2)).await.unwrap();
    t.commit().await.unwrap();
}

fn refused(result: Result<impl std::fmt::Debug, OpsError>) -> Vec<String> {
    match result {
        Err(OpsError::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
        other => panic!("{other:?}"),
    }
}

async fn trail(ctx: &Ctx) -> String {
    format!("{:?}", audit::page(ctx.db.read().await.unwrap().tx(), 0, 1_000).await.unwrap())
}

#[tokio::test]
async fn a_month_that_was_entered_by_hand_says_so_with_who_and_when() {
    for db in testing::databases().await {
        let p = place(&db).await;
        enter(&p.ctx, "notebooks", &entry("2020-02", both(78.53, 78.53), false), &Seen::Any).await.unwrap();
        enter(&p.ctx, "notebooks", &entry("2020-05", both(84.04, 84.04), false), &Seen::Any).await.unwrap();
        explain(&p.ctx, "notebooks", m("2020-02"), " INFN-CATANIA-STACK was down. ", &Seen::Any).await.unwrap();
        let seen = month(&p.ctx, "notebooks", m("2020-02")).await.unwrap();
        let shown = seen.month.shown().unwrap();
        assert_eq!((shown.origin, shown.figures, shown.by.as_str(), shown.at), (Origin::Hand, both(78.53, 78.53), "shell", p.ctx.now()), "{}", db.name);
        assert_eq!(seen.month.note.as_ref().map(|n| (n.text.as_str(), n.by.as_str())), Some(("INFN-CATANIA-STACK was down.", "shell")), "{}", db.name);

        // Years ago: shown as it ended, each month between the two as well.
        let all = months(&p.ctx, "notebooks", None, None).await.unwrap();
        assert_eq!((all.from, all.to, all.months.len()), (m("2019-06"), m("2020-05"), 12), "{}", db.name);
        let part = months(&p.ctx, "notebooks", Some(m("2020-01")), Some(m("2020-06"))).await.unwrap();
        assert_eq!(part.months.iter().filter(|m| m.shown().is_some()).count(), 2, "{}", db.name);
        assert_eq!(part.below().count(), 0, "nothing was agreed");
        agree(&p, 80.0).await;
        let part = months(&p.ctx, "notebooks", Some(m("2020-01")), Some(m("2020-06"))).await.unwrap();
        assert_eq!(part.below().map(|m| m.month).collect::<Vec<_>>(), [m("2020-02")], "{}: 78.53 and 84.04 against 80", db.name);
        assert_eq!(part.targets.availability, Some(80.0), "{}", db.name);
        // The plan prints the same.
        let mut t = p.ctx.db.begin_read().await.unwrap();
        let facts = super::facts(t.tx(), &part.service, &part.targets).await.unwrap();
        drop(t);
        let said: Vec<_> = facts.iter().map(|f| (f.month.as_str(), f.availability, f.met)).collect();
        let want = [("2020-02", Some(78.53), Some(false)), ("2020-03", None, None), ("2020-04", None, None), ("2020-05", Some(84.04), Some(true))];
        assert_eq!(said, want, "{}", db.name);
        assert_eq!(facts[0].explanation, "INFN-CATANIA-STACK was down. Entered by hand by shell on 2026-11-25.", "{}", db.name);
        assert_eq!(refused(months(&p.ctx, "notebooks", Some(m("2020-06")), Some(m("2020-01"))).await), ["from"]);
        assert_eq!(refused(months(&p.ctx, "notebooks", Some(m("2010-01")), Some(m("2199-01"))).await), ["from"]);

        for (wrong, fields) in [
            (entry("2026-12", both(1.0, 1.0), false), vec!["month"]),
            (entry("2020-02", both(101.0, -1.0), false), vec!["availability", "reliability"]),
            (entry("2020-02", Figures::default(), false), vec!["availability"]),
        ] {
            assert_eq!(refused(enter(&p.ctx, "notebooks", &wrong, &Seen::Any).await), fields, "{}", db.name);
        }
        assert_eq!(refused(explain(&p.ctx, "notebooks", m("2020-02"), "  ", &Seen::Any).await), ["text"]);
        assert_eq!(refused(explain(&p.ctx, "notebooks", m("2026-12"), "later", &Seen::Any).await), ["month"]);

        // Two editors: the second one is told.
        let first = explanation(&p.ctx, "notebooks", m("2020-02")).await.unwrap();
        let basis = Seen::in_form(&note_version(&first));
        explain(&p.ctx, "notebooks", m("2020-02"), "The provider's storage failed.", &basis).await.unwrap();
        assert!(matches!(explain(&p.ctx, "notebooks", m("2020-02"), "Something else.", &basis).await, Err(OpsError::Stale(_))), "{}", db.name);
        let basis = Seen::in_form(&version(&seen.month));
        enter(&p.ctx, "notebooks", &entry("2020-02", both(79.0, 79.0), false), &basis).await.unwrap();
        assert!(matches!(enter(&p.ctx, "notebooks", &entry("2020-02", both(1.0, 1.0), false), &basis).await, Err(OpsError::Stale(_))), "{}", db.name);
        assert!(matches!(forget(&p.ctx, "notebooks", m("2020-02"), &basis).await, Err(OpsError::Stale(_))), "{}", db.name);

        forget(&p.ctx, "notebooks", m("2020-02"), &Seen::Any).await.unwrap();
        unexplain(&p.ctx, "notebooks", m("2020-02"), &Seen::Any).await.unwrap();
        assert!(matches!(forget(&p.ctx, "notebooks", m("2020-02"), &Seen::Any).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(unexplain(&p.ctx, "notebooks", m("2020-02"), &Seen::Any).await, Err(OpsError::NotFound { .. })));
        let trail = trail(&p.ctx).await;
        for action in ["availability.enter", "availability.explain", "availability.unexplain", "availability.forget"] {
            assert!(trail.contains(action), "{}: {action}", db.name);
        }
    }
}

#[tokio::test]
async fn neither_argo_nor_a_person_overwrites_the_other_without_a_word() {
    for db in testing::databases().await {
        let p = place(&db).await;
        let shown = async |month_: &str| {
            let seen = month(&p.ctx, "notebooks", m(month_)).await.unwrap().month;
            (seen.shown().unwrap().origin, seen.recorded.len())
        };
        // A person was first: ARGO's figure is kept beside, and shown when somebody says so.
        enter(&p.ctx, "notebooks", &entry("2026-02", both(80.0, 80.0), false), &Seen::Any).await.unwrap();
        assert_eq!(refused(show(&p.ctx, "notebooks", m("2026-02"), Origin::Argo).await), ["origin"], "there is none yet");
        from_argo(&p, "2026-02", both(99.0, 99.0)).await;
        assert_eq!(shown("2026-02").await, (Origin::Hand, 2), "{}", db.name);
        show(&p.ctx, "notebooks", m("2026-02"), Origin::Argo).await.unwrap();
        assert_eq!(shown("2026-02").await, (Origin::Argo, 2), "{}", db.name);

        // ARGO was first: whoever enters another figure has to say that it replaces that one.
        from_argo(&p, "2026-03", both(99.0, 98.5)).await;
        assert_eq!(refused(enter(&p.ctx, "notebooks", &entry("2026-03", both(80.0, 80.0), false), &Seen::Any).await), ["instead"]);
        assert_eq!(shown("2026-03").await, (Origin::Argo, 1), "{}", db.name);
        enter(&p.ctx, "notebooks", &entry("2026-03", both(80.0, 80.0), true), &Seen::Any).await.unwrap();
        assert_eq!(shown("2026-03").await, (Origin::Hand, 2), "{}", db.name);
        forget(&p.ctx, "notebooks", m("2026-03"), &Seen::Any).await.unwrap();
        assert_eq!(shown("2026-03").await, (Origin::Argo, 1), "{}", db.name);
    }
}

#[tokio::test]
async fn the_key_goes_in_sealed_and_stays_with_its_address() {
    for db in testing::databases().await {
        let p = place(&db).await;
        let mut nothing = argo();
        nothing.key = Given::Keep;
        assert_eq!(refused(source::save(&p.ctx, &p.vault, "notebooks", &nothing, &Seen::Any).await), ["key"]);
        source::save(&p.ctx, &p.vault, "notebooks", &argo(), &Seen::Absent).await.unwrap();
        let row = source::find(&p.ctx, "notebooks").await.unwrap();
        assert_eq!((row.settings.0.address.as_str(), row.settings.0.group.as_str()), ("https://api.argo.example.org", "SITES/CESGA"));
        assert_eq!((source::key_words(&row).as_str(), row.next_at), ("sealed", p.ctx.now().0), "{}: due at once", db.name);
        assert_eq!(source::reveal(&p.vault, &row).await.unwrap().reveal(), KEY);
        assert!(!format!("{row:?}{}", trail(&p.ctx).await).contains(KEY), "{}", db.name);

        // Kept with the same address, never sent to another one.
        let mut other = argo();
        (other.key, other.settings.report) = (Given::Keep, "Other".into());
        source::save(&p.ctx, &p.vault, "notebooks", &other, &Seen::in_form(&source::version(&row))).await.unwrap();
        assert!(matches!(source::save(&p.ctx, &p.vault, "notebooks", &argo(), &Seen::in_form(&source::version(&row))).await, Err(OpsError::Stale(_))));
        other.settings.address = "https://elsewhere.example.org".into();
        assert_eq!(refused(source::save(&p.ctx, &p.vault, "notebooks", &other, &Seen::Any).await), ["key"], "{}", db.name);
        for (key, address, fields) in [
            (Given::Typed(Secret::new("two words")), "https://api.argo.example.org", vec!["key"]),
            (Given::Typed(Secret::new("k")), "http://api.argo.example.org", vec!["address"]),
            (Given::Nothing, "https://me:secret@api.argo.example.org", vec!["address", "key"]),
        ] {
            let mut wrong = argo();
            (wrong.key, wrong.settings.address) = (key, address.into());
            assert_eq!(refused(source::save(&p.ctx, &p.vault, "notebooks", &wrong, &Seen::Any).await), fields, "{}", db.name);
        }

        // The server's key can be changed under it.
        let before = source::find(&p.ctx, "notebooks").await.unwrap().key.0;
        p.keys.add().unwrap();
        assert_eq!(crate::notifications::reseal(&p.ctx, &p.vault).await.unwrap(), 1, "{}", db.name);
        p.keys.drop_old().unwrap();
        let row = source::find(&p.ctx, "notebooks").await.unwrap();
        assert!(row.key.0 != before && matches!(row.key.0, SecretRef::Sealed(_)), "{}", db.name);
        assert_eq!(source::reveal(&p.vault, &row).await.unwrap().reveal(), KEY, "{}", db.name);

        source::fetch_now(&p.ctx, "notebooks").await.unwrap();
        source::remove(&p.ctx, "notebooks", &Seen::Any).await.unwrap();
        assert!(matches!(source::find(&p.ctx, "notebooks").await, Err(OpsError::NotFound { .. })));
        assert!(matches!(source::fetch_now(&p.ctx, "notebooks").await, Err(OpsError::NotFound { .. })));
    }
}

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    let db = testing::sqlite().await;
    let p = place(&db).await;
    source::save(&p.ctx, &p.vault, "notebooks", &argo(), &Seen::Any).await.unwrap();
    from_argo(&p, "2026-02", both(99.0, 99.0)).await;
    let owner = Actor { services: vec![p.service], ..Actor::new("olga", Role::Owner) };
    for (actor, reads, plans, operates) in [
        (Actor::new("aud", Role::Auditor), true, false, false),
        (owner, true, true, true),
        (Actor::new("olaf", Role::Owner), false, false, false),
        (Actor::new("mona", Role::Member), false, false, false),
        (Actor::anonymous(), false, false, false),
    ] {
        let ctx = Ctx { actor: actor.clone(), ..p.ctx.clone() };
        let (any, feb) = (Seen::Any, m("2026-02"));
        let cells = [
            (months(&ctx, "notebooks", None, None).await.map(drop), reads, "months"),
            (month(&ctx, "notebooks", feb).await.map(drop), reads, "month"),
            (source::find(&ctx, "notebooks").await.map(drop), reads, "source"),
            (enter(&ctx, "notebooks", &entry("2026-02", both(1.0, 1.0), true), &any).await, plans, "enter"),
            (explain(&ctx, "notebooks", feb, "Why.", &any).await, plans, "explain"),
            (show(&ctx, "notebooks", feb, Origin::Argo).await, plans, "show"),
            (unexplain(&ctx, "notebooks", feb, &any).await, plans, "unexplain"),
            (forget(&ctx, "notebooks", feb, &any).await, plans, "forget"),
            (source::fetch_now(&ctx, "notebooks").await, operates, "fetch"),
            (source::save(&ctx, &p.vault, "notebooks", &argo(), &any).await, false, "save"),
            (source::remove(&ctx, "notebooks", &any).await, false, "remove"),
        ];
        for (done, may, what) in cells {
            assert_eq!(!matches!(done, Err(OpsError::Forbidden(_))), may, "{} {what}: {done:?}", actor.name);
        }
    }
}
