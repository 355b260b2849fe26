//! Every kind of channel against a receiver that minds the form: JSON as each vendor documents it, mail on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::{Site, ear::Ear};
use domain::{
    alert::rule::Rule,
    channel::{ChannelKind, Encryption, Options},
};
use ops::{
    notifications::{
        self, Given,
        channels::{self, NewChannel},
        rules::{self, NewRule},
    },
    seal::Keys,
    secrets::{Secret, Vault},
};
use runner::{Deps, Notifier, Watchdogs};
use serde_json::Value;
use store::{Clock, deliveries::ListedDelivery, testing};

struct Post {
    site: Site,
    deps: Deps,
    vault: Vault,
    dogs: Watchdogs,
}

impl Post {
    async fn new() -> Self {
        let mut site = Site::new(testing::sqlite().await).await;
        let keys = Keys::of(&site.deps.data_dir);
        keys.make().unwrap();
        let vault = Vault::new(site.deps.env.clone(), keys);
        let deps = Deps { clock: Clock::fixed(Clock::System.now()), ..site.deps.clone() };
        site.ctx.clock = deps.clock.clone();
        site.deps.clock = deps.clock.clone();
        let mut t = site.db.db.begin().await.unwrap();
        testing::execute(t.tx(), "UPDATE service SET created_at = 1").await;
        t.commit().await.unwrap();
        notifications::set_address(&site.ctx, "https://holdfast.example.org/").await.unwrap();
        Self { dogs: Watchdogs::new(deps.clone()), site, deps, vault }
    }

    async fn channel(&self, name: &str, kind: ChannelKind, options: Options, secrets: &[(&str, String)]) {
        let secrets: BTreeMap<_, _> = secrets.iter().map(|(n, s)| ((*n).to_owned(), Given::Typed(Secret::new(s.as_str())))).collect();
        channels::save(&self.site.ctx, &self.vault, &NewChannel { name: name.into(), kind, options, secrets }).await.unwrap();
        rules::save(&self.site.ctx, &NewRule { name: name.into(), channels: vec![name.into()], what: Rule::default() }).await.unwrap();
    }

    async fn deliver(&self) -> usize {
        Notifier::new(self.deps.clone()).deliver_due().await.unwrap()
    }

    async fn look(&mut self) {
        self.dogs.look().await.unwrap();
        self.deliver().await;
    }

    async fn all(&self, state: &str) -> Vec<ListedDelivery> {
        notifications::deliveries::list(&self.site.ctx, state, "", None, 100).await.unwrap()
    }
}

