//! Rows of reviews: how often, what was done, what need not be done (R44); who completed what (R45).
//!
//! Lives here: their SQL. May not: today's date, who may record one.
//! Invariants: a review that was recorded is never changed but for being withdrawn, after which it counts no longer; at most one exemption of a review is in force.

use domain::{
    id::{ExemptionId, ReviewId, ServiceId},
    review::{
        Done, ReviewKind, Standing, YEARLY,
        bus::{Completed, Feat},
        date_of, due, standing,
    },
    units::Timestamp,
};
use jiff::civil::Date;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on, services::ServiceRow};

/// The newest reviews of a kind that were not withdrawn: what chooses the services.
macro_rules! newest {
    ($where:literal) => {
        concat!(
            "SELECT r.* FROM review r WHERE ",
            $where,
            " r.withdrawn_at IS NULL AND NOT EXISTS (SELECT 1 FROM review n WHERE n.service_id = r.service_id AND n.kind = r.kind \
             AND n.withdrawn_at IS NULL AND (n.done_on, n.recorded_at, n.id) > (r.done_on, r.recorded_at, r.id)) ORDER BY r.service_id, r.kind"
        )
    };
}

/// The newest exemptions of a kind, in force or not.
macro_rules! newest_exemptions {
    ($where:literal) => {
        concat!(
            "SELECT r.* FROM review_exemption r WHERE ",
            $where,
            " NOT EXISTS (SELECT 1 FROM review_exemption n WHERE n.service_id = r.service_id AND n.kind = r.kind \
             AND (n.created_at, n.id) > (r.created_at, r.id)) ORDER BY r.service_id, r.kind"
        )
    };
}

/// When one of a kind was withdrawn last.
macro_rules! withdrawn {
    ($where:literal) => {
        concat!("SELECT service_id, kind, max(withdrawn_at) AS at FROM review WHERE ", $where, " withdrawn_at IS NOT NULL GROUP BY service_id, kind")
    };
}

statements! {
    NEWEST = newest!("");
    NEWEST_OF_SERVICE = newest!("r.service_id = $1 AND");
    WITHDRAWN = withdrawn!("");
    WITHDRAWN_OF_SERVICE = withdrawn!("service_id = $1 AND");
    EXEMPTIONS = newest_exemptions!("");
    EXEMPTIONS_OF_SERVICE = newest_exemptions!("r.service_id = $1 AND");
    INTERVALS = "SELECT * FROM review_interval ORDER BY service_id, kind";
    INTERVALS_OF_SERVICE = "SELECT * FROM review_interval WHERE service_id = $1 ORDER BY kind";
    SET_INTERVAL = "INSERT INTO review_interval (service_id, kind, months, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (service_id, kind) DO UPDATE SET months = excluded.months, changed_at = excluded.changed_at, changed_by = excluded.changed_by";
    INSERT = "INSERT INTO review (id, service_id, kind, done_on, done_by, outcome, actor, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    FIND = "SELECT * FROM review WHERE id = $1";
    WITHDRAW = "UPDATE review SET withdrawn_at = $2, withdrawn_by = $3, withdraw_reason = $4 WHERE id = $1 AND withdrawn_at IS NULL";
    HISTORY = "SELECT * FROM review WHERE service_id = $1 ORDER BY done_on DESC, recorded_at DESC, id DESC LIMIT $2";
    EXEMPT = "INSERT INTO review_exemption (id, service_id, kind, reason, until_on, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    END_EXEMPTION = "UPDATE review_exemption SET ended_at = $3, ended_by = $4 WHERE service_id = $1 AND kind = $2 AND ended_at IS NULL";
    EXEMPTION_HISTORY = "SELECT * FROM review_exemption WHERE service_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
    COMPLETED = "SELECT actor, kind, count(*) AS times, max(finished_at) AS last_at FROM run WHERE service_id = $1 AND kind IN ('restore', 'restore_test') \
        AND state = 'succeeded' AND finished_at >= $2 GROUP BY actor, kind \
        UNION ALL SELECT s.actor AS actor, 'exercise' AS kind, count(DISTINCT e.id) AS times, max(e.finished_at) AS last_at \
        FROM exercise e JOIN exercise_step s ON s.exercise_id = e.id \
        WHERE e.service_id = $1 AND e.kind = 'live' AND e.state = 'finished' AND e.verdict = 'passed' AND e.finished_at >= $2 AND s.state = 'done' \
        AND s.actor IS NOT NULL GROUP BY s.actor ORDER BY 1, 2";
}

/// A review that was done.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ReviewRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub kind: String,
    /// A civil date as text.
    pub done_on: String,
    pub done_by: String,
    pub outcome: String,
    /// Who recorded it.
    pub actor: String,
    pub recorded_at: i64,
    /// It was recorded by mistake: it is still shown, and counts no longer.
    pub withdrawn_at: Option<i64>,
    pub withdrawn_by: Option<String>,
    pub withdraw_reason: Option<String>,
}

