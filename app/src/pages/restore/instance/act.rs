//! What the wizards of instances start. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::{
    OpsError,
    inplace::Order,
    permission::{Action, On, require_on},
};

use super::state::{Typed, words};
use crate::{
    components::address::with_query,
    context::{app, ctx},
    error::{AppError, back, go_to_run, refuse},
};

/// Orders a clone and shows its run. A refused form comes back with what was typed and what is wrong with it.
#[server(prefix = "/act", endpoint = "clone-instance")]
pub async fn clone_instance(#[server(flatten)] typed: Typed) -> Result<(), AppError> {
    let (ctx, app) = (ctx(), app());
    let (order, wrong) = typed.order();
    let done = if wrong.is_empty() {
        ops::clones::start(&ctx, &app.tools, &typed.service, &order).await
    } else {
        require_on(&ctx, Action::Restore, On::Any).and(Err(OpsError::Invalid(wrong)))
    };
    match done {
        Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_) | OpsError::Underway { .. })) => back(&typed.href("/restore/clone"), e),
        done => go_to_run(done),
    }
}

/// Orders a restore in place and shows its run. A refused form comes back with what was typed, but for the name.
#[server(prefix = "/act", endpoint = "restore-instance")]
pub async fn restore_instance(
    service: String,
    snapshot: String,
    #[server(default)] confirm: String,
    #[server(default)] reason: String,
    #[server(default)] to_addr_success: String,
    #[server(default)] to_addr_error: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    require_on(&ctx, Action::Restore, On::Any).map_err(refuse)?;
    let id = snapshot.parse().map_err(|_| refuse(OpsError::not_found("snapshot", &snapshot)))?;
    let order = Order { confirm, reason: reason.clone(), to_addr_success: words(&to_addr_success), to_addr_error: words(&to_addr_error) };
    match ops::inplace::start(&ctx, &service, id, &order).await {
        Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_) | OpsError::Underway { .. })) => {
            let typed = [("snapshot", snapshot.as_str()), ("reason", &reason), ("to_addr_success", &to_addr_success), ("to_addr_error", &to_addr_error)];
            back(&with_query("/restore/in-place", &typed), e)
        }
        done => go_to_run(done),
    }
}
