//! Carrying out a job.
//!
//! Lives here: which function a job goes to, and the one last event. May not: the work itself.
//! Invariant: exactly one `Done` or `Failed` ends every job, also when a library panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Event, Job, Outcome},
    repository::{copies, run_backup, run_check, run_forget, run_keep_image, run_prune, run_tamper_test, tend},
    restore::{run_compare, run_restore, run_return_image, run_unwind},
};

/// Carries out `job` on this thread, which must not belong to the runtime of `ctx`. Tells how it ended.
pub fn run(job: &Job, ctx: &Ctx) {
    let done = catch_unwind(AssertUnwindSafe(|| work(job, ctx))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(EngineError::new(ErrorKind::Internal, format!("a fault in Holdfast or in a library: {}", words.unwrap_or("no message"))))
    });
    ctx.emit(match done {
        Ok(outcome) => Event::Done(outcome),
        Err(e) => Event::Failed((&e).into()),
    });
}

fn work(job: &Job, ctx: &Ctx) -> Result<Outcome> {
    Ok(match job {
        Job::Backup(job) => Outcome::Backup(run_backup(job, ctx)?),
        Job::Restore(job) => Outcome::Restore(run_restore(job, ctx)?),
        Job::UnwindRestore(job) => Outcome::Unwound(run_unwind(job, ctx)?),
        Job::Compare(job) => Outcome::Compared(run_compare(job, ctx)?),
        Job::Check(job) => Outcome::Checked(run_check(job, ctx)?),
        Job::Forget(job) => {
            run_forget(job, ctx)?;
            Outcome::Forgotten
        }
        Job::Prune(job) => Outcome::Pruned(run_prune(job, ctx)?),
        Job::Copies(job) => Outcome::Copies(copies::list(job, ctx)?),
        Job::Find(job) => Outcome::Found(tend::find(job, ctx)?),
        Job::TamperTest(job) => Outcome::TamperTested(run_tamper_test(job, ctx)?),
        Job::KeepImage(job) => Outcome::KeptImage(Box::new(run_keep_image(job, ctx)?)),
        Job::ReturnImage(job) => Outcome::ReturnedImage(Box::new(run_return_image(job, ctx)?)),
        Job::Unlock(job) => Outcome::Unlocked(tend::unlock(job, ctx)?),
    })
}
