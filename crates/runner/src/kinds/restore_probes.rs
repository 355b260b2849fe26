//! The further checks of a definition: SQL, HTTP, TCP, commands, and the start of the service (R32, R33).
//!
//! Lives here: doing each of them within its limits. Beside it: `reach` (addresses and ports). May not: which commands and
//! databases there are (`ops::config::Tools`).
//! Invariants: what could not be looked at is `unknown`, never `passed`; a command gets no environment but facts about
//! the test; a SQLite file is read where it lies and nothing outside its item is.

mod reach;

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    definition::{Assertion, Check, Probe, Terms, compares},
    evidence::{CheckOutcome, Verdict},
    naming,
    work::StepFailure,
};
use engine::process::{Back, Errand, errand};
use ops::{
    config::{CommandTool, Tools},
    secrets,
};
use serde_json::json;
use store::asserted::{self, NoValue};

use super::{
    blocking,
    restore_choice::Choice,
    restore_test::driver::{Brought, Restored},
};
use crate::{exec::Cx, files, step::Result};

/// How long a statement may take.
const STATEMENT: Duration = Duration::from_mins(1);
/// How much of what a command writes is kept, of each of its two outputs, in bytes.
const MOST_OUTPUT: usize = 16 << 10;
/// The file that tells a command which folder is whose.
const ITEMS_FILE: &str = "holdfast-items.json";
/// The exit code of a command that could not check.
const COULD_NOT: i32 = 77;

/// Where and on what the checks are done.
pub struct Place<'a> {
    pub chosen: &'a Choice,
    pub restored: &'a Restored,
    pub scratch: &'a Path,
}

impl Place<'_> {
    /// Why the restore did not come to its end.
    const fn broken(&self) -> Option<&StepFailure> {
        self.restored.failure.as_ref()
    }

    fn server(&self, n: usize) -> Option<&Brought> {
        self.restored.servers.iter().find(|s| s.n == n)
    }
}

