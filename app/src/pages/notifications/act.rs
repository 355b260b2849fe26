//! What can be done about notifications. Permission is decided in `ops`.
//!
//! Lives here: the server functions behind the forms. May not: keeping or giving back a secret.

#![allow(clippy::too_many_arguments, reason = "a server function has one argument for each field of its form")]

use std::collections::BTreeMap;

use domain::{
    alert::{AlertKind, Severity, rule::Rule},
    channel::{ChannelKind, Encryption, Options},
    units::parse_span,
};
use leptos::prelude::*;
use ops::{
    OpsError,
    notifications::{self, Given, channels::NewChannel, heartbeats::NewHeartbeat, rules::NewRule},
    version::Seen,
};
use serde::{Deserialize, Serialize};
use store::repositories::SecretRef;

use super::fields::{ChannelFields, HeartbeatFields, RuleFields};
use crate::{
    components::address::with_query,
    context::{app, ctx},
    error::{AppError, back, go, refuse},
};

/// Whether what a form changes is still there, so that the form is shown at it.
fn still_there(e: &OpsError) -> bool {
    !matches!(e, OpsError::Stale(s) if !s.there)
}

/// A secret as a form gives it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Typed {
    #[serde(default)]
    how: String,
    #[serde(default)]
    value: String,
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Typed({})", self.how)
    }
}

/// What a form means by it; `name` is the field in errors.
pub fn given(name: &str, typed: &Typed) -> Result<Given, OpsError> {
    let value = typed.value.trim();
    let needs = |what: &str| if value.is_empty() { Err(OpsError::invalid(name, format!("is empty; give {what}"))) } else { Ok(()) };
    Ok(match typed.how.as_str() {
        "keep" | "" => Given::Keep,
        "nothing" => Given::Nothing,
        "typed" => {
            needs("it, or choose another way")?;
            Given::Typed(ops::secrets::Secret::new(value))
        }
        "file" => {
            needs("the path of the file")?;
            if !value.starts_with('/') {
                return Err(OpsError::invalid(name, "the path of the file must be absolute; begin it with /"));
            }
            Given::Reference(SecretRef::File(value.to_owned()))
        }
        "env" => {
            needs("the name of the variable")?;
            if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(OpsError::invalid(name, "the name of a variable holds letters, digits and “_” only, without “$”"));
            }
            Given::Reference(SecretRef::Env(value.to_owned()))
        }
        _ => return Err(OpsError::invalid(name, "choose where it comes from")),
    })
}

/// Texts that stand on lines of their own or between commas.
pub fn several(text: &str) -> Vec<String> {
    text.split(['\n', ',']).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// Makes or changes a channel and shows the overview. A refused form comes back with what was typed, but for secrets.
#[server(name = SaveChannel, prefix = "/act", endpoint = "save-channel")]
pub async fn save_channel(
    name: String,
    kind: String,
    #[server(default)] version: String,
    #[server(default)] host: String,
    #[server(default)] port: String,
    #[server(default)] encryption: String,
    #[server(default)] username: String,
    #[server(default)] from: String,
    #[server(default)] to: String,
    #[server(default)] ca_file: String,
    #[server(default)] endpoint: String,
    #[server(default)] secrets: BTreeMap<String, Typed>,
) -> Result<(), AppError> {
    let (ctx, vault) = (ctx(), app().vault);
    let typed = ChannelFields { name: name.trim().to_owned(), version, kind, host, port, encryption, username, from, to, ca_file, endpoint };
    let saved = async {
        let new = channel(&typed, &secrets)?;
        notifications::channels::save_if(&ctx, &vault, &new, &Seen::in_form(&typed.version)).await
    };
    match saved.await {
        Ok(_) => go("/notifications"),
        Err(e) => back(&typed.href(still_there(&e)), e)?,
    }
    Ok(())
}

/// The channel that a form asks for.
fn channel(typed: &ChannelFields, secrets: &BTreeMap<String, Typed>) -> Result<NewChannel, OpsError> {
    let kind = ChannelKind::parse(&typed.kind).ok_or_else(|| OpsError::invalid("kind", "is not a kind of channel"))?;
    let port = match typed.port.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| OpsError::invalid("port", "must be a number from 1 to 65535"))?),
    };
    let trimmed = |text: &str| text.trim().to_owned();
    let options = Options {
        host: trimmed(&typed.host),
        port,
        encryption: if kind == ChannelKind::Mail { Encryption::parse(&typed.encryption) } else { None },
        username: trimmed(&typed.username),
        from: trimmed(&typed.from),
        to: several(&typed.to),
        ca_file: trimmed(&typed.ca_file),
        endpoint: trimmed(&typed.endpoint),
    };
    let secrets = secrets.iter().map(|(name, typed)| Ok((name.clone(), given(name, typed)?))).collect::<Result<_, OpsError>>()?;
    Ok(NewChannel { name: typed.name.clone(), kind, options, secrets })
}

