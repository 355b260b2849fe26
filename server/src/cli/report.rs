//! What came of a run, for people and for programs.
//!
//! Lives here: gathering, printing, the exit code. May not: judging again what the run has judged.

use std::collections::BTreeMap;

use domain::{
    evidence::Verdict,
    id::SnapshotId,
    installation::{InstallationBackupResult, InstallationTestResult},
    instance::{CloneResult, InPlaceResult},
    run::{ItemState, RunKind, RunState},
    tamper::Findings,
    units::{count, size, span},
    work::{
        BackupResult, CheckResult, InstanceSnapshotResult, OffsiteCopyResult, OffsiteReturnResult, PruneResult, RestoreParams, RestoreResult, RestoreTestResult,
    },
};
use ops::Ctx;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{run_items::RunItemRow, runs::RunRow};

use super::{
    Out, Result,
    show::{Tone, rfc3339},
};

/// Problems of one item in the JSON, and lines of problems for people.
const MOST_PROBLEMS: usize = 100;
const MOST_LINES: usize = 20;

pub struct Report {
    pub run: RunRow,
    pub state: RunState,
    pub kind: RunKind,
    pub json: Value,
    /// Items that are not well, with their problems.
    unwell: Vec<RunItemRow>,
}

impl Report {
    fn result<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.run.result.as_ref()?.0.clone()).ok()
    }

    fn seconds(&self) -> Option<f64> {
        Some((self.run.finished_at? - self.run.started_at?) as f64 / 1e6)
    }
}

/// Reads all that a run has recorded.
pub async fn gather(ctx: &Ctx, run: RunRow) -> Result<Report> {
    let (state, kind) = (run.state()?, run.kind()?);
    let chosen: BTreeMap<String, SnapshotId> = match kind {
        RunKind::Restore => run.params::<RestoreParams>()?.items.into_iter().map(|i| (i.item, i.snapshot)).collect(),
        _ => BTreeMap::new(),
    };
    let (mut items, mut unwell, mut after) = (Vec::new(), Vec::new(), String::new());
    let (mut bytes_read, mut bytes_added) = (0, 0);
    loop {
        let page = ops::runs::items(ctx, run.id(), None, &after, ops::runs::PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.name);
        for item in page {
            bytes_read += item.bytes;
            bytes_added += item.bytes_added;
            let snapshot = item.snapshot_id.map(SnapshotId).or_else(|| chosen.get(&item.name).copied());
            items.push(item_json(ctx, &item, snapshot).await?);
            if item.state != ItemState::Ok.as_str() {
                unwell.push(item);
            }
        }
    }
    // What a run knows as a whole is more exact: items share what they add.
    let total = |name: &str| run.result.as_ref().and_then(|r| r.0.get(name)?.as_i64());
    let (bytes_read, bytes_added) = (total("bytes_read").unwrap_or(bytes_read), total("bytes_added").unwrap_or(bytes_added));
    let time = |at: Option<i64>| at.map(rfc3339);
    let json = json!({
        "id": run.id,
        "kind": kind,
        "title": run.title,
        "state": state,
        "queued_at": rfc3339(run.queued_at),
        "started_at": time(run.started_at),
        "finished_at": time(run.finished_at),
        "elapsed_s": run.started_at.zip(run.finished_at).map(|(a, b)| (b - a) as f64 / 1e6),
        "bytes_read": bytes_read,
        "bytes_added": bytes_added,
        "items": items,
        "result": run.result.as_ref().map(|r| &r.0),
        "failure": run.failure.as_ref().map(|f| &f.0),
    });
    Ok(Report { run, state, kind, json, unwell })
}

async fn item_json(ctx: &Ctx, item: &RunItemRow, snapshot: Option<SnapshotId>) -> Result<Value> {
    let snapshot = match snapshot {
        Some(id) => Some(ops::snapshots::find(ctx, id).await?.restic_id),
        None => None,
    };
    Ok(json!({
        "name": item.name,
        "state": item.state,
        "snapshot": snapshot,
        "files": item.files,
        "bytes": item.bytes,
        "bytes_added": item.bytes_added,
        "problems": item.problems.listed.iter().take(MOST_PROBLEMS).collect::<Vec<_>>(),
        "problems_total": item.problems.total,
    }))
}

/// 0 done, 1 failed, 3 in part; a restore test that could not be checked is neither.
pub fn exit_code(report: &Report) -> u8 {
    match report.state {
        RunState::Succeeded => 0,
        RunState::Partial => 3,
        RunState::Failed if report.result::<RestoreTestResult>().is_some_and(|r| r.verdict == Verdict::Unknown) => 3,
        _ => 1,
    }
}

