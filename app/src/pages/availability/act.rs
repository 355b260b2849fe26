//! What can be done about a service's availability. Permission is decided in `ops`.
//!
//! Lives here: the server functions behind the forms. May not: keeping or giving back the key.

#![allow(clippy::too_many_arguments, reason = "a server function has one argument for each field of its form")]

use std::collections::BTreeMap;

use domain::availability::{
    Entry, Figures, Month, Origin, read_percent,
    source::{Format, Settings, Version},
};
use leptos::prelude::*;
use ops::{
    OpsError,
    availability::{
        self,
        source::{self, NewSource},
    },
    notifications::Given,
    version::Seen,
};

use crate::{
    components::address::{encode, with_query},
    context::{app, ctx},
    error::{AppError, back, go, refuse},
    pages::notifications::act::{Typed, given},
};

/// The page of a service's months.
pub fn place(service: &str) -> String {
    format!("/services/{}/availability", encode(service))
}

fn read_month(text: &str) -> Result<Month, OpsError> {
    text.parse().map_err(|e: domain::availability::BadMonth| OpsError::invalid("month", e.to_string()))
}

/// Shows the month that was changed.
fn shown(service: &str, month: &str) {
    go(&with_query(&place(service), &[("month", month)]));
}

/// Enters a month by hand. A refused form comes back with what was typed.
#[server(name = EnterMonth, prefix = "/act", endpoint = "enter-availability")]
pub async fn enter_availability(
    service: String,
    month: String,
    #[server(default)] availability: String,
    #[server(default)] reliability: String,
    #[server(default)] instead: String,
    #[server(default)] version: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    let done = async {
        let mut wrong = Vec::new();
        let mut read = |field: &str, text: &str| read_percent(field, text).map_err(|e| wrong.push(e)).ok().flatten();
        let figures = Figures { availability: read("availability", &availability), reliability: read("reliability", &reliability) };
        let entry = Entry { month: read_month(&month)?, figures, instead: !instead.is_empty() };
        if wrong.is_empty() { availability::enter(&ctx, &service, &entry, &Seen::in_form(&version)).await } else { Err(OpsError::Invalid(wrong)) }
    };
    match done.await {
        Ok(()) => shown(&service, month.trim()),
        Err(e) => {
            let pairs = [("form", "enter"), ("month", month.trim()), ("availability", &*availability), ("reliability", &*reliability), ("instead", &*instead)];
            back(&with_query(&place(&service), &pairs), e)?;
        }
    }
    Ok(())
}

/// Takes back what was entered by hand.
#[server(name = ForgetMonth, prefix = "/act", endpoint = "forget-availability")]
pub async fn forget_availability(service: String, month: String, version: String) -> Result<(), AppError> {
    let ctx = ctx();
    let done = async { availability::forget(&ctx, &service, read_month(&month)?, &Seen::in_form(&version)).await };
    match done.await {
        Ok(()) => shown(&service, &month),
        Err(e) => back(&with_query(&place(&service), &[("month", &month)]), e)?,
    }
    Ok(())
}

/// Shows one of two figures of a month from now on.
#[server(name = ShowFigure, prefix = "/act", endpoint = "show-availability")]
pub async fn show_availability(service: String, month: String, origin: String) -> Result<(), AppError> {
    let ctx = ctx();
    let done = async {
        let origin = Origin::parse(&origin).ok_or_else(|| OpsError::invalid("origin", "must be “hand” or “argo”"))?;
        availability::show(&ctx, &service, read_month(&month)?, origin).await
    };
    match done.await {
        Ok(()) => shown(&service, &month),
        Err(e) => back(&with_query(&place(&service), &[("month", &month)]), e)?,
    }
    Ok(())
}

/// Says why a month is as it is.
#[server(name = ExplainMonth, prefix = "/act", endpoint = "explain-availability")]
pub async fn explain_availability(service: String, month: String, #[server(default)] text: String, #[server(default)] version: String) -> Result<(), AppError> {
    let ctx = ctx();
    let done = async { availability::explain(&ctx, &service, read_month(&month)?, &text, &Seen::in_form(&version)).await };
    match done.await {
        Ok(()) => shown(&service, &month),
        Err(e) => back(&with_query(&place(&service), &[("form", "explain"), ("month", &month), ("text", &text)]), e)?,
    }
    Ok(())
}

/// Takes an explanation back.
#[server(name = UnexplainMonth, prefix = "/act", endpoint = "unexplain-availability")]
pub async fn unexplain_availability(service: String, month: String, version: String) -> Result<(), AppError> {
    let ctx = ctx();
    let done = async { availability::unexplain(&ctx, &service, read_month(&month)?, &Seen::in_form(&version)).await };
    match done.await {
        Ok(()) => shown(&service, &month),
        Err(e) => back(&with_query(&place(&service), &[("month", &month)]), e)?,
    }
    Ok(())
}

/// Makes or changes the source of ARGO's figures. A refused form comes back with what was typed, but for the key.
#[server(name = SaveArgo, prefix = "/act", endpoint = "save-argo")]
pub async fn save_argo(
    service: String,
    #[server(default)] address: String,
    #[server(default)] api: String,
    #[server(default)] format: String,
    #[server(default)] report: String,
    #[server(default)] group: String,
    #[server(default)] since: String,
    #[server(default)] allow_http: String,
    #[server(default)] version: String,
    #[server(default)] secrets: BTreeMap<String, Typed>,
) -> Result<(), AppError> {
    let (ctx, vault) = (ctx(), app().vault);
    let done = async {
        let settings = Settings {
            address: address.clone(),
            version: Version::parse(&api).ok_or_else(|| OpsError::invalid("api", "choose version 2 or 3"))?,
            format: Format::parse(&format).ok_or_else(|| OpsError::invalid("format", "choose JSON or XML"))?,
            report: report.clone(),
            group: group.clone(),
            allow_http: !allow_http.is_empty(),
            since: since.parse().map_err(|e: domain::availability::BadMonth| OpsError::invalid("since", e.to_string()))?,
        };
        let key = secrets.get("key").map_or(Ok(Given::Keep), |typed| given("key", typed))?;
        source::save(&ctx, &vault, &service, &NewSource { settings, key }, &Seen::in_form(&version)).await
    };
    match done.await {
        Ok(()) => go(&place(&service)),
        Err(e) => {
            let pairs = [
                ("form", "argo"),
                ("address", &*address),
                ("api", &api),
                ("format", &format),
                ("report", &report),
                ("group", &group),
                ("since", &since),
                ("allow_http", &allow_http),
            ];
            back(&with_query(&place(&service), &pairs), e)?;
        }
    }
    Ok(())
}

/// Removes the source; figures that were fetched stay.
#[server(name = RemoveArgo, prefix = "/act", endpoint = "remove-argo")]
pub async fn remove_argo(service: String, version: String) -> Result<(), AppError> {
    source::remove(&ctx(), &service, &Seen::in_form(&version)).await.map_err(refuse)?;
    go(&place(&service));
    Ok(())
}

/// Has figures fetched now.
#[server(name = FetchArgo, prefix = "/act", endpoint = "fetch-argo")]
pub async fn fetch_argo(service: String) -> Result<(), AppError> {
    source::fetch_now(&ctx(), &service).await.map_err(refuse)?;
    go(&place(&service));
    Ok(())
}
