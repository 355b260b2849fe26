//! Copies of Holdfast itself: which repository holds which (R62).
//!
//! Lives here: their SQL, and what changed since a copy. May not: deciding that one is due (`domain::installation`).

use domain::{
    evidence::Verdict,
    id::{RepositoryId, RunId},
    run::RunKind,
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    OF_REPOSITORY = "SELECT * FROM installation_copy WHERE repository_id = $1 AND gone_at IS NULL ORDER BY taken_at DESC, restic_id LIMIT $2";
    RECORD = "INSERT INTO installation_copy (repository_id, restic_id, run_id, root_snapshot, taken_at, audit_seq, row_count, bytes, sealed) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (repository_id, restic_id) DO UPDATE SET \
        run_id = excluded.run_id, root_snapshot = excluded.root_snapshot, taken_at = excluded.taken_at, audit_seq = excluded.audit_seq, \
        row_count = excluded.row_count, bytes = excluded.bytes, sealed = excluded.sealed, gone_at = NULL";
    ADOPT = "INSERT INTO installation_copy (repository_id, restic_id, run_id, taken_at, audit_seq, row_count, bytes, sealed) \
        VALUES ($1, $2, $3, $4, 0, 0, $5, $6) ON CONFLICT (repository_id, restic_id) DO UPDATE SET gone_at = NULL";
    SET_TEST = "UPDATE installation_copy SET tested_at = $3, verdict = $4, rto_s = $5 WHERE repository_id = $1 AND restic_id = $2";
    SET_GONE = "UPDATE installation_copy SET gone_at = $3 WHERE repository_id = $1 AND restic_id = $2 AND gone_at IS NULL";
    TESTED = "SELECT max(tested_at) FROM installation_copy WHERE repository_id = $1";
    /// What is done with what is configured does not change the configuration.
    CHANGED = "SELECT min(at), max(at) FROM audit_event WHERE seq > $1 AND entity NOT IN ('run', 'session', 'login_link', 'snapshot', 'alert', 'delivery', 'tick')";
    TRIED = "SELECT max(queued_at) FROM run WHERE kind = $1 AND repository_id = $2 AND queued_at >= $3";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CopyRow {
    pub repository_id: Uuid,
    pub restic_id: String,
    pub run_id: Uuid,
    pub root_snapshot: Option<String>,
    pub taken_at: i64,
    pub audit_seq: i64,
    pub row_count: i64,
    pub bytes: i64,
    pub sealed: bool,
    pub tested_at: Option<i64>,
    pub verdict: Option<String>,
    pub rto_s: Option<f64>,
    pub gone_at: Option<i64>,
}

/// A copy that was written.
#[derive(Clone, Debug)]
pub struct NewCopy<'a> {
    pub repository: RepositoryId,
    pub restic_id: &'a str,
    pub run: RunId,
    pub root_snapshot: Option<&'a str>,
    pub taken_at: Timestamp,
    pub audit_seq: i64,
    pub rows: i64,
    pub bytes: i64,
    pub sealed: bool,
}

/// At most `limit` copies that the repository holds, the newest first.
pub async fn copies(tx: Tx<'_>, repository: RepositoryId, limit: i64) -> Result<Vec<CopyRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_REPOSITORY).bind(repository.0).bind(limit).fetch_all(c).await)?)
}

pub async fn record(tx: Tx<'_>, new: &NewCopy<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(RECORD).bind(new.repository.0).bind(new.restic_id).bind(new.run.0).bind(new.root_snapshot).bind(new.taken_at.0)
        .bind(new.audit_seq).bind(new.rows).bind(new.bytes).bind(new.sealed).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records a copy that a repository holds and that nobody here knew: what is in it was not looked at.
pub async fn adopt(tx: Tx<'_>, repository: RepositoryId, restic_id: &str, run: RunId, taken_at: Timestamp, bytes: i64) -> Result<()> {
    on!(tx, c => sqlx::query(ADOPT).bind(repository.0).bind(restic_id).bind(run.0).bind(taken_at.0).bind(bytes).bind(false).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn set_test(tx: Tx<'_>, repository: RepositoryId, restic_id: &str, verdict: Verdict, rto_s: Option<f64>, at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_TEST).bind(repository.0).bind(restic_id).bind(at.0).bind(verdict.as_str()).bind(rto_s).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that the repository no longer holds a copy.
pub async fn set_gone(tx: Tx<'_>, repository: RepositoryId, restic_id: &str, at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_GONE).bind(repository.0).bind(restic_id).bind(at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// When a copy in this repository was last proven or failed to be.
pub async fn tested_at(tx: Tx<'_>, repository: RepositoryId) -> Result<Option<Timestamp>> {
    let at = on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(TESTED).bind(repository.0).fetch_one(c).await)?;
    Ok(at.map(Timestamp))
}

/// The times of the first and the last change of the configuration after an audit event.
pub async fn changed_since(tx: Tx<'_>, audit_seq: i64) -> Result<Option<(Timestamp, Timestamp)>> {
    let (first, last): (Option<i64>, Option<i64>) = on!(tx, c => sqlx::query_as(CHANGED).bind(audit_seq).fetch_one(c).await)?;
    Ok(first.zip(last).map(|(first, last)| (Timestamp(first), Timestamp(last))))
}

/// When the newest run of this kind for the repository was queued, looked for back to `since`.
pub async fn tried_at(tx: Tx<'_>, kind: RunKind, repository: RepositoryId, since: Timestamp) -> Result<Option<Timestamp>> {
    let at = on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(TRIED).bind(kind.as_str()).bind(repository.0).bind(since.0).fetch_one(c).await)?;
    Ok(at.map(Timestamp))
}
