//! What can be done to an instance. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::{
    OpsError,
    permission::{Action, On, require_on},
};

use super::{fields::Native, take};
use crate::{
    context::ctx,
    error::{AppError, back, go_to_run},
};

/// Takes a snapshot of an instance now and shows its run. A refused form comes back with what was typed and what is wrong with it.
#[server(prefix = "/act", endpoint = "snapshot-instance")]
pub async fn snapshot_instance(service: String, source: String, #[server(flatten)] fields: Native) -> Result<(), AppError> {
    let ctx = ctx();
    let (params, wrong) = fields.params();
    let done = if wrong.is_empty() {
        ops::instances::snapshot(&ctx, &service, &source, params).await
    } else {
        require_on(&ctx, Action::Operate, On::Any).and(Err(OpsError::Invalid(wrong)))
    };
    match done {
        Err(e @ OpsError::Invalid(_)) => back(&take::href(&service, &source, &fields), e),
        done => go_to_run(done),
    }
}
