//! Rows of holds: what stands against forgetting (R16, R21).
//!
//! Lives here: their SQL. May not: who may place or release one, what a guard measures.
//! Invariant: a hold stands until it is released, and is never deleted. While it stands, nothing that it covers is
//! forgotten. A guard's hold also pauses prunes of the repositories concerned until a person has decided.

use domain::{
    id::{HoldId, ItemId, RepositoryId, RunId, ServiceId, SnapshotId},
    units::Timestamp,
};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

/// A list of holds with their names: what chooses the rows after the key `($1, $2)`.
macro_rules! listed {
    ($where:literal) => {
        concat!(
            "SELECT hold.*, service.name AS service_name, service.title AS service_title, item.name AS item_name, snapshot.restic_id AS restic_id FROM hold ",
            "JOIN service ON service.id = hold.service_id LEFT JOIN item ON item.id = hold.item_id LEFT JOIN snapshot ON snapshot.id = hold.snapshot_id WHERE ",
            $where,
            " AND (hold.created_at, hold.id) < ($1, $2) ORDER BY hold.created_at DESC, hold.id DESC LIMIT $3"
        )
    };
}

statements! {
    FIND = "SELECT * FROM hold WHERE id = $1";
    INSERT = "INSERT INTO hold (id, service_id, item_id, snapshot_id, kind, reason, facts, run_id, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    RELEASE = "UPDATE hold SET released_at = $2, released_by = $3, release_reason = $4, decision = 'released' WHERE id = $1 AND released_at IS NULL";
    KEEP = "UPDATE hold SET released_by = $2, release_reason = $3, decision = 'kept' WHERE id = $1 AND released_at IS NULL AND decision IS NULL";
    STANDING = "SELECT * FROM hold WHERE service_id = $1 AND released_at IS NULL ORDER BY created_at, id LIMIT $2";
    PAUSING = "SELECT hold.*, service.name AS service_name, service.title AS service_title, item.name AS item_name, snapshot.restic_id AS restic_id FROM hold \
        JOIN service ON service.id = hold.service_id LEFT JOIN item ON item.id = hold.item_id LEFT JOIN snapshot ON snapshot.id = hold.snapshot_id \
        WHERE hold.kind = 'guard' AND hold.released_at IS NULL AND hold.decision IS NULL AND (snapshot.repository_id = $1 OR EXISTS \
        (SELECT 1 FROM source WHERE source.service_id = hold.service_id AND source.repository_id = $1 AND (hold.item_id IS NULL OR item.source_id = source.id))) \
        ORDER BY hold.created_at, hold.id LIMIT $2";
    PAGE = listed!("1 = 1");
    PAGE_STANDING = listed!("hold.released_at IS NULL");
    PAGE_SERVICE = listed!("hold.service_id = $4");
    PAGE_ITEM = listed!("hold.item_id = $4");
    FIND_LISTED = "SELECT hold.*, service.name AS service_name, service.title AS service_title, item.name AS item_name, snapshot.restic_id AS restic_id FROM hold \
        JOIN service ON service.id = hold.service_id LEFT JOIN item ON item.id = hold.item_id LEFT JOIN snapshot ON snapshot.id = hold.snapshot_id WHERE hold.id = $1";
    PAGE_FILTER = listed!("($4 = '' OR service.name = $4) AND ($5 = '' OR hold.kind = $5) AND ($6 = '' OR ($6 = 'standing' AND hold.released_at IS NULL) \
        OR ($6 = 'undecided' AND hold.released_at IS NULL AND hold.kind = 'guard' AND hold.decision IS NULL) OR ($6 = 'ended' AND hold.released_at IS NOT NULL))");
}

/// Who placed a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldKind {
    Person,
    Guard,
}

impl HoldKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Guard => "guard",
        }
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct HoldRow {
    pub id: Uuid,
    pub service_id: Uuid,
    /// All items of the service where it names neither an item nor a snapshot.
    pub item_id: Option<Uuid>,
    pub snapshot_id: Option<Uuid>,
    /// A [`HoldKind`] as text.
    pub kind: String,
    pub reason: String,
    /// What a guard measured.
    pub facts: Option<Json<Value>>,
    pub run_id: Option<Uuid>,
    pub actor: String,
    pub created_at: i64,
    pub released_at: Option<i64>,
    /// Who decided, also where the decision was to keep it.
    pub released_by: Option<String>,
    pub release_reason: Option<String>,
    /// `released` or `kept`; nobody has decided where it is absent.
    pub decision: Option<String>,
    /// When it was decided that a guard was right; it stays when the hold ends.
    pub kept_at: Option<i64>,
}

