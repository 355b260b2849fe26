//! Rows of evidence and of the keys that sign it (R37).
//!
//! Lives here: their SQL, and taking the next place in the chain. May not: what a statement says, signing, verifying.
//! Invariants: `seq` has no gaps on either database, whoever writes at once; a row is signed once and never changed;
//! `evidence_head` names the last row, so that one which is cut off is missed; one key signs at a time.

use domain::{id::RestoreTestId, units::Timestamp};
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    /// PostgreSQL serialises writers of the chain; SQLite has one writer anyway.
    LOCK_PG = "SELECT pg_advisory_xact_lock(7236024)";
    LAST = "SELECT seq, hash FROM evidence ORDER BY seq DESC LIMIT 1";
    HEAD = "SELECT seq, hash FROM evidence_head WHERE id = 1";
    MOVE_HEAD = "INSERT INTO evidence_head (id, seq, hash) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    INSERT = "INSERT INTO evidence (seq, id, kind, service_id, test_id, about_seq, person, effective_at, recorded_at, payload, prev_hash, hash, key_id, signature, signed_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    FIND = "SELECT * FROM evidence WHERE seq = $1";
    BY_ID = "SELECT * FROM evidence WHERE id = $1";
    OF_TEST = "SELECT * FROM evidence WHERE test_id = $1";
    ABOUT = "SELECT * FROM evidence WHERE about_seq = $1 ORDER BY seq LIMIT 1000";
    AFTER = "SELECT * FROM evidence WHERE seq > $1 ORDER BY seq LIMIT $2";
    LINKS = "SELECT seq, hash FROM evidence WHERE seq > $1 ORDER BY seq LIMIT $2";
    OF_KIND = "SELECT * FROM evidence WHERE kind = $1 ORDER BY seq LIMIT 10000";
    UNSIGNED = "SELECT * FROM evidence WHERE signature IS NULL ORDER BY seq LIMIT $1";
    COUNT_UNSIGNED = "SELECT count(*) FROM evidence WHERE signature IS NULL";
    /// Once: what is signed is not signed again.
    SIGN = "UPDATE evidence SET key_id = $2, signature = $3, signed_at = $4 WHERE seq = $1 AND signature IS NULL";
    LISTED = "SELECT t.id, t.run_id, t.service_id, s.name AS service, s.title AS service_title, t.selection, t.started_at, t.finished_at, t.verdict, t.level, \
        t.rto_s, t.rto_target_s, t.rpo_s, t.rpo_target_s, t.items_restored, t.items_skipped, t.items_failed, e.id AS record, e.seq, e.hash, e.key_id, e.signed_at, \
        (SELECT count(*) FROM evidence c WHERE c.about_seq = e.seq) AS countersigned \
        FROM restore_test t JOIN service s ON s.id = t.service_id LEFT JOIN evidence e ON e.test_id = t.id \
        WHERE t.started_at >= $1 AND t.started_at < $2 AND ($3 = '' OR s.name = $3) AND (t.started_at, t.id) < ($4, $5) ORDER BY t.started_at DESC, t.id DESC LIMIT $6";
    NEWEST = "SELECT * FROM (SELECT t.id, t.run_id, t.service_id, s.name AS service, s.title AS service_title, t.selection, t.started_at, t.finished_at, t.verdict, t.level, \
        t.rto_s, t.rto_target_s, t.rpo_s, t.rpo_target_s, t.items_restored, t.items_skipped, t.items_failed, e.id AS record, e.seq, e.hash, e.key_id, e.signed_at, \
        (SELECT count(*) FROM evidence c WHERE c.about_seq = e.seq) AS countersigned, \
        row_number() OVER (PARTITION BY t.service_id ORDER BY t.started_at DESC, t.id DESC) AS nth \
        FROM restore_test t JOIN service s ON s.id = t.service_id LEFT JOIN evidence e ON e.test_id = t.id \
        WHERE t.started_at >= $1 AND t.started_at < $2) x WHERE nth = 1 LIMIT 10000";
    KEYS = "SELECT * FROM evidence_key ORDER BY made_at DESC, id LIMIT 1000";
    KEY = "SELECT * FROM evidence_key WHERE id = $1";
    SIGNING_KEY = "SELECT * FROM evidence_key WHERE signs = 1";
    ADD_KEY = "INSERT INTO evidence_key (id, public_key, private_key, made_at, made_by, signs) VALUES ($1, $2, $3, $4, $5, 1)";
    RETIRE_KEY = "UPDATE evidence_key SET signs = NULL, private_key = NULL, retired_at = $2, retired_by = $3 WHERE id = $1 AND signs = 1";
    RESEAL_KEY = "UPDATE evidence_key SET private_key = $2 WHERE id = $1 AND private_key IS NOT NULL";
}