/// That an object has these keys and no others, each of its type: `s` text, `n` number, `b` bool, `a` list, `o` object; `?` may be absent, `0` may be null.
fn form(value: &Value, keys: &[(&str, &str)]) {
    let map = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for (key, found) in map {
        let kind = keys.iter().find(|(k, _)| k == key).unwrap_or_else(|| panic!("unknown key {key} in {value}")).1;
        let right = match found {
            Value::String(_) => kind.contains('s'),
            Value::Number(_) => kind.contains('n'),
            Value::Bool(_) => kind.contains('b'),
            Value::Array(_) => kind.contains('a'),
            Value::Object(_) => kind.contains('o'),
            Value::Null => kind.contains('0'),
        };
        assert!(right, "{key} has the wrong type in {value}");
    }
    for (key, _) in keys.iter().filter(|(_, kind)| !kind.contains('?')) {
        assert!(map.contains_key(*key), "{key} is missing in {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generic_webhook_is_signed_and_complete() {
    let (mut post, ear) = (Post::new().await, Ear::open().await);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    post.channel("hook", ChannelKind::Webhook, Options::default(), &[("url", format!("{}/in", ear.url)), ("signing_secret", secret.to_owned())]).await;
    post.look().await;
    let heard = ear.take().remove(0);
    assert_eq!((heard.method.as_str(), heard.header("content-type")), ("POST", "application/json"));
    let keys = [
        ("version", "n"),
        ("id", "s"),
        ("event", "s"),
        ("severity", "s"),
        ("kind", "s0"),
        ("headline", "s"),
        ("text", "s"),
        ("subject", "o0"),
        ("service", "s0"),
        ("alert", "s0"),
        ("run", "s0"),
        ("since", "s"),
        ("at", "s"),
        ("link", "s0"),
    ];
    form(&heard.body, &keys);
    assert_eq!(heard.body["link"], "https://holdfast.example.org/services/notebooks");
    assert_eq!(heard.body["headline"], "Notebooks has no copy at all");
    // A receiver checks the signature over exactly what it got.
    let signed = format!("{}.{}.{}", heard.header("webhook-id"), heard.header("webhook-timestamp"), heard.text);
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, secret.trim_start_matches("whsec_")).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let tag = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, heard.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_and_mattermost_get_an_attachment() {
    let (mut post, ear) = (Post::new().await, Ear::open().await);
    post.channel("chat", ChannelKind::Slack, Options::default(), &[("url", format!("{}/services/T0/B0/x", ear.url))]).await;
    post.look().await;
    let body = ear.take().remove(0).body;
    form(&body, &[("text", "s"), ("attachments", "a")]);
    assert_eq!(body["text"], "Critical: Notebooks has no copy at all");
    let attachment = &body["attachments"][0];
    form(attachment, &[("fallback", "s"), ("color", "s"), ("title", "s"), ("title_link", "s?"), ("text", "s"), ("fields", "a"), ("footer", "s")]);
    assert!(attachment["color"].as_str().unwrap().starts_with('#'));
    for field in attachment["fields"].as_array().unwrap() {
        form(field, &[("title", "s"), ("value", "s"), ("short", "b")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_gets_an_adaptive_card() {
    let (mut post, ear) = (Post::new().await, Ear::open().await);
    post.channel("teams", ChannelKind::Teams, Options::default(), &[("url", format!("{}/workflows/1", ear.url))]).await;
    ear.answer(202, "", &[]);
    post.look().await;
    let body = ear.take().remove(0).body;
    form(&body, &[("type", "s"), ("attachments", "a")]);
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    form(attachment, &[("contentType", "s"), ("contentUrl", "0"), ("content", "o")]);
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    form(card, &[("$schema", "s"), ("type", "s"), ("version", "s"), ("fallbackText", "s"), ("msteams", "o"), ("body", "a"), ("actions", "a?")]);
    assert_eq!((card["type"].as_str(), card["version"].as_str()), (Some("AdaptiveCard"), Some("1.4")));
    for element in card["body"].as_array().unwrap() {
        match element["type"].as_str().unwrap() {
            "TextBlock" => {
                form(element, &[("type", "s"), ("text", "s"), ("weight", "s?"), ("size", "s?"), ("color", "s?"), ("wrap", "b"), ("isSubtle", "b?")]);
                for (key, known) in [
                    ("weight", &["Default", "Lighter", "Bolder"][..]),
                    ("size", &["Default", "Small", "Medium", "Large", "ExtraLarge"]),
                    ("color", &["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"]),
                ] {
                    assert!(element.get(key).is_none_or(|v| known.contains(&v.as_str().unwrap())), "{element}");
                }
            }
            "FactSet" => element["facts"].as_array().unwrap().iter().for_each(|f| form(f, &[("title", "s"), ("value", "s")])),
            other => panic!("unknown element {other}"),
        }
    }
    form(&card["actions"][0], &[("type", "s"), ("title", "s"), ("url", "s")]);
    assert_eq!(post.all("sent").await.len(), 1, "202 is a yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn pagerduty_opens_and_closes_one_incident() {
    let (mut post, ear) = (Post::new().await, Ear::open().await);
    let endpoint = format!("{}/v2/enqueue", ear.url);
    let key = "R0123456789ABCDEF0123456789ABCDE";
    post.channel("pager", ChannelKind::PagerDuty, Options { endpoint, ..Options::default() }, &[("routing_key", key.to_owned())]).await;
    let good = r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#;
    ear.answer(429, r#"{"status":"throttle exceeded"}"#, &[("retry-after", "90")]);
    post.look().await;
    assert_eq!(ear.take().len(), 1);
    post.deps.clock.advance_secs(89);
    assert_eq!(post.deliver().await, 0, "it asked for 90 s");
    post.deps.clock.advance_secs(2);
    ear.answer(202, good, &[]);
    assert_eq!(post.deliver().await, 1);
    let trigger = ear.take().remove(0);
    assert_eq!(trigger.path, "/v2/enqueue");
    let keys = [("routing_key", "s"), ("event_action", "s"), ("dedup_key", "s"), ("client", "s?"), ("client_url", "s?"), ("links", "a?"), ("payload", "o")];
    form(&trigger.body, &keys);
    let payload = &trigger.body["payload"];
    form(payload, &[("summary", "s"), ("source", "s"), ("severity", "s"), ("timestamp", "s?"), ("component", "s?"), ("class", "s?"), ("custom_details", "o?")]);
    assert!(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap()));
    assert!(payload["summary"].as_str().unwrap().chars().count() <= 1_024 && trigger.body["dedup_key"].as_str().unwrap().len() <= 255);
    form(&trigger.body["links"][0], &[("href", "s"), ("text", "s?")]);
    assert_eq!(post.all("sent").await[0].row.answer.as_deref(), Some("202 Accepted success, Event processed"));

    post.site.backup().await;
    ear.answer(202, good, &[]);
    post.look().await;
    let resolve = ear.take().into_iter().find(|h| h.body["event_action"] == "resolve").unwrap();
    form(&resolve.body, &[("routing_key", "s"), ("event_action", "s"), ("dedup_key", "s")]);
    assert_eq!(resolve.body["dedup_key"], trigger.body["dedup_key"]);

    // A test opens an incident and closes it; a success is a change event, which wakes nobody.
    channels::test(&post.site.ctx, "pager").await.unwrap();
    post.deps.clock.advance_secs(5);
    post.deliver().await;
    let actions: Vec<_> = ear.take().into_iter().map(|h| h.body["event_action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    let what = Rule { success: true, ..Rule::default() };
    rules::save(&post.site.ctx, &NewRule { name: "pager".into(), channels: vec!["pager".into()], what }).await.unwrap();
    post.site.backup().await;
    post.look().await;
    let change = ear.take().into_iter().find(|h| h.path == "/v2/change/enqueue").expect("a change event");
    form(&change.body, &[("routing_key", "s"), ("payload", "o"), ("links", "a?")]);
    form(&change.body["payload"], &[("summary", "s"), ("timestamp", "s?"), ("source", "s?"), ("custom_details", "o?")]);
    for d in post.all("").await {
        assert!(!format!("{d:?}").contains(key), "the key is nowhere on record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (mut post, ear) = (Post::new().await, Ear::open().await);
    post.channel("hook", ChannelKind::Webhook, Options::default(), &[("url", format!("{}/in", ear.url))]).await;
    ear.answer(302, "", &[("location", "http://127.0.0.1:1/elsewhere")]);
    post.look().await;
    assert_eq!(ear.take().len(), 1);
    let failed = post.all("failed").await.remove(0);
    assert!(failed.row.answer.unwrap().contains("leads elsewhere"));
}

/// Where the mail server of the tests is.
struct MailServer(BTreeMap<String, String>);

impl MailServer {
    fn find() -> Self {
        #[allow(clippy::disallowed_methods, reason = "tests are told by the environment where the test server is")]
        let text = std::env::var("HOLDFAST_TEST_MAIL").expect("HOLDFAST_TEST_MAIL must say where a mail server is; `make test` starts one");
        Self(text.split(';').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    fn options(&self, encryption: Encryption, to: &[&str]) -> Options {
        let port = &self.0[match encryption {
            Encryption::StartTls => "starttls",
            Encryption::Tls => "tls",
            Encryption::None => "plain",
        }];
        Options {
            host: "localhost".into(),
            port: Some(port.parse().unwrap()),
            encryption: Some(encryption),
            username: if encryption == Encryption::StartTls { self.0["user"].clone() } else { String::new() },
            from: "Holdfast <holdfast@example.org>".into(),
            to: to.iter().map(|t| (*t).to_owned()).collect(),
            ca_file: if encryption == Encryption::None { String::new() } else { self.0["ca"].clone() },
            endpoint: String::new(),
        }
    }

    fn password(&self) -> [(&'static str, String); 1] {
        [("password", self.0["password"].clone())]
    }

    async fn of(&self, to: &str) -> Vec<Value> {
        let text =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}?to={to}", self.0["messages"])).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// An address of this test alone.
fn address(domain: &str) -> String {
    format!("{}@{domain}", uuid::Uuid::now_v7().simple())
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_arrives_encrypted_and_says_what_is_wrong() {
    let (mut post, server) = (Post::new().await, MailServer::find());
    let (ops, second) = (address("example.org"), address("example.org"));
    post.channel("mail", ChannelKind::Mail, server.options(Encryption::StartTls, &[&ops, &format!("Second <{second}>")]), &server.password()).await;
    post.look().await;
    for to in [&ops, &second] {
        let mails = server.of(to).await;
        assert_eq!(mails.len(), 1, "each receiver has a mail of its own");
        let mail = &mails[0];
        assert_eq!((mail["tls"].as_bool(), mail["authenticated"].as_bool()), (Some(true), Some(true)));
        assert_eq!(mail["subject"], "[Holdfast] Critical: Notebooks has no copy at all");
        assert_eq!(mail["to"].as_array().unwrap().len(), 1);
        let headers = &mail["headers"];
        assert_eq!(headers["Auto-Submitted"], "auto-generated");
        assert!(headers["From"].as_str().unwrap().contains("holdfast@example.org") && headers["Date"].is_string());
        let text = mail["text"].as_str().unwrap();
        for part in ["There is not one snapshot", "no copy, critical", "https://holdfast.example.org/services/notebooks"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // The end comes in the same thread.
    post.site.backup().await;
    post.look().await;
    let mails = server.of(&ops).await;
    let thread = |m: &Value| m["headers"]["References"].as_str().unwrap().to_owned();
    let end = mails.iter().find(|m| m["subject"].as_str().unwrap().contains("Resolved")).unwrap();
    assert_eq!(thread(end), thread(&mails[0]));
    assert_ne!(end["headers"]["Message-ID"], mails[0]["headers"]["Message-ID"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisting_server_gets_it_again_and_a_550_is_the_end_and_is_seen() {
    let (mut post, server) = (Post::new().await, MailServer::find());
    let (grey, gone) = (address("greylist.example"), address("reject.example"));
    post.channel("mail", ChannelKind::Mail, server.options(Encryption::Tls, &[&grey, &gone]), &[]).await;
    post.deps.clock.advance_secs(1);
    post.look().await;
    assert!(server.of(&grey).await.is_empty());
    let waiting = post.all("queued").await;
    assert_eq!((waiting.len(), waiting[0].row.recipient.as_str()), (1, grey.as_str()));
    assert!(waiting[0].row.answer.as_deref().unwrap().starts_with("451"), "{:?}", waiting[0].row.answer);
    let failed = post.all("failed").await;
    assert_eq!((failed.len(), failed[0].row.recipient.as_str(), failed[0].row.attempts), (1, gone.as_str(), 1));
    assert!(failed[0].row.answer.as_deref().unwrap().starts_with("550"), "{:?}", failed[0].row.answer);
    // The refusal is an alert of its own, with the answer in it.
    post.look().await;
    let alert = ops::alerts::open(&post.site.ctx).await.unwrap().into_iter().find(|a| a.kind == "channel_failing").unwrap();
    assert!(alert.text.contains(&gone) && alert.text.contains("550"), "{}", alert.text);
    // Later the greylisting server takes it, under the same number.
    post.deps.clock.advance_secs(31);
    post.deliver().await;
    let mails = server.of(&grey).await;
    assert_eq!(mails.len(), 1);
    let number = waiting[0].row.id.to_string();
    assert!(mails[0]["headers"]["Message-ID"].as_str().unwrap().contains(&number));
    let (d, tries) = notifications::deliveries::find(&post.site.ctx, waiting[0].row.id()).await.unwrap();
    assert_eq!((d.row.state.as_str(), tries.len()), ("sent", 2));
    // Mending the channel ends the alert.
    let new = NewChannel { name: "mail".into(), kind: ChannelKind::Mail, options: server.options(Encryption::Tls, &[&grey]), secrets: BTreeMap::new() };
    channels::save(&post.site.ctx, &post.vault, &new).await.unwrap();
    post.look().await;
    assert!(!ops::alerts::open(&post.site.ctx).await.unwrap().iter().any(|a| a.kind == "channel_failing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_an_unknown_certificate_and_a_server_that_is_away() {
    let (post, server) = (Post::new().await, MailServer::find());
    let to = address("example.org");
    post.channel("wrong", ChannelKind::Mail, server.options(Encryption::StartTls, &[&to]), &[("password", "not-the-password".to_owned())]).await;
    let unknown = Options { ca_file: String::new(), ..server.options(Encryption::Tls, &[&to]) };
    post.channel("unknown", ChannelKind::Mail, unknown, &[]).await;
    let away = Options { port: Some(1), ..server.options(Encryption::None, &[&to]) };
    post.channel("away", ChannelKind::Mail, away, &[]).await;
    let clear = Options { encryption: Some(Encryption::StartTls), username: String::new(), ..server.options(Encryption::None, &[&to]) };
    post.channel("clear", ChannelKind::Mail, Options { ca_file: String::new(), ..clear }, &[]).await;
    for name in ["wrong", "unknown", "away", "clear"] {
        channels::test(&post.site.ctx, name).await.unwrap();
    }
    post.deps.clock.advance_secs(5);
    post.deliver().await;
    let state = |all: &[ListedDelivery], name: &str| {
        let d = all.iter().find(|d| d.channel == name).unwrap();
        (d.row.state.clone(), d.row.answer.clone().unwrap())
    };
    let all = post.all("").await;
    let (wrong, answer) = state(&all, "wrong");
    assert_eq!(wrong, "failed", "{answer}");
    assert!(answer.starts_with("535") && !answer.contains("not-the-password"), "{answer}");
    for name in ["unknown", "away", "clear"] {
        let (state, answer) = state(&all, name);
        assert_eq!(state, "queued", "{name}: {answer}");
    }
    assert!(server.of(&to).await.is_empty(), "nothing went out over a connection that was not to be trusted");
}
