//! The checks of a restore test: counts, those of the drivers and of the definition, measured RTO and RPO.
//!
//! Lives here: their order, and the evidence level that they give. May not: the verdict, the further checks of a
//! definition (`restore_probes`), the comparisons of one kind of source (`restore_test::driver`).
//! Invariant: what could not be looked at is `unknown`, never `passed`.

use domain::{
    definition::Terms,
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    run::ItemState,
    units::{Timestamp, count, span},
    work::StepFailure,
};
use store::run_items;

use super::{
    restore_choice::Choice,
    restore_probes::{self, Place},
    restore_test::{Checked, Ground, Restored},
};
use crate::{exec::Cx, step::Result};

/// Does all checks in their order. RTO ends when the content is checked.
pub async fn all(cx: &Cx, step: &'static str, terms: &Terms, ground: &Ground, restored: &Restored) -> Result<Checked> {
    let chosen = &ground.chosen;
    let mut checks = vec![counts(cx, chosen, restored).await?];
    for driver in &ground.drivers {
        checks.extend(driver.check(cx, step, restored).await?);
    }
    let place = Place { chosen, restored, scratch: &ground.scratch };
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
    let parts: Vec<_> = [("items", whole, wanted), ("files", restored.files, files), ("disks", restored.disks, restored.disks_wanted)]
        .into_iter()
        .filter(|(what, seen, wanted)| *what == "items" || *seen != 0 || *wanted != 0)
        .collect();
    let said = |of: &dyn Fn(&(&str, i64, i64)) -> String| parts.iter().map(of).collect::<Vec<_>>().join(", ");
    let mut detail = said(&|(what, seen, wanted)| format!("{} of {} {what}", count(*seen), count(*wanted)));
    if let Some(first) = restored.missing.first() {
        detail = format!("{detail}; {}: {}", chosen.items.get(first.n).map_or("", |c| c.name.as_str()), first.failure.message);
    }
    let all_there = parts.iter().all(|(_, seen, wanted)| seen == wanted);
    let excused = !restored.missing.is_empty() && restored.missing.iter().all(|m| is_about_the_place(&m.failure)) && restored.files == files;
    let verdict = match (all_there, excused) {
        (true, _) => Verdict::Passed,
        (false, true) => Verdict::Unknown,
        (false, false) => Verdict::Failed,
    };
    let compared = (said(&|(what, _, wanted)| format!("{} {what}", count(*wanted))), said(&|(what, seen, _)| format!("{} {what}", count(*seen))));
    Ok(outcome("counts", verdict, detail).compared(compared.0, compared.1))
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
/// asserted; a service that ran on it besides is started. That an instance is ACTIVE says nothing of its content.
fn level(chosen: &Choice, restored: &Restored, checks: &[CheckOutcome]) -> EvidenceLevel {
    let is = |name: &str, v: Verdict| checks.iter().any(|c| c.name == name && c.verdict == v);
    let own = |v: Verdict| checks.iter().any(|c| c.name.contains(':') && c.verdict == v);
    let content = ["recapture", "canary", "images"];
    if chosen.items.is_empty() {
        EvidenceLevel::None
    } else if !is("counts", Verdict::Passed) {
        if restored.files > 0 || restored.disks > 0 { EvidenceLevel::Readable } else { EvidenceLevel::Exists }
    } else if content.iter().chain(&["active", "volumes"]).any(|name| is(name, Verdict::Failed)) {
        EvidenceLevel::Readable
    } else if own(Verdict::Failed) || is("start", Verdict::Failed) || !(content.iter().any(|name| is(name, Verdict::Passed)) || own(Verdict::Passed)) {
        EvidenceLevel::Restored
    } else if is("start", Verdict::Passed) {
        EvidenceLevel::Started
    } else {
        EvidenceLevel::Asserted
    }
}
