//! Use cases of plans on both databases: who may, what is refused and why, what is left behind.

use domain::{
    document::Block,
    id::ServiceId,
    plan::{Event, PlanContent, Procedure, Role as Signs, State},
};
use store::{
    services::NewService,
    testing::{self, TestDb},
};

use crate::{
    Actor, Ctx, OpsError, Role, lint,
    plans::{self, Begin, Edit},
    runs_tests::fill,
    version::Seen,
};

const SERVICE: &str = "notebooks";

/// A service of which no finding of the linter stops a plan like [`content`].
async fn service(t: &TestDb) -> ServiceId {
    fill(t).await;
    let new = NewService { name: SERVICE.into(), title: "N".into(), owner: "o".into(), rpo_s: None, rto_s: Some(86_400), mtpod_s: None, canary: None };
    let mut tx = t.db.begin().await.unwrap();
    let id = store::services::upsert(tx.tx(), &new, domain::units::Timestamp(1)).await.unwrap();
    tx.commit().await.unwrap();
    let ada = admin(t, "ada");
    let until = domain::review::date_of(ada.now()).tomorrow().unwrap().to_string();
    let waive = lint::Waive { finding: "never-tested".into(), reason: "an exercise is planned".into(), until, ..lint::Waive::default() };
    lint::waive(&ada, SERVICE, &waive).await.unwrap();
    id
}

fn ctx(t: &TestDb, actor: Actor) -> Ctx {
    Ctx::new(t.db.clone(), actor, "test")
}

fn owner(t: &TestDb, of: ServiceId) -> Ctx {
    ctx(t, Actor { services: vec![of], ..Actor::new("olga", Role::Owner) })
}

fn admin(t: &TestDb, name: &str) -> Ctx {
    ctx(t, Actor::new(name, Role::Admin))
}

fn content() -> PlanContent {
    PlanContent {
        introduction: "Why.".into(),
        outcome: "One person can restore.".into(),
        rto_s: Some(86_400),
        procedures: vec![Procedure { title: "Restore".into(), text: "As written.".into(), ..Procedure::default() }],
        support_unit: "Notebooks".into(),
        contact: "A ticket.".into(),
        ..PlanContent::default()
    }
}

/// The version in review, with the sum of its content.
async fn in_review(c: &Ctx) -> (i64, String) {
    let row = plans::save(c, SERVICE, content(), &Seen::Any).await.unwrap();
    plans::submit(c, SERVICE, row.number, row.revision, "first").await.unwrap();
    let row = plans::version(c, SERVICE, row.number).await.unwrap().row;
    (row.number, row.content_sha256.unwrap())
}

fn said<T: std::fmt::Debug>(r: Result<T, OpsError>) -> String {
    r.unwrap_err().to_string()
}