/// The kinds of records, as stored.
pub const RESTORE_TEST: &str = "restore_test";
pub const KEY_RECORD: &str = "key";
pub const COUNTERSIGNATURE: &str = "countersignature";

/// A key that signs, or signed.
#[derive(Clone, sqlx::FromRow)]
pub struct KeyRow {
    pub id: String,
    pub public_key: String,
    /// Sealed; gone when the key is retired.
    pub private_key: Option<String>,
    pub made_at: i64,
    pub made_by: String,
    pub retired_at: Option<i64>,
    pub retired_by: Option<String>,
    pub signs: Option<i64>,
}

impl std::fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRow").field("id", &self.id).field("signs", &self.signs).finish_non_exhaustive()
    }
}

/// One record of the chain.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EvidenceRow {
    pub seq: i64,
    pub id: Uuid,
    pub kind: String,
    pub service_id: Option<Uuid>,
    pub test_id: Option<Uuid>,
    pub about_seq: Option<i64>,
    pub person: Option<String>,
    pub effective_at: i64,
    pub recorded_at: i64,
    /// The statement, byte by byte as it is signed.
    pub payload: String,
    pub prev_hash: String,
    pub hash: String,
    pub key_id: Option<String>,
    /// In base64; empty until somebody with the key has signed.
    pub signature: Option<String>,
    pub signed_at: Option<i64>,
}

/// A restore test as evidence, signed or not.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ListedTest {
    pub id: Uuid,
    pub run_id: Uuid,
    pub service_id: Uuid,
    pub service: String,
    pub service_title: String,
    pub selection: String,
    pub started_at: i64,
    pub finished_at: i64,
    pub verdict: String,
    pub level: String,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub rpo_s: Option<i64>,
    pub rpo_target_s: Option<i64>,
    pub items_restored: i64,
    pub items_skipped: i64,
    pub items_failed: i64,
    /// Its record and that one's place in the chain; none for what was recorded before signing began.
    pub record: Option<Uuid>,
    pub seq: Option<i64>,
    pub hash: Option<String>,
    pub key_id: Option<String>,
    pub signed_at: Option<i64>,
    pub countersigned: i64,
}

/// Which tests are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub since: Timestamp,
    /// Not this moment and none later.
    pub until: Timestamp,
    /// One service by name; all where it is empty.
    pub service: String,
}

/// Takes the chain's lock, gives the number and hash of its last record, and keeps others from adding until the
/// transaction ends.
pub async fn take_head(mut tx: Tx<'_>) -> Result<(i64, String)> {
    if let Tx::Pg(c) = tx.by_ref() {
        sqlx::query(LOCK_PG).execute(c).await?;
    }
    // Where rows were cut off, the numbers go on after them: the gap stays to be seen.
    Ok(last(tx.by_ref()).await?.max(head(tx).await?))
}

/// The number and hash of the last record that is there; zero and empty where there is none.
pub async fn last(tx: Tx<'_>) -> Result<(i64, String)> {
    Ok(on!(tx, c => sqlx::query_as(LAST).fetch_optional(c).await)?.unwrap_or_default())
}

/// The number and hash of the last record that was written; zero and empty where there is none.
pub async fn head(tx: Tx<'_>) -> Result<(i64, String)> {
    Ok(on!(tx, c => sqlx::query_as(HEAD).fetch_optional(c).await)?.unwrap_or_default())
}

/// Adds a record after [`take_head`], in the same transaction.
pub async fn add(mut tx: Tx<'_>, r: &EvidenceRow) -> Result<()> {
    on!(tx.by_ref(), c => sqlx::query(INSERT).bind(r.seq).bind(r.id).bind(&r.kind).bind(r.service_id).bind(r.test_id).bind(r.about_seq).bind(&r.person)
        .bind(r.effective_at).bind(r.recorded_at).bind(&r.payload).bind(&r.prev_hash).bind(&r.hash).bind(&r.key_id).bind(&r.signature).bind(r.signed_at)
        .execute(c).await.map(|_| ()))?;
    on!(tx, c => sqlx::query(MOVE_HEAD).bind(r.seq).bind(&r.hash).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Signs a record that nobody has signed. `false` when somebody has.
pub async fn sign(tx: Tx<'_>, seq: i64, key: &str, signature: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SIGN).bind(seq).bind(key).bind(signature).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(tx: Tx<'_>, seq: i64) -> Result<Option<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(seq).fetch_optional(c).await)?)
}

