//! The queue of messages: what is to be delivered, what was tried, what the other side said.
//!
//! Lives here: the SQL of enqueueing, claiming and ending deliveries. May not: when something is tried again, sending.
//! Invariants: a deduplication key is queued once, ever; of one alert and receiver messages leave in their order;
//! every write of a sender says `WHERE lease_token`, so that one that lost its lease changes nothing.

use domain::{
    alert::message::{Event, Message},
    id::{AlertId, ChannelId, DeliveryId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on, queue::Lease};

statements! {
    ENQUEUE = "INSERT INTO delivery (id, channel_id, recipient, event, alert_id, run_id, dedup_key, message, state, created_at, next_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $9) ON CONFLICT DO NOTHING";
    CLAIM_SQLITE = "UPDATE delivery SET state = 'sending', lease_owner = $1, lease_token = $2, lease_until = $3, attempts = attempts + 1 \
        WHERE id = (SELECT d.id FROM delivery d WHERE ((d.state = 'queued' AND d.next_at <= $4) OR (d.state = 'sending' AND d.lease_until <= $4)) \
        AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.alert_id = d.alert_id AND o.channel_id = d.channel_id AND o.recipient = d.recipient \
        AND o.state IN ('queued', 'sending') AND o.id < d.id) ORDER BY d.next_at, d.id LIMIT 1) RETURNING *";
    CLAIM_PG = "UPDATE delivery SET state = 'sending', lease_owner = $1, lease_token = $2, lease_until = $3, attempts = attempts + 1 \
        WHERE id = (SELECT d.id FROM delivery d WHERE ((d.state = 'queued' AND d.next_at <= $4) OR (d.state = 'sending' AND d.lease_until <= $4)) \
        AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.alert_id = d.alert_id AND o.channel_id = d.channel_id AND o.recipient = d.recipient \
        AND o.state IN ('queued', 'sending') AND o.id < d.id) ORDER BY d.next_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *";
    BEGIN_ATTEMPT = "INSERT INTO delivery_attempt (delivery_id, attempt, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    END_ATTEMPT = "UPDATE delivery_attempt SET finished_at = $3, outcome = $4, answer = $5 WHERE delivery_id = $1 AND attempt = $2";
    FINISH = "UPDATE delivery SET state = $3, answer = $4, finished_at = $5, lease_owner = NULL, lease_token = NULL, lease_until = NULL \
        WHERE id = $1 AND lease_token = $2 AND state = 'sending'";
    DEFER = "UPDATE delivery SET state = 'queued', answer = $3, next_at = $4, lease_owner = NULL, lease_token = NULL, lease_until = NULL \
        WHERE id = $1 AND lease_token = $2 AND state = 'sending'";
    LEASES = "SELECT id, lease_owner, lease_token, lease_until FROM delivery WHERE state = 'sending' ORDER BY lease_until, id LIMIT 1000";
    EXPIRE = "UPDATE delivery SET lease_until = 0 WHERE id = $1 AND lease_token = $2 AND state = 'sending'";
    /// One that has failed is tried again from the start, because a person asked for it.
    AGAIN = "UPDATE delivery SET state = 'queued', next_at = $2, finished_at = NULL WHERE id = $1 AND state = 'failed'";
    GIVE_UP_CHANNEL = "UPDATE delivery SET state = 'failed', answer = $2, finished_at = $3 WHERE channel_id = $1 AND state = 'queued'";
    NEXT_AT = "SELECT min(CASE WHEN state = 'queued' THEN next_at ELSE lease_until END) FROM delivery WHERE state IN ('queued', 'sending')";
    FIND = "SELECT d.*, c.name AS channel, c.kind AS channel_kind FROM delivery d JOIN channel c ON c.id = d.channel_id WHERE d.id = $1";
    PAGE = "SELECT d.*, c.name AS channel, c.kind AS channel_kind FROM delivery d JOIN channel c ON c.id = d.channel_id \
        WHERE (d.created_at, d.id) < ($1, $2) AND ($4 = '' OR d.state = $4) AND ($5 = '' OR c.name = $5) ORDER BY d.created_at DESC, d.id DESC LIMIT $3";
    OF_ALERT = "SELECT d.*, c.name AS channel, c.kind AS channel_kind FROM delivery d JOIN channel c ON c.id = d.channel_id WHERE d.alert_id = $1 ORDER BY d.id LIMIT 500";
    ATTEMPTS = "SELECT * FROM delivery_attempt WHERE delivery_id = $1 ORDER BY attempt DESC LIMIT 100";
    TOLD = "SELECT DISTINCT channel_id, recipient FROM delivery WHERE alert_id = $1 LIMIT 1000";
    /// The newest end of each receiver of a channel.
    NEWEST = "SELECT d.channel_id, d.recipient, d.state, d.answer, d.finished_at FROM delivery d JOIN channel c ON c.id = d.channel_id WHERE c.removed_at IS NULL \
        AND d.state IN ('sent', 'failed') AND d.finished_at >= $1 AND NOT EXISTS (SELECT 1 FROM delivery n WHERE n.channel_id = d.channel_id \
        AND n.recipient = d.recipient AND n.state IN ('sent', 'failed') AND (n.finished_at, n.id) > (d.finished_at, d.id)) ORDER BY d.finished_at DESC LIMIT 1000";
    WAITING = "SELECT channel_id, count(*) FROM delivery WHERE state IN ('queued', 'sending') GROUP BY channel_id";
    FORGET_ATTEMPTS = "DELETE FROM delivery_attempt WHERE delivery_id IN (SELECT id FROM delivery WHERE created_at < $1 AND state IN ('sent', 'failed'))";
    FORGET = "DELETE FROM delivery WHERE created_at < $1 AND state IN ('sent', 'failed')";
}

/// A message to one receiver, as it enters the queue.
#[derive(Clone, Debug)]
pub struct NewDelivery<'a> {
    pub channel: ChannelId,
    pub recipient: &'a str,
    /// What must not be told twice.
    pub dedup_key: String,
    pub message: &'a Message,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DeliveryRow {
    pub id: Uuid,
    pub channel_id: Uuid,
    pub recipient: String,
    pub event: String,
    pub alert_id: Option<Uuid>,
    pub run_id: Option<Uuid>,
    pub dedup_key: String,
    pub message: Json<Message>,
    /// `queued`, `sending`, `sent` or `failed`.
    pub state: String,
    pub created_at: i64,
    pub next_at: i64,
    pub attempts: i64,
    /// What the other side said last, masked.
    pub answer: Option<String>,
    pub finished_at: Option<i64>,
    pub lease_owner: Option<String>,
    pub lease_token: Option<Uuid>,
    pub lease_until: Option<i64>,
}

