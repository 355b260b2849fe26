//! Looking into snapshots: folders, versions, names, differences, downloads (R31).
//!
//! Lives here: the use cases. May not: HTTP, opening repositories (see [`crate::repositories`]).
//! Invariants: everything is a page or a bounded stream; a download is written to the audit trail before its first byte.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use bytes::Bytes;
use domain::{
    id::{ItemId, SnapshotId},
    units::Timestamp,
};
use engine::{
    EngineError, ErrorKind,
    browse::{archive, diff, trees::tree_id},
};
pub use engine::{
    browse::{Difference, Entry, Format, Listing},
    job::{ChangeKind, NodeKind},
};
use serde_json::json;
use store::{
    audit::NewEvent,
    file_versions::{self, FileVersionRow},
    snapshots::{self, SnapshotRow},
};
use tokio::sync::mpsc;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    repositories::Registry,
};

/// The longest page of a folder.
pub const PAGE: usize = 500;
/// Differences are counted up to so many.
pub const MOST_DIFFERENCES: i64 = 200_000;
/// A piece of a download, in bytes; [`PIECES`] of them wait for a slow receiver.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 4;
/// A receiver that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_mins(2);
/// Paths that one archive may be made of.
const MOST_PATHS: usize = 1_000;

/// A page of a folder, and what became of its entries since the snapshot before.
#[derive(Clone, Debug)]
pub struct Folder {
    pub listing: Listing,
    /// By name; entries that are the same are left out. Empty where there is no snapshot before.
    pub since: BTreeMap<String, ChangeKind>,
}

/// A page of the folder under `path`, after the entry named `after`, compared with the snapshot `older` of the same item.
///
/// # Errors
/// `NotFound` where no folder is under the path.
pub async fn folder(
    ctx: &Ctx,
    registry: &Registry,
    snapshot: &SnapshotRow,
    older: Option<&SnapshotRow>,
    path: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Folder> {
    require_on(ctx, Action::Browse, snapshot)?;
    if let Some(older) = older {
        require_on(ctx, Action::Browse, older)?;
    }
    let older = older.filter(|o| o.repository_id == snapshot.repository_id).map(|o| o.tree.clone());
    let (tree, inside, after, limit) = (snapshot.tree.clone(), path.to_owned(), after.map(str::to_owned), limit.clamp(1, PAGE));
    let found = registry.look(ctx, snapshot, move |b| {
        let Some(listing) = b.list(&tree, &inside, after.as_deref(), limit)? else { return Ok(None) };
        let since = older.as_ref().map(|older| b.since(&tree, older, &inside)).transpose()?.unwrap_or_default();
        Ok(Some(Folder { listing, since }))
    });
    found.await?.ok_or_else(|| OpsError::not_found("folder", path))
}

/// The entry under a path.
///
/// # Errors
/// `NotFound` where nothing stands under it, and for the top, which is no entry.
pub async fn entry(ctx: &Ctx, registry: &Registry, snapshot: &SnapshotRow, path: &str) -> Result<Entry> {
    require_on(ctx, Action::Browse, snapshot)?;
    let (tree, inside) = (snapshot.tree.clone(), path.to_owned());
    let found = registry.look(ctx, snapshot, move |b| Ok(b.find(&tree, &inside)?.and_then(|p| p.entry())));
    found.await?.ok_or_else(|| OpsError::not_found("entry", path))
}

async fn require_item(ctx: &Ctx, item: ItemId) -> Result<()> {
    require_on(ctx, Action::Browse, On::Any)?;
    let row = store::items::find(ctx.db.read().await?.tx(), item).await?.ok_or_else(|| OpsError::not_found("item", item))?;
    require_on(ctx, Action::Browse, &row)
}

/// One version of a path, with the oldest snapshot that has it.
#[derive(Clone, Debug)]
pub struct Version {
    pub row: FileVersionRow,
    /// `None` where every snapshot with this version is gone from the repository.
    pub snapshot: Option<SnapshotRow>,
}

/// The versions of one path of an item, the newest first, at most `limit` (up to 200).
pub async fn versions(ctx: &Ctx, item: ItemId, path: &str, limit: i64) -> Result<Vec<Version>> {
    require_item(ctx, item).await?;
    let mut read = ctx.db.read().await?;
    let rows = file_versions::of_path(read.tx(), item, path.trim_matches('/'), limit.clamp(1, 200)).await?;
    with_snapshots(&mut read, rows).await
}

/// Names in all snapshots of an item: versions whose name holds `text`, case aside, by path and from new to old.
/// `after` is path and moment of the last one seen.
pub async fn search(ctx: &Ctx, item: ItemId, text: &str, after: Option<(&str, Timestamp)>, limit: i64) -> Result<Vec<Version>> {
    require_item(ctx, item).await?;
    let text: String = text.trim().chars().take(200).collect();
    if text.is_empty() {
        return Err(OpsError::invalid("f", "give a part of a file's name"));
    }
    let mut read = ctx.db.read().await?;
    let after = after.unwrap_or(("", Timestamp(i64::MAX)));
    let rows = file_versions::search(read.tx(), item, &text, after, limit.clamp(1, 200)).await?;
    with_snapshots(&mut read, rows).await
}

async fn with_snapshots(read: &mut store::db::Reader, rows: Vec<FileVersionRow>) -> Result<Vec<Version>> {
    let mut known: BTreeMap<(uuid::Uuid, Option<i64>), Option<SnapshotRow>> = BTreeMap::new();
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let snapshot = if let Some(known) = known.get(&(row.since, row.until_at)) {
            known.clone()
        } else {
            let found = match snapshots::find(read.tx(), SnapshotId(row.since)).await?.filter(|s| s.gone_at.is_none()) {
                Some(first) => Some(first),
                // The first one with this version was forgotten; a later one has it still.
                None => snapshots::oldest_between(read.tx(), ItemId(row.item_id), Timestamp(row.since_at), Timestamp(row.until_at.unwrap_or(i64::MAX))).await?,
            };
            known.insert((row.since, row.until_at), found.clone());
            found
        };
        all.push(Version { row, snapshot });
    }
    Ok(all)
}

