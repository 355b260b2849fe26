//! `/api/v1/notifications/channels`: where messages go. A secret goes in and never comes out.

use std::collections::BTreeMap;

use app::context::AppContext;
use axum::{Json, extract::State, http::StatusCode};
use domain::channel::{ChannelKind, Encryption, Options};
use jiff::Timestamp;
use ops::{
    notifications::{
        Given,
        channels::{self, ChannelView, NewChannel},
        source_words,
    },
    secrets::Secret,
};
use serde::{Deserialize, Serialize};
use store::repositories::SecretRef;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// A place where messages go.
#[derive(Debug, Serialize, ToSchema)]
pub struct Channel {
    name: String,
    #[schema(schema_with = words::channel_kind)]
    kind: String,
    options: ChannelOptions,
    /// Where each secret comes from: `file PATH`, `variable NAME`, or `sealed`.
    secrets: BTreeMap<String, String>,
    /// Names of the rules that use it.
    rules: Vec<String>,
    /// Messages that wait for it.
    waiting: i64,
    /// Whether the newest message to one of its receivers was given up.
    failing: bool,
    /// Why, where it is.
    failure: Option<String>,
    updated_at: Timestamp,
}

/// What is no secret of a channel; which of these a channel takes depends on its kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelOptions {
    /// Of mail: the server. Of others it is shown only: the host that they lead to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::encryption)]
    encryption: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to: Vec<String>,
    /// The path of a PEM file on the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    ca_file: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    endpoint: String,
}

impl From<ChannelView> for Channel {
    fn from(c: ChannelView) -> Self {
        let o = c.row.options.0.clone();
        Self {
            name: c.row.name.clone(),
            kind: c.row.kind.clone(),
            options: ChannelOptions {
                host: o.host,
                port: o.port,
                encryption: o.encryption.map(|e| e.to_string()),
                username: o.username,
                from: o.from,
                to: o.to,
                ca_file: o.ca_file,
                endpoint: o.endpoint,
            },
            secrets: c.row.secrets.0.iter().map(|(name, from)| (name.clone(), source_words(from))).collect(),
            waiting: c.waiting,
            failing: c.failing().is_some(),
            failure: c.failing().and_then(|n| n.answer.clone()),
            updated_at: at(c.row.updated_at),
            rules: c.rules,
        }
    }
}

/// All channels.
#[derive(Debug, Serialize, ToSchema)]
pub struct Channels {
    channels: Vec<Channel>,
}

/// List channels
#[utoipa::path(get, path = "/api/v1/notifications/channels", tag = "notifications",
    responses((status = 200, body = Channels)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Channels>, Problem> {
    Ok(Json(Channels { channels: channels::list(&ctx).await?.into_iter().map(Channel::from).collect() }))
}

/// Find a channel
#[utoipa::path(get, path = "/api/v1/notifications/channels/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 200, body = Channel)))]
pub async fn find(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged(channels::find(&ctx, &name).await?)?.unless(&known))
}

fn tagged(found: ChannelView) -> Result<Tagged, Problem> {
    Tagged::new(&channels::version(&found.row), &Channel::from(found))
}

/// A secret as it is given: a file of the server, a variable of its environment, the text itself (stored sealed), or none.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GivenSecret {
    File(String),
    Env(String),
    Text(String),
    Nothing(bool),
}

impl std::fmt::Debug for GivenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenSecret")
    }
}

impl From<GivenSecret> for Given {
    fn from(g: GivenSecret) -> Self {
        match g {
            GivenSecret::File(path) => Self::Reference(SecretRef::File(path)),
            GivenSecret::Env(name) => Self::Reference(SecretRef::Env(name)),
            GivenSecret::Text(text) => Self::Typed(Secret::new(text)),
            GivenSecret::Nothing(true) => Self::Nothing,
            GivenSecret::Nothing(false) => Self::Keep,
        }
    }
}

/// A channel to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "slack", "secrets": {"url": {"env": "CHAT_HOOK"}}}))]
pub struct SaveChannel {
    #[schema(schema_with = words::channel_kind)]
    kind: String,
    #[serde(default)]
    options: ChannelOptions,
    /// By name: `password` (mail), `url` (webhook, slack, teams), `signing_secret` (webhook), `routing_key` (pagerduty).
    /// What is left out stays as it is.
    #[serde(default)]
    secrets: BTreeMap<String, GivenSecret>,
}

/// Make or change a channel
#[utoipa::path(put, path = "/api/v1/notifications/channels/{name}", tag = "notifications", params(("name" = String, Path)), request_body = SaveChannel,
    responses((status = 200, body = Channel)))]
pub async fn save(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path(name): Path<String>,
    Body(c): Body<SaveChannel>,
) -> Result<Tagged, Problem> {
    let kind = ChannelKind::parse(&c.kind).ok_or_else(|| Problem::invalid("kind", "is not known; use mail, webhook, slack, teams or pagerduty"))?;
    let encryption = match c.options.encryption.as_deref() {
        None => None,
        Some(text) => Some(Encryption::parse(text).ok_or_else(|| Problem::invalid("encryption", "is not known; use starttls, tls or none"))?),
    };
    let o = c.options;
    let options = Options { host: o.host, port: o.port, encryption, username: o.username, from: o.from, to: o.to, ca_file: o.ca_file, endpoint: o.endpoint };
    let secrets = c.secrets.into_iter().map(|(name, given)| (name, given.into())).collect();
    channels::save_if(&ctx, &app.vault, &NewChannel { name: name.clone(), kind, options, secrets }, &seen).await?;
    tagged(channels::find(&ctx, &name).await?)
}

/// Remove a channel; what it delivered stays on record
#[utoipa::path(delete, path = "/api/v1/notifications/channels/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204)))]
pub async fn remove(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    channels::remove_if(&ctx, &name, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The test messages that were queued.
#[derive(Debug, Serialize, ToSchema)]
pub struct Queued {
    deliveries: Vec<Uuid>,
}

/// Send a test message to every receiver of a channel
#[utoipa::path(post, path = "/api/v1/notifications/channels/{name}/test", tag = "notifications", params(("name" = String, Path)),
    responses((status = 202, body = Queued)))]
pub async fn test(Asker(ctx): Asker, Path(name): Path<String>) -> Result<(StatusCode, Json<Queued>), Problem> {
    let queued = channels::test(&ctx, &name).await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { deliveries: queued.into_iter().map(|d| d.0).collect() })))
}