pub async fn by_id(tx: Tx<'_>, id: Uuid) -> Result<Option<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(BY_ID).bind(id).fetch_optional(c).await)?)
}

pub async fn of_test(tx: Tx<'_>, test: RestoreTestId) -> Result<Option<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_TEST).bind(test.0).fetch_optional(c).await)?)
}

/// The countersignatures of a record, the oldest first.
pub async fn about(tx: Tx<'_>, seq: i64) -> Result<Vec<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(ABOUT).bind(seq).fetch_all(c).await)?)
}

/// Records after `seq`, the oldest first, at most `limit`.
pub async fn after(tx: Tx<'_>, seq: i64, limit: i64) -> Result<Vec<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(AFTER).bind(seq).bind(limit).fetch_all(c).await)?)
}

/// Numbers and hashes of records after `seq`.
pub async fn links(tx: Tx<'_>, seq: i64, limit: i64) -> Result<Vec<(i64, String)>> {
    Ok(on!(tx, c => sqlx::query_as(LINKS).bind(seq).bind(limit).fetch_all(c).await)?)
}

/// All records of a kind of which there are few.
pub async fn of_kind(tx: Tx<'_>, kind: &str) -> Result<Vec<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_KIND).bind(kind).fetch_all(c).await)?)
}

/// Records that wait for a signature, the oldest first.
pub async fn unsigned(tx: Tx<'_>, limit: i64) -> Result<Vec<EvidenceRow>> {
    Ok(on!(tx, c => sqlx::query_as(UNSIGNED).bind(limit).fetch_all(c).await)?)
}

pub async fn count_unsigned(tx: Tx<'_>) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_UNSIGNED).fetch_one(c).await)?)
}

/// At most `limit` tests of a period, the newest first, before the key `(before_at, before_id)`.
pub async fn tests(tx: Tx<'_>, period: &Period, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedTest>> {
    Ok(on!(tx, c => sqlx::query_as(LISTED).bind(period.since.0).bind(period.until.0).bind(&period.service).bind(before.0.0).bind(before.1).bind(limit)
        .fetch_all(c).await)?)
}

/// The newest test of each service that had one in a period.
pub async fn newest(tx: Tx<'_>, since: Timestamp, until: Timestamp) -> Result<Vec<ListedTest>> {
    Ok(on!(tx, c => sqlx::query_as(NEWEST).bind(since.0).bind(until.0).fetch_all(c).await)?)
}

/// All keys, the newest first.
pub async fn keys(tx: Tx<'_>) -> Result<Vec<KeyRow>> {
    Ok(on!(tx, c => sqlx::query_as(KEYS).fetch_all(c).await)?)
}

pub async fn key(tx: Tx<'_>, id: &str) -> Result<Option<KeyRow>> {
    Ok(on!(tx, c => sqlx::query_as(KEY).bind(id).fetch_optional(c).await)?)
}

/// The key that signs now.
pub async fn signing_key(tx: Tx<'_>) -> Result<Option<KeyRow>> {
    Ok(on!(tx, c => sqlx::query_as(SIGNING_KEY).fetch_optional(c).await)?)
}

/// Makes a key the one that signs. A conflict where another one does.
pub async fn add_key(tx: Tx<'_>, id: &str, public: &str, sealed: &str, by: &str, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(ADD_KEY).bind(id).bind(public).bind(sealed).bind(now.0).bind(by).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Retires the key that signs; its private part goes. `false` where it signs no more.
pub async fn retire_key(tx: Tx<'_>, id: &str, by: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(RETIRE_KEY).bind(id).bind(now.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Replaces the sealed form of the private part, such as after a change of the server's key.
pub async fn reseal_key(tx: Tx<'_>, id: &str, sealed: &str) -> Result<()> {
    on!(tx, c => sqlx::query(RESEAL_KEY).bind(id).bind(sealed).execute(c).await.map(|_| ()))?;
    Ok(())
}
