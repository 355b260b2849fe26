//! The panels of one run: its result, items, log, earlier runs.

use domain::{
    evidence::Verdict,
    installation::{InstallationBackupResult, InstallationTestResult},
    instance::{CloneResult, InPlaceResult},
    run::{ItemState, RunKind},
    tamper::Findings,
    units::{Timestamp, count, size, span},
    work::{BackupResult, CheckResult, InstanceSnapshotResult, OffsiteCopyResult, OffsiteReturnResult, PlacedHold, PruneResult, RestoreResult},
};
use leptos::{prelude::*, server_fn::ServerFn};
use ops::OpsError;
use serde::de::DeserializeOwned;
use store::{run_events::Least, run_items::RunItemRow};

use super::{act::RetryRun, brought, native, show::Loaded};
use crate::{
    components::{
        address::with_query,
        icon, icon_sm,
        pager::pager,
        panel,
        protection::protection_chip,
        run::{item_chip, kind_words, state_chip_of},
        status::{Tone, chip},
        table::{table, th},
        test::verdict_chip,
        time::short,
    },
    error::{AppError, upper},
    live,
};

/// The lowest level of a log that an address asks for.
pub(super) fn least(text: &str) -> Least {
    match text {
        "warn" => Least::Warnings,
        "error" => Least::Errors,
        _ => Least::All,
    }
}

const fn level(least: Least) -> &'static str {
    match least {
        Least::All => "",
        Least::Warnings => "warn",
        Least::Errors => "error",
    }
}

/// What a form was refused with.
pub(super) fn refusal(e: &AppError) -> AnyView {
    let reference = e.reference.clone().map(|r| view! { <span class="sub">"Reference "{r}</span> });
    view! {
        <div class="mb-4" role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{e.title.clone()}</b><div>{e.message.clone()}{reference}</div></div></div>
    }
    .into_any()
}

/// The address of this run's page with other values of its query.
fn here(l: &Loaded, pairs: &[(&str, &str)], anchor: &str) -> String {
    format!("{}{anchor}", with_query(&format!("/runs/{}", l.row.id), pairs))
}

