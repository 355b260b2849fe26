//! Rows of exercises, their steps and their files (R35).
//!
//! Lives here: their SQL. May not: verdicts and measured times (`domain::exercise` has them), who may do what.
//! Invariants: a step is settled once, by whoever is first; a file's content is read only when it is asked for by its id.

use domain::{
    exercise::{Kind, StepKind, StepState},
    id::{ExerciseFileId, ExerciseId, RestoreTestId, RunId, ServiceId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM exercise WHERE id = $1";
    PAGE = "SELECT * FROM exercise WHERE (started_at, id) < ($1, $2) ORDER BY started_at DESC, id DESC LIMIT $3";
    OF_SERVICE = "SELECT * FROM exercise WHERE service_id = $4 AND (started_at, id) < ($1, $2) ORDER BY started_at DESC, id DESC LIMIT $3";
    STEPS = "SELECT * FROM exercise_step WHERE exercise_id = $1 ORDER BY position";
    INSERT = "INSERT INTO exercise (id, service_id, title, kind, template, state, verdict, note, users, started_at, started_given, finished_at, finished_given, \
        from_step, to_step, rto_s, rto_target_s, created_at, created_by, ended_by) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    INSERT_STEP = "INSERT INTO exercise_step (exercise_id, position, title, details, kind, state, began_at, ended_at, actor, note) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    BEGIN_STEP = "UPDATE exercise_step SET state = 'running', began_at = $3, actor = $4, run_id = $5 WHERE exercise_id = $1 AND position = $2 AND state = 'open'";
    SETTLE_STEP = "UPDATE exercise_step SET state = $3, ended_at = $4, actor = $5, note = $6, test_id = $7, began_at = coalesce($8, began_at) \
        WHERE exercise_id = $1 AND position = $2 AND state IN ('open', 'running')";
    FINISH = "UPDATE exercise SET state = 'finished', verdict = $2, finished_at = $3, rto_s = $4, rto_target_s = $5, ended_by = $6, end_note = $7 WHERE id = $1 AND state = 'open'";
    CANCEL = "UPDATE exercise SET state = 'cancelled', finished_at = $2, ended_by = $3, end_note = $4 WHERE id = $1 AND state = 'open'";
    TOUCH = "UPDATE exercise SET state = 'open' WHERE id = $1 AND state = 'open'";
    FILES = "SELECT id, exercise_id, position, name, kind, size, sha256, actor, created_at FROM exercise_file WHERE exercise_id = $1 ORDER BY id";
    COUNT_FILES = "SELECT count(*) FROM exercise_file WHERE exercise_id = $1";
    FILE = "SELECT id, exercise_id, position, name, kind, size, sha256, actor, created_at FROM exercise_file WHERE id = $1";
    CONTENT = "SELECT content FROM exercise_file WHERE id = $1";
    INSERT_FILE = "INSERT INTO exercise_file (id, exercise_id, position, name, kind, size, sha256, content, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ExerciseRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub title: String,
    /// A [`Kind`] as text.
    pub kind: String,
    /// Empty for a free one.
    pub template: String,
    /// A `domain::exercise::State` as text.
    pub state: String,
    pub verdict: Option<String>,
    pub note: String,
    pub users: Option<i64>,
    pub started_at: i64,
    pub started_given: Option<String>,
    pub finished_at: Option<i64>,
    pub finished_given: Option<String>,
    pub from_step: i64,
    pub to_step: i64,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub created_at: i64,
    pub created_by: String,
    pub ended_by: Option<String>,
    pub end_note: Option<String>,
}

impl ExerciseRow {
    pub const fn id(&self) -> ExerciseId {
        ExerciseId(self.id)
    }

    pub fn is_imported(&self) -> bool {
        self.kind == Kind::Imported.as_str()
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StepRow {
    pub exercise_id: Uuid,
    /// From 0.
    pub position: i64,
    pub title: String,
    pub details: String,
    pub kind: String,
    pub state: String,
    pub began_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub actor: Option<String>,
    pub note: Option<String>,
    pub run_id: Option<Uuid>,
    pub test_id: Option<Uuid>,
}

/// A file without its content.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FileRow {
    pub id: Uuid,
    pub exercise_id: Uuid,
    pub position: Option<i64>,
    pub name: String,
    /// A media type that `domain::exercise::file_kind` gave.
    pub kind: String,
    pub size: i64,
    pub sha256: String,
    pub actor: String,
    pub created_at: i64,
}

/// An exercise to be recorded with all its steps.
#[derive(Clone, Debug)]
pub struct NewExercise {
    pub service: ServiceId,
    pub title: String,
    pub kind: Kind,
    pub template: String,
    pub state: &'static str,
    pub verdict: Option<&'static str>,
    pub note: String,
    pub users: Option<i64>,
    pub started_at: Timestamp,
    pub started_given: Option<String>,
    pub finished_at: Option<Timestamp>,
    pub finished_given: Option<String>,
    pub from_step: i64,
    pub to_step: i64,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub created_by: String,
    pub ended_by: Option<String>,
    pub steps: Vec<NewStep>,
}

#[derive(Clone, Debug)]
pub struct NewStep {
    pub title: String,
    pub details: String,
    pub kind: StepKind,
    pub state: StepState,
    pub began_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub actor: Option<String>,
    pub note: Option<String>,
}

pub async fn insert(mut tx: Tx<'_>, e: &NewExercise, now: Timestamp) -> Result<ExerciseId> {
    let id = ExerciseId::new();
    on!(tx.by_ref(), c => sqlx::query(INSERT).bind(id.0).bind(e.service.0).bind(&e.title).bind(e.kind.as_str()).bind(&e.template).bind(e.state).bind(e.verdict)
        .bind(&e.note).bind(e.users).bind(e.started_at.0).bind(&e.started_given).bind(e.finished_at.map(|t| t.0)).bind(&e.finished_given).bind(e.from_step)
        .bind(e.to_step).bind(e.rto_s).bind(e.rto_target_s).bind(now.0).bind(&e.created_by).bind(&e.ended_by).execute(c).await.map(|_| ()))?;
    for (position, s) in e.steps.iter().enumerate() {
        on!(tx.by_ref(), c => sqlx::query(INSERT_STEP).bind(id.0).bind(position as i64).bind(&s.title).bind(&s.details).bind(s.kind.as_str())
            .bind(s.state.as_str()).bind(s.began_at.map(|t| t.0)).bind(s.ended_at.map(|t| t.0)).bind(&s.actor).bind(&s.note).execute(c).await.map(|_| ()))?;
    }
    Ok(id)
}

pub async fn find(tx: Tx<'_>, id: ExerciseId) -> Result<Option<ExerciseRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// At most `limit` exercises, the newest first, before the key `(before_at, before_id)`; of one service where it is given.
pub async fn page(tx: Tx<'_>, service: Option<ServiceId>, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ExerciseRow>> {
    let (at, id) = (before.0.0, before.1);
    Ok(match service {
        Some(service) => on!(tx, c => sqlx::query_as(OF_SERVICE).bind(at).bind(id).bind(limit).bind(service.0).fetch_all(c).await)?,
        None => on!(tx, c => sqlx::query_as(PAGE).bind(at).bind(id).bind(limit).fetch_all(c).await)?,
    })
}

/// The steps in their order; so many as `domain::exercise::MOST_STEPS` at most.
pub async fn steps(tx: Tx<'_>, id: ExerciseId) -> Result<Vec<StepRow>> {
    Ok(on!(tx, c => sqlx::query_as(STEPS).bind(id.0).fetch_all(c).await)?)
}

/// Says that a step is under way, by a run where there is one; `false` where it is no longer open.
pub async fn begin_step(tx: Tx<'_>, id: ExerciseId, position: i64, actor: &str, run: Option<RunId>, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(BEGIN_STEP).bind(id.0).bind(position).bind(now.0).bind(actor).bind(run.map(|r| r.0)).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// How a step ended.
#[derive(Clone, Debug)]
pub struct Settled<'a> {
    pub state: StepState,
    pub ended_at: Timestamp,
    pub actor: &'a str,
    pub note: Option<&'a str>,
    pub test: Option<RestoreTestId>,
    /// When it really began, where that is known better than from a click.
    pub began_at: Option<Timestamp>,
}

/// Settles a step; `false` where somebody was first.
pub async fn settle_step(tx: Tx<'_>, id: ExerciseId, position: i64, s: &Settled<'_>) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SETTLE_STEP).bind(id.0).bind(position).bind(s.state.as_str()).bind(s.ended_at.0).bind(s.actor).bind(s.note)
        .bind(s.test.map(|t| t.0)).bind(s.began_at.map(|t| t.0)).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Holds an open exercise open until the transaction ends; `false` where it has ended.
pub async fn keep_open(tx: Tx<'_>, id: ExerciseId) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(TOUCH).bind(id.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// How an exercise ended.
#[derive(Clone, Debug)]
pub struct Finished<'a> {
    pub verdict: &'a str,
    pub finished_at: Timestamp,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub actor: &'a str,
    pub note: Option<&'a str>,
}

/// Finishes an exercise; `false` where it has ended.
pub async fn finish(tx: Tx<'_>, id: ExerciseId, f: &Finished<'_>) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(FINISH).bind(id.0).bind(f.verdict).bind(f.finished_at.0).bind(f.rto_s).bind(f.rto_target_s).bind(f.actor).bind(f.note)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Cancels an exercise; `false` where it has ended.
pub async fn cancel(tx: Tx<'_>, id: ExerciseId, actor: &str, reason: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(CANCEL).bind(id.0).bind(now.0).bind(actor).bind(reason).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// A file to be kept.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    pub exercise: ExerciseId,
    pub position: Option<i64>,
    pub name: &'a str,
    pub kind: &'a str,
    pub sha256: &'a str,
    pub content: &'a [u8],
    pub actor: &'a str,
}

pub async fn add_file(tx: Tx<'_>, f: &NewFile<'_>, now: Timestamp) -> Result<ExerciseFileId> {
    let id = ExerciseFileId::new();
    on!(tx, c => sqlx::query(INSERT_FILE).bind(id.0).bind(f.exercise.0).bind(f.position).bind(f.name).bind(f.kind).bind(f.content.len() as i64).bind(f.sha256)
        .bind(f.content).bind(f.actor).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(id)
}

pub async fn files(tx: Tx<'_>, id: ExerciseId) -> Result<Vec<FileRow>> {
    Ok(on!(tx, c => sqlx::query_as(FILES).bind(id.0).fetch_all(c).await)?)
}

pub async fn count_files(tx: Tx<'_>, id: ExerciseId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_FILES).bind(id.0).fetch_one(c).await)?)
}

pub async fn file(tx: Tx<'_>, id: ExerciseFileId) -> Result<Option<FileRow>> {
    Ok(on!(tx, c => sqlx::query_as(FILE).bind(id.0).fetch_optional(c).await)?)
}

pub async fn content(tx: Tx<'_>, id: ExerciseFileId) -> Result<Option<Vec<u8>>> {
    Ok(on!(tx, c => sqlx::query_scalar(CONTENT).bind(id.0).fetch_optional(c).await)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        services::{self, NewService},
        testing,
    };

    fn step(title: &str) -> NewStep {
        NewStep {
            title: title.into(),
            details: String::new(),
            kind: StepKind::Manual,
            state: StepState::Open,
            began_at: None,
            ended_at: None,
            actor: None,
            note: None,
        }
    }

    #[tokio::test]
    async fn a_step_is_settled_once_and_an_exercise_ends_once() {
        for t in testing::databases().await {
            let mut tx = t.db.begin().await.unwrap();
            let service = NewService { name: "s".into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
            let service = services::upsert(tx.tx(), &service, Timestamp(1)).await.unwrap();
            let new = NewExercise {
                service,
                title: "Recovery".into(),
                kind: Kind::Live,
                template: String::new(),
                state: "open",
                verdict: None,
                note: String::new(),
                users: Some(75),
                started_at: Timestamp(5),
                started_given: Some("2019-06-06 16:37:15+02:00".into()),
                finished_at: None,
                finished_given: None,
                from_step: 0,
                to_step: 1,
                rto_s: None,
                rto_target_s: None,
                created_by: "ada".into(),
                ended_by: None,
                steps: vec![step("one"), step("two")],
            };
            let id = insert(tx.tx(), &new, Timestamp(9)).await.unwrap();
            assert!(begin_step(tx.tx(), id, 0, "ada", None, Timestamp(10)).await.unwrap(), "{}", t.name);
            assert!(!begin_step(tx.tx(), id, 0, "bob", None, Timestamp(11)).await.unwrap(), "{}", t.name);
            let done = Settled { state: StepState::Done, ended_at: Timestamp(20), actor: "ada", note: Some("fine"), test: None, began_at: None };
            assert!(settle_step(tx.tx(), id, 0, &done).await.unwrap());
            assert!(!settle_step(tx.tx(), id, 0, &Settled { actor: "bob", state: StepState::Failed, ..done.clone() }).await.unwrap());
            let began = Settled { began_at: Some(Timestamp(15)), ..done };
            assert!(settle_step(tx.tx(), id, 1, &began).await.unwrap());
            let all = steps(tx.tx(), id).await.unwrap();
            let seen: Vec<_> = all.iter().map(|s| (s.position, s.state.as_str(), s.began_at, s.ended_at, s.actor.as_deref(), s.note.as_deref())).collect();
            assert_eq!(seen, [(0, "done", Some(10), Some(20), Some("ada"), Some("fine")), (1, "done", Some(15), Some(20), Some("ada"), Some("fine"))]);

            let content = [0_u8, 255, 7];
            let file = NewFile { exercise: id, position: Some(1), name: "a.log", kind: "text/plain", sha256: "00", content: &content, actor: "ada" };
            let kept = add_file(tx.tx(), &file, Timestamp(30)).await.unwrap();
            assert_eq!((count_files(tx.tx(), id).await.unwrap(), files(tx.tx(), id).await.unwrap()[0].size), (1, 3));
            assert_eq!(self::content(tx.tx(), kept).await.unwrap().as_deref(), Some(&content[..]), "{}", t.name);
            assert_eq!(super::file(tx.tx(), kept).await.unwrap().map(|f| f.position), Some(Some(1)));

            assert!(keep_open(tx.tx(), id).await.unwrap());
            let end = Finished { verdict: "passed", finished_at: Timestamp(40), rto_s: Some(603.0), rto_target_s: Some(86_400), actor: "ada", note: None };
            assert!(finish(tx.tx(), id, &end).await.unwrap());
            assert!(!finish(tx.tx(), id, &end).await.unwrap() && !cancel(tx.tx(), id, "bob", "late", Timestamp(50)).await.unwrap());
            assert!(!keep_open(tx.tx(), id).await.unwrap());
            let row = find(tx.tx(), id).await.unwrap().unwrap();
            assert_eq!(
                (row.state.as_str(), row.verdict.as_deref(), row.rto_s, row.users, row.is_imported()),
                ("finished", Some("passed"), Some(603.0), Some(75), false)
            );
            for of in [None, Some(service)] {
                assert_eq!(page(tx.tx(), of, (Timestamp(i64::MAX), Uuid::max()), 5).await.unwrap().len(), 1);
                assert_eq!(page(tx.tx(), of, (Timestamp(5), Uuid::nil()), 5).await.unwrap().len(), 0);
            }
        }
    }
}
