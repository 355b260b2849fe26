//! A restore of an instance in place: its root disk becomes that of a snapshot, its addresses stay (R24, R27).
//!
//! Lives here: the row of steps and what the whole gives. Beside it: `check`, `stage` (an image of a volume snapshot, a copy of
//! a volume), `write` (the disk, and bringing it back), `verify`. The safety snapshot is made by the steps of
//! `instance_snapshot`. May not: the preconditions (`domain::instance::inplace`), the APIs.
//! Invariants: nothing is touched before all preconditions were seen in the cloud and the safety snapshot is recorded;
//! what the disk is written from is there before the instance is touched; a run that does not succeed brings the disk of
//! before back from the safety snapshot, or says where it is. It is never started again by itself.

mod check;
pub(super) mod stage;
mod verify;
mod write;

use domain::{
    id::{RepositoryId, SourceId},
    instance::{InPlaceParams, InPlaceResult, MARK, inplace::Method},
    run::RunEvent,
};
use store::runs::RunRow;

use self::{
    check::Check,
    stage::{Copy, Stage},
    verify::{Tidy, Verify},
    write::{Safety, Write},
};
use super::{
    given,
    instance_snapshot::{Found, Notify, Poll, Record, Start, Stop, Take},
};
use crate::{
    clouds::link::Reach,
    exec::{Ended, Exec},
    step::{Result, Step},
};

pub const STEPS: &[&str] =
    &[Check::NAME, Stage::NAME, Stop::NAME, Take::NAME, Poll::NAME, Record::NAME, Copy::NAME, Write::NAME, Verify::NAME, Start::NAME, Tidy::NAME, Notify::NAME];

/// When this is done, the disk is that of the snapshot.
pub const APPLIED: &str = Write::NAME;

/// The metadata that says, while a run is at work on an instance, which run has written its disk.
pub fn mark() -> String {
    format!("{MARK}restore")
}

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let source = given(exec.cx.run.source_id, SourceId, "source")?;
    let repository = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: InPlaceParams = exec.cx.run.params()?;
    let reach = Reach::new(repository);
    let plan = exec.step(Check { reach: reach.clone(), params: params.clone() }).await?;
    let before = plan.before.clone();
    let image = if plan.method == Method::ReplaceRoot {
        Some(exec.step(Stage { reach: reach.clone(), plan: plan.clone() }).await?)
    } else {
        exec.skip(Stage::NAME, "the disk is written from what the cloud has already").await?;
        None
    };
    // What the guest writes after the safety snapshot would be on no disk, so it writes nothing from there on.
    let stopped = if before.status == "ACTIVE" {
        exec.step(Stop { reach: reach.clone(), server: before.id.clone(), name: before.name.clone(), owed: None }).await?.ours
    } else {
        exec.skip(Stop::NAME, &format!("the instance does not run, it is {}", before.status)).await?;
        false
    };
    let safety = if plan.method == Method::Revert {
        const WHY: &str = "a newer snapshot of the volume would stand against the revert: the volume is copied instead";
        exec.skip(Take::NAME, WHY).await?;
        exec.skip(Poll::NAME, WHY).await?;
        exec.skip(Record::NAME, WHY).await?;
        let volume = exec.step(Copy { reach: reach.clone(), plan: plan.clone() }).await?;
        Safety { name: plan.safety.clone(), snapshot: None, native: None, copy: Some(volume) }
    } else {
        let taken = exec.step(Take { reach: reach.clone(), name: plan.safety.clone(), at: plan.at, server: before.clone() }).await?;
        let native = exec.step(Poll { reach: reach.clone(), taken }).await?;
        let found = Found { item: plan.item, item_name: plan.item_name.clone(), server: before.clone(), name: plan.safety.clone(), at: plan.at, owed: None };
        let recorded = exec.step(Record { reach: reach.clone(), source, found, snapshot: native.clone(), pending: false }).await?;
        exec.cx.unsettle();
        exec.skip(Copy::NAME, "the safety snapshot is enough").await?;
        Safety { name: plan.safety.clone(), snapshot: Some(recorded.snapshot), native: Some(native), copy: None }
    };
    let written = exec.step(Write { reach: reach.clone(), plan: plan.clone(), image, safety: safety.clone() }).await?;
    exec.cx.settle();
    let verified = exec.step(Verify { reach: reach.clone(), plan: plan.clone(), stopped }).await?;
    let down_s = if stopped {
        exec.step(Start { reach: reach.clone(), server: before.id.clone(), name: before.name.clone() }).await?.stopped_s
    } else {
        exec.skip(Start::NAME, "this run has not stopped the instance").await?;
        None
    };
    let left = exec.step(Tidy { reach: reach.clone(), plan: plan.clone() }).await?;
    let result = InPlaceResult {
        method: plan.method,
        server: before.id,
        name: before.name,
        status: if stopped { "ACTIVE".to_owned() } else { verified.status },
        addresses: verified.addresses,
        safety: safety.snapshot,
        safety_name: safety.name,
        down_s: down_s.unwrap_or(written.took_s),
        untouched: plan.untouched,
        left,
    };
    if params.to_addr_success.is_empty() {
        exec.skip(Notify::NAME, "to_addr_success names nobody").await?;
    } else {
        exec.step(Notify { to: params.to_addr_success, text: words(&result, &plan.native.name) }).await?;
    }
    Ok(Ended::new(RunEvent::Succeed, &result, None))
}

/// How a restore in place reads in its mail.
fn words(r: &InPlaceResult, snapshot: &str) -> String {
    let untouched = if r.untouched.is_empty() { String::new() } else { format!(" Its other volumes are as they were: {}.", r.untouched.join(", ")) };
    let addresses = if r.addresses.is_empty() { "no address".to_owned() } else { r.addresses.join(", ") };
    format!(
        "{} is as in {snapshot}, by way of: {}. It is {} with {addresses}. What its disk held before is in {}.{untouched}",
        r.name,
        r.method.words(),
        r.status,
        r.safety_name
    )
}

/// Whom a run tells that it did not go well.
pub fn told_of_failure(run: &RunRow) -> Vec<String> {
    run.params::<InPlaceParams>().map(|p| p.to_addr_error).unwrap_or_default()
}