/// Removes a channel and shows the overview.
#[server(name = RemoveChannel, prefix = "/act", endpoint = "remove-channel")]
pub async fn remove_channel(name: String, version: String) -> Result<(), AppError> {
    notifications::channels::remove_if(&ctx(), &name, &Seen::in_form(&version)).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Sends a test message and shows how it went.
#[server(name = TestChannel, prefix = "/act", endpoint = "test-channel")]
pub async fn test_channel(name: String) -> Result<(), AppError> {
    let queued = notifications::channels::test(&ctx(), &name).await.map_err(refuse)?;
    match queued.as_slice() {
        [one] => go(&format!("/notifications/deliveries/{one}")),
        _ => go(&format!("/notifications/deliveries?channel={name}")),
    }
    Ok(())
}

/// Makes or changes a rule and shows the overview. A refused form comes back with what was typed.
#[server(name = SaveRule, prefix = "/act", endpoint = "save-rule")]
pub async fn save_rule(
    name: String,
    #[server(default)] version: String,
    #[server(default)] channels: Vec<String>,
    severity: String,
    #[server(default)] kinds: Vec<String>,
    #[server(default)] services: String,
    #[server(default)] schedules: String,
    #[server(default)] success: String,
    #[server(default)] remind: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    let typed = RuleFields { name: name.trim().to_owned(), version, channels, severity, kinds, services, schedules, success: success == "true", remind };
    let saved = async { notifications::rules::save_if(&ctx, &rule(&typed)?, &Seen::in_form(&typed.version)).await };
    match saved.await {
        Ok(()) => go("/notifications"),
        Err(e) => back(&typed.href(still_there(&e)), e)?,
    }
    Ok(())
}

/// The rule that a form asks for.
fn rule(typed: &RuleFields) -> Result<NewRule, OpsError> {
    let severity = Severity::parse(&typed.severity).ok_or_else(|| OpsError::invalid("severity", "must be info, warning or critical"))?;
    let kind = |text: &String| AlertKind::parse(text).ok_or_else(|| OpsError::invalid("alerts", format!("“{text}” is not a kind of alert")));
    let kinds = typed.kinds.iter().map(kind).collect::<Result<_, _>>()?;
    let remind_s = match typed.remind.trim() {
        "" => None,
        text => Some(parse_span(text).map_err(|e| OpsError::invalid("remind", e.to_string()))?),
    };
    let (services, schedules) = (several(&typed.services), several(&typed.schedules));
    let what = Rule { severity, kinds, services, schedules, success: typed.success, remind_s };
    Ok(NewRule { name: typed.name.clone(), channels: typed.channels.clone(), what })
}

/// Removes a rule and shows the overview.
#[server(name = RemoveRule, prefix = "/act", endpoint = "remove-rule")]
pub async fn remove_rule(name: String, version: String) -> Result<(), AppError> {
    notifications::rules::remove_if(&ctx(), &name, &Seen::in_form(&version)).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Makes or changes a heartbeat and shows the overview. A refused form comes back with what was typed, but for secrets.
#[server(name = SaveHeartbeat, prefix = "/act", endpoint = "save-heartbeat")]
pub async fn save_heartbeat(
    name: String,
    #[server(default)] version: String,
    every: String,
    #[server(default)] secrets: BTreeMap<String, Typed>,
) -> Result<(), AppError> {
    let (ctx, vault) = (ctx(), app().vault);
    let typed = HeartbeatFields { name: name.trim().to_owned(), version, every };
    let saved = async {
        let every_s = parse_span(&typed.every).map_err(|e| OpsError::invalid("every", e.to_string()))?;
        let url = given("url", secrets.get("url").unwrap_or(&Typed::default()))?;
        let new = NewHeartbeat { name: typed.name.clone(), url, every_s };
        notifications::heartbeats::save_if(&ctx, &vault, &new, &Seen::in_form(&typed.version)).await
    };
    match saved.await {
        Ok(()) => go("/notifications"),
        Err(e) => back(&typed.href(still_there(&e)), e)?,
    }
    Ok(())
}

/// Removes a heartbeat and shows the overview.
#[server(name = RemoveHeartbeat, prefix = "/act", endpoint = "remove-heartbeat")]
pub async fn remove_heartbeat(name: String, version: String) -> Result<(), AppError> {
    notifications::heartbeats::remove_if(&ctx(), &name, &Seen::in_form(&version)).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Sets the address that messages link to.
#[server(name = SetAddress, prefix = "/act", endpoint = "set-address")]
pub async fn set_address(#[server(default)] address: String, version: String) -> Result<(), AppError> {
    match notifications::set_address_if(&ctx(), &address, &Seen::in_form(&version)).await {
        Ok(()) => go("/notifications"),
        Err(e) => back(&with_query("/notifications", &[("typed", "1"), ("address", &address)]), e)?,
    }
    Ok(())
}

/// Queues a message that was given up once more and shows it.
#[server(name = RetryDelivery, prefix = "/act", endpoint = "retry-delivery")]
pub async fn retry_delivery(id: String) -> Result<(), AppError> {
    let found = id.parse().map_err(|_| refuse(OpsError::not_found("delivery", &id)))?;
    notifications::deliveries::retry(&ctx(), found).await.map_err(refuse)?;
    go(&format!("/notifications/deliveries/{found}"));
    Ok(())
}

/// Records that somebody knows of an alert and shows it.
#[server(name = Acknowledge, prefix = "/act", endpoint = "acknowledge-alert")]
pub async fn acknowledge_alert(id: String, #[server(default)] note: String) -> Result<(), AppError> {
    let found = id.parse().map_err(|_| refuse(OpsError::not_found("alert", &id)))?;
    ops::alerts::acknowledge(&ctx(), found, &note).await.map_err(refuse)?;
    go(&format!("/notifications/alerts/{found}"));
    Ok(())
}