pub fn print(out: Out, report: &Report) {
    let (mark, tone) = match exit_code(report) {
        0 => ("✓", Tone::Good),
        3 => ("!", Tone::Warn),
        _ => ("✗", Tone::Bad),
    };
    let took = report.seconds().map(|s| format!(" in {}", span(s))).unwrap_or_default();
    out.line(&format!("{} {}: {}{took}", out.tone(tone, mark), out.tone(Tone::Strong, &report.run.title), report.state));
    match report.kind {
        RunKind::Backup => backup(out, report),
        RunKind::Restore => restore(out, report),
        RunKind::RestoreTest => restore_test(out, report),
        RunKind::Check => check(out, report),
        RunKind::Prune => prune(out, report),
        RunKind::InstallationBackup => installation_backup(out, report),
        RunKind::InstallationTest => installation_test(out, report),
        RunKind::TamperTest => tamper_test(out, report),
        RunKind::InstanceSnapshot => instance_snapshot(out, report),
        RunKind::InstanceClone => instance_clone(out, report),
        RunKind::InstanceRestore => instance_restore(out, report),
        RunKind::OffsiteCopy => offsite_copy(out, report),
        RunKind::OffsiteReturn => offsite_return(out, report),
    }
    if let Some(failure) = &report.run.failure {
        out.line(&format!("  {}", failure.message));
    }
    problems(out, report);
    out.line(&out.tone(Tone::Quiet, &format!("  run {}", report.run.id)));
}

fn tamper_test(out: Out, report: &Report) {
    if let Some(found) = report.result::<Findings>() {
        out.line(&format!("  {}: {}", found.judge().as_str(), found.words()));
    }
}

fn instance_snapshot(out: Out, report: &Report) {
    let Some(r) = report.result::<InstanceSnapshotResult>() else { return };
    let stood = if r.pending { "accepted, and still being made".to_owned() } else { size(r.bytes) };
    out.line(&format!("  {} · {stood}", r.name));
    if let Some(s) = r.stopped_s {
        out.line(&format!("  the instance was down for {}", span(s)));
    }
    if !r.deleted.is_empty() {
        out.line(&format!("  {} beyond max_snapshots removed", plural(r.deleted.len() as i64, "snapshot")));
    }
}

fn instance_clone(out: Out, report: &Report) {
    let Some(r) = report.result::<CloneResult>() else { return };
    let addresses = if r.addresses.is_empty() { "no address".to_owned() } else { r.addresses.join(", ") };
    out.line(&format!("  {} is {} with {addresses} · server {}", r.name, r.status, r.server));
    for sentence in &r.left_out {
        out.line(&format!("  {sentence}"));
    }
}

fn instance_restore(out: Out, report: &Report) {
    let Some(r) = report.result::<InPlaceResult>() else { return };
    out.line(&format!("  {} is {} · {} · down for {}", r.name, r.status, r.method.words(), span(r.down_s)));
    out.line(&format!("  what its disk held before is in {}", r.safety_name));
}

fn offsite_copy(out: Out, report: &Report) {
    let Some(r) = report.result::<OffsiteCopyResult>() else { return };
    let came = if r.already { "there already".to_owned() } else { format!("{}, {} added", size(r.bytes), size(r.bytes_added)) };
    out.line(&format!("  {} · {came}", r.name));
}

fn offsite_return(out: Out, report: &Report) {
    let Some(r) = report.result::<OffsiteReturnResult>() else { return };
    out.line(&format!("  {} · {} · image {}", r.name, size(r.bytes), r.image));
}

fn backup(out: Out, report: &Report) {
    let Some(r) = report.result::<BackupResult>() else { return };
    let items = r.items_ok + r.items_partial + r.items_failed;
    out.line(&format!("  {} · {} read · {} new in the repository", plural(items, "item"), size(r.bytes_read), size(r.bytes_added)));
    if r.items_partial + r.items_failed > 0 {
        out.line(&format!("  {} complete · {} in part · {} failed", count(r.items_ok), count(r.items_partial), count(r.items_failed)));
    }
    if r.forgotten > 0 {
        out.line(&format!("  {} forgotten by the policy", plural(r.forgotten, "snapshot")));
    }
}

fn restore(out: Out, report: &Report) {
    let Some(r) = report.result::<RestoreResult>() else { return };
    let c = r.counts;
    let total = format!("{} to write", size(c.bytes));
    out.table(
        &[
            [if r.preview { "  to create" } else { "  created" }.to_owned(), count(c.create)],
            [if r.preview { "  to replace" } else { "  replaced" }.to_owned(), count(c.replace)],
            ["  the same already".to_owned(), count(c.same)],
            [if r.preview { "  to skip" } else { "  skipped" }.to_owned(), count(c.skip)],
        ],
        &[1],
        false,
    );
    for landing in r.landings.iter().take(MOST_LINES) {
        out.line(&format!("  {} → {}", landing.item, landing.path));
    }
    if r.preview {
        for path in r.sample.iter().take(MOST_LINES) {
            out.line(&out.tone(Tone::Quiet, &format!("    {:<8} {}", path.action, path.path)));
        }
        let hidden = c.create + c.replace + c.same + c.skip - r.sample.len().min(MOST_LINES) as i64;
        if hidden > 0 {
            out.line(&out.tone(Tone::Quiet, &format!("    and {} more", count(hidden))));
        }
        out.line(&format!("  {total}; nothing was written. Without --preview it is."));
    } else {
        out.line(&format!("  {} written", size(r.bytes)));
    }
}

