//! The index of file names: one row a version of a path, filled from what changed between two snapshots.
//!
//! Lives here: writing and searching it. May not: reading a repository.
//! Invariant: at most one version of a path is open (`until_at` is null); writing the same change twice changes nothing.

use domain::{
    id::{ItemId, SnapshotId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on, people::pattern};

statements! {
    /// A version that the same snapshot began is no older version of itself.
    CLOSE_SQLITE = "UPDATE file_version SET until_at = $2, until = $3 WHERE item_id = $1 AND until_at IS NULL AND since_at < $2 \
        AND path IN (SELECT value FROM json_each($4))";
    CLOSE_PG = "UPDATE file_version SET until_at = $2, until = $3 WHERE item_id = $1 AND until_at IS NULL AND since_at < $2 AND path = ANY($4)";
    OPEN_SQLITE = "INSERT INTO file_version (item_id, path, since_at, since, name, node, size_bytes, modified_at) \
        SELECT $1, value->>0, $2, $3, value->>1, value->>2, value->>3, value->>4 FROM json_each($4) WHERE true \
        ON CONFLICT (item_id, path, since_at) DO NOTHING";
    OPEN_PG = "INSERT INTO file_version (item_id, path, since_at, since, name, node, size_bytes, modified_at) \
        SELECT $1, path, $2, $3, name, node, size_bytes, modified_at \
        FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) AS new (path, name, node, size_bytes, modified_at) \
        ON CONFLICT (item_id, path, since_at) DO NOTHING";
    DROP_BETWEEN = "DELETE FROM file_version WHERE item_id = $1 AND since_at > $2 AND until_at > $2 AND until_at <= $3";
    DROP_SINCE = "DELETE FROM file_version WHERE item_id = $1 AND since_at > $2";
    OF_PATH = "SELECT * FROM file_version WHERE item_id = $1 AND path = $2 ORDER BY since_at DESC LIMIT $3";
    SEARCH = "SELECT * FROM file_version WHERE item_id = $1 AND lower(name) LIKE $2 ESCAPE '!' AND (path > $3 OR (path = $3 AND since_at < $4)) ORDER BY path, since_at DESC LIMIT $5";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FileVersionRow {
    pub item_id: Uuid,
    pub path: String,
    pub since_at: i64,
    /// The first snapshot with this version.
    pub since: Uuid,
    pub until_at: Option<i64>,
    /// The first snapshot without it.
    pub until: Option<Uuid>,
    pub name: String,
    /// `file`, `dir`, `symlink` or `other`.
    pub node: String,
    pub size_bytes: i64,
    pub modified_at: Option<i64>,
}

/// What stands under a path from a snapshot on.
#[derive(Clone, Copy, Debug)]
pub struct NewVersion<'a> {
    pub node: &'a str,
    pub size_bytes: i64,
    pub modified_at: Option<Timestamp>,
}

/// A path that changed; without a version it is gone.
#[derive(Clone, Copy, Debug)]
pub struct PathChange<'a> {
    pub path: &'a str,
    pub new: Option<NewVersion<'a>>,
}

/// Records what changed in an item with a snapshot, all of it by two statements.
pub async fn record(tx: Tx<'_>, item: ItemId, snapshot: SnapshotId, at: Timestamp, changes: &[PathChange<'_>]) -> Result<()> {
    let paths: Vec<&str> = changes.iter().map(|c| c.path).collect();
    let new = || changes.iter().filter_map(|c| Some((c.path, c.path.rsplit('/').next().unwrap_or(c.path), c.new?)));
    match tx {
        Tx::Sqlite(c) => {
            sqlx::query(CLOSE_SQLITE).bind(item.0).bind(at.0).bind(snapshot.0).bind(Json(paths)).execute(&mut *c).await?;
            let rows: Vec<_> = new().map(|(path, name, v)| (path, name, v.node, v.size_bytes, v.modified_at.map(|m| m.0))).collect();
            sqlx::query(OPEN_SQLITE).bind(item.0).bind(at.0).bind(snapshot.0).bind(Json(rows)).execute(c).await?;
        }
        Tx::Pg(c) => {
            sqlx::query(CLOSE_PG).bind(item.0).bind(at.0).bind(snapshot.0).bind(paths).execute(&mut *c).await?;
            let column = |pick: fn((&str, &str, NewVersion)) -> String| new().map(pick).collect::<Vec<_>>();
            let (paths, names, nodes) = (column(|n| n.0.to_owned()), column(|n| n.1.to_owned()), column(|n| n.2.node.to_owned()));
            let sizes: Vec<i64> = new().map(|n| n.2.size_bytes).collect();
            let times: Vec<Option<i64>> = new().map(|n| n.2.modified_at.map(|m| m.0)).collect();
            let query = sqlx::query(OPEN_PG).bind(item.0).bind(at.0).bind(snapshot.0);
            query.bind(paths).bind(names).bind(nodes).bind(sizes).bind(times).execute(c).await?;
        }
    }
    Ok(())
}

/// Drops the versions that no snapshot holds any more: those that began after `after` and ended by `until`, where no
/// snapshot between the two is left. `None` stands for the beginning and the end of time.
///
/// Whoever calls it has just recorded that all snapshots between the two are gone.
pub async fn drop_between(tx: Tx<'_>, item: ItemId, after: Option<Timestamp>, until: Option<Timestamp>) -> Result<u64> {
    let after = after.map_or(i64::MIN, |t| t.0);
    let rows = match until {
        Some(until) => on!(tx, c => sqlx::query(DROP_BETWEEN).bind(item.0).bind(after).bind(until.0).execute(c).await.map(|r| r.rows_affected())),
        None => on!(tx, c => sqlx::query(DROP_SINCE).bind(item.0).bind(after).execute(c).await.map(|r| r.rows_affected())),
    };
    Ok(rows?)
}

/// The versions of one path, the newest first.
pub async fn of_path(tx: Tx<'_>, item: ItemId, path: &str, limit: i64) -> Result<Vec<FileVersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_PATH).bind(item.0).bind(path).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` versions whose name holds `search`, case aside, after the key `(path, since_at)`. SQLite folds the case
/// of ASCII letters alone, PostgreSQL that of its locale.
pub async fn search(tx: Tx<'_>, item: ItemId, search: &str, after: (&str, Timestamp), limit: i64) -> Result<Vec<FileVersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(SEARCH).bind(item.0).bind(pattern(search)).bind(after.0).bind(after.1.0).bind(limit).fetch_all(c).await)?)
}
