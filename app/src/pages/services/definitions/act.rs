//! What can be done with a definition. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::{OpsError, test_definitions, version::Seen};

use super::fields::Fields;
use crate::{
    components::address::encode,
    context::{app, ctx},
    error::{AppError, back, go, go_to_run, refuse},
};

/// Starts a restore test of a service by one of its definitions and shows its run.
#[server(name = TestByDefinition, prefix = "/act", endpoint = "test-by-definition")]
pub async fn test_by_definition(service: String, definition: String) -> Result<(), AppError> {
    go_to_run(ops::restore_tests::start_by(&ctx(), &service, &definition).await)
}

/// Saves the form and shows the list. A refused form comes back with what was typed and what is wrong with it.
#[server(name = SaveDefinition, prefix = "/act", endpoint = "save-test-definition")]
pub async fn save_test_definition(#[server(flatten)] fields: Fields) -> Result<(), AppError> {
    let (ctx, shared) = (ctx(), app());
    let (terms, wrong) = fields.terms();
    let name = fields.name.trim();
    let done = if wrong.is_empty() {
        test_definitions::save(&ctx, &shared.tools, &fields.service, name, &terms, &Seen::in_form(&fields.version)).await
    } else {
        // Whoever may not is refused whatever the form holds.
        test_definitions::may_save(&ctx, &fields.service, &terms).await.and(Err(OpsError::Invalid(wrong)))
    };
    match done {
        Ok(_) => go(&format!("/services/{}/tests", encode(&fields.service))),
        Err(e @ OpsError::Stale(_)) => {
            // It was removed meanwhile: what was typed makes a new one.
            let gone = matches!(&e, OpsError::Stale(s) if !s.there);
            let fields = if gone { Fields { version: String::new(), ..fields } } else { fields };
            back(&fields.href(), e)?;
        }
        Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_))) => back(&fields.href(), e)?,
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

/// Removes a definition.
#[server(name = RemoveDefinition, prefix = "/act", endpoint = "remove-test-definition")]
pub async fn remove_test_definition(service: String, name: String, version: String) -> Result<(), AppError> {
    test_definitions::remove(&ctx(), &service, &name, &Seen::in_form(&version)).await.map_err(refuse)?;
    go(&format!("/services/{}/tests", encode(&service)));
    Ok(())
}
