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
};
use serde::{Deserialize, Serialize};
use store::repositories::SecretRef;

use crate::{
    context::{app, ctx},
    error::{AppError, go, refuse},
};

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

fn given(name: &str, typed: &Typed) -> Result<Given, OpsError> {
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
fn several(text: &str) -> Vec<String> {
    text.split(['\n', ',']).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// Makes or changes a channel and shows the overview.
#[server(name = SaveChannel, prefix = "/act", endpoint = "save-channel")]
pub async fn save_channel(
    name: String,
    kind: String,
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
    let kind = ChannelKind::parse(&kind).ok_or_else(|| refuse(OpsError::invalid("kind", "is not a kind of channel")))?;
    let port = match port.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| refuse(OpsError::invalid("port", "must be a number from 1 to 65535")))?),
    };
    let trimmed = |text: String| text.trim().to_owned();
    let mail = kind == ChannelKind::Mail;
    let options = Options {
        host: trimmed(host),
        port,
        encryption: if mail { Encryption::parse(&encryption) } else { None },
        username: trimmed(username),
        from: trimmed(from),
        to: several(&to),
        ca_file: trimmed(ca_file),
        endpoint: trimmed(endpoint),
    };
    let mut read = BTreeMap::new();
    for (name, typed) in &secrets {
        read.insert(name.clone(), given(name, typed).map_err(refuse)?);
    }
    let new = NewChannel { name: name.trim().to_owned(), kind, options, secrets: read };
    notifications::channels::save(&ctx, &vault, &new).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Removes a channel and shows the overview.
#[server(name = RemoveChannel, prefix = "/act", endpoint = "remove-channel")]
pub async fn remove_channel(name: String) -> Result<(), AppError> {
    notifications::channels::remove(&ctx(), &name).await.map_err(refuse)?;
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

/// Makes or changes a rule and shows the overview.
#[server(name = SaveRule, prefix = "/act", endpoint = "save-rule")]
pub async fn save_rule(
    name: String,
    #[server(default)] channels: Vec<String>,
    severity: String,
    #[server(default)] kinds: Vec<String>,
    #[server(default)] services: String,
    #[server(default)] schedules: String,
    #[server(default)] success: String,
    #[server(default)] remind: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    let severity = Severity::parse(&severity).ok_or_else(|| refuse(OpsError::invalid("severity", "must be info, warning or critical")))?;
    let mut chosen = Vec::new();
    for text in &kinds {
        chosen.push(AlertKind::parse(text).ok_or_else(|| refuse(OpsError::invalid("alerts", format!("“{text}” is not a kind of alert"))))?);
    }
    let remind_s = match remind.trim() {
        "" => None,
        text => Some(parse_span(text).map_err(|e| refuse(OpsError::invalid("remind", e.to_string())))?),
    };
    let what = Rule { severity, kinds: chosen, services: several(&services), schedules: several(&schedules), success: success == "true", remind_s };
    notifications::rules::save(&ctx, &NewRule { name: name.trim().to_owned(), channels, what }).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Removes a rule and shows the overview.
#[server(name = RemoveRule, prefix = "/act", endpoint = "remove-rule")]
pub async fn remove_rule(name: String) -> Result<(), AppError> {
    notifications::rules::remove(&ctx(), &name).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Makes or changes a heartbeat and shows the overview.
#[server(name = SaveHeartbeat, prefix = "/act", endpoint = "save-heartbeat")]
pub async fn save_heartbeat(name: String, every: String, #[server(default)] secrets: BTreeMap<String, Typed>) -> Result<(), AppError> {
    let (ctx, vault) = (ctx(), app().vault);
    let every_s = parse_span(&every).map_err(|e| refuse(OpsError::invalid("every", e.to_string())))?;
    let url = given("url", secrets.get("url").unwrap_or(&Typed::default())).map_err(refuse)?;
    notifications::heartbeats::save(&ctx, &vault, &NewHeartbeat { name: name.trim().to_owned(), url, every_s }).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Removes a heartbeat and shows the overview.
#[server(name = RemoveHeartbeat, prefix = "/act", endpoint = "remove-heartbeat")]
pub async fn remove_heartbeat(name: String) -> Result<(), AppError> {
    notifications::heartbeats::remove(&ctx(), &name).await.map_err(refuse)?;
    go("/notifications");
    Ok(())
}

/// Sets the address that messages link to.
#[server(name = SetAddress, prefix = "/act", endpoint = "set-address")]
pub async fn set_address(#[server(default)] address: String) -> Result<(), AppError> {
    notifications::set_address(&ctx(), &address).await.map_err(refuse)?;
    go("/notifications");
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