#[tokio::test]
async fn a_plan_is_signed_by_two_people_and_supersedes_the_former() {
    for t in testing::databases().await {
        let of = service(&t).await;
        let (olga, ada) = (owner(&t, of), admin(&t, "ada"));
        let (number, sha) = in_review(&olga).await;
        assert!(said(plans::approve(&ada, SERVICE, number, &sha).await).contains("nobody has signed as Service owner; nobody has signed as Continuity office"));
        assert!(said(plans::sign(&olga, SERVICE, number, "Continuity office", &sha).await).contains("ask an admin"));
        assert!(said(plans::sign(&olga, SERVICE, number, "Boss", &sha).await).contains("choose one of Service owner, Continuity office"));
        assert!(said(plans::sign(&olga, SERVICE, number, "Service owner", "0000").await).contains("read it again before you sign"));
        plans::sign(&ada, SERVICE, number, "Service owner", &sha).await.unwrap();
        // One person is one person, also by a token.
        let program = ctx(&t, Actor::new("ada by token ci", Role::Admin));
        for again in [&ada, &program] {
            assert!(said(plans::sign(again, SERVICE, number, "Continuity office", &sha).await).contains("ask a second one"), "{}", t.name);
        }
        assert!(said(plans::sign(&olga, SERVICE, number, "Service owner", &sha).await).contains("ada has signed as Service owner already"));
        plans::sign(&admin(&t, "ben"), SERVICE, number, "Continuity office", &sha).await.unwrap();
        let version = plans::version(&ada, SERVICE, number).await.unwrap();
        assert!(plans::obstacles(&ada, &version).await.unwrap().is_empty() && version.missing().is_empty());
        assert!(said(plans::approve(&olga, SERVICE, number, "0000").await).contains("read it again before you approve it"));
        plans::approve(&olga, SERVICE, number, &sha).await.unwrap();
        for refused in [
            said(plans::give_back(&ada, SERVICE, number, "no").await),
            said(plans::submit(&ada, SERVICE, number, 1, "").await),
            said(plans::discard(&ada, SERVICE, number, 1, "no").await),
            said(plans::sign(&ada, SERVICE, number, "Service owner", &sha).await),
        ] {
            assert!(refused.contains("it is locked; begin a new draft"), "{refused}");
        }

        let next = plans::start(&olga, SERVICE, Begin::Approved).await.unwrap();
        let draft = plans::version(&olga, SERVICE, next).await.unwrap().row;
        assert_eq!((next, draft.based_on, &draft.content.0), (2, Some(1), &content()));
        assert!(said(plans::start(&olga, SERVICE, Begin::Empty).await).contains("version 2 of this plan is a draft already; go on with it, or discard it"));
        let better = PlanContent { outcome: "Two people can restore.".into(), ..content() };
        let row = plans::save(&olga, SERVICE, better, &Seen::in_form(&plans::tag(&draft))).await.unwrap();
        plans::submit(&olga, SERVICE, next, row.revision, "").await.unwrap();
        let sha = plans::version(&olga, SERVICE, next).await.unwrap().row.content_sha256.unwrap();
        plans::sign(&olga, SERVICE, next, "Service owner", &sha).await.unwrap();
        plans::sign(&ada, SERVICE, next, "Continuity office", &sha).await.unwrap();
        plans::approve(&ada, SERVICE, next, &sha).await.unwrap();
        let plan = plans::find(&ada, SERVICE).await.unwrap();
        assert_eq!((plan.approved.as_ref().map(|v| v.row.number), plan.open.is_none()), (Some(2), true));
        let states: Vec<_> = plans::versions(&ada, SERVICE).await.unwrap().iter().map(store::plans::VersionRow::state).collect();
        assert_eq!(states, [State::Approved, State::Superseded], "{}", t.name);
        let story: Vec<_> = plans::story(&plan.events, 1).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(story, [Event::Started, Event::Submitted, Event::Signed, Event::Signed, Event::Approved, Event::Superseded]);
        let differ = plans::difference(&ada, SERVICE, 1, 2).await.unwrap();
        assert_eq!(differ.fields.iter().map(|f| f.key).collect::<Vec<_>>(), ["outcome"]);
        assert!(store::audit::verify(t.db.read().await.unwrap().tx()).await.unwrap().is_ok(), "{}", t.name);
    }
}