/// Files and bytes of one kind of difference. Folders count in neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub files: i64,
    pub bytes: i64,
}

/// What differs between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub added: Sum,
    pub changed: Sum,
    pub removed: Sum,
    /// Paths whose owner, permissions or times alone changed.
    pub touched: i64,
    /// There are more than [`MOST_DIFFERENCES`]; the sums hold for that many.
    pub cut: bool,
    /// One page of them, in the order of the paths.
    pub page: Vec<Difference>,
    /// The path to continue after.
    pub next: Option<String>,
}

/// What differs from `old` to `new` below `path`: the sums, and a page of at most `limit` after the path `after`.
///
/// # Errors
/// `Invalid` where the snapshots are in two repositories.
pub async fn differences(ctx: &Ctx, registry: &Registry, old: &SnapshotRow, new: &SnapshotRow, after: Option<&str>, limit: usize) -> Result<Differences> {
    require_on(ctx, Action::Browse, old)?;
    require_on(ctx, Action::Browse, new)?;
    if old.repository_id != new.repository_id {
        return Err(OpsError::invalid("s", "these snapshots are in two repositories; choose two of one"));
    }
    let (from, to, after, limit) = (old.tree.clone(), new.tree.clone(), after.map(str::to_owned), limit.clamp(1, PAGE));
    // The older one first, so that an index that names the newer one is used for both.
    registry.look(ctx, old, |_| Ok(())).await?;
    registry
        .look(ctx, new, move |b| {
            let (mut all, mut seen, mut begun) = (Differences::default(), 0, after.is_none());
            diff(b, Some(tree_id(&from)?), Some(tree_id(&to)?), &mut |d| {
                seen += 1;
                if seen > MOST_DIFFERENCES {
                    all.cut = true;
                    return Ok(ControlFlow::Break(()));
                }
                all.count(&d);
                if begun && all.page.len() < limit {
                    all.page.push(d);
                } else if begun {
                    all.next = all.page.last().map(|d| d.change.path.clone());
                } else {
                    begun = after.as_deref() == Some(d.change.path.as_str());
                }
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(all)
        })
        .await
}

impl Differences {
    fn count(&mut self, d: &Difference) {
        let sum = match (d.change.change, d.content) {
            (ChangeKind::Changed, false) => {
                self.touched += 1;
                return;
            }
            (ChangeKind::Added, _) => &mut self.added,
            (ChangeKind::Changed, true) => &mut self.changed,
            (ChangeKind::Removed, _) => &mut self.removed,
        };
        if d.change.node != NodeKind::Dir {
            sum.files += 1;
            sum.bytes += d.change.bytes;
        }
    }
}

/// The content of a download as it comes. An error ends it, and the receiver must see that it is not whole.
pub type Pieces = mpsc::Receiver<Result<Bytes, EngineError>>;

/// A file that can be downloaded, at any offset.
pub struct FileDownload {
    /// The last part of its path.
    pub name: String,
    /// Names the content.
    pub tag: String,
    pub bytes: u64,
    pub modified_at: Option<Timestamp>,
    file: engine::browse::File,
}

/// Finds a file to download.
///
/// # Errors
/// `NotFound` where no regular file is under the path.
pub async fn file(ctx: &Ctx, registry: &Registry, snapshot: &SnapshotRow, path: &str) -> Result<FileDownload> {
    require_on(ctx, Action::Browse, snapshot)?;
    let (tree, inside) = (snapshot.tree.clone(), path.to_owned());
    let file = registry.look(ctx, snapshot, move |b| b.file(&tree, &inside)).await?.ok_or_else(|| OpsError::not_found("file", path))?;
    Ok(FileDownload { name: file.entry.name.clone(), tag: file.tag.clone(), bytes: file.bytes, modified_at: file.entry.modified_at, file })
}

/// The content of a file from `start` on, `length` bytes of it.
pub async fn read(ctx: &Ctx, registry: &Registry, snapshot: &SnapshotRow, path: &str, found: FileDownload, start: u64, length: u64) -> Result<Pieces> {
    require_on(ctx, Action::Browse, snapshot)?;
    // Each part as well: all but the first byte is as good as the whole.
    note(ctx, snapshot, &[path.to_owned()], if start == 0 { "file" } else { "part" }).await?;
    let (browser, permit) = registry.turn(ctx, snapshot).await?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let rt = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let (mut at, end) = (start, start.saturating_add(length).min(found.bytes));
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
            let piece = browser.read(&found.file, at, most);
            let got = piece.as_ref().map_or(0, |p| p.len() as u64);
            if !send(&rt, &pieces, piece) || got == 0 {
                return;
            }
            at += got;
        }
    });
    Ok(taken)
}

