//! Previews: they hold for exactly what they counted, and not for ever.

use domain::{
    id::{RunId, SnapshotId},
    restore::{ConflictMode, RestoreCounts},
    run::RunEvent,
    units::Timestamp,
    work::{Landing, RestoreResult, RestoreTarget},
};
use store::{
    Clock,
    queue::{self, End, Lease},
    testing,
};

use crate::{
    Ctx, OpsError, Role,
    previews::{self, HOLDS_S, Preview},
    restores::{Choice, Request},
    runs_tests::{ctx, fill},
};

fn request(snapshot: SnapshotId, target: RestoreTarget, conflict: ConflictMode) -> Request {
    Request { choices: vec![Choice { snapshot, paths: vec!["work".to_owned()] }], target, conflict, preview: false, confirm: None }
}

/// Plays the worker: the run ends with these counts.
async fn count(ctx: &Ctx, run: RunId, counts: RestoreCounts) {
    let token = uuid::Uuid::now_v7();
    let mut t = ctx.db.begin().await.unwrap();
    let lease = Lease { owner: "test", token, until: ctx.now().plus_secs(60) };
    queue::claim_one(t.tx(), run, &lease, ctx.now()).await.unwrap().expect("the preview is due");
    let landings = vec![Landing { item: "ada".into(), path: "/tmp".into() }];
    let result = RestoreResult { preview: true, counts, landings, ..RestoreResult::default() };
    let end = End { event: RunEvent::Succeed, result: Some(serde_json::to_value(result).unwrap()), failure: None };
    queue::finish(t.tx(), run, token, &end, ctx.now()).await.unwrap().expect("the lease holds");
    t.commit().await.unwrap();
}

#[tokio::test]
async fn a_restore_follows_only_its_own_fresh_preview() {
    for t in testing::databases().await {
        let snapshot = fill(&t).await;
        let ctx = Ctx { clock: Clock::fixed(Timestamp::from_secs(1_000_000)), ..ctx(&t, Role::Admin) };
        let folder = |path: &str| RestoreTarget::Folder { path: path.to_owned() };
        let wanted = request(snapshot, folder("/tmp/holdfast-there"), ConflictMode::Fail);
        let conflict = |r: Result<RunId, OpsError>, words: &str| match r {
            Err(OpsError::Conflict(said)) => assert!(said.contains(words), "{said}"),
            other => panic!("{words}: {other:?}"),
        };

        let run = previews::start(&ctx, &wanted).await.unwrap();
        assert!(matches!(previews::find(&ctx, &wanted, run).await.unwrap(), Preview::Waiting(_)), "{}", t.name);
        conflict(previews::confirm(&ctx, wanted.clone(), run).await, "not ready");
        count(&ctx, run, RestoreCounts { create: 3, bytes: 30, ..RestoreCounts::default() }).await;
        let Preview::Ready { result, until, .. } = previews::find(&ctx, &wanted, run).await.unwrap() else { panic!("the run has ended") };
        assert_eq!((result.counts.create, until), (3, ctx.now().plus_secs(HOLDS_S)));
        let checks = previews::checks(&ctx, &wanted, &result).await.unwrap();
        assert_eq!(checks.iter().map(|c| c.name).collect::<Vec<_>>(), ["Space", "Completeness", "Proof"]);

        // Anything else than what was counted needs a preview of its own.
        for other in [
            request(snapshot, folder("/tmp/holdfast-elsewhere"), ConflictMode::Fail),
            request(snapshot, folder("/tmp/holdfast-there"), ConflictMode::Overwrite),
            request(snapshot, RestoreTarget::InPlace, ConflictMode::Fail),
            Request { choices: vec![Choice { snapshot, paths: Vec::new() }], ..wanted.clone() },
        ] {
            assert!(matches!(previews::find(&ctx, &other, run).await.unwrap(), Preview::Outdated));
            conflict(previews::confirm(&ctx, other, run).await, "make a new one");
        }
        assert!(matches!(previews::find(&ctx, &wanted, RunId(uuid::Uuid::now_v7())).await, Err(OpsError::NotFound { .. })));

        ctx.clock.advance_secs(HOLDS_S - 1);
        let restore = previews::confirm(&ctx, wanted.clone(), run).await.unwrap();
        assert_ne!(restore, run);
        conflict(previews::confirm(&ctx, wanted.clone(), restore).await, "make a new one");
        ctx.clock.advance_secs(1);
        assert!(matches!(previews::find(&ctx, &wanted, run).await.unwrap(), Preview::Outdated));
        conflict(previews::confirm(&ctx, wanted, run).await, "older than 15 minutes");
    }
}

#[tokio::test]
async fn files_in_the_way_and_a_missing_name_stop_a_restore() {
    let t = testing::sqlite().await;
    let snapshot = fill(&t).await;
    let ctx = ctx(&t, Role::Admin);
    let strict = request(snapshot, RestoreTarget::Folder { path: "/tmp/holdfast-there".into() }, ConflictMode::Fail);
    let run = previews::start(&ctx, &strict).await.unwrap();
    count(&ctx, run, RestoreCounts { skip: 2, ..RestoreCounts::default() }).await;
    assert!(matches!(previews::confirm(&ctx, strict.clone(), run).await, Err(OpsError::Conflict(said)) if said.starts_with("2 files are in the way")));

    let in_place = request(snapshot, RestoreTarget::InPlace, ConflictMode::Overwrite);
    let run = previews::start(&ctx, &in_place).await.unwrap();
    count(&ctx, run, RestoreCounts { replace: 2, ..RestoreCounts::default() }).await;
    assert!(matches!(previews::confirm(&ctx, in_place.clone(), run).await, Err(OpsError::Invalid(f)) if f[0].field == "confirm"));
    previews::confirm(&ctx, Request { confirm: Some("notebooks".into()), ..in_place }, run).await.unwrap();

    for role in [Role::Auditor, Role::Anonymous] {
        let nobody = crate::runs_tests::ctx(&t, role);
        let refused = [
            previews::check(&nobody, &strict).await.err(),
            previews::start(&nobody, &strict).await.err(),
            previews::find(&nobody, &strict, run).await.err(),
            previews::confirm(&nobody, strict.clone(), run).await.err(),
            previews::checks(&nobody, &strict, &RestoreResult::default()).await.err(),
        ];
        for (n, e) in refused.into_iter().enumerate() {
            assert!(matches!(e, Some(OpsError::Forbidden(_))), "{n}");
        }
    }
}
