//! Rows of snapshots: what the repositories hold, as the lists need it.
//!
//! Lives here: their SQL. May not: reading a repository; retention.

use domain::{
    evidence::EvidenceLevel,
    guard::Measure,
    id::{ItemId, PersonId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::NativeSnapshot,
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, people::pattern};

/// A list of snapshots with their names: the columns, and what chooses the rows after the key `($1, $2)`.
macro_rules! listed {
    ($where:literal) => {
        concat!(
            "SELECT s.*, service.name AS service_name, service.title AS service_title, source.name AS source_name, item.name AS item_name, ",
            "CASE WHEN doubt.id IS NULL THEN NULL WHEN doubt.kept_at IS NOT NULL THEN 'bad' WHEN doubt.released_at IS NULL THEN 'in_question' ELSE 'accepted' END AS doubt ",
            "FROM snapshot s LEFT JOIN service ON service.id = s.service_id LEFT JOIN source ON source.id = s.source_id LEFT JOIN item ON item.id = s.item_id ",
            "LEFT JOIN hold doubt ON doubt.id = s.doubt_hold_id WHERE ",
            $where,
            " AND s.gone_at IS NULL AND (s.taken_at, s.id) < ($1, $2) ORDER BY s.taken_at DESC, s.id DESC LIMIT $3"
        )
    };
}

statements! {
    PAGE = listed!("1 = 1");
    PAGE_SERVICE = listed!("s.service_id = $4");
    PAGE_PERSON = listed!("s.person_id = $4");
    PAGE_PERSON_SERVICE = listed!("s.person_id = $4 AND s.service_id = $5");
    PAGE_ITEM = listed!("s.item_id = $4");
    PAGE_ITEM_NAME = listed!("s.item_id IN (SELECT id FROM item WHERE item.name = $4)");
    PAGE_SERVICE_ITEM_NAME = listed!("s.item_id IN (SELECT id FROM item WHERE item.name = $4 AND item.service_id = $5)");
    PAGE_ITEM_LIKE = listed!("s.item_id IN (SELECT id FROM item WHERE lower(item.name) LIKE $4 ESCAPE '!' ORDER BY item.name LIMIT 200)");
    PAGE_SERVICE_ITEM_LIKE = listed!("s.item_id IN (SELECT id FROM item WHERE item.service_id = $5 AND lower(item.name) LIKE $4 ESCAPE '!' ORDER BY item.name LIMIT 200)");
    /// Keys of SQLite and PostgreSQL alike are compared byte by byte, so a prefix is a range.
    BY_ID_RANGE = listed!("s.id >= $4 AND s.id <= $5");
    BY_RESTIC_PREFIX = listed!("s.restic_id >= $4 AND s.restic_id < $5");
    FIND = "SELECT * FROM snapshot WHERE id = $1";
    FIND_RESTIC = "SELECT * FROM snapshot WHERE repository_id = $1 AND restic_id = $2";
    OF_ITEM = "SELECT * FROM snapshot WHERE item_id = $1 AND gone_at IS NULL AND (taken_at < $2 OR (taken_at = $2 AND id < $3)) ORDER BY taken_at DESC, id DESC LIMIT $4";
    OF_RUN = "SELECT restic_id FROM snapshot WHERE run_id = $1 ORDER BY restic_id";
    /// Restore tests bring files back; what stays in a cloud is none of theirs.
    NEWEST_OF_SERVICE = "SELECT item.id AS item_id, item.name AS item_name, source.name AS source_name, snapshot.id AS snapshot_id, snapshot.repository_id AS repository_id, \
        snapshot.restic_id AS restic_id, snapshot.taken_at AS taken_at, snapshot.files AS files, snapshot.bytes AS bytes, source.kind AS source_kind \
        FROM item JOIN snapshot ON snapshot.id = item.last_snapshot_id JOIN source ON source.id = item.source_id \
        WHERE item.service_id = $1 AND item.gone_at IS NULL AND snapshot.gone_at IS NULL AND snapshot.state <> 'pending' ORDER BY snapshot.taken_at DESC, item.name, item.id LIMIT $2";
    /// Those of a window, also of items that are no longer listed: they can be brought back all the same.
    WINDOW_OF_SERVICE = "SELECT item.id AS item_id, item.name AS item_name, source.name AS source_name, snapshot.id AS snapshot_id, snapshot.repository_id AS repository_id, \
        snapshot.restic_id AS restic_id, snapshot.taken_at AS taken_at, snapshot.files AS files, snapshot.bytes AS bytes, source.kind AS source_kind \
        FROM snapshot JOIN item ON item.id = snapshot.item_id JOIN source ON source.id = item.source_id \
        WHERE snapshot.service_id = $1 AND snapshot.gone_at IS NULL AND snapshot.state <> 'pending' AND snapshot.taken_at >= $2 ORDER BY snapshot.taken_at DESC, snapshot.id LIMIT $3";
    TESTABLE = "SELECT item.id AS item_id, item.name AS item_name, source.name AS source_name, snapshot.id AS snapshot_id, snapshot.repository_id AS repository_id, \
        snapshot.restic_id AS restic_id, snapshot.taken_at AS taken_at, snapshot.files AS files, snapshot.bytes AS bytes, source.kind AS source_kind \
        FROM snapshot JOIN item ON item.id = snapshot.item_id JOIN source ON source.id = item.source_id \
        WHERE snapshot.id = $1 AND snapshot.service_id = $2 AND snapshot.gone_at IS NULL AND snapshot.state <> 'pending'";
    /// What follows a snapshot in question is in question too, as long as its hold stands.
    INSERT = "INSERT INTO snapshot (id, repository_id, service_id, source_id, item_id, person_id, run_id, restic_id, tree, parent_restic_id, taken_at, host, label, \
        paths, tags, state, files, dirs, bytes, bytes_added, files_added, files_changed, files_removed, errors, measure, doubt_hold_id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, \
        (SELECT hold.id FROM item JOIN snapshot last ON last.id = item.last_snapshot_id JOIN hold ON hold.id = last.doubt_hold_id \
        WHERE item.id = $5 AND hold.released_at IS NULL)) \
        ON CONFLICT (repository_id, restic_id) DO UPDATE SET gone_at = NULL, gone_why = NULL, gone_run_id = NULL RETURNING id";
    /// What a policy decides on: the snapshots of one item in one repository.
    RETAINED = "SELECT id, restic_id, taken_at, state, tags, verified_at, \
        EXISTS (SELECT 1 FROM run WHERE run.id = snapshot.run_id AND run.kind = 'restore') AS safety FROM snapshot WHERE item_id = $1 AND repository_id = $2 AND gone_at IS NULL \
        ORDER BY taken_at DESC, id DESC LIMIT $3";
    OLDEST_BETWEEN = "SELECT * FROM snapshot WHERE item_id = $1 AND gone_at IS NULL AND taken_at >= $2 AND taken_at < $3 ORDER BY taken_at, id LIMIT 1";
    NEIGHBOURS = "SELECT (SELECT max(taken_at) FROM snapshot WHERE item_id = $1 AND gone_at IS NULL AND taken_at < $2), \
        (SELECT min(taken_at) FROM snapshot WHERE item_id = $1 AND gone_at IS NULL AND taken_at >= $2)";
    INTEND = "UPDATE snapshot SET gone_why = $2, gone_run_id = $3 WHERE id = $1 AND gone_at IS NULL";
    INTENDED = "SELECT id, restic_id, item_id, taken_at, data_verified_at FROM snapshot WHERE repository_id = $1 AND gone_at IS NULL AND gone_run_id IS NOT NULL \
        AND (gone_run_id = $2 OR NOT EXISTS (SELECT 1 FROM run WHERE run.id = snapshot.gone_run_id AND run.state IN ('queued', 'running'))) ORDER BY id LIMIT $3";
    TAKE_BACK = "UPDATE snapshot SET gone_why = NULL, gone_run_id = NULL WHERE id = $1 AND gone_at IS NULL";
    GONE = "UPDATE snapshot SET gone_at = $3, gone_why = COALESCE(gone_why, $4), gone_run_id = COALESCE(gone_run_id, $5) \
        WHERE repository_id = $1 AND restic_id = $2 AND gone_at IS NULL RETURNING item_id, taken_at";
    KNOWN = "SELECT id, restic_id, item_id, taken_at, data_verified_at FROM snapshot WHERE repository_id = $1 AND gone_at IS NULL AND id > $2 AND id < $3 ORDER BY id LIMIT $4";
    COUNT_GONE_BY = "SELECT count(*) FROM snapshot WHERE gone_run_id = $1 AND gone_at IS NOT NULL";
    COUNT_AFTER = "SELECT count(*) FROM snapshot WHERE taken_at > $1 AND gone_at IS NULL";
    SET_DATA_VERIFIED = "UPDATE snapshot SET data_verified_at = $2 WHERE id = $1";
    SET_NATIVE = "UPDATE snapshot SET native = $2 WHERE id = $1";
    COMPLETE = "UPDATE snapshot SET state = 'complete', bytes = $2, native = $3 WHERE id = $1 AND state = 'pending' AND gone_at IS NULL";
    PENDING = "SELECT * FROM snapshot WHERE state = 'pending' AND gone_at IS NULL ORDER BY taken_at, id LIMIT $1";
    SET_LEVEL = "UPDATE snapshot SET level = $2, verified_at = $3 WHERE id = $1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SnapshotRow {
    pub id: Uuid,
    pub repository_id: Uuid,
    pub service_id: Option<Uuid>,
    pub source_id: Option<Uuid>,
    pub item_id: Option<Uuid>,
    pub person_id: Option<Uuid>,
    pub run_id: Option<Uuid>,
    pub restic_id: String,
    pub tree: String,
    pub parent_restic_id: Option<String>,
    pub taken_at: i64,
    pub host: String,
    pub label: String,
    pub paths: Json<Vec<String>>,
    pub tags: Json<Vec<String>>,
    /// `complete`, `partial` or `adopted`; `pending` while a cloud has accepted it and has not finished.
    pub state: String,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    pub files_added: i64,
    pub files_changed: i64,
    pub files_removed: i64,
    pub errors: i64,
    /// An `EvidenceLevel` as text.
    pub level: String,
    pub verified_at: Option<i64>,
    /// The oldest last reading of all packs that it needs; `None` until each of them was read.
    pub data_verified_at: Option<i64>,
    /// When the repository no longer held it.
    pub gone_at: Option<i64>,
    /// Why, in words.
    pub gone_why: Option<String>,
    /// The run that forgot it or found it missing.
    pub gone_run_id: Option<Uuid>,
    /// What it changed against the one before it.
    pub measure: Option<Json<Measure>>,
    /// The guard's hold that it is in question by.
    pub doubt_hold_id: Option<Uuid>,
    /// Of an instance: what the snapshot in the cloud is made of, or was made of where this is its offsite copy.
    pub native: Option<Json<NativeSnapshot>>,
}

impl SnapshotRow {
    pub const fn id(&self) -> SnapshotId {
        SnapshotId(self.id)
    }

    /// What it is made of, where it stays in a cloud.
    pub fn in_cloud(&self) -> Option<&NativeSnapshot> {
        self.native.as_deref().filter(|_| self.tree.is_empty())
    }

    /// What it is a copy of, where it is an offsite copy: files of a repository, and so with a tree.
    pub fn offsite(&self) -> Option<&NativeSnapshot> {
        self.native.as_deref().filter(|_| !self.tree.is_empty())
    }
}

/// The newest snapshot of one item, as a restore test chooses among them.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NewestRow {
    pub item_id: Uuid,
    pub item_name: String,
    pub source_name: String,
    /// Which driver brings it back.
    pub source_kind: String,
    pub snapshot_id: Uuid,
    pub repository_id: Uuid,
    pub restic_id: String,
    pub taken_at: i64,
    pub files: i64,
    pub bytes: i64,
}

