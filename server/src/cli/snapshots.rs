//! `holdfast snapshots`: what the repositories hold, as Holdfast knows it.

use domain::{
    id::SnapshotId,
    units::{Timestamp, count, size},
};
use serde_json::{Value, json};
use store::snapshots::ListedSnapshot;

use super::{
    Result, Shell,
    show::{local, rfc3339, short},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only those of items of this name
    #[arg(long, value_name = "NAME")]
    item: Option<String>,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let limit = args.limit as usize;
    let mut found: Vec<ListedSnapshot> = Vec::new();
    let mut before = None;
    // One more than is shown tells whether there are more.
    while found.len() <= limit {
        let page = ops::snapshots::list_of(&ctx, args.service.as_deref(), args.item.as_deref(), before, ops::runs::PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some((Timestamp(last.row.taken_at), SnapshotId(last.row.id)));
        found.extend(page);
    }
    ctx.db.close().await;
    let more = found.len() > limit;
    found.truncate(limit);
    if args.json {
        shell.out.json(&json!({ "snapshots": found.iter().map(as_json).collect::<Vec<_>>(), "more": more }));
        return Ok(0);
    }
    if found.is_empty() {
        shell.out.line("There are no such snapshots.");
        return Ok(0);
    }
    let head = ["ID", "TAKEN", "SERVICE", "ITEM", "FILES", "SIZE", "EVIDENCE"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(found.iter().map(row)).collect();
    shell.out.table(&rows, &[4, 5], true);
    if more {
        shell.out.note(&format!("These are the newest {}; --limit shows more.", count(i64::from(args.limit))));
    }
    Ok(0)
}

/// `service/source`, as commands take it.
fn source(s: &ListedSnapshot) -> String {
    match (&s.service_name, &s.source_name) {
        (Some(service), Some(source)) => format!("{service}/{source}"),
        (Some(service), None) => service.clone(),
        _ => "–".to_owned(),
    }
}

fn row(s: &ListedSnapshot) -> [String; 7] {
    let item = s.item_name.as_ref().unwrap_or(&s.row.label);
    let level = if s.row.state == "partial" { format!("{}, partial", s.row.level) } else { s.row.level.clone() };
    [short(&s.row.restic_id).to_owned(), local(s.row.taken_at), source(s), item.clone(), count(s.row.files), size(s.row.bytes), level]
}

fn as_json(s: &ListedSnapshot) -> Value {
    json!({
        "id": s.row.id,
        "snapshot": s.row.restic_id,
        "taken_at": rfc3339(s.row.taken_at),
        "service": s.service_name,
        "source": s.source_name,
        "item": s.item_name,
        "state": s.row.state,
        "evidence": s.row.level,
        "files": s.row.files,
        "dirs": s.row.dirs,
        "bytes": s.row.bytes,
        "bytes_added": s.row.bytes_added,
        "errors": s.row.errors,
        "run": s.row.run_id,
    })
}