/// Does the further checks in their order; the start of the service comes last.
pub async fn all(cx: &Cx, terms: &Terms, place: &Place<'_>) -> Result<Vec<CheckOutcome>> {
    let start = terms.start.iter().map(|command| ("start".to_owned(), Probe::Command { command: command.clone() }));
    let own = terms.checks.iter().map(|Check { name, probe }| (format!("{}:{name}", probe.kind()), probe.clone()));
    let all: Vec<(String, Probe)> = own.chain(start).collect();
    if all.iter().any(|(_, p)| matches!(p, Probe::Command { .. })) && place.broken().is_none() {
        tell_items(place).await?;
    }
    let mut outcomes = Vec::with_capacity(all.len());
    for (name, probe) in all {
        cx.check()?;
        let outcome = if let Some(f) = place.broken() {
            CheckOutcome::new(&name, Verdict::Unknown, format!("not looked at, because the restore did not come to its end: {}", f.message))
        } else if place.chosen.items.is_empty() {
            CheckOutcome::new(&name, Verdict::Unknown, "not looked at, because nothing was restored")
        } else {
            match &probe {
                Probe::Sqlite { item, path, assertion } => sqlite(cx, &name, place, item, path, assertion).await?,
                Probe::Postgresql { connection, assertion } => postgresql(cx, &name, connection, assertion).await?,
                Probe::Http { url, status, text } => unless_stopped(cx, reach::http(cx, &name, place, url, *status, text)).await?,
                Probe::Tcp { host, port } => unless_stopped(cx, reach::tcp(&name, place, host, *port)).await?,
                Probe::Command { command } => self::command(cx, &name, place, command).await?,
            }
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Waits for work, which is dropped when the run is to stop.
pub async fn unless_stopped<T>(cx: &Cx, work: impl Future<Output = T>) -> Result<T> {
    let mut why = cx.lease().watch();
    tokio::pin!(work);
    loop {
        cx.check()?;
        tokio::select! {
            done = &mut work => return Ok(done),
            Ok(()) = why.changed() => {}
        }
    }
}

async fn sqlite(cx: &Cx, name: &str, place: &Place<'_>, item: &str, path: &str, assertion: &Assertion) -> Result<CheckOutcome> {
    let shown = format!("{item}/{path}");
    let unknown = |why: String| Ok(CheckOutcome::new(name, Verdict::Unknown, format!("{shown}: {why}")));
    let mut of_item = place.chosen.items.iter().enumerate().filter(|(_, c)| c.item == item);
    let Some((n, _)) = of_item.next() else {
        return Ok(CheckOutcome::new(name, Verdict::Failed, format!("{shown}: the item has no snapshot")));
    };
    if of_item.next().is_some() {
        return unknown("several sources have an item of that name".to_owned());
    }
    if place.server(n).is_some() {
        return unknown("the item is an instance, and nobody reads its disk from here; look by an address or a command".to_owned());
    }
    let Some(inner) = naming::unescape(path) else { return unknown("the path cannot be read; mend it in the definition".to_owned()) };
    let inner = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(inner));
    let root = place.scratch.join(n.to_string());
    let found = blocking(move || files::regular(&root, &inner).map(|file| (unsettled(&file), file))).await?;
    let file = match found {
        Ok((Some(beside), _)) => {
            return unknown(format!("{beside} lies beside it, so that it alone is not the whole; have the backup take it settled, such as by VACUUM INTO"));
        }
        Ok((None, file)) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(CheckOutcome::new(name, Verdict::Failed, format!("{shown}: it is not there")));
        }
        Err(e) => return unknown(format!("it cannot be read: {e}")),
    };
    let value = unless_stopped(cx, asserted::sqlite(&file, &assertion.statement, STATEMENT)).await?;
    Ok(judged(name, &shown, assertion, value))
}

/// The name of a file beside a database that holds a part of it.
fn unsettled(file: &Path) -> Option<String> {
    ["-wal", "-journal"].into_iter().find_map(|end| {
        let mut beside = file.as_os_str().to_owned();
        beside.push(end);
        let holds = std::fs::symlink_metadata(&beside).is_ok_and(|m| m.len() > 0);
        holds.then(|| Path::new(&beside).file_name().unwrap_or_default().to_string_lossy().into_owned())
    })
}

async fn postgresql(cx: &Cx, name: &str, connection: &str, assertion: &Assertion) -> Result<CheckOutcome> {
    let tools = &cx.deps.tools;
    let unknown = |why: String| Ok(CheckOutcome::new(name, Verdict::Unknown, format!("{connection}: {why}")));
    let Some(tool) = tools.connection(connection) else {
        let known: Vec<&str> = tools.connections.iter().map(|c| c.name.as_str()).collect();
        return unknown(Tools::missing("connection", connection, &known));
    };
    let url = match secrets::resolve(&tool.url, "url", &cx.deps.env).await {
        Ok(url) => url,
        Err(e) => return unknown(e.to_string()),
    };
    let value = unless_stopped(cx, asserted::postgresql(url.reveal(), &assertion.statement, STATEMENT)).await?;
    Ok(judged(name, connection, assertion, value))
}

fn judged(name: &str, place: &str, a: &Assertion, value: asserted::Value) -> CheckOutcome {
    let expected = format!("{} {}", a.compare, a.expected);
    match value {
        Ok(seen) => {
            let verdict = if compares(a.compare, &a.expected, seen.as_deref()) { Verdict::Passed } else { Verdict::Failed };
            let seen: String = seen.unwrap_or_else(|| "NULL".to_owned()).chars().map(shown).collect();
            CheckOutcome::new(name, verdict, format!("{place}: {} gave {seen}, expected {expected}", a.statement)).compared(expected, seen)
        }
        Err(NoValue::Unasked(why)) => {
            CheckOutcome::new(name, Verdict::Unknown, format!("{place}: it could not be asked: {why}")).compared(expected, "not asked")
        }
        Err(NoValue::Answer(why)) => {
            CheckOutcome::new(name, Verdict::Failed, format!("{place}: {} gave no value: {why}", a.statement)).compared(expected, "no value")
        }
    }
}

/// Writes down which folder is whose, for commands.
async fn tell_items(place: &Place<'_>) -> Result<()> {
    let all: Vec<_> = place
        .chosen
        .items
        .iter()
        .enumerate()
        .map(|(n, c)| {
            let mut item = json!({"item": c.item, "folder": place.scratch.join(n.to_string()), "snapshot": c.restic_id, "taken_at_us": c.taken_at.0});
            // The folder of an instance holds its `console.log`.
            if let Some(s) = place.server(n) {
                item["server"] = json!(s.server);
                item["name"] = json!(s.name);
                item["addresses"] = json!(s.addresses);
            }
            item
        })
        .collect();
    let (path, text) = (place.scratch.join(ITEMS_FILE), json!(all).to_string());
    let written = blocking(move || std::fs::write(path, text)).await?;
    written.map_err(|e| {
        StepFailure::new(
            if e.kind() == std::io::ErrorKind::StorageFull { "full" } else { "denied" },
            format!("the list of items cannot be written into the scratch folder: {e}"),
            false,
        )
        .into()
    })
}

async fn command(cx: &Cx, name: &str, place: &Place<'_>, wanted: &str) -> Result<CheckOutcome> {
    let Some(tool) = cx.deps.tools.command(wanted) else {
        let known: Vec<&str> = cx.deps.tools.commands.iter().map(|c| c.name.as_str()).collect();
        return Ok(CheckOutcome::new(name, Verdict::Unknown, Tools::missing("command", wanted, &known)));
    };
    let work = order(cx, name, place, tool);
    let back = match unless_stopped(cx, errand(&work)).await? {
        Ok(back) => back,
        Err(e) => return Ok(CheckOutcome::new(name, Verdict::Unknown, format!("{wanted}: {e}")).compared("exit code 0", "not started")),
    };
    if !back.output.trim().is_empty() {
        let text: String = back.output.trim_end().chars().map(|c| if c == '\n' || c == '\t' { c } else { shown(c) }).collect();
        cx.log("info", format!("{name} wrote:\n{text}")).await?;
    }
    Ok(ended(name, tool, &back))
}

fn order(cx: &Cx, name: &str, place: &Place<'_>, tool: &CommandTool) -> Errand {
    let facts = [
        ("HOLDFAST_RUN", cx.id().to_string()),
        ("HOLDFAST_SERVICE", place.chosen.service.clone()),
        ("HOLDFAST_CHECK", name.to_owned()),
        ("HOLDFAST_SCRATCH", place.scratch.display().to_string()),
        ("HOLDFAST_ITEMS", place.scratch.join(ITEMS_FILE).display().to_string()),
    ];
    Errand {
        argv: tool.argv.clone(),
        folder: place.scratch.to_owned(),
        env: facts.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
        limit: Duration::from_secs(u64::try_from(tool.limit_s).unwrap_or(0)),
        most_output: MOST_OUTPUT,
    }
}

fn ended(name: &str, tool: &CommandTool, back: &Back) -> CheckOutcome {
    let (verdict, seen) = match (back.late, back.code) {
        (true, _) => (Verdict::Failed, format!("stopped after {} s", tool.limit_s)),
        (false, Some(0)) => (Verdict::Passed, "exit code 0".to_owned()),
        (false, Some(COULD_NOT)) => (Verdict::Unknown, format!("exit code {COULD_NOT}: it could not check")),
        (false, Some(code)) => (Verdict::Failed, format!("exit code {code}")),
        (false, None) => (Verdict::Failed, format!("ended by signal {}", back.signal.unwrap_or(0))),
    };
    let last: String = back.output.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default().trim().chars().take(200).map(shown).collect();
    let last = if last.is_empty() { last } else { format!("; its last words: {last}") };
    CheckOutcome::new(name, verdict, format!("{}: {seen}{last}", tool.name)).compared("exit code 0", seen)
}

/// What a page and both databases can hold.
fn shown(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}
