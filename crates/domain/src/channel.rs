//! Where messages go: the kinds of channels and what each needs (R55).
//!
//! Lives here: kinds, options, and what is wrong with them, field by field. May not: secrets, sending, storing.

use serde::{Deserialize, Serialize};

use crate::{field::FieldError, run::text_enum};

/// Receivers that one mail channel may have.
pub const MOST_RECIPIENTS: usize = 50;
/// The longest text of an option.
const LONGEST: usize = 500;

text_enum! {
    /// How messages travel. Slack stands for Mattermost as well, which takes the same form.
    ChannelKind { Mail => "mail", Webhook => "webhook", Slack => "slack", Teams => "teams", PagerDuty => "pagerduty" }
}

text_enum! {
    /// How a connection to a mail server is protected.
    Encryption { StartTls => "starttls", Tls => "tls", None => "none" }
}

impl Encryption {
    /// The port that is usual for it.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// A secret of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The key in the configuration.
    pub name: &'static str,
    pub required: bool,
    /// Whether it is an address of which the host may be shown.
    pub is_url: bool,
}

impl ChannelKind {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Slack => "Slack or Mattermost",
            Self::Teams => "Microsoft Teams",
            Self::PagerDuty => "PagerDuty",
        }
    }

    /// The secrets it takes. The addresses of chats are secrets: whoever has one can write there.
    pub const fn secrets(self) -> &'static [Needed] {
        const URL: Needed = Needed { name: "url", required: true, is_url: true };
        match self {
            Self::Mail => &[Needed { name: "password", required: false, is_url: false }],
            Self::Webhook => &[URL, Needed { name: "signing_secret", required: false, is_url: false }],
            Self::Slack | Self::Teams => &[URL],
            Self::PagerDuty => &[Needed { name: "routing_key", required: true, is_url: false }],
        }
    }
}

/// What is no secret of a channel. What its kind does not need stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// `Holdfast <holdfast@example.org>` or the address alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The path of a PEM file with the authority that signed the server's certificate, where the system does not know it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// Another address of PagerDuty than that of its American region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
}

impl Options {
    pub fn encryption(&self) -> Encryption {
        self.encryption.unwrap_or(Encryption::StartTls)
    }

    pub fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.encryption().port())
    }

    /// The receivers: the addresses of a mail channel, one without a name for the others.
    pub fn recipients(&self, kind: ChannelKind) -> Vec<String> {
        if kind == ChannelKind::Mail { self.to.clone() } else { vec![String::new()] }
    }

    /// Every field that cannot be used, with its remedy. `has_password` says whether a password is given.
    pub fn problems(&self, kind: ChannelKind, has_password: bool) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: &str| found.push(FieldError::new(field, message));
        for (field, text) in
            [("host", &self.host), ("username", &self.username), ("from", &self.from), ("ca_file", &self.ca_file), ("endpoint", &self.endpoint)]
        {
            if text.len() > LONGEST {
                say(field, "is longer than 500 characters; shorten it");
            } else if text.contains(char::is_control) {
                say(field, "holds a line break or another control character; write it on one line");
            }
        }
        if kind == ChannelKind::Mail {
            if self.host.is_empty() || self.host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@')) {
                say("host", "must be the name of the mail server, such as smtp.example.org, without a port");
            }
            if self.port == Some(0) {
                say("port", "must be between 1 and 65535; leave it out for the usual one");
            }
            if let Some(problem) = address_problem(&self.from) {
                say("from", problem);
            }
            if self.to.is_empty() {
                say("to", "is empty; name at least one receiver, such as ops@example.org");
            }
            if self.to.len() > MOST_RECIPIENTS {
                say("to", "has more than 50 receivers; use a mailing list");
            }
            let mut seen = std::collections::BTreeSet::new();
            for to in &self.to {
                if let Some(problem) = address_problem(to) {
                    say("to", &format!("“{}” {problem}", cut(to)));
                } else if !seen.insert(to) {
                    say("to", &format!("“{}” stands there twice; remove one", cut(to)));
                }
            }
            match (self.username.is_empty(), has_password) {
                (false, false) => say("password", "is missing beside the user name; give it, or remove the user name"),
                (true, true) => say("username", "is missing beside the password; give it, or remove the password"),
                _ => {}
            }
            if self.encryption() == Encryption::None && has_password {
                say("encryption", "none would send the password in clear; use starttls or tls");
            }
        }
        if !self.ca_file.is_empty() && !self.ca_file.starts_with('/') {
            say("ca_file", "must be an absolute path; begin it with /");
        }
        if kind == ChannelKind::PagerDuty
            && !self.endpoint.is_empty()
            && let Some(problem) = url_problem(&self.endpoint)
        {
            say("endpoint", problem);
        }
        found
    }
}

