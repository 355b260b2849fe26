//! Putting targets back to what they were (R27).
//!
//! Lives here: unwinding one target and a job's targets. May not: deciding that a restore has failed.
//! Invariant: may be repeated, and may be killed anywhere and repeated; a restore that stands is left alone, and told
//! before what shows it is cleared away.

use super::{
    commit::{Change, Hook, no_hook},
    journal::{self, COMMITTED},
    place::Place,
};
use crate::{
    Ctx, EngineError, Result,
    job::{Event, Level, UnwindJob, UnwindOutcome},
};

/// Brings every target back to what it was before the restore whose staging folder has this name.
///
/// A target whose restore had come to its end keeps it and is told by [`Event::Stands`]. All targets are tried, whatever
/// happens to one of them.
///
/// # Errors
/// The first one; what could not be put back is still in the staging folder, and the job may be repeated.
pub fn run_unwind(job: &UnwindJob, ctx: &Ctx) -> Result<UnwindOutcome> {
    run_unwind_at(job, ctx, &no_hook)
}

/// As [`run_unwind`], stopping where `hook` says so. For tests of crashes.
#[doc(hidden)]
pub fn run_unwind_at(job: &UnwindJob, ctx: &Ctx, hook: Hook) -> Result<UnwindOutcome> {
    let mut outcome = UnwindOutcome::default();
    let mut first: Option<EngineError> = None;
    for target in &job.targets {
        match Place::find(target, &job.staging).and_then(|place| unwind(&place, true, hook, ctx)) {
            Ok(back) => outcome.put_back += i64::try_from(back).unwrap_or(i64::MAX),
            Err(e) => {
                ctx.log(Level::Error, format!("unwinding: {e}"));
                first.get_or_insert(e);
            }
        }
    }
    first.map_or(Ok(outcome), Err)
}

/// Unwinds one target. With `clear`, the staging folder goes too; without it, a later attempt finds what is staged.
pub fn unwind(place: &Place, clear: bool, hook: Hook, ctx: &Ctx) -> Result<u64> {
    let Some(stage) = place.staged()? else {
        if clear {
            place.clear_remains()?;
        }
        return Ok(0);
    };
    let committed = journal::has(&stage, COMMITTED)?;
    if committed {
        ctx.emit(Event::Stands { targets: vec![place.shown()] });
    }
    let back = if committed { 0 } else { Change { place, stage: &stage, privileged: super::run::is_privileged(), hook }.undo()? };
    if clear || committed {
        hook("before clearing")?;
        place.clear(&stage)?;
    }
    Ok(back)
}
