//! What a draft may not say, what it would do, and what a month of its runs would leave.

use store::testing;

use super::{
    tests::{D, H, NOW, Stage, hourly},
    *,
};

#[tokio::test]
async fn drafts_are_refused_field_by_field() {
    let s = Stage::on(testing::sqlite().await).await;
    let cases: Vec<(Draft, &str, &str)> = vec![
        (Draft { name: "No Good".into(), ..hourly() }, "name", "must start with a lower-case letter"),
        (Draft { of: String::new(), ..hourly() }, "of", "is empty"),
        (Draft { of: "nobody".into(), ..hourly() }, "of", "there is no service “nobody”"),
        (Draft { of: "notebooks/none".into(), ..hourly() }, "of", "has no source “none”"),
        (Draft { kind: ScheduleKind::Check, ..hourly() }, "of", "there is no repository “notebooks”"),
        (Draft { kind: ScheduleKind::RestoreTest, of: "notebooks/homes".into(), ..hourly() }, "of", "is of a whole service"),
        (Draft { cron: "0 25 * * *".into(), ..hourly() }, "cron", "has an hour that is not understood"),
        (Draft { zone: "Europe/Atlantis".into(), ..hourly() }, "zone", "is no time zone"),
        (Draft { jitter_s: H, ..hourly() }, "jitter", "must be shorter than the time between two runs, which is 1 h"),
        (Draft { jitter_s: D, ..hourly() }, "jitter", "must be at most 6 h"),
        (Draft { max_duration_s: Some(5), ..hourly() }, "max_duration", "must be from 1 m to 30 d"),
        (Draft { cron: "* 5 * * *".into(), ..hourly() }, "runs_a_day", "60 runs a day; if at 05:00, every day is meant, write 0 5 * * *"),
        (Draft { cron: "* 5 * * *".into(), runs_a_day: Some(59), ..hourly() }, "runs_a_day", "confirm it"),
        (Draft { cron: "*/5 * * * *".into(), ..hourly() }, "runs_a_day", "288 runs a day; if that is meant, confirm it"),
    ];
    for (draft, field, words) in cases {
        match save(&s.ctx, &draft, None).await {
            Err(OpsError::Invalid(fields)) => {
                let found = fields.iter().find(|f| f.field == field).unwrap_or_else(|| panic!("{field}: {fields:?}"));
                assert!(found.message.contains(words), "{field}: {}", found.message);
            }
            other => panic!("{draft:?}: {other:?}"),
        }
    }
    s.save(&Draft { cron: "* 5 * * *".into(), runs_a_day: Some(60), ..hourly() }).await;
    assert!(matches!(save(&s.ctx, &hourly(), None).await, Err(OpsError::Invalid(f)) if f[0].field == "name"), "the name is taken");
    // Too few kept: the same text with the history that would be left.
    let burns = Draft { cron: "0 */4 * * *".into(), ..hourly() }.check(Some(5));
    assert!(matches!(burns, Err(OpsError::Invalid(f)) if f[0].message.contains("with 5 snapshots kept, only the last 5 of them would be left")));
    // What the policy of the source keeps is asked of it.
    let mut t = s.ctx.db.begin().await.unwrap();
    let rules = domain::retention::Rules { keep_last: 9, max_snapshots: 4, ..Default::default() };
    let policy = store::policies::upsert(t.tx(), &store::policies::NewPolicy { name: "few".into(), rules }, Timestamp(1)).await.unwrap();
    store::testing::execute(t.tx(), "UPDATE source SET policy_id = (SELECT id FROM policy)").await;
    t.commit().await.unwrap();
    assert_ne!(policy.0, uuid::Uuid::nil());
    match save(&s.ctx, &Draft { name: "often".into(), cron: "0 */4 * * *".into(), ..hourly() }, None).await {
        Err(OpsError::Invalid(f)) => assert!(f[0].message.contains("with 4 snapshots kept"), "{f:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_preview_shows_what_a_draft_would_do() {
    let s = Stage::on(testing::sqlite().await).await;
    s.save(&Draft { name: "other".into(), cron: "2 5 * * *".into(), ..hourly() }).await;
    let draft = Draft { cron: "* 5 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    let (shown, wrong) = preview(&s.ctx, &draft).await.unwrap();
    let shown = shown.unwrap();
    assert_eq!((shown.words.as_str(), shown.runs_a_day, shown.next.len()), ("every minute from 05:00 to 05:59, every day", 60, 10));
    assert_eq!((wrong.len(), wrong[0].field.as_str()), (1, "runs_a_day"));
    let (text, words, next) = shown.likely.unwrap();
    assert_eq!((text.as_str(), words.as_str(), next[1].0 - next[0].0), ("0 5 * * *", "at 05:00, every day", D * 1_000_000));
    assert_eq!((shown.by_hour[5], shown.by_hour[4], shown.gap_s, shown.same_window), (60, 0, 60, 1));
    let clock = shown.clock.unwrap();
    assert_eq!((clock.from.to_string().as_str(), clock.to.to_string().as_str(), clock.touches), ("2021-03-28T02:00:00", "2021-03-28T03:00:00", false));
    let night = Draft { cron: "30 2 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    assert!(preview(&s.ctx, &night).await.unwrap().0.unwrap().clock.unwrap().touches);
    assert_eq!(preview(&s.ctx, &Draft { zone: "UTC".into(), ..night.clone() }).await.unwrap().0.unwrap().clock, None);
    let (nothing, wrong) = preview(&s.ctx, &Draft { cron: "x".into(), of: "none".into(), ..night }).await.unwrap();
    assert!(nothing.is_none());
    assert_eq!(wrong.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["of", "cron"]);
}

/// What a month of runs would leave, by the policy of the source.
#[tokio::test]
async fn a_preview_shows_what_would_be_kept() {
    let s = Stage::on(testing::sqlite().await).await;
    let keeping = async |draft: &Draft| preview(&s.ctx, draft).await.unwrap().0.unwrap().keeping;
    assert!(keeping(&hourly()).await.is_none(), "without a policy everything is kept");
    let rules = domain::retention::Rules { keep_last: 5, ..Default::default() };
    let mut t = s.ctx.db.begin().await.unwrap();
    let policy = store::policies::upsert(t.tx(), &store::policies::NewPolicy { name: "five".into(), rules }, NOW).await.unwrap();
    let service = store::services::find_by_name(t.tx(), "notebooks").await.unwrap().unwrap();
    let source = store::sources::of_service(t.tx(), service.id()).await.unwrap().remove(0);
    let new = store::sources::NewSource {
        service: service.id(),
        repository: domain::id::RepositoryId(source.repository_id),
        name: source.name,
        kind: source.kind,
        config: source.config.0,
        position: source.position,
        policy: Some(policy),
    };
    store::sources::upsert(t.tx(), &new, NOW).await.unwrap();
    t.commit().await.unwrap();

    let draft = Draft { cron: "* 5 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    let found = keeping(&draft).await.unwrap();
    let likely = found.likely.unwrap();
    assert_eq!((found.policy.as_str(), found.typed.len(), likely.len()), ("five", 30 * 60, 30));
    let kept = |all: &[Imagined]| all.iter().filter(|i| i.decision.is_kept()).map(|i| i.at).collect::<Vec<_>>();
    // As typed five minutes of this morning are left, as suggested five days.
    let (typed, likely) = (kept(&found.typed), kept(&likely));
    assert_eq!((typed.len(), typed[0].0 - typed[4].0), (5, 4 * 60 * 1_000_000));
    assert_eq!((likely.len(), likely[0].0 - likely[4].0), (5, 4 * D * 1_000_000));
    assert!(typed[0] <= NOW && typed[0] > NOW.plus_secs(-D));
    let check = Draft { kind: ScheduleKind::RestoreTest, ..draft };
    assert!(keeping(&check).await.is_none(), "a restore test makes no snapshots");
}