/// What stands under `paths` (everything where empty) as one archive.
///
/// # Errors
/// `NotFound` where nothing stands under one of the paths.
pub async fn archived(ctx: &Ctx, registry: &Registry, snapshot: &SnapshotRow, paths: Vec<String>, format: Format) -> Result<Pieces> {
    require_on(ctx, Action::Browse, snapshot)?;
    if paths.len() > MOST_PATHS {
        return Err(OpsError::invalid("path", format!("choose at most {MOST_PATHS} paths, or the folder that holds them")));
    }
    let (tree, wanted) = (snapshot.tree.clone(), paths.clone());
    let missing = registry.look(ctx, snapshot, move |b| {
        for path in &wanted {
            if b.find(&tree, path)?.is_none() {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    });
    if let Some(path) = missing.await? {
        return Err(OpsError::not_found("entry", path));
    }
    note(ctx, snapshot, &paths, if format == Format::Zip { "zip" } else { "tar" }).await?;
    let (browser, permit) = registry.turn(ctx, snapshot).await?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let (rt, tree) = (tokio::runtime::Handle::current(), snapshot.tree.clone());
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let out = std::io::BufWriter::with_capacity(PIECE, Pipe { rt: rt.clone(), pieces: pieces.clone() });
        if let Err(e) = archive(&browser, &tree, &paths, format, out) {
            if e.kind != ErrorKind::Cancelled {
                tracing::warn!(error = %e, "an archive broke off");
            }
            send(&rt, &pieces, Err(e));
        }
    });
    Ok(taken)
}

/// Writes that somebody takes data out of a snapshot.
async fn note(ctx: &Ctx, snapshot: &SnapshotRow, paths: &[String], form: &str) -> Result<()> {
    let mut t = ctx.db.begin_audited().await?;
    let shown: Vec<&String> = paths.iter().take(20).collect();
    let event = NewEvent {
        action: "snapshot.download",
        entity: "snapshot",
        entity_id: snapshot.id().to_string(),
        before: None,
        after: Some(json!({"form": form, "paths": shown, "count": paths.len()})),
    };
    ctx.audit(t.tx(), event).await?;
    Ok(t.commit().await?)
}

/// Hands a piece over; `false` where nobody takes it any more.
fn send(rt: &tokio::runtime::Handle, pieces: &mpsc::Sender<Result<Bytes, EngineError>>, piece: Result<Bytes, EngineError>) -> bool {
    let good = piece.is_ok();
    let sent = rt.block_on(async { tokio::time::timeout(STALLED, pieces.send(piece)).await });
    good && matches!(sent, Ok(Ok(())))
}

struct Pipe {
    rt: tokio::runtime::Handle,
    pieces: mpsc::Sender<Result<Bytes, EngineError>>,
}

impl std::io::Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if send(&self.rt, &self.pieces, Ok(Bytes::copy_from_slice(buf))) { Ok(buf.len()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