#[tokio::test]
async fn two_editors_never_overwrite_each_other() {
    for t in testing::databases().await {
        let of = service(&t).await;
        let (olga, ada) = (owner(&t, of), admin(&t, "ada"));
        let first = plans::save(&olga, SERVICE, content(), &Seen::Absent).await.unwrap();
        let seen = Seen::in_form(&plans::tag(&first));
        let theirs = PlanContent { outcome: "Theirs.".into(), ..content() };
        let second = plans::save(&ada, SERVICE, theirs.clone(), &seen).await.unwrap();
        assert_eq!(second.revision, first.revision + 1);
        let mine = PlanContent { outcome: "Mine.".into(), ..content() };
        match plans::save(&olga, SERVICE, mine.clone(), &seen).await {
            Err(OpsError::Stale(s)) => assert_eq!(s.last.unwrap().0, "ada", "{}", t.name),
            other => panic!("{other:?}"),
        }
        assert!(matches!(plans::would_save(&olga, SERVICE, mine, &seen).await, Err(OpsError::Stale(_))));
        assert!(matches!(plans::save(&olga, SERVICE, content(), &Seen::Absent).await, Err(OpsError::Stale(_))));

        // Field by field: another's field stands, one that nobody touched is saved.
        let edit = |name: &str, found: &str, typed: &str| Edit { name: name.into(), found: found.into(), typed: typed.into() };
        let edits = [edit("outcome", "One person can restore.", "Mine."), edit("contact", "A ticket.", "ops@example.org\r\n")];
        let came = plans::autosave(&olga, SERVICE, &edits, &plans::tag(&first)).await.unwrap();
        assert_eq!(came.conflicts.iter().map(|c| (c.name.as_str(), c.theirs.as_str())).collect::<Vec<_>>(), [("outcome", "Theirs.")]);
        assert_eq!((came.row.content.0.outcome.as_str(), came.row.content.0.contact.as_str()), ("Theirs.", "ops@example.org"), "{}", t.name);
        // Rows of a list that somebody has not seen stay.
        let more = PlanContent { procedures: vec![content().procedures[0].clone(), Procedure { title: "Call".into(), ..Procedure::default() }], ..theirs };
        let third = plans::save(&ada, SERVICE, more, &Seen::Any).await.unwrap();
        let edits = [edit("procedures[0].title", "Restore", "Restore all"), edit("procedures[0].text", "As written.", "As written.")];
        for seen in [&came.row, &third] {
            let came = plans::autosave(&olga, SERVICE, &edits, &plans::tag(seen)).await.unwrap();
            assert_eq!((came.conflicts.len(), came.row.revision), (1, third.revision), "{}", t.name);
        }
        let refused = plans::autosave(&olga, SERVICE, &[edit("rto", "1 d", "soon")], &plans::tag(&third)).await;
        assert!(matches!(refused, Err(OpsError::Invalid(f)) if f[0].field == "rto"));
        assert!(matches!(plans::autosave(&olga, SERVICE, &[], "7-1").await, Err(OpsError::Stale(_))));

        // In review nothing is saved, whoever has seen it; submitted is what was seen.
        assert!(said(plans::submit(&ada, SERVICE, 1, 1, "").await).contains("changed by ada since you saw it"));
        plans::submit(&ada, SERVICE, 1, third.revision, "").await.unwrap();
        assert!(said(plans::save(&olga, SERVICE, content(), &Seen::Any).await).contains("return it to draft first"));
        assert!(said(plans::autosave(&olga, SERVICE, &[], &plans::tag(&third)).await).contains("return it to draft first"));
    }
}

#[tokio::test]
async fn what_is_returned_has_to_be_signed_anew() {
    for t in testing::databases().await {
        let of = service(&t).await;
        let (olga, ada) = (owner(&t, of), admin(&t, "ada"));
        let (number, sha) = in_review(&olga).await;
        plans::sign(&olga, SERVICE, number, "Service owner", &sha).await.unwrap();
        assert_eq!((plans::waiting(&ada).await.unwrap(), plans::waiting(&olga).await.unwrap()), (1, 1));
        assert!(matches!(plans::give_back(&ada, SERVICE, number, " ").await, Err(OpsError::Invalid(f)) if f[0].field == "reason"));
        plans::give_back(&ada, SERVICE, number, "the RTO is missing").await.unwrap();
        let version = plans::version(&olga, SERVICE, number).await.unwrap();
        assert!(version.signatures.is_empty() && version.row.annex.is_none(), "{}", t.name);
        plans::submit(&olga, SERVICE, number, version.row.revision, "").await.unwrap();
        let version = plans::version(&olga, SERVICE, number).await.unwrap();
        assert_eq!((version.row.content_sha256.as_deref(), version.missing().len()), (Some(sha.as_str()), 2), "{}: the same content, and no signature", t.name);
        assert!(version.row.annex.unwrap().0.revisions.iter().any(|r| r.comment == "returned to draft: the RTO is missing"));
        plans::give_back(&olga, SERVICE, number, "not now").await.unwrap();
        let row = plans::version(&olga, SERVICE, number).await.unwrap().row;
        plans::discard(&olga, SERVICE, number, row.revision, "begun too early").await.unwrap();
        assert!(plans::find(&olga, SERVICE).await.unwrap().shown().is_none());
        assert_eq!(plans::start(&olga, SERVICE, Begin::Empty).await.unwrap(), 2, "{}: a number never comes back", t.name);
        assert!(said(plans::start(&ada, SERVICE, Begin::Approved).await).contains("version 2"));
    }
}

