//! What can be done about risks and scales. Permission is decided in `ops`.
//!
//! A refused form comes back with what was typed and what is wrong with it.

use domain::field::FieldError;
use leptos::prelude::*;
use ops::{
    OpsError,
    permission::{Action, require},
    risks::{self, Row},
    version::Seen,
};

use super::{
    bulk,
    fields::{Fields, MeasureFields, ScaleFields, Typed},
};
use crate::{
    components::address::encode,
    context::ctx,
    error::{AppError, back, go, refuse},
};

/// Whether the form is to be shown again with the reason.
const fn is_of_the_form(e: &OpsError) -> bool {
    matches!(e, OpsError::Invalid(_) | OpsError::Stale(_))
}

fn risk_path(service: &str, number: i64) -> String {
    format!("/services/{}/risks/{number}", encode(service))
}

/// Makes or changes a risk and shows it.
#[server(prefix = "/act", endpoint = "save-risk")]
pub async fn save_risk(#[server(flatten)] fields: Fields, #[server(default)] measures: Vec<MeasureFields>) -> Result<(), AppError> {
    let typed = Typed { risk: fields, measures };
    match saved(&typed).await {
        Ok(number) => go(&risk_path(&typed.risk.service, number)),
        Err(e) if is_of_the_form(&e) => back(&typed.href(), e)?,
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

async fn saved(typed: &Typed) -> ops::Result<i64> {
    let (ctx, f) = (ctx(), &typed.risk);
    // Whoever may not is refused whatever the form holds.
    risks::require_plan(&ctx, &f.service).await?;
    let risk = typed.risk().map_err(OpsError::Invalid)?;
    if f.number.is_empty() {
        return risks::create(&ctx, &f.service, None, &risk, false).await;
    }
    let number = f.number.parse().map_err(|_| OpsError::not_found("risk", &f.number))?;
    risks::change_if(&ctx, &f.service, number, &risk, &Seen::in_form(&f.revision)).await?;
    Ok(number)
}

/// Changes many risks of a service at once and shows them.
#[server(prefix = "/act", endpoint = "save-risks")]
pub async fn save_risks(service: String, #[server(default)] rows: Vec<Row>) -> Result<(), AppError> {
    let ctx = ctx();
    match risks::change_all(&ctx, &service, &rows).await {
        Ok(_) => go(&format!("/services/{}/risks", encode(&service))),
        Err(e) if is_of_the_form(&e) => {
            let typed = risks::touched(&ctx, &service, rows).await.map_err(refuse)?;
            back(&bulk::href(&service, &typed), e)?;
        }
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

/// Takes a risk out of the plan and shows the others.
#[server(prefix = "/act", endpoint = "retire-risk")]
pub async fn retire_risk(service: String, number: i64, revision: String, reason: String) -> Result<(), AppError> {
    risks::retire_if(&ctx(), &service, number, &reason, &Seen::in_form(&revision)).await.map_err(refuse)?;
    go(&format!("/services/{}/risks", encode(&service)));
    Ok(())
}

/// Makes a scale or its next version and shows the list.
#[server(prefix = "/act", endpoint = "save-scale")]
pub async fn save_scale(#[server(flatten)] fields: ScaleFields) -> Result<(), AppError> {
    let fields = ScaleFields { name: fields.name.trim().to_owned(), ..fields };
    match saved_scale(&fields).await {
        Ok(()) => go("/scales"),
        Err(e) if is_of_the_form(&e) => back(&fields.href(), of_fields(e))?,
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

async fn saved_scale(fields: &ScaleFields) -> ops::Result<()> {
    let ctx = ctx();
    require(&ctx, Action::Configure)?;
    let scale = fields.scale().map_err(OpsError::Invalid)?;
    risks::save_scale(&ctx, &fields.name, &scale, &Seen::in_form(&fields.version)).await.map(|_| ())
}

/// The form has one field for each list: an error of the third level is one of the levels, in its line.
fn of_fields(e: OpsError) -> OpsError {
    let OpsError::Invalid(errors) = e else { return e };
    let mut all: Vec<FieldError> = Vec::new();
    for error in errors {
        let (field, message) = match error.field.split_once('[') {
            Some((list, rest)) => {
                let line = rest.split(']').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) + 1;
                (list.to_owned(), format!("line {line}: {}", error.message))
            }
            None => (error.field, error.message),
        };
        match all.iter_mut().find(|f| f.field == field) {
            Some(same) => same.message = format!("{}; {message}", same.message),
            None => all.push(FieldError::new(field, message)),
        }
    }
    OpsError::Invalid(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_lines_are_those_of_their_list() {
        let errors = vec![FieldError::new("bands[2].from", "overlaps"), FieldError::new("bands[3]", "is none"), FieldError::new("name", "is empty")];
        let OpsError::Invalid(all) = of_fields(OpsError::Invalid(errors)) else { panic!("it stays one") };
        let said: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["bands: line 3: overlaps; line 4: is none", "name: is empty"]);
    }
}