/// A snapshot to be recorded.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    pub repository: RepositoryId,
    pub service: Option<ServiceId>,
    pub source: Option<SourceId>,
    pub item: Option<ItemId>,
    pub person: Option<PersonId>,
    pub run: Option<RunId>,
    pub restic_id: String,
    pub tree: String,
    pub parent_restic_id: Option<String>,
    pub taken_at: Timestamp,
    pub host: String,
    pub label: String,
    pub paths: Vec<String>,
    pub tags: Vec<String>,
    pub state: &'static str,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    pub files_added: i64,
    pub files_changed: i64,
    pub files_removed: i64,
    pub errors: i64,
    pub measure: Option<Measure>,
}

impl NewSnapshot {
    /// One that stays in a cloud; whose it is, is to be said. `state` is `complete`, `adopted` or `pending`.
    pub fn native(repository: RepositoryId, of: &NativeSnapshot, taken_at: Timestamp, state: &'static str) -> Self {
        Self {
            repository,
            service: None,
            source: None,
            item: None,
            person: None,
            run: None,
            restic_id: of.unit_id().to_owned(),
            tree: String::new(),
            parent_restic_id: None,
            taken_at,
            host: of.server.name.clone(),
            label: of.name.clone(),
            paths: Vec::new(),
            tags: Vec::new(),
            state,
            files: 0,
            dirs: 0,
            // While the cloud has not finished, nobody knows what it takes.
            bytes: if state == "pending" { 0 } else { of.bytes() },
            bytes_added: 0,
            files_added: 0,
            files_changed: 0,
            files_removed: 0,
            errors: 0,
            measure: None,
        }
    }
}