fn restore_test(out: Out, report: &Report) {
    let Some(r) = report.result::<RestoreTestResult>() else { return };
    let (word, tone) = match r.verdict {
        Verdict::Passed => ("passed", Tone::Good),
        Verdict::Failed => ("failed", Tone::Bad),
        Verdict::Unknown => ("could not be checked", Tone::Warn),
    };
    out.line(&format!("  {} · evidence: {}", out.tone(tone, word), r.level.words()));
    let rto = r.rto_s.map_or_else(|| "not measured".to_owned(), span);
    let rpo = r.rpo_s.map_or_else(|| "not measured".to_owned(), |s| span(s as f64));
    out.line(&format!(
        "  RTO {rto} · RPO {rpo} · {} restored · {} skipped · {} failed · {}",
        count(r.items_restored),
        count(r.items_skipped),
        count(r.items_failed),
        size(r.bytes)
    ));
    let rows: Vec<_> = r.checks.iter().map(|c| [format!("  {}", c.name), c.verdict.as_str().to_owned(), c.detail.clone()]).collect();
    if !rows.is_empty() {
        out.table(&rows, &[], false);
    }
}

fn check(out: Out, report: &Report) {
    let Some(r) = report.result::<CheckResult>() else { return };
    let read = if r.bytes_read > 0 { format!(" · {} read", size(r.bytes_read)) } else { String::new() };
    out.line(&format!("  {} · {} · {}{read}", plural(r.snapshots, "snapshot"), plural(r.packs, "pack"), size(r.size_bytes)));
    for (word, tone, texts) in [("damaged", Tone::Bad, &r.errors), ("note", Tone::Warn, &r.warnings)] {
        for text in texts.iter().take(MOST_LINES) {
            out.line(&format!("  {} {text}", out.tone(tone, word)));
        }
        more(out, texts.len());
    }
}

fn prune(out: Out, report: &Report) {
    let Some(r) = report.result::<PruneResult>() else { return };
    out.line(&format!("  {} deleted ({}) · {} marked", plural(r.packs_deleted, "pack"), size(r.bytes_deleted), count(r.packs_marked)));
    out.line(&format!("  {} wait for a later prune · {} unused in packs that stay", size(r.bytes_waiting), size(r.bytes_unused)));
    out.line(&format!("  the repository takes {}", size(r.size_bytes)));
}

fn installation_backup(out: Out, report: &Report) {
    let Some(r) = report.result::<InstallationBackupResult>() else { return };
    out.line(&format!("  {} of {} tables · {} · {} new in the repository", plural(r.rows, "row"), r.tables, size(r.bytes), size(r.bytes_added)));
    if !r.sealed {
        out.line(&out.tone(Tone::Quiet, "  without the installation's own secrets: there are none, or no recovery key to seal them for"));
    }
}

fn installation_test(out: Out, report: &Report) {
    let Some(r) = report.result::<InstallationTestResult>() else { return };
    let rto = r.rto_s.map_or_else(|| "not measured".to_owned(), span);
    out.line(&format!("  RTO {rto} · RPO {} · {} · {} audit events", span(r.rpo_s as f64), plural(r.rows, "row"), count(r.audit_events)));
    let rows: Vec<_> = r.checks.iter().map(|c| [format!("  {}", c.name), c.verdict.as_str().to_owned(), c.detail.clone()]).collect();
    out.table(&rows, &[], false);
}

/// Each item that is not well, with its first problems.
fn problems(out: Out, report: &Report) {
    let mut left = MOST_LINES;
    for item in &report.unwell {
        if left == 0 {
            break;
        }
        left -= 1;
        out.line(&format!("  {} {} ({})", out.tone(Tone::Warn, &item.state), item.name, plural(item.problems.total, "problem")));
        for problem in item.problems.listed.iter().take(left.min(5)) {
            left -= 1;
            let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
            out.line(&format!("    {place}{}", problem.message));
        }
    }
    if left == 0 {
        out.line(&out.tone(Tone::Quiet, "  and more; --json tells them all, and so does the run's page"));
    }
}

fn more(out: Out, len: usize) {
    if len > MOST_LINES {
        out.line(&out.tone(Tone::Quiet, &format!("  and {} more", len - MOST_LINES)));
    }
}

fn plural(n: i64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{} {word}s", count(n)) }
}