impl HoldRow {
    pub const fn id(&self) -> HoldId {
        HoldId(self.id)
    }

    /// Whether it stands against forgetting this snapshot of this item of its service.
    pub fn covers(&self, item: ItemId, snapshot: SnapshotId) -> bool {
        self.released_at.is_none() && self.item_id.is_none_or(|i| i == item.0) && self.snapshot_id.is_none_or(|s| s == snapshot.0)
    }
}

/// A hold with the names of what it covers.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedHold {
    #[sqlx(flatten)]
    pub row: HoldRow,
    pub service_name: String,
    pub service_title: String,
    pub item_name: Option<String>,
    pub restic_id: Option<String>,
}

/// A hold to be placed.
#[derive(Clone, Debug)]
pub struct NewHold {
    pub service: ServiceId,
    /// `None`: all items of the service, unless a snapshot is named.
    pub item: Option<ItemId>,
    /// `None`: all snapshots.
    pub snapshot: Option<SnapshotId>,
    pub kind: HoldKind,
    pub reason: String,
    pub facts: Option<Value>,
    pub run: Option<RunId>,
    pub actor: String,
}

pub async fn find(tx: Tx<'_>, id: HoldId) -> Result<Option<HoldRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn place(tx: Tx<'_>, new: &NewHold, now: Timestamp) -> Result<HoldId> {
    let id = HoldId::new();
    on!(tx, c => sqlx::query(INSERT).bind(id.0).bind(new.service.0).bind(new.item.map(|i| i.0)).bind(new.snapshot.map(|i| i.0)).bind(new.kind.as_str())
        .bind(&new.reason).bind(new.facts.as_ref().map(Json)).bind(new.run.map(|i| i.0)).bind(&new.actor).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(id)
}

/// Ends a hold; `false` when it does not stand (any more).
pub async fn release(tx: Tx<'_>, id: HoldId, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(RELEASE).bind(id.0).bind(now.0).bind(by).bind(reason).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Records the decision that the hold stays: it goes on standing and pauses no prune any more. `false` when it does
/// not stand or somebody has decided before.
pub async fn keep(tx: Tx<'_>, id: HoldId, by: &str, reason: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(KEEP).bind(id.0).bind(by).bind(reason).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// At most `limit` holds that stand over a service, its items and its snapshots, the oldest first.
pub async fn standing(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<HoldRow>> {
    Ok(on!(tx, c => sqlx::query_as(STANDING).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` holds of guards on which nobody has decided and that pause prunes of the repository.
pub async fn pausing(tx: Tx<'_>, repository: RepositoryId, limit: i64) -> Result<Vec<ListedHold>> {
    Ok(on!(tx, c => sqlx::query_as(PAUSING).bind(repository.0).bind(limit).fetch_all(c).await)?)
}

/// Which holds a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    All,
    Standing,
    Service(ServiceId),
    /// Those that name the item.
    Item(ItemId),
}

/// At most `limit` holds, the newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, which: Which, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedHold>> {
    let (at, id) = (before.0.0, before.1);
    let (sql, of) = match which {
        Which::All => (PAGE, None),
        Which::Standing => (PAGE_STANDING, None),
        Which::Service(service) => (PAGE_SERVICE, Some(service.0)),
        Which::Item(item) => (PAGE_ITEM, Some(item.0)),
    };
    Ok(match of {
        None => on!(tx, c => sqlx::query_as(sql).bind(at).bind(id).bind(limit).fetch_all(c).await)?,
        Some(of) => on!(tx, c => sqlx::query_as(sql).bind(at).bind(id).bind(limit).bind(of).fetch_all(c).await)?,
    })
}

/// A hold with the names of what it covers.
pub async fn find_listed(tx: Tx<'_>, id: HoldId) -> Result<Option<ListedHold>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_LISTED).bind(id.0).fetch_optional(c).await)?)
}

/// What of the holds a list shows; everything where a field is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A service by name.
    pub service: String,
    /// `person` or `guard`.
    pub kind: String,
    /// `standing`, `undecided` or `ended`.
    pub state: String,
}

/// At most `limit` holds that fit, the newest first, before the key `(before_at, before_id)`.
pub async fn list(tx: Tx<'_>, filter: &Filter, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedHold>> {
    let (at, id) = (before.0.0, before.1);
    Ok(on!(tx, c => sqlx::query_as(PAGE_FILTER).bind(at).bind(id).bind(limit).bind(&filter.service).bind(&filter.kind).bind(&filter.state).fetch_all(c).await)?)
}