impl DeliveryRow {
    pub const fn id(&self) -> DeliveryId {
        DeliveryId(self.id)
    }

    pub fn event(&self) -> Result<Event> {
        Event::parse(&self.event).ok_or_else(|| StoreError::Unreadable { column: "delivery.event", value: self.event.clone() })
    }
}

/// A delivery with the name and kind of its channel.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedDelivery {
    #[sqlx(flatten)]
    pub row: DeliveryRow,
    pub channel: String,
    pub channel_kind: String,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AttemptRow {
    pub delivery_id: Uuid,
    pub attempt: i64,
    pub started_at: i64,
    /// `None` while it goes on, and for ever where it was cut short.
    pub finished_at: Option<i64>,
    /// `sent`, `deferred` or `refused`.
    pub outcome: Option<String>,
    pub answer: Option<String>,
}

/// The newest end of one receiver.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NewestRow {
    pub channel_id: Uuid,
    pub recipient: String,
    pub state: String,
    pub answer: Option<String>,
    pub finished_at: i64,
}

/// Queues a message; `None` when its key was queued before.
pub async fn enqueue(tx: Tx<'_>, new: &NewDelivery<'_>, now: Timestamp) -> Result<Option<DeliveryId>> {
    let (id, m) = (DeliveryId::new(), new.message);
    let rows = on!(tx, c => sqlx::query(ENQUEUE).bind(id.0).bind(new.channel.0).bind(new.recipient).bind(m.event.as_str()).bind(m.alert.map(|i| i.0))
        .bind(m.run.map(|i| i.0)).bind(&new.dedup_key).bind(Json(m)).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok((rows == 1).then_some(id))
}

/// Takes the next message that is due, or one whose sender is gone, and records that an attempt has begun.
pub async fn claim(mut tx: Tx<'_>, lease: &Lease<'_>, now: Timestamp) -> Result<Option<DeliveryRow>> {
    let claimed: Option<DeliveryRow> = match tx.by_ref() {
        Tx::Sqlite(c) => sqlx::query_as(CLAIM_SQLITE).bind(lease.owner).bind(lease.token).bind(lease.until.0).bind(now.0).fetch_optional(c).await?,
        Tx::Pg(c) => sqlx::query_as(CLAIM_PG).bind(lease.owner).bind(lease.token).bind(lease.until.0).bind(now.0).fetch_optional(c).await?,
    };
    if let Some(d) = &claimed {
        on!(tx, c => sqlx::query(BEGIN_ATTEMPT).bind(d.id).bind(d.attempts).bind(now.0).execute(c).await.map(|_| ()))?;
    }
    Ok(claimed)
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    /// It is tried again at that moment.
    Deferred(Timestamp),
    /// It is given up.
    Refused,
}

/// Records the end of an attempt; `false` when the lease is lost.
pub async fn end_attempt(mut tx: Tx<'_>, d: &DeliveryRow, token: Uuid, outcome: Outcome, answer: &str, now: Timestamp) -> Result<bool> {
    let word = match outcome {
        Outcome::Sent => "sent",
        Outcome::Deferred(_) => "deferred",
        Outcome::Refused => "refused",
    };
    let rows = if let Outcome::Deferred(at) = outcome {
        on!(tx.by_ref(), c => sqlx::query(DEFER).bind(d.id).bind(token).bind(answer).bind(at.0).execute(c).await.map(|r| r.rows_affected()))?
    } else {
        let state = if outcome == Outcome::Sent { "sent" } else { "failed" };
        on!(tx.by_ref(), c => sqlx::query(FINISH).bind(d.id).bind(token).bind(state).bind(answer).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?
    };
    if rows == 1 {
        on!(tx, c => sqlx::query(END_ATTEMPT).bind(d.id).bind(d.attempts).bind(now.0).bind(word).bind(answer).execute(c).await.map(|_| ()))?;
    }
    Ok(rows == 1)
}

/// The leases of messages that are being sent, the oldest first.
pub async fn leases(tx: Tx<'_>) -> Result<Vec<crate::queue::LeaseRow>> {
    Ok(on!(tx, c => sqlx::query_as(LEASES).fetch_all(c).await)?)
}

/// Ends the lease of a sender that is known to be gone.
pub async fn expire(tx: Tx<'_>, id: DeliveryId, token: Uuid) -> Result<()> {
    on!(tx, c => sqlx::query(EXPIRE).bind(id.0).bind(token).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Queues a failed message once more; `false` when it has not failed.
pub async fn again(tx: Tx<'_>, id: DeliveryId, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(AGAIN).bind(id.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Gives up what waits for a channel; how many messages.
pub async fn give_up(tx: Tx<'_>, channel: ChannelId, why: &str, now: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(GIVE_UP_CHANNEL).bind(channel.0).bind(why).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?)
}

/// When something is due next.
pub async fn next_at(tx: Tx<'_>) -> Result<Option<Timestamp>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(NEXT_AT).fetch_one(c).await)?.map(Timestamp))
}

pub async fn find(tx: Tx<'_>, id: DeliveryId) -> Result<Option<ListedDelivery>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// At most `limit` deliveries before a key, the newest first; of one state and one channel where they are given.
pub async fn page(tx: Tx<'_>, state: &str, channel: &str, before: (Timestamp, DeliveryId), limit: i64) -> Result<Vec<ListedDelivery>> {
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(before.0.0).bind(before.1.0).bind(limit).bind(state).bind(channel).fetch_all(c).await)?)
}

/// Everything that was said about an alert, in its order.
pub async fn of_alert(tx: Tx<'_>, id: AlertId) -> Result<Vec<ListedDelivery>> {
    Ok(on!(tx, c => sqlx::query_as(OF_ALERT).bind(id.0).fetch_all(c).await)?)
}

/// The attempts of a delivery, the newest first.
pub async fn attempts(tx: Tx<'_>, id: DeliveryId) -> Result<Vec<AttemptRow>> {
    Ok(on!(tx, c => sqlx::query_as(ATTEMPTS).bind(id.0).fetch_all(c).await)?)
}

/// Who was told of an alert, or is about to be.
pub async fn told(tx: Tx<'_>, id: AlertId) -> Result<Vec<(ChannelId, String)>> {
    let rows: Vec<(Uuid, String)> = on!(tx, c => sqlx::query_as(TOLD).bind(id.0).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(channel, recipient)| (ChannelId(channel), recipient)).collect())
}

/// The newest end of each receiver since a moment.
pub async fn newest(tx: Tx<'_>, since: Timestamp) -> Result<Vec<NewestRow>> {
    Ok(on!(tx, c => sqlx::query_as(NEWEST).bind(since.0).fetch_all(c).await)?)
}

/// How many messages wait, by channel.
pub async fn waiting(tx: Tx<'_>) -> Result<Vec<(Uuid, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(WAITING).fetch_all(c).await)?)
}

/// Forgets what has ended and was made before a moment.
pub async fn forget(mut tx: Tx<'_>, before: Timestamp) -> Result<u64> {
    on!(tx.by_ref(), c => sqlx::query(FORGET_ATTEMPTS).bind(before.0).execute(c).await.map(|_| ()))?;
    Ok(on!(tx, c => sqlx::query(FORGET).bind(before.0).execute(c).await.map(|r| r.rows_affected()))?)
}