#[tokio::test]
async fn who_may_not_change_plans_sees_what_was_approved_and_no_more() {
    let t = testing::sqlite().await;
    let of = service(&t).await;
    let (olga, aud) = (owner(&t, of), ctx(&t, Actor::new("aud", Role::Auditor)));
    let (number, sha) = in_review(&olga).await;
    let plan = plans::find(&aud, SERVICE).await.unwrap();
    assert!(plan.shown().is_none() && plan.events.is_empty() && !plan.may);
    assert!(matches!(plans::version(&aud, SERVICE, number).await, Err(OpsError::NotFound { .. })));
    assert!(matches!(plans::document(&aud, SERVICE, number).await, Err(OpsError::NotFound { .. })));
    assert_eq!(plans::list(&aud, "", "", 9).await.unwrap()[0].open, None);
    assert_eq!(plans::list(&olga, "", "NOTE", 9).await.unwrap()[0].open, Some(1));
    let stranger = ctx(&t, Actor::new("olaf", Role::Owner));
    for c in [&aud, &stranger, &ctx(&t, Actor::new("mem", Role::Member)), &ctx(&t, Actor::anonymous())] {
        let refused = [
            plans::save(c, SERVICE, content(), &Seen::Any).await.err(),
            plans::would_save(c, SERVICE, content(), &Seen::Any).await.err(),
            plans::start(c, SERVICE, Begin::Empty).await.err(),
            plans::autosave(c, SERVICE, &[], "1-1").await.err(),
            plans::submit(c, SERVICE, number, 1, "").await.err(),
            plans::sign(c, SERVICE, number, "Service owner", &sha).await.err(),
            plans::approve(c, SERVICE, number, &sha).await.err(),
            plans::give_back(c, SERVICE, number, "x").await.err(),
            plans::discard(c, SERVICE, number, 1, "x").await.err(),
            plans::set_roles(c, Signs::usual()).await.err(),
        ];
        for (n, e) in refused.into_iter().enumerate() {
            assert!(matches!(e, Some(OpsError::Forbidden(_))), "{} {n}: {e:?}", c.actor.name);
        }
    }
    assert!(matches!(plans::find(&stranger, SERVICE).await, Err(OpsError::Forbidden(_))));
    assert!(matches!(plans::set_roles(&olga, Signs::usual()).await, Err(OpsError::Forbidden(_))));
}

#[tokio::test]
async fn an_admin_says_who_signs() {
    let t = testing::sqlite().await;
    let of = service(&t).await;
    let ada = admin(&t, "ada");
    let role = |name: &str| Signs { name: name.into(), owner: true };
    for wrong in [vec![], vec![role(" ")], vec![role("A"), role("A ")], vec![role("A\nB")]] {
        assert!(matches!(plans::set_roles(&ada, wrong).await, Err(OpsError::Invalid(_))));
    }
    assert_eq!(plans::roles(&ada).await.unwrap(), Signs::usual());
    plans::set_roles(&ada, vec![role("Operator")]).await.unwrap();
    let olga = owner(&t, of);
    let (number, sha) = in_review(&olga).await;
    plans::sign(&olga, SERVICE, number, "Operator", &sha).await.unwrap();
    plans::approve(&olga, SERVICE, number, &sha).await.unwrap();
}

#[tokio::test]
async fn the_document_has_all_parts_in_their_order_and_json_comes_back() {
    let t = testing::sqlite().await;
    let of = service(&t).await;
    let olga = owner(&t, of);
    let (number, _) = in_review(&olga).await;
    let d = plans::document(&olga, SERVICE, number).await.unwrap();
    let chapters: Vec<&str> = d.headings().filter(|(level, ..)| *level == 1).map(|(_, text, _)| text).collect();
    assert_eq!(
        chapters,
        [
            "Introduction",
            "Last and next dates",
            "Performance",
            "Risk analysis",
            "Outcome",
            "Additional information",
            "Availability and continuity test",
            "Revision history",
            "Sign-off"
        ]
    );
    assert!(d.blocks.iter().any(|b| matches!(b, Block::Table(t) if t.caption == "Signatures" && t.cell(0, 0) == "Service owner" && t.cell(0, 1) == "–")));
    let exported = plans::json(&olga, SERVICE, number).await.unwrap();
    assert_eq!((&exported["about"]["version"], &exported["rto"]), (&serde_json::json!(1), &serde_json::json!("1 d")));
    assert_eq!(domain::plan::read(&exported.to_string()), Ok(content()));
}
