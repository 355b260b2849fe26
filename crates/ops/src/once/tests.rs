//! Keys on both databases: a repeat, another body, two at once, and a crash at either side of the change.

use domain::units::Timestamp;
use store::{
    Clock,
    testing::{self, TestDb},
};

use super::*;
use crate::{
    Actor, Role, backups, checks,
    holds::{self, Place},
    runs,
    runs_tests::fill,
};

const CALL: &str = "POST /api/v1/runs";

/// Somebody at a filled database whose clock stands still.
async fn somebody(db: &TestDb) -> Ctx {
    fill(db).await;
    Ctx { clock: Clock::fixed(Timestamp::from_secs(1_614_242_520)), ..Ctx::new(db.db.clone(), Actor::new("ada", Role::Admin), "test") }
}

fn go(claimed: Claimed) -> Arc<Claim> {
    match claimed {
        Claimed::Go(claim) => claim,
        other => panic!("{other:?}"),
    }
}

fn with(ctx: &Ctx, claim: Arc<Claim>) -> Ctx {
    Ctx { claim: Some(claim), ..ctx.clone() }
}

async fn live(ctx: &Ctx) -> usize {
    runs::live(ctx, 100).await.unwrap().len()
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_starts_nothing() {
    for db in testing::databases().await {
        let ctx = somebody(&db).await;
        let claim_it = async |key: &str, call: &str, body: &str| claim(&ctx, key, call, body).await;
        let first = go(claim_it("k", CALL, "b").await.unwrap());
        checks::start(&with(&ctx, first.clone()), "main", false).await.unwrap();
        finish(&ctx, &first, 202, "{\"runs\": []}").await.unwrap();
        let Claimed::Answered { status, body } = claim_it("k", CALL, "b").await.unwrap() else { panic!("{}", db.name) };
        assert_eq!((status, body.as_str(), live(&ctx).await), (202, "{\"runs\": []}", 1), "{}", db.name);

        // Another body, another call; somebody else's key of that name is another one.
        for (call, body) in [(CALL, "c"), ("POST /api/v1/holds", "b")] {
            assert!(matches!(claim_it("k", call, body).await, Err(OpsError::Invalid(f)) if f[0].field == "Idempotency-Key"), "{}", db.name);
        }
        let ben = Ctx { actor: Actor::new("ben", Role::Admin), ..ctx.clone() };
        go(claim(&ben, "k", CALL, "c").await.unwrap());
        let nobody = Ctx { actor: Actor::anonymous(), ..ctx.clone() };
        assert!(matches!(claim(&nobody, "k", CALL, "c").await, Err(OpsError::Forbidden(_))));

        // A refusal frees the key, and so does a day.
        let refused = go(claim_it("r", CALL, "b").await.unwrap());
        assert!(checks::start(&with(&ctx, refused.clone()), "none", false).await.is_err());
        finish(&ctx, &refused, 404, "").await.unwrap();
        go(claim_it("r", CALL, "another").await.unwrap());
        ctx.clock.advance_secs(HOLDS_S);
        let fresh = go(claim_it("k", CALL, "c").await.unwrap());
        assert!(fresh.already.is_empty(), "{}", db.name);
    }
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    for db in testing::databases().await {
        let ctx = somebody(&db).await;
        let tries = (0..12).map(|_| {
            let ctx = ctx.clone();
            let hold = Place { service: "notebooks".into(), reason: "a lawsuit".into(), ..Place::default() };
            tokio::spawn(async move {
                match claim(&ctx, "k", CALL, "b").await.unwrap() {
                    Claimed::Go(claim) => {
                        let ctx = with(&ctx, claim);
                        match ctx.done("hold") {
                            Some(_) => None,
                            // Holds are not unique by themselves: without the key there would be one for each.
                            None => Some(holds::place(&ctx, &hold).await.unwrap()),
                        }
                    }
                    Claimed::Busy { retry_s } => {
                        assert_eq!(retry_s, 60);
                        None
                    }
                    Claimed::Answered { .. } => panic!("nobody has answered"),
                }
            })
        });
        let mut started = Vec::new();
        for one in futures::future::join_all(tries).await {
            started.extend(one.unwrap());
        }
        assert_eq!((started.len(), holds::standing(&ctx, 100).await.unwrap().len()), (1, 1), "{}", db.name);
    }
}

#[tokio::test]
async fn a_crash_after_the_change_loses_the_answer_and_not_the_run() {
    for db in testing::databases().await {
        let ctx = somebody(&db).await;
        let first = with(&ctx, go(claim(&ctx, "k", CALL, "b").await.unwrap()));
        let started = backups::start(&first, "notebooks", None, None).await.unwrap();
        // Killed here: the run stands, its answer was never kept.
        drop(first);
        let again = with(&ctx, go(claim(&ctx, "k", CALL, "b").await.unwrap()));
        assert_eq!(again.done("run"), Some(vec![started[0].0]), "{}", db.name);
        assert_eq!((again.done("hold"), live(&ctx).await), (None, 1), "{}", db.name);
        finish(&ctx, again.claim.as_ref().unwrap(), 202, "made anew").await.unwrap();
        assert!(matches!(claim(&ctx, "k", CALL, "b").await.unwrap(), Claimed::Answered { body, .. } if body == "made anew"), "{}", db.name);
    }
}

#[tokio::test]
async fn a_crash_before_the_change_is_repeated_once_and_the_lost_one_can_do_nothing_more() {
    for db in testing::databases().await {
        let ctx = somebody(&db).await;
        let lost = with(&ctx, go(claim(&ctx, "k", CALL, "b").await.unwrap()));
        assert!(matches!(claim(&ctx, "k", CALL, "b").await.unwrap(), Claimed::Busy { retry_s: 60 }), "{}", db.name);
        ctx.clock.advance_secs(LEASE_S);
        let second = with(&ctx, go(claim(&ctx, "k", CALL, "b").await.unwrap()));
        // The first was slow and not dead.
        let late = checks::start(&lost, "main", false).await;
        assert!(matches!(&late, Err(OpsError::Conflict(m)) if m.contains("taken it over")), "{}: {late:?}", db.name);
        assert_eq!(live(&ctx).await, 0, "{}", db.name);
        checks::start(&second, "main", false).await.unwrap();
        finish(&ctx, lost.claim.as_ref().unwrap(), 409, "").await.unwrap();
        assert!(second.done("run").is_none() && live(&ctx).await == 1, "{}", db.name);
        let after = with(&ctx, go(claim(&ctx, "k", CALL, "b").await.unwrap()));
        assert_eq!(after.done("run").map(|r| r.len()), Some(1), "{}: the refusal of the lost one frees nothing", db.name);
    }
}
