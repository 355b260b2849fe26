//! Channels over HTTP: a generic webhook, Slack and Mattermost, Teams, PagerDuty.
//!
//! Lives here: requests, signatures, what a status means. May not: the bodies (`shapes`).
//! Invariant: redirects are not followed and an answer is read to a limit, so that a secret goes to one place only.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{alert::message::Event, channel::ChannelKind};
use engine::job::Secret;
use ops::secrets::Environment;
use reqwest::{Client, NoProxy, Proxy, StatusCode, header, redirect::Policy};
use serde_json::Value;

use super::{Parcel, Said, shapes};

const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(25);
/// How much of an answer is read, in bytes.
const READ: usize = 4_096;
/// Where PagerDuty takes events, unless the channel says otherwise.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// A client for one call. Proxies come from the environment that the process began with.
pub fn client(env: &Environment) -> Result<Client, String> {
    client_within(env, WHOLE)
}

/// The same where a call may take so long, with its answer.
pub fn client_within(env: &Environment, whole: Duration) -> Result<Client, String> {
    let get = |name: &str| env.get(name).or_else(|| env.get(&name.to_lowercase())).filter(|v| !v.is_empty());
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(whole)
        .user_agent(concat!("Holdfast/", env!("CARGO_PKG_VERSION")));
    let except = || get("NO_PROXY").and_then(|list| NoProxy::from_string(list));
    if let Some(url) = get("HTTPS_PROXY") {
        builder = builder.proxy(Proxy::https(url.as_str()).map_err(|_| "HTTPS_PROXY is not an address".to_owned())?.no_proxy(except()));
    }
    if let Some(url) = get("HTTP_PROXY") {
        builder = builder.proxy(Proxy::http(url.as_str()).map_err(|_| "HTTP_PROXY is not an address".to_owned())?.no_proxy(except()));
    }
    builder.build().map_err(|e| format!("the client cannot be made: {e}"))
}

pub async fn send(kind: ChannelKind, p: &Parcel<'_>, env: &Environment) -> Said {
    let client = match client(env) {
        Ok(client) => client,
        Err(e) => return Said::Later(e, None),
    };
    let secret = |name: &str| p.secrets.get(name).map(Secret::reveal);
    let missing = |name: &str| Said::No(format!("the channel has no {name}; give it"));
    let link = p.link.as_deref();
    match kind {
        ChannelKind::PagerDuty => {
            let Some(key) = secret("routing_key") else { return missing("routing key") };
            pagerduty(&client, p, key).await
        }
        ChannelKind::Webhook => {
            let Some(url) = secret("url") else { return missing("address") };
            let body = shapes::webhook(p.id, p.message, link).to_string();
            let mut headers = vec![("webhook-id", p.id.to_string()), ("webhook-timestamp", p.now.as_secs().to_string())];
            if let Some(key) = secret("signing_secret") {
                headers.push(("webhook-signature", signature(key, &p.id.to_string(), p.now.as_secs(), &body)));
            }
            post(&client, url, &headers, body).await
        }
        ChannelKind::Slack | ChannelKind::Teams => {
            let Some(url) = secret("url") else { return missing("address") };
            let body = if kind == ChannelKind::Slack { shapes::slack(p.id, p.message, link) } else { shapes::teams(p.id, p.message, link) };
            post(&client, url, &[], body.to_string()).await
        }
        ChannelKind::Mail => Said::No("mail does not travel over HTTP".to_owned()),
    }
}

/// An alert is an incident; the success of a run is a change event; a test opens an incident and closes it.
async fn pagerduty(client: &Client, p: &Parcel<'_>, key: &str) -> Said {
    let endpoint = &p.channel.options.0.endpoint;
    let events = if endpoint.is_empty() { PAGERDUTY } else { endpoint };
    let link = p.link.as_deref();
    match p.message.event {
        Event::Success => {
            let changes = events.strip_suffix("/v2/enqueue").map_or_else(|| events.to_owned(), |host| format!("{host}/v2/change/enqueue"));
            post(client, &changes, &[], shapes::pagerduty_change(key, p.message, link).to_string()).await
        }
        Event::Test => match post(client, events, &[], shapes::pagerduty("trigger", key, p.id, p.message, link).to_string()).await {
            Said::Yes(_) => post(client, events, &[], shapes::pagerduty("resolve", key, p.id, p.message, link).to_string()).await,
            other => other,
        },
        Event::Resolved => post(client, events, &[], shapes::pagerduty("resolve", key, p.id, p.message, link).to_string()).await,
        Event::Opened | Event::Worsened | Event::Reminder => {
            post(client, events, &[], shapes::pagerduty("trigger", key, p.id, p.message, link).to_string()).await
        }
    }
}

async fn post(client: &Client, url: &str, headers: &[(&'static str, String)], body: String) -> Said {
    let mut request = client.post(url).header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    answer(request.body(body).send().await).await
}

/// Calls an address for a heartbeat.
pub async fn ping(client: &Client, url: &str) -> Said {
    answer(client.get(url).send().await).await
}

/// What became of a request, in words that hold no address.
async fn answer(sent: reqwest::Result<reqwest::Response>) -> Said {
    let mut response = match sent {
        Ok(response) => response,
        Err(e) if e.is_builder() => return Said::No("the address is not one that can be called; give it again".to_owned()),
        Err(e) => return Said::Later(reason(e), None),
    };
    let status = response.status();
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
    let mut body = Vec::new();
    while body.len() < READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(READ - body.len())]);
    }
    let said = format!("{status} {}", excerpt(&body));
    match status {
        s if s.is_success() => Said::Yes(said),
        s if s.is_redirection() => Said::No(format!("{said}: the address leads elsewhere; give the final one")),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => Said::Later(said, asked),
        s if s.is_server_error() => Said::Later(said, asked),
        _ => Said::No(said),
    }
}

/// An error with its causes and without the address.
pub fn reason(e: reqwest::Error) -> String {
    let what = if e.is_timeout() {
        "no answer in time"
    } else if e.is_connect() {
        "no connection"
    } else {
        "the request broke off"
    };
    let e = e.without_url();
    let mut text = what.to_owned();
    let mut cause = std::error::Error::source(&e);
    while let Some(c) = cause {
        text = format!("{text}: {c}");
        cause = c.source();
    }
    text
}

/// The words of an answer: of JSON what stands under a name that tells why, otherwise the text without its tags.
pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Ok(Value::Object(map)) = serde_json::from_str::<Value>(&text) {
        let words: Vec<String> = ["status", "message", "error", "errors", "detail", "title"]
            .iter()
            .filter_map(|k| map.get(*k))
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        if !words.is_empty() {
            return words.join(", ");
        }
    }
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| {
            match c {
                '<' => depth += 1,
                '>' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// The signature of the Standard Webhooks specification: HMAC-SHA256 of `id.timestamp.body`, in base64 behind `v1,`.
///
/// A secret in its form `whsec_BASE64` is decoded; any other is taken as it stands.
fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|s| STANDARD.decode(s).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(secret.as_bytes()));
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The example of the specification's reference libraries.
        let signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(signature("plain", "a", 1, "b"), signature("plain", "a", 2, "b"));
    }

    #[test]
    fn answers_are_told_in_their_own_words() {
        assert_eq!(
            excerpt(br#"{"status":"invalid event","message":"Event object is invalid","errors":["bad key"]}"#),
            "invalid event, Event object is invalid, [\"bad key\"]"
        );
        assert_eq!(excerpt(b"<html><body>no_service</body></html>"), "no_service");
        assert_eq!(excerpt(b"invalid_payload"), "invalid_payload");
    }
}
