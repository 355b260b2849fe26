//! From what a job says of a cloud to a connection whose calls are in the run's log.
//!
//! Lives here: that. May not: what is asked of the cloud.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Call, Cloud, CloudConfig, Limits, Witness};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{CloudAccess, Level},
};

/// Calls since they were last told.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Call>>>);

impl Heard {
    fn witness(&self) -> Witness {
        let heard = self.clone();
        Arc::new(move |call: &Call| heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone()))
    }

    /// Writes the calls into the log.
    pub fn tell(&self, ctx: &Ctx) {
        for call in std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            let status = call.status.map_or_else(|| "no answer".to_owned(), |s| s.to_string());
            let request = call.request_id.map(|id| format!(", {id}")).unwrap_or_default();
            let level = if call.status.is_none_or(|s| s >= 500) { Level::Warn } else { Level::Info };
            ctx.log(level, format!("{} {} {}: {status} after {:.2} s{request}", call.service, call.method, call.path, call.took.as_secs_f64()));
        }
    }
}

impl CloudAccess {
    /// Connects to the cloud.
    ///
    /// # Errors
    /// Those of the cloud; `Denied` where the credential is for another project than the one that is known.
    pub(crate) async fn connect(&self) -> Result<(Cloud, Heard)> {
        let heard = Heard::default();
        let cloud = Cloud::connect(&CloudConfig::of(&self.location, &self.plain)?, &self.secret, Limits::default(), Some(heard.witness())).await?;
        match &self.project {
            Some(known) if known != cloud.project_id() => {
                Err(EngineError::new(ErrorKind::Denied, format!("the credential belongs to the project {}, and the snapshots to {known}", cloud.project_id())))
            }
            _ => Ok((cloud, heard)),
        }
    }
}