impl ReviewRow {
    pub fn kind(&self) -> Result<ReviewKind> {
        kind("review.kind", &self.kind)
    }

    pub fn done_on(&self) -> Result<Date> {
        date("review.done_on", &self.done_on)
    }
}

/// Why, and until when, a review need not be done.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ExemptionRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub kind: String,
    pub reason: String,
    /// Its last day, a civil date as text.
    pub until_on: String,
    pub actor: String,
    pub created_at: i64,
    pub ended_at: Option<i64>,
    pub ended_by: Option<String>,
}

impl ExemptionRow {
    pub fn kind(&self) -> Result<ReviewKind> {
        kind("review_exemption.kind", &self.kind)
    }

    pub fn until_on(&self) -> Result<Date> {
        date("review_exemption.until_on", &self.until_on)
    }
}

/// How often something is reviewed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct IntervalRow {
    pub service_id: Uuid,
    pub kind: String,
    pub months: i64,
    pub changed_at: i64,
    pub changed_by: String,
}

/// When a review of a kind was withdrawn last.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct WithdrawnRow {
    service_id: Uuid,
    kind: String,
    at: i64,
}

fn kind(column: &'static str, text: &str) -> Result<ReviewKind> {
    ReviewKind::parse(text).ok_or_else(|| StoreError::Unreadable { column, value: text.to_owned() })
}

fn date(column: &'static str, text: &str) -> Result<Date> {
    text.parse().map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// What is known of one review of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub kind: ReviewKind,
    pub months: i64,
    /// The newest one that was done and not withdrawn.
    pub last: Option<ReviewRow>,
    pub last_on: Option<Date>,
    pub due: Date,
    /// The newest exemption that was not ended, whether its last day is over or not.
    pub exemption: Option<ExemptionRow>,
    /// Its last day.
    pub exempt_until: Option<Date>,
    /// When any of this was changed last.
    pub changed_at: Timestamp,
}

impl Facts {
    pub fn standing(&self, today: Date) -> Standing {
        standing(self.due, self.months, self.exempt_until, today)
    }
}

/// What is known of all reviews, to be asked service by service.
#[derive(Clone, Debug, Default)]
pub struct Known {
    reviews: Vec<ReviewRow>,
    exemptions: Vec<ExemptionRow>,
    intervals: Vec<IntervalRow>,
    withdrawn: Vec<WithdrawnRow>,
}

impl Known {
    /// The reviews of a service, one a kind.
    pub fn of(&self, service: &ServiceRow) -> Result<Vec<Facts>> {
        ReviewKind::ALL.iter().map(|kind| self.facts(service, *kind)).collect()
    }

    fn facts(&self, service: &ServiceRow, kind: ReviewKind) -> Result<Facts> {
        let mine = |id: Uuid, of: &str| id == service.id && of == kind.as_str();
        // The rows are in the order of service and kind; a search of halves keeps many services cheap.
        let key = |id: Uuid, of: &str| (id, of.to_owned());
        let wanted = (service.id, kind.as_str().to_owned());
        let last = self.reviews.binary_search_by_key(&wanted, |r| key(r.service_id, &r.kind)).ok().map(|i| self.reviews[i].clone());
        let newest = self.exemptions.binary_search_by_key(&wanted, |e| key(e.service_id, &e.kind)).ok().map(|i| self.exemptions[i].clone());
        let interval = self.intervals.iter().find(|i| mine(i.service_id, &i.kind));
        let months = interval.map_or(YEARLY, |i| i.months);
        let last_on = last.as_ref().map(ReviewRow::done_on).transpose()?;
        let withdrawn = self.withdrawn.iter().find(|w| mine(w.service_id, &w.kind)).map(|w| w.at);
        let times =
            [withdrawn, last.as_ref().map(|r| r.recorded_at), interval.map(|i| i.changed_at), newest.as_ref().map(|e| e.ended_at.unwrap_or(e.created_at))];
        let changed_at = Timestamp(times.into_iter().flatten().fold(service.created_at, i64::max));
        let exemption = newest.filter(|e| e.ended_at.is_none());
        let exempt_until = exemption.as_ref().map(ExemptionRow::until_on).transpose()?;
        let due = due(last_on, date_of(Timestamp(service.created_at)), months);
        Ok(Facts { kind, months, last, last_on, due, exemption, exempt_until, changed_at })
    }

    fn sorted(mut self) -> Self {
        // Databases need not order ids as we do.
        self.reviews.sort_by(|a, b| (a.service_id, &a.kind).cmp(&(b.service_id, &b.kind)));
        self.exemptions.sort_by(|a, b| (a.service_id, &a.kind).cmp(&(b.service_id, &b.kind)));
        self
    }
}