pub(super) fn kv(rows: Vec<(&'static str, AnyView)>) -> AnyView {
    let rows = rows.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
    view! { <dl class="kv">{rows}</dl> }.into_any()
}

pub(super) fn words(text: impl Into<String>) -> AnyView {
    let text: String = text.into();
    text.into_any()
}

/// What the guard put on hold in this run.
fn holds(placed: &[PlacedHold]) -> AnyView {
    let rows = placed.iter().map(|h| {
        let what = h.item.clone().unwrap_or_else(|| "the whole service".to_owned());
        view! { <li>{chip(Tone::Hold, "on hold")}" "<a href=format!("/holds/{}", h.hold)>{what}</a><span class="sub">{upper(&h.reason)}</span></li> }
    });
    view! { <ul class="stack stack--sm">{rows.collect_view()}</ul> }.into_any()
}

fn typed<T: DeserializeOwned>(l: &Loaded) -> Option<T> {
    l.row.result.as_ref().and_then(|r| serde_json::from_value(r.0.clone()).ok())
}

/// What came of an ended run.
pub(super) fn result(l: &Loaded) -> Result<AnyView, OpsError> {
    let row = &l.row;
    let took = match (row.started_at, row.finished_at) {
        (Some(from), Some(to)) => span(Timestamp(to).secs_since(Timestamp(from)).max(0.0)),
        _ => "did not begin".to_owned(),
    };
    let waited = row.started_at.map(|at| Timestamp(at).secs_since(Timestamp(row.queued_at)).max(0.0));
    let ended = row.finished_at.map(|at| short(Timestamp(at), l.now, &l.shared.zone));
    let mut rows = Vec::new();
    match row.kind()? {
        RunKind::Backup => {
            if let Some(r) = typed::<BackupResult>(l) {
                rows.push(("Items", words(items_words(r.items_ok, r.items_partial, r.items_failed))));
                rows.push(("Read", words(size(r.bytes_read))));
                rows.push(("Added", words(size(r.bytes_added))));
                if !r.holds.is_empty() {
                    rows.push(("On hold", holds(&r.holds)));
                }
                if r.forgotten > 0 {
                    rows.push((
                        "Forgotten",
                        words(format!("{} {} by the policy", count(r.forgotten), if r.forgotten == 1 { "snapshot" } else { "snapshots" })),
                    ));
                }
            }
        }
        RunKind::Prune => {
            if let Some(r) = typed::<PruneResult>(l) {
                rows.push(("Deleted", words(format!("{} packs, {}", count(r.packs_deleted), size(r.bytes_deleted)))));
                rows.push(("Marked", words(format!("{} packs, {} of them packed anew", count(r.packs_marked), count(r.packs_repacked)))));
                rows.push(("Waiting", words(format!("{} for a later prune", size(r.bytes_waiting)))));
                rows.push(("Takes now", words(size(r.size_bytes))));
            }
        }
        RunKind::InstanceSnapshot => {
            if let Some(r) = typed::<InstanceSnapshotResult>(l) {
                native::result(&r, &mut rows);
            }
        }
        RunKind::InstanceClone => {
            if let Some(r) = typed::<CloneResult>(l) {
                brought::clone_result(&r, &mut rows);
            }
        }
        RunKind::InstanceRestore => {
            if let Some(r) = typed::<InPlaceResult>(l) {
                brought::in_place_result(&r, &mut rows);
            }
        }
        RunKind::OffsiteCopy => {
            if let Some(r) = typed::<OffsiteCopyResult>(l) {
                native::copied(&r, &mut rows);
            }
        }
        RunKind::OffsiteReturn => {
            if let Some(r) = typed::<OffsiteReturnResult>(l) {
                native::returned(&r, &mut rows);
            }
        }
        RunKind::TamperTest => {
            if let Some(f) = typed::<Findings>(l) {
                rows.push(("Verdict", protection_chip(Some(f.judge()))));
                rows.push(("Found", words(f.words())));
                rows.push((
                    "Probe",
                    words(if f.cleaned { "cleaned away" } else { "stays hidden where it was written, until its lock ends or a prune removes it" }),
                ));
            }
        }
        RunKind::Restore => {
            if let Some(r) = typed::<RestoreResult>(l) {
                restored(&r, &mut rows);
            }
        }
        RunKind::RestoreTest => {
            if let Some(t) = &l.test {
                rows.push(("Verdict", verdict_chip(Verdict::parse(&t.verdict))));
                rows.push(("Report", view! { <a href=format!("/tests/{}", t.id)>"What was measured and checked"</a> }.into_any()));
                rows.push(("Items", words(items_words(t.items_restored, t.items_skipped, t.items_failed).replace("partial", "skipped"))));
                rows.push(("Restored", words(format!("{} files, {}", count(t.files), size(t.bytes)))));
            } else {
                rows.push(("Report", words("none: a test that did not come to its end proves nothing")));
            }
        }
        RunKind::Check => {
            if let Some(r) = typed::<CheckResult>(l) {
                checked(&r, &mut rows);
            }
        }
        RunKind::InstallationBackup => {
            if let Some(r) = typed::<InstallationBackupResult>(l) {
                rows.push(("Records", words(format!("{} rows of {} tables, {}", count(r.rows), r.tables, size(r.bytes)))));
                rows.push(("Added", words(size(r.bytes_added))));
                rows.push(("Secrets", words(if r.sealed { "sealed under the recovery key" } else { "none in this copy" })));
                rows.push(("Copy", view! { <span class="hash">{r.copy.get(..8).unwrap_or_default().to_owned()}</span> }.into_any()));
            }
        }
        RunKind::InstallationTest => {
            if let Some(r) = typed::<InstallationTestResult>(l) {
                rows.push(("Verdict", verdict_chip(Some(r.verdict))));
                rows.push(("Brought back", words(format!("{} rows of {} tables, {} audit events", count(r.rows), r.tables, count(r.audit_events)))));
                rows.push(("RTO", words(r.rto_s.map_or_else(|| "not measured".to_owned(), span))));
                rows.push(("RPO", words(span(r.rpo_s as f64))));
                for c in &r.checks {
                    rows.push((check_words(&c.name), words(format!("{}: {}", c.verdict.as_str(), c.detail))));
                }
            }
        }
    }
    if let Some(w) = waited.filter(|w| *w >= 1.0) {
        rows.push(("Waited", words(format!("{} in the queue", span(w)))));
    }
    let body = view! {
        <div class="panel__body stack stack--sm">
            <div class="row row--between"><span class="readout readout--md">{took}</span>{ended.map(|e| view! { <span class="num"><b>{e}</b><span class="sub">"ended"</span></span> })}</div>
            {kv(rows)}
        </div>
    };
    Ok(panel("result", "Result", None, None, body.into_any()).into_any())
}

fn items_words(ok: i64, partial: i64, failed: i64) -> String {
    let mut out = vec![format!("{} complete", count(ok))];
    for (n, word) in [(partial, "partial"), (failed, "failed")] {
        if n > 0 {
            out.push(format!("{} {word}", count(n)));
        }
    }
    out.join(", ")
}

fn restored(r: &RestoreResult, rows: &mut Vec<(&'static str, AnyView)>) {
    let c = r.counts;
    rows.push((if r.preview { "Would create" } else { "Created" }, words(format!("{} files", count(c.create)))));
    rows.push((if r.preview { "Would replace" } else { "Replaced" }, words(format!("{} files", count(c.replace)))));
    rows.push(("Same already", words(count(c.same))));
    rows.push(("Left alone", words(count(c.skip))));
    rows.push((if r.preview { "Would write" } else { "Written" }, words(size(c.bytes))));
    let list = r.landings.iter().take(5).map(|p| view! { <span class="sub"><code class="path">{p.path.clone()}</code></span> }).collect_view();
    let more = r.landings.len().saturating_sub(5);
    let more = (more > 0).then(|| view! { <span class="sub">{format!("and {more} more")}</span> });
    rows.push(("Landed in", view! { {list}{more} }.into_any()));
    if !r.safety.is_empty() {
        let links = r
            .safety
            .iter()
            .take(20)
            .map(|id| view! { <a class="hash" href=format!("/snapshots/{id}")>{id.0.simple().to_string()[20..].to_owned()}</a>" " })
            .collect_view();
        rows.push(("Safety", links.into_any()));
    }
}

fn checked(r: &CheckResult, rows: &mut Vec<(&'static str, AnyView)>) {
    const NAMED: usize = 20;
    rows.push(("Snapshots", words(count(r.snapshots))));
    rows.push(("Packs", words(count(r.packs))));
    rows.push(("Data read", words(if r.bytes_read > 0 { size(r.bytes_read) } else { "no, structure alone".to_owned() })));
    for (name, list) in [("Errors", &r.errors), ("Warnings", &r.warnings)] {
        if list.is_empty() {
            rows.push((name, words("none")));
            continue;
        }
        let lines = list.iter().take(NAMED).map(|e| view! { <span class="sub">{e.clone()}</span> }).collect_view();
        let more = (list.len() > NAMED).then(|| view! { <span class="sub">{format!("and {} more", list.len() - NAMED)}</span> });
        rows.push((name, view! { {count(list.len() as i64)}{lines}{more} }.into_any()));
    }
}

/// The results of items, what went wrong first.
pub(super) fn items(l: &Loaded, may: bool) -> Result<AnyView, OpsError> {
    // The result of one instance says all of it.
    if l.counts.is_empty() || l.row.kind()? == RunKind::InstanceSnapshot {
        return Ok(().into_any());
    }
    let of = |s: ItemState| l.counts.iter().find(|c| c.0 == s.as_str()).map_or(0, |c| c.1);
    let total: i64 = l.counts.iter().map(|c| c.1).sum();
    let bad = of(ItemState::Failed) + of(ItemState::Partial);
    let links = [(ItemState::Failed, "Failed"), (ItemState::Partial, "Partial"), (ItemState::Ok, "Complete"), (ItemState::Skipped, "Skipped")]
        .into_iter()
        .filter(|(s, _)| of(*s) > 0)
        .map(|(s, word)| {
            let current = (l.items.state == Some(s)).then_some("true");
            view! { <a href=here(l, &[("items", s.as_str())], "#items") aria-current=current>{word}" "{count(of(s))}</a> }
        })
        .collect_view();
    let can_retry = may && bad > 0 && !l.row.state()?.is_live() && matches!(l.row.kind()?, RunKind::Backup | RunKind::Restore);
    let retry = can_retry.then(|| {
        let word = if bad == 1 { "Retry the item that is not complete".to_owned() } else { format!("Retry the {} that are not complete", count(bad)) };
        view! {
            <form action=RetryRun::url() method="post"><input type="hidden" name="run" value=l.row.id.to_string()/><input type="hidden" name="what" value="failed"/>
                <button class="btn btn--sm">{word}</button></form>
        }
    });
    let note = if bad > 0 { format!("{} of {} not complete", count(bad), count(total)) } else { format!("{}, all complete or skipped", count(total)) };
    // Only a backup adds to the repository and makes snapshots.
    let made = l.row.kind()? == RunKind::Backup;
    let more = made.then(|| view! { {th("Added", "num col-lo")}{th("Snapshot", "col-md")} });
    let head = view! { {th("Item", "")}{th("State", "")}{th("Files", "num col-md")}{th("Size", "num col-md")}{more} };
    let held: Vec<String> = typed::<BackupResult>(l).filter(|_| made).map(|r| r.holds.into_iter().filter_map(|h| h.item).collect()).unwrap_or_default();
    let rows = l.items.rows.iter().map(|i| item(i, made, held.contains(&i.name))).collect_view();
    let state = l.items.state.map_or("", ItemState::as_str);
    let next = l.items.rows.last().filter(|_| l.items.more).map(|last| ("More", here(l, &[("items", state), ("after", &last.name)], "#items")));
    let first = (!l.items.after.is_empty()).then(|| ("First", here(l, &[("items", state)], "#items")));
    let body = view! {
        <div class="panel__body p-tools"><nav class="seg" aria-label="Items by state">{links}</nav></div>
        {table("Items", "table--tight table--top run-items", head.into_any(), rows.into_any())}
        {pager(first, next)}
    };
    Ok(view! { <div id="items">{panel("items", "Items", Some(note), retry.map(IntoAny::into_any), body.into_any())}</div> }.into_any())
}

fn item(i: &RunItemRow, made: bool, held: bool) -> AnyView {
    const SHOWN: usize = 3;
    let p = &i.problems.0;
    let first = p.listed.iter().take(SHOWN).map(|p| problem(&p.path, &p.message)).collect_view();
    let rest = (p.listed.len() > SHOWN).then(|| {
        let all = p.listed.iter().skip(SHOWN).take(200).map(|p| problem(&p.path, &p.message)).collect_view();
        let unnamed = p.total - p.listed.len().min(SHOWN + 200) as i64;
        let unnamed = (unnamed > 0).then(|| view! { <span class="sub">{format!("{} more are in the log", count(unnamed))}</span> });
        view! { <details class="more"><summary>{format!("All {} problems", count(p.total))}</summary>{all}{unnamed}</details> }
    });
    let snapshot = i.snapshot_id.map_or_else(
        || view! { <span class="muted">"none"</span> }.into_any(),
        |id| view! { <a class="hash" href=format!("/snapshots/{id}")>{id.simple().to_string()[20..].to_owned()}</a> }.into_any(),
    );
    view! {
        <tr>
            <th scope="row"><span class="mono brk">{i.name.clone()}</span>{first}{rest}</th>
            <td>{item_chip(ItemState::parse(&i.state).unwrap_or(ItemState::Failed))}{held.then(|| view! { " "{chip(Tone::Hold, "on hold")} })}</td>
            <td class="num col-md">{count(i.files)}</td><td class="num col-md nowrap">{size(i.bytes)}</td>
            {made.then(|| view! { <td class="num col-lo nowrap">{size(i.bytes_added)}</td><td class="col-md">{snapshot}</td> })}
        </tr>
    }
    .into_any()
}

fn problem(path: &str, message: &str) -> AnyView {
    let path = (!path.is_empty()).then(|| view! { <code class="path">{path.to_owned()}</code>": " });
    view! { <span class="sub brk">{path}{message.to_owned()}</span> }.into_any()
}

/// The log: its end, or what was searched for, or an older page.
pub(super) fn log(l: &Loaded) -> AnyView {
    let log = &l.log;
    let (search, least) = (log.filter.search.clone(), log.filter.least);
    let note = match (log.rows.first(), log.rows.last()) {
        (Some(a), Some(b)) if log.follows() && l.row.finished_at.is_none() => format!("lines {} to {}, follows the end", count(a.seq), count(b.seq)),
        (Some(a), Some(b)) if search.is_empty() && least == Least::All => format!("lines {} to {}", count(a.seq), count(b.seq)),
        (Some(_), _) => format!("{}{} lines found", count(log.rows.len() as i64), if log.more { " newest" } else { "" }),
        _ => "nothing found".to_owned(),
    };
    let lines = log.rows.iter().map(|e| live::log_line(e, &search, &l.shared.zone)).collect_view();
    // New lines are added only to a list of this name.
    let id = log.follows().then_some("run-log");
    // The end of a log is what is read first.
    let frame = if log.before.is_none() { "log log--end" } else { "log" };
    let form = view! {
        <form class="end row" method="get" action=format!("/runs/{}#log", l.row.id) role="search" aria-label="Log">
            <label class="vh" for="log-level">"Level"</label>
            <select class="select input--sm input--w" id="log-level" name="level">
                {[("", "All levels", Least::All), ("warn", "Warnings and errors", Least::Warnings), ("error", "Errors", Least::Errors)].map(|(value, word, this)| view! {
                    <option value=value selected=this == least>{word}</option>
                })}
            </select>
            <label class="vh" for="log-words">"Search the log"</label>
            <input class="input input--sm input--w" id="log-words" name="log" type="search" placeholder="Search" value=search.clone() maxlength="200"/>
            <button class="btn btn--sm">"Find"</button>
        </form>
    };
    let pairs = |before: &'static str, value: String| vec![("level", level(least).to_owned()), ("log", search.clone()), (before, value)];
    let to = |pairs: Vec<(&'static str, String)>| here(l, &pairs.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>(), "#log");
    let older = log.rows.first().filter(|_| log.more).map(|e| ("Earlier lines", to(pairs("log_before", e.seq.to_string()))));
    let newest = log.before.is_some().then(|| ("The end", to(pairs("log_before", String::new()))));
    let body = view! {
        <div class=frame role="log" aria-live="off" aria-label="Log of the run" tabindex="0"><ol id=id>{lines}</ol></div>
        {pager(newest, older)}
    };
    view! { <div id="log">{panel("log", "Log", Some(note), Some(form.into_any()), body.into_any())}</div> }.into_any()
}

/// The name of a check of a restore test of Holdfast itself.
fn check_words(name: &str) -> &'static str {
    match name {
        "fetch" => "Fetched",
        "files" => "Files",
        "records" => "Records",
        "audit_chain" => "Audit chain",
        "compare" => "Compared",
        "secrets" => "Secrets",
        _ => "Torn down",
    }
}

/// The runs of the same kind before this one.
pub(super) fn earlier(l: &Loaded) -> AnyView {
    if l.earlier.is_empty() {
        return ().into_any();
    }
    let rows = l
        .earlier
        .iter()
        .map(|r| {
            let took = match (r.started_at, r.finished_at) {
                (Some(from), Some(to)) => span(Timestamp(to).secs_since(Timestamp(from)).max(0.0)),
                _ => "–".to_owned(),
            };
            let began = short(Timestamp(r.started_at.unwrap_or(r.queued_at)), l.now, &l.shared.zone);
            view! { <tr><th scope="row"><a class="rowlink" href=format!("/runs/{}", r.id)>{began}</a></th><td class="num nowrap">{took}</td><td>{state_chip_of(&r.state)}</td></tr> }
        })
        .collect_view();
    let head = view! { {th("Started", "")}{th("Took", "num")}{th("Result", "")} };
    let kind = l.row.kind.clone();
    let service = l.about.service.as_ref().map(|s| s.name.clone()).unwrap_or_default();
    let all = view! { <a class="btn btn--sm btn--quiet" href=with_query("/runs", &[("kind", &kind), ("service", &service)])>{icon_sm("i-runs", "")}"All"</a> };
    panel(
        "earlier",
        &format!("Earlier {}s", l.row.kind().map_or("run", kind_words)),
        None,
        Some(all.into_any()),
        table("Earlier runs", "table--tight", head.into_any(), rows.into_any()).into_any(),
    )
    .into_any()
}
