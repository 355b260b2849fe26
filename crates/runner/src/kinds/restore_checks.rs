//! The checks of a restore test: counts, byte-identical comparison, canary, measured RTO and RPO.
//!
//! Lives here: each check and the evidence level that they give. May not: the verdict, the further checks of a
//! definition (`restore_probes`).
//! Invariant: what could not be looked at is `unknown`, never `passed`.

use std::path::{Path, PathBuf};

use domain::{
    definition::Terms,
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    naming,
    run::ItemState,
    units::{Timestamp, count, span},
    work::StepFailure,
};
use engine::job::{CompareJob, Job, Outcome};
use store::{run_items, services::Canary};

use super::{
    blocking, repository,
    restore_choice::Choice,
    restore_probes::{self, Place},
    restore_test::{Checked, Restored, groups},
};
use crate::{
    child::{self, Nothing},
    exec::Cx,
    files,
    step::{Break, Result},
};

/// Does all checks in their order. RTO ends when the content is checked.
pub async fn all(cx: &Cx, step: &'static str, terms: &Terms, chosen: &Choice, restored: &Restored, scratch: &Path) -> Result<Checked> {
    let mut checks = vec![counts(cx, chosen, restored).await?];
    if restored.failure.is_none() && !chosen.items.is_empty() {
        checks.push(recapture(cx, step, chosen, scratch).await?);
    }
    if let Some(c) = &chosen.canary {
        checks.push(canary(cx, c, chosen, restored, scratch).await?);
    }
    let place = Place { chosen, scratch, broken: restored.failure.as_ref() };
    checks.extend(restore_probes::all(cx, terms, &place).await?);
    let level = level(chosen, restored, &checks);
    let through = level >= EvidenceLevel::Restored;
    let rto_s = through.then(|| cx.now().secs_since(restored.started_at));
    let rpo_s = rpo(chosen);
    let what = if chosen.newest_at.is_some() {
        "age of the newest snapshot of what was tested at the start"
    } else {
        "age of the oldest tested snapshot at the start"
    };
    checks.extend(limit("rto", rto_s, chosen.rto_target_s, "from the start of the restore to the end of the checks"));
    checks.extend(limit("rpo", rpo_s.map(|s| s as f64), chosen.rpo_target_s, what));
    Ok(Checked { checks, level, rto_s, rpo_s })
}

fn outcome(name: &str, verdict: Verdict, detail: impl Into<String>) -> CheckOutcome {
    CheckOutcome::new(name, verdict, detail)
}

/// Whether a failure says nothing about the backup itself: the storage or the scratch folder could not be used.
fn is_about_the_place(f: &StepFailure) -> bool {
    !f.permanent || matches!(f.code.as_str(), "full" | "unavailable" | "locked")
}

async fn counts(cx: &Cx, chosen: &Choice, restored: &Restored) -> Result<CheckOutcome> {
    let wanted = chosen.items.len() as i64;
    if wanted == 0 {
        return Ok(outcome("counts", Verdict::Failed, "the service has no snapshot to restore; back it up first"));
    }
    if let Some(f) = &restored.failure {
        let verdict = if is_about_the_place(f) { Verdict::Unknown } else { Verdict::Failed };
        return Ok(outcome("counts", verdict, format!("the restore did not come to its end: {}", f.message)));
    }
    let states = run_items::count(cx.deps.db.read().await?.tx(), cx.id()).await?;
    let whole: i64 = states.iter().filter(|s| ItemState::parse(&s.0) == Some(ItemState::Ok)).map(|s| s.1).sum();
    let files: i64 = chosen.items.iter().map(|c| c.files).sum();
    let detail = format!("{} of {} items, {} of {} files", count(whole), count(wanted), count(restored.files), count(files));
    let verdict = if whole == wanted && restored.files == files { Verdict::Passed } else { Verdict::Failed };
    let said = |items: i64, files: i64| format!("{} items, {} files", count(items), count(files));
    Ok(outcome("counts", verdict, detail).compared(said(wanted, files), said(whole, restored.files)))
}