pub async fn find(tx: Tx<'_>, id: SnapshotId) -> Result<Option<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn find_restic(tx: Tx<'_>, repository: RepositoryId, restic_id: &str) -> Result<Option<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_RESTIC).bind(repository.0).bind(restic_id).fetch_optional(c).await)?)
}

/// At most `limit` snapshots of an item, newest first, before the key `(before_at, before_id)`.
pub async fn of_item(tx: Tx<'_>, item: ItemId, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_ITEM).bind(item.0).bind(before.0.0).bind(before.1).bind(limit).fetch_all(c).await)?)
}

/// The newest snapshot of each item that the service's sources still list, the youngest first.
pub async fn newest_of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<NewestRow>> {
    Ok(on!(tx, c => sqlx::query_as(NEWEST_OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// The snapshots of a service since then, the youngest first.
pub async fn window_of_service(tx: Tx<'_>, service: ServiceId, since: Timestamp, limit: i64) -> Result<Vec<NewestRow>> {
    Ok(on!(tx, c => sqlx::query_as(WINDOW_OF_SERVICE).bind(service.0).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// A snapshot of a service as a restore test takes it; `None` where it is gone.
pub async fn testable(tx: Tx<'_>, service: ServiceId, id: SnapshotId) -> Result<Option<NewestRow>> {
    Ok(on!(tx, c => sqlx::query_as(TESTABLE).bind(id.0).bind(service.0).fetch_optional(c).await)?)
}

/// The restic ids of the snapshots that a run took.
pub async fn of_run(tx: Tx<'_>, run: RunId) -> Result<Vec<String>> {
    Ok(on!(tx, c => sqlx::query_scalar(OF_RUN).bind(run.0).fetch_all(c).await)?)
}

/// Which snapshots a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which<'a> {
    #[default]
    All,
    Service(ServiceId),
    Person(PersonId),
    PersonService(PersonId, ServiceId),
    Item(ItemId),
    /// The first 200 items whose names hold the text, case aside; of one service where it is given.
    ItemLike(&'a str, Option<ServiceId>),
    /// The items of that name, of one service where it is given.
    ItemName(&'a str, Option<ServiceId>),
    /// Those whose own id lies between the two.
    IdRange(Uuid, Uuid),
    /// Those whose restic id begins so (hexadecimal).
    ResticPrefix(&'a str),
}

/// A snapshot with the names of what it is a copy of.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedSnapshot {
    #[sqlx(flatten)]
    pub row: SnapshotRow,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
    pub source_name: Option<String>,
    pub item_name: Option<String>,
    /// A [`Doubt`] as text.
    pub doubt: Option<String>,
}

/// What a guard's hold says of a snapshot (R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nobody has decided yet.
    InQuestion,
    /// A person decided that it holds the harm done by an attack or an accident.
    Bad,
    /// A person found it in order.
    Accepted,
}

impl ListedSnapshot {
    pub fn doubt(&self) -> Option<Doubt> {
        match self.doubt.as_deref()? {
            "bad" => Some(Doubt::Bad),
            "in_question" => Some(Doubt::InQuestion),
            _ => Some(Doubt::Accepted),
        }
    }

    /// Whether nothing speaks against restoring it.
    pub fn is_good(&self) -> bool {
        !matches!(self.doubt(), Some(Doubt::Bad | Doubt::InQuestion))
    }
}

/// At most `limit` snapshots, newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, which: Which<'_>, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedSnapshot>> {
    let (at, id) = (before.0.0, before.1);
    let rows = match which {
        Which::All => on!(tx, c => sqlx::query_as(PAGE).bind(at).bind(id).bind(limit).fetch_all(c).await),
        Which::Service(service) => on!(tx, c => sqlx::query_as(PAGE_SERVICE).bind(at).bind(id).bind(limit).bind(service.0).fetch_all(c).await),
        Which::Person(person) => on!(tx, c => sqlx::query_as(PAGE_PERSON).bind(at).bind(id).bind(limit).bind(person.0).fetch_all(c).await),
        Which::PersonService(person, service) => {
            on!(tx, c => sqlx::query_as(PAGE_PERSON_SERVICE).bind(at).bind(id).bind(limit).bind(person.0).bind(service.0).fetch_all(c).await)
        }
        Which::ItemLike(text, None) => on!(tx, c => sqlx::query_as(PAGE_ITEM_LIKE).bind(at).bind(id).bind(limit).bind(pattern(text)).fetch_all(c).await),
        Which::ItemLike(text, Some(service)) => {
            on!(tx, c => sqlx::query_as(PAGE_SERVICE_ITEM_LIKE).bind(at).bind(id).bind(limit).bind(pattern(text)).bind(service.0).fetch_all(c).await)
        }
        Which::Item(item) => on!(tx, c => sqlx::query_as(PAGE_ITEM).bind(at).bind(id).bind(limit).bind(item.0).fetch_all(c).await),
        Which::ItemName(name, None) => on!(tx, c => sqlx::query_as(PAGE_ITEM_NAME).bind(at).bind(id).bind(limit).bind(name).fetch_all(c).await),
        Which::ItemName(name, Some(service)) => {
            on!(tx, c => sqlx::query_as(PAGE_SERVICE_ITEM_NAME).bind(at).bind(id).bind(limit).bind(name).bind(service.0).fetch_all(c).await)
        }
        Which::IdRange(from, to) => on!(tx, c => sqlx::query_as(BY_ID_RANGE).bind(at).bind(id).bind(limit).bind(from).bind(to).fetch_all(c).await),
        Which::ResticPrefix(prefix) => {
            // No hexadecimal digit stands behind “g”.
            on!(tx, c => sqlx::query_as(BY_RESTIC_PREFIX).bind(at).bind(id).bind(limit).bind(prefix).bind(format!("{prefix}g")).fetch_all(c).await)
        }
    };
    Ok(rows?)
}

/// Records a snapshot; the id of the row that is already there when it is known.
pub async fn insert(tx: Tx<'_>, s: &NewSnapshot) -> Result<SnapshotId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(INSERT).bind(SnapshotId::new().0).bind(s.repository.0).bind(s.service.map(|i| i.0)).bind(s.source.map(|i| i.0))
        .bind(s.item.map(|i| i.0)).bind(s.person.map(|i| i.0)).bind(s.run.map(|i| i.0)).bind(&s.restic_id).bind(&s.tree).bind(&s.parent_restic_id)
        .bind(s.taken_at.0).bind(&s.host).bind(&s.label).bind(Json(&s.paths)).bind(Json(&s.tags)).bind(s.state).bind(s.files).bind(s.dirs).bind(s.bytes)
        .bind(s.bytes_added).bind(s.files_added).bind(s.files_changed).bind(s.files_removed).bind(s.errors).bind(s.measure.as_ref().map(Json))
        .fetch_one(c).await)?;
    Ok(SnapshotId(id))
}

/// A snapshot as a policy decides on it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RetainedRow {
    pub id: Uuid,
    pub restic_id: String,
    pub taken_at: i64,
    pub state: String,
    pub tags: Json<Vec<String>>,
    pub verified_at: Option<i64>,
    /// A restore in place took it of what it was about to replace.
    pub safety: bool,
}

/// At most `limit` snapshots of an item that a repository holds, the newest first.
pub async fn retained(tx: Tx<'_>, item: ItemId, repository: RepositoryId, limit: i64) -> Result<Vec<RetainedRow>> {
    Ok(on!(tx, c => sqlx::query_as(RETAINED).bind(item.0).bind(repository.0).bind(limit).fetch_all(c).await)?)
}

/// The oldest snapshot of an item that is still there, taken at or after `from` and before `until`.
pub async fn oldest_between(tx: Tx<'_>, item: ItemId, from: Timestamp, until: Timestamp) -> Result<Option<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(OLDEST_BETWEEN).bind(item.0).bind(from.0).bind(until.0).fetch_optional(c).await)?)
}

/// When the snapshots of the item that are still there were taken that stand before and not before `at`.
pub async fn neighbours(tx: Tx<'_>, item: ItemId, at: Timestamp) -> Result<(Option<i64>, Option<i64>)> {
    Ok(on!(tx, c => sqlx::query_as(NEIGHBOURS).bind(item.0).bind(at.0).fetch_one(c).await)?)
}

/// One that is about to go or may have gone.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct KnownRow {
    pub id: Uuid,
    pub restic_id: String,
    pub item_id: Option<Uuid>,
    pub taken_at: i64,
    pub data_verified_at: Option<i64>,
}

/// Records that the run is about to forget the snapshot, and why; it counts as there until it is gone.
pub async fn intend(tx: Tx<'_>, id: SnapshotId, why: &str, run: RunId) -> Result<()> {
    on!(tx, c => sqlx::query(INTEND).bind(id.0).bind(why).bind(run.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// At most `limit` that the run is about to forget, or that one which has ended was about to.
pub async fn intended(tx: Tx<'_>, repository: RepositoryId, run: RunId, limit: i64) -> Result<Vec<KnownRow>> {
    Ok(on!(tx, c => sqlx::query_as(INTENDED).bind(repository.0).bind(run.0).bind(limit).fetch_all(c).await)?)
}

/// Takes back what [`intend`] recorded: the snapshot is there and stays.
pub async fn take_back(tx: Tx<'_>, id: SnapshotId) -> Result<()> {
    on!(tx, c => sqlx::query(TAKE_BACK).bind(id.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that the repository no longer holds a snapshot. `why` and the run stand where nobody intended it.
/// Its item and its time; `None` where it is not known or was gone before.
pub async fn gone(tx: Tx<'_>, repository: RepositoryId, restic_id: &str, why: &str, run: RunId, now: Timestamp) -> Result<Option<(Option<ItemId>, Timestamp)>> {
    let row = on!(tx, c => sqlx::query_as::<_, (Option<Uuid>, i64)>(GONE).bind(repository.0).bind(restic_id).bind(now.0).bind(why).bind(run.0)
        .fetch_optional(c).await)?;
    Ok(row.map(|(item, at)| (item.map(ItemId), Timestamp(at))))
}

/// At most `limit` that the repository is known to hold, whose ids stand between `after` and `before`, by id.
pub async fn known(tx: Tx<'_>, repository: RepositoryId, after: Uuid, before: Uuid, limit: i64) -> Result<Vec<KnownRow>> {
    Ok(on!(tx, c => sqlx::query_as(KNOWN).bind(repository.0).bind(after).bind(before).bind(limit).fetch_all(c).await)?)
}

/// How many snapshots a run has forgotten or found missing.
pub async fn count_gone_by(tx: Tx<'_>, run: RunId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_GONE_BY).bind(run.0).fetch_one(c).await)?)
}

/// How many snapshots were taken after that moment.
pub async fn count_after(tx: Tx<'_>, at: Timestamp) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_AFTER).bind(at.0).fetch_one(c).await)?)
}

/// Records since when all data of the snapshot is verified; `None` where some of it was never read.
pub async fn set_data_verified(tx: Tx<'_>, id: SnapshotId, since: Option<Timestamp>) -> Result<()> {
    on!(tx, c => sqlx::query(SET_DATA_VERIFIED).bind(id.0).bind(since.map(|t| t.0)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records how far the snapshot has been proven.
pub async fn set_level(tx: Tx<'_>, id: SnapshotId, level: EvidenceLevel, at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_LEVEL).bind(id.0).bind(level.as_str()).bind(at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records what a snapshot in a cloud is made of.
pub async fn set_native(tx: Tx<'_>, id: SnapshotId, native: &NativeSnapshot) -> Result<()> {
    on!(tx, c => sqlx::query(SET_NATIVE).bind(id.0).bind(Json(native)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that a snapshot which a cloud had accepted is there; `false` where it was not pending any more.
pub async fn complete(tx: Tx<'_>, id: SnapshotId, native: &NativeSnapshot, bytes: i64) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(COMPLETE).bind(id.0).bind(bytes).bind(Json(native)).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// At most `limit` snapshots that a cloud has accepted and not finished, the oldest first.
pub async fn pending(tx: Tx<'_>, limit: i64) -> Result<Vec<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(PENDING).bind(limit).fetch_all(c).await)?)
}
