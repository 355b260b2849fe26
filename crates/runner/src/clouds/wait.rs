//! Waiting for a cloud inside a step: for a state, for its own work to end, for its API to come back.
//!
//! Lives here: pauses, limits and what is said meanwhile. May not: what is waited for.
//! Invariant: whoever waits is stopped by the run's end at once; every wait has a limit. A wait that is over fails for
//! good, so that the run is unwound then and there and what it has stopped does not stay so until another attempt.

use std::time::Duration;

use domain::{
    units::{Timestamp, span},
    work::StepFailure,
};
use tokio::time::Instant;

use super::link::{Reach, stopped};
use crate::{
    exec::Cx,
    step::{Break, Result},
};

/// How long an API may be away in the middle of a step.
const OUTAGE: Duration = Duration::from_mins(15);
/// The longest pause between two questions.
const LONGEST: Duration = Duration::from_secs(10);

pub struct Wait<'a> {
    cx: &'a Cx,
    reach: &'a Reach,
    what: String,
    until: Instant,
    limit: Duration,
    /// The API has been away since then.
    away: Option<Instant>,
    /// What was said last.
    said: String,
    pause: Duration,
}

impl<'a> Wait<'a> {
    /// Waits for `what`, such as “web to be SHUTOFF”, at most `limit` and not beyond the run's own end.
    pub fn new(cx: &'a Cx, reach: &'a Reach, what: impl Into<String>, limit: Duration) -> Self {
        let left = cx.run.deadline_at.map(|at| Duration::from_secs_f64(Timestamp(at).secs_since(cx.now()).max(0.0)));
        let limit = left.filter(|_| !cx.is_undoing()).map_or(limit, |left| limit.min(left));
        let pause = cx.deps.limits.poll.clamp(Duration::from_millis(200), LONGEST);
        Self { cx, reach, what: what.into(), until: Instant::now() + limit, limit, away: None, said: String::new(), pause }
    }

    /// Waits a little, because it is `now` so; an error when the limit is over.
    pub async fn pause(&mut self, now: &str) -> Result<()> {
        self.away = None;
        if Instant::now() >= self.until {
            let limit = span(self.limit.as_secs_f64());
            return Err(Break::Failed(StepFailure::new("timeout", format!("waited {limit} for {}, and it is still so: {now}", self.what), true)));
        }
        self.say("info", format!("waits for {}: {now}", self.what)).await?;
        self.sleep().await
    }

    /// Waits a little where the error may pass, such as an API that is away or other work on the same instance;
    /// otherwise gives it back.
    pub async fn after(&mut self, e: Break) -> Result<()> {
        let Break::Failed(f) = e else { return Err(e) };
        if f.permanent {
            return Err(Break::Failed(f));
        }
        if f.code == "locked" {
            return self.pause(&f.message).await;
        }
        let since = *self.away.get_or_insert_with(Instant::now);
        if since.elapsed() >= OUTAGE || Instant::now() >= self.until {
            let message = format!("waited {} for the cloud to answer again: {}", span(since.elapsed().as_secs_f64().round()), f.message);
            return Err(Break::Failed(StepFailure::new(f.code, message, true)));
        }
        self.say("warn", format!("waits for the cloud to answer again: {}", f.message)).await?;
        self.sleep().await
    }

    /// Says something once.
    async fn say(&mut self, level: &'static str, words: String) -> Result<()> {
        if self.said == words {
            return if self.reach.is_full() { self.reach.tell(self.cx).await } else { Ok(()) };
        }
        self.reach.log(self.cx, level, words.clone()).await?;
        self.said = words;
        Ok(())
    }

    async fn sleep(&mut self) -> Result<()> {
        let pause = self.pause.min(self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(50)));
        // The first questions come soon, the later ones less often.
        self.pause = (self.pause * 3 / 2).min(LONGEST).min(self.cx.deps.limits.poll * 40);
        tokio::select! {
            stop = stopped(self.cx) => Err(Break::Stopped(stop)),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