/// Reads what was restored anew and compares it with the snapshots.
async fn recapture(cx: &Cx, step: &'static str, chosen: &Choice, scratch: &Path) -> Result<CheckOutcome> {
    let (mut files, mut differences, mut first) = (0, 0, None);
    for (id, items) in groups(chosen, scratch) {
        let row = repository(cx, id).await?;
        match child::job(cx, step, &row, |access| Job::Compare(CompareJob { access, items }), &Nothing).await {
            Ok(Outcome::Compared(c)) => {
                files += c.files;
                differences += c.differences_total;
                first = first.or_else(|| c.differences.first().map(|d| format!("{}: {}", d.path, d.message)));
            }
            Ok(other) => return Err(child::unexpected(&other)),
            Err(Break::Failed(f)) if f.permanent || cx.run.attempts >= cx.run.max_attempts => {
                return Ok(outcome("recapture", Verdict::Unknown, format!("the comparison did not come to its end: {}", f.message)));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(match first {
        None if differences == 0 => outcome("recapture", Verdict::Passed, format!("{} files read anew, all identical with the snapshots", count(files)))
            .compared("0 differences", "0 differences"),
        first => outcome("recapture", Verdict::Failed, format!("{} differences; first {}", count(differences), first.unwrap_or_default()))
            .compared("0 differences", format!("{} differences", count(differences))),
    })
}

async fn canary(cx: &Cx, canary: &Canary, chosen: &Choice, restored: &Restored, scratch: &Path) -> Result<CheckOutcome> {
    let place = format!("{}/{}", canary.item, canary.path);
    let Some(n) = chosen.items.iter().position(|c| c.item == canary.item) else {
        return Ok(outcome("canary", Verdict::Failed, format!("{place}: the item has no snapshot")));
    };
    if let Some(f) = &restored.failure {
        return Ok(outcome("canary", Verdict::Unknown, format!("{place}: not looked at, because the restore did not come to its end: {}", f.message)));
    }
    let Some(inner) = naming::unescape(canary.path.trim_start_matches('/')) else {
        return Ok(outcome("canary", Verdict::Unknown, format!("{place}: the path cannot be read; mend it in the service's configuration")));
    };
    let inner = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(inner));
    let root = scratch.join(n.to_string());
    cx.check()?;
    let found = blocking(move || files::hash(&root, &inner)).await?;
    Ok(match found {
        Ok((hash, size)) if hash.eq_ignore_ascii_case(&canary.sha256) => {
            outcome("canary", Verdict::Passed, format!("{place}: {} bytes with the known hash {hash}", count(size as i64)))
                .compared(canary.sha256.clone(), hash)
        }
        Ok((hash, _)) => outcome("canary", Verdict::Failed, format!("{place}: hash {hash}, expected {}", canary.sha256)).compared(canary.sha256.clone(), hash),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => outcome("canary", Verdict::Failed, format!("{place}: it is not there")),
        Err(e) => outcome("canary", Verdict::Unknown, format!("{place}: it cannot be read: {e}")),
    })
}

/// Age in seconds, at the assumed loss, of what would have been brought back: the oldest tested snapshot or, where an
/// older one was taken on purpose, the newest of the same items.
fn rpo(chosen: &Choice) -> Option<i64> {
    let oldest: Timestamp = chosen.newest_at.or_else(|| chosen.items.iter().map(|c| c.taken_at).min())?;
    Some((chosen.loss_at.unwrap_or(chosen.started_at).secs_since(oldest).max(0.0)).round() as i64)
}

/// A measured span against its target; nothing where no target is promised.
fn limit(name: &str, measured: Option<f64>, target: Option<i64>, what: &str) -> Option<CheckOutcome> {
    let target = target?;
    Some(match measured {
        None => outcome(name, Verdict::Unknown, format!("not measured; target {}", span(target as f64))),
        Some(s) => {
            let verdict = if s <= target as f64 { Verdict::Passed } else { Verdict::Failed };
            outcome(name, verdict, format!("{} {what}, target {}", span(s), span(target as f64))).compared(format!("at most {}", span(target as f64)), span(s))
        }
    })
}

/// How far the evidence reaches: content that was compared, a canary that was found or a further check that passed is
/// asserted; a service that ran on it besides is started.
fn level(chosen: &Choice, restored: &Restored, checks: &[CheckOutcome]) -> EvidenceLevel {
    let is = |name: &str, v: Verdict| checks.iter().any(|c| c.name == name && c.verdict == v);
    let own = |v: Verdict| checks.iter().any(|c| c.name.contains(':') && c.verdict == v);
    if chosen.items.is_empty() {
        EvidenceLevel::None
    } else if !is("counts", Verdict::Passed) {
        if restored.files > 0 { EvidenceLevel::Readable } else { EvidenceLevel::Exists }
    } else if is("recapture", Verdict::Failed) || is("canary", Verdict::Failed) {
        EvidenceLevel::Readable
    } else if own(Verdict::Failed)
        || is("start", Verdict::Failed)
        || !(is("recapture", Verdict::Passed) || is("canary", Verdict::Passed) || own(Verdict::Passed))
    {
        EvidenceLevel::Restored
    } else if is("start", Verdict::Passed) {
        EvidenceLevel::Started
    } else {
        EvidenceLevel::Asserted
    }
}