/// What is known of the reviews of all services.
pub async fn known(mut tx: Tx<'_>) -> Result<Known> {
    let reviews = on!(tx.by_ref(), c => sqlx::query_as(NEWEST).fetch_all(c).await)?;
    let exemptions = on!(tx.by_ref(), c => sqlx::query_as(EXEMPTIONS).fetch_all(c).await)?;
    let withdrawn = on!(tx.by_ref(), c => sqlx::query_as(WITHDRAWN).fetch_all(c).await)?;
    let intervals = on!(tx, c => sqlx::query_as(INTERVALS).fetch_all(c).await)?;
    Ok(Known { reviews, exemptions, intervals, withdrawn }.sorted())
}

/// The reviews of one service, one a kind.
pub async fn of_service(mut tx: Tx<'_>, service: &ServiceRow) -> Result<Vec<Facts>> {
    let reviews = on!(tx.by_ref(), c => sqlx::query_as(NEWEST_OF_SERVICE).bind(service.id).fetch_all(c).await)?;
    let exemptions = on!(tx.by_ref(), c => sqlx::query_as(EXEMPTIONS_OF_SERVICE).bind(service.id).fetch_all(c).await)?;
    let withdrawn = on!(tx.by_ref(), c => sqlx::query_as(WITHDRAWN_OF_SERVICE).bind(service.id).fetch_all(c).await)?;
    let intervals = on!(tx, c => sqlx::query_as(INTERVALS_OF_SERVICE).bind(service.id).fetch_all(c).await)?;
    Known { reviews, exemptions, intervals, withdrawn }.sorted().of(service)
}

pub async fn set_interval(tx: Tx<'_>, service: ServiceId, kind: ReviewKind, months: i64, by: &str, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_INTERVAL).bind(service.0).bind(kind.as_str()).bind(months).bind(now.0).bind(by).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records a review that was done.
pub async fn record(tx: Tx<'_>, service: ServiceId, kind: ReviewKind, done: &Done, actor: &str, now: Timestamp) -> Result<ReviewId> {
    let id = ReviewId::new();
    on!(tx, c => sqlx::query(INSERT).bind(id.0).bind(service.0).bind(kind.as_str()).bind(done.on.to_string()).bind(&done.by).bind(&done.outcome).bind(actor)
        .bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(id)
}

pub async fn find(tx: Tx<'_>, id: ReviewId) -> Result<Option<ReviewRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Withdraws a review that was recorded by mistake; `false` where somebody has done so before.
pub async fn withdraw(tx: Tx<'_>, id: ReviewId, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(WITHDRAW).bind(id.0).bind(now.0).bind(by).bind(reason).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// At most `limit` reviews of a service that were done, the newest first, also those that were withdrawn.
pub async fn history(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<ReviewRow>> {
    Ok(on!(tx, c => sqlx::query_as(HISTORY).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// Records that a review need not be done up to and including a day. The one before has to be ended first.
pub async fn exempt(tx: Tx<'_>, service: ServiceId, kind: ReviewKind, until: Date, reason: &str, actor: &str, now: Timestamp) -> Result<ExemptionId> {
    let id = ExemptionId::new();
    on!(tx, c => sqlx::query(EXEMPT).bind(id.0).bind(service.0).bind(kind.as_str()).bind(reason).bind(until.to_string()).bind(actor).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(id)
}

/// Ends an exemption before its day; `false` where there is none.
pub async fn end_exemption(tx: Tx<'_>, service: ServiceId, kind: ReviewKind, by: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(END_EXEMPTION).bind(service.0).bind(kind.as_str()).bind(now.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// At most `limit` exemptions of a service, the newest first, also those that are over.
pub async fn exemptions(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<ExemptionRow>> {
    Ok(on!(tx, c => sqlx::query_as(EXEMPTION_HISTORY).bind(service.0).bind(limit).fetch_all(c).await)?)
}

#[derive(sqlx::FromRow)]
struct CompletedRow {
    actor: String,
    kind: String,
    times: i64,
    last_at: i64,
}

/// Who completed restores and restore tests of a service since then, or did steps of an exercise that passed, by name.
pub async fn completed(tx: Tx<'_>, service: ServiceId, since: Timestamp) -> Result<Vec<Completed>> {
    let rows: Vec<CompletedRow> = on!(tx, c => sqlx::query_as(COMPLETED).bind(service.0).bind(since.0).fetch_all(c).await)?;
    let read = |r: CompletedRow| {
        let feat = Feat::parse(&r.kind).ok_or_else(|| StoreError::Unreadable { column: "run.kind", value: r.kind.clone() })?;
        Ok(Completed { actor: r.actor, feat, times: r.times, last_at: Timestamp(r.last_at) })
    };
    rows.into_iter().map(read).collect()
}