/// The address in `Name <address>`, or the text itself.
pub fn bare_address(text: &str) -> &str {
    match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(from), Some(rest)) => &rest[from + 1..],
        _ => text,
    }
    .trim()
}

/// What is wrong with a mail address, if anything.
pub(crate) fn address_problem(text: &str) -> Option<&'static str> {
    const WRONG: &str = "is not a mail address; write it as ops@example.org";
    let address = bare_address(text);
    let Some((local, domain)) = address.rsplit_once('@') else { return Some(WRONG) };
    let bad = |part: &str| part.is_empty() || part.contains(|c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c));
    let dots = domain.starts_with('.') || domain.ends_with('.') || domain.contains("..") || local.starts_with('.') || local.ends_with('.');
    if bad(local) || bad(domain) || dots || address.len() > 254 || text.contains(char::is_control) {
        return Some(WRONG);
    }
    None
}

/// What is wrong with an address on the web, if anything. The address itself is not repeated: it may hold a secret.
pub fn url_problem(text: &str) -> Option<&'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']) && text.len() <= 2_000 && text.chars().all(|c| c.is_ascii_graphic()) => None,
        _ => Some("is not an address; write it as https://host/path, with what is not ASCII encoded"),
    }
}

/// The part of an address that may be shown: `https://hooks.example.org/…`.
pub fn shown_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return "…".to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    if rest.len() > host.len() { format!("{scheme}://{host}/…") } else { format!("{scheme}://{host}") }
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Options {
        Options { host: "smtp.example.org".into(), from: "Holdfast <holdfast@example.org>".into(), to: vec!["ops@example.org".into()], ..Options::default() }
    }

    fn fields(o: &Options, kind: ChannelKind, password: bool) -> Vec<String> {
        o.problems(kind, password).into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn a_mail_channel_needs_what_mail_needs() {
        assert_eq!(mail().problems(ChannelKind::Mail, false), []);
        assert_eq!(fields(&Options::default(), ChannelKind::Mail, false), ["host", "from", "to"]);

        assert_eq!(fields(&Options { host: "https://smtp".into(), ..mail() }, ChannelKind::Mail, false), ["host"]);
        assert_eq!(fields(&Options { username: "me".into(), ..mail() }, ChannelKind::Mail, false), ["password"]);
        assert_eq!(fields(&mail(), ChannelKind::Mail, true), ["username"]);
        let clear = Options { encryption: Some(Encryption::None), username: "me".into(), ..mail() };
        assert_eq!(fields(&clear, ChannelKind::Mail, true), ["encryption"]);
        assert_eq!(fields(&Options { to: vec!["a@b.c".into(), "a@b.c".into(), "x".into()], ..mail() }, ChannelKind::Mail, false), ["to", "to"]);
        assert_eq!(fields(&Options { from: "a@b.c\r\nBcc: x@y.z".into(), ..mail() }, ChannelKind::Mail, false), ["from", "from"]);
        assert_eq!((mail().port(), Options { encryption: Some(Encryption::Tls), ..mail() }.port()), (587, 465));
    }

    #[test]
    fn addresses() {
        for good in ["a@b", "ümit@example.org", "Ops Team <ops+x@example.org>", "o'brien@x.y"] {
            assert_eq!(address_problem(good), None, "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b c", "a@.b", "a@b..c", "<a@b", "a@b>", "a@b, c@d"] {
            assert!(address_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn of_an_address_the_host_is_shown_and_no_more() {
        assert_eq!(shown_url("https://hooks.slack.com/services/T0/B0/secret"), "https://hooks.slack.com/…");
        assert_eq!(shown_url("https://user:secret@host:8443?token=secret"), "https://host:8443/…");
        assert_eq!(shown_url("http://127.0.0.1:9"), "http://127.0.0.1:9");
        assert_eq!(shown_url("secret"), "…");
        assert_eq!(url_problem("https://h/x"), None);
        for bad in ["ftp://h", "https://", "https:///x", "https://h/ü", "https://h/a b", "h"] {
            assert!(url_problem(bad).is_some(), "{bad}");
        }
    }
}
