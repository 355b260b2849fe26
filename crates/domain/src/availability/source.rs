//! Where ARGO's figures of a service are fetched (R43).
//!
//! Lives here: the settings and what is wrong with them, when the next try is due, when failing is an alert.
//! May not: the key (it is sealed elsewhere), requests, answers, the clock.

use serde::{Deserialize, Serialize};

use super::Month;
use crate::{channel::url_problem, field::FieldError, run::text_enum, units::Timestamp};

/// How often figures are fetched.
pub const EVERY_S: i64 = 86_400;
/// How long fetching may fail before that is an alert: 3 days.
pub const FAILING_S: i64 = 3 * 86_400;
/// A try that was cut short is made again after this.
pub const LEASE_S: i64 = 900;
/// Waits before the next try after the first failure, the second and so on; the last one for all that follow.
const WAITS_S: [i64; 4] = [300, 1_800, 7_200, 21_600];

text_enum! {
    /// ARGO's web API.
    Version { V2 => "v2", V3 => "v3" }
}

text_enum! {
    /// What is asked for and understood.
    Format { Json => "json", Xml => "xml" }
}

impl Format {
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// A group inside another, by its type and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub kind: String,
    pub name: String,
}

/// Everything about a source but its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `https://api.argo.example.org`, without the path of the API.
    pub address: String,
    pub version: Version,
    pub format: Format,
    pub report: String,
    /// `SITES/CESGA` or `PROJECT/EGI/SITES/CESGA`: types and names, from the outside to the inside.
    pub group: String,
    /// Lets the key travel without encryption to another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// The first month that is fetched.
    pub since: Month,
}

impl Settings {
    /// The groups of the path, the outer first; `None` where it is not made of pairs.
    pub fn groups(&self) -> Option<Vec<Group>> {
        let parts: Vec<&str> = self.group.trim_matches('/').split('/').collect();
        if !parts.len().is_multiple_of(2) || parts.len() > 8 || parts.iter().any(|p| p.trim().is_empty()) {
            return None;
        }
        Some(parts.chunks(2).map(|p| Group { kind: p[0].trim().to_owned(), name: p[1].trim().to_owned() }).collect())
    }

    /// Every field that cannot be used, with its remedy.
    pub fn problems(&self, present: Month) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: &str| wrong.push(FieldError::new(field, message));
        if url_problem(&self.address).is_some() {
            say("address", "is not an address; write it as https://api.argo.example.org");
        } else if self.address.contains(['?', '#']) || host(&self.address).is_none() {
            say("address", "must be host and port alone, without a name, a password, or a question; the key has a field of its own");
        } else if self.address.contains("/api/") {
            say("address", "must end before /api/; the version has a field of its own");
        } else if self.address.starts_with("http://") && !self.allow_http && !is_loopback(&self.address) {
            say("address", "would send the key without encryption; use https, or say that this is allowed");
        }
        if self.report.trim().is_empty() || self.report.len() > 200 || self.report.contains(|c: char| c.is_control() || c == '/') {
            say("report", "must be the name of a report, such as Critical, at most 200 characters and without a slash");
        }
        if self.groups().is_none() || self.group.len() > 500 || self.group.contains(char::is_control) {
            say("group", "must be the type and the name of a group, such as SITES/CESGA; put groups around it before it");
        }
        if self.since > present {
            say("since", "is in the future; give the first month that is to be fetched");
        }
        wrong
    }
}

/// The host of an address, unless it carries a name and a password.
fn host(address: &str) -> Option<&str> {
    let rest = address.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    if authority.contains('@') {
        return None;
    }
    let host = if let Some(v6) = authority.strip_prefix('[') { v6.split_once(']')?.0 } else { authority.split(':').next()? };
    (!host.is_empty()).then_some(host)
}

/// Whether an address leads to this machine.
fn is_loopback(address: &str) -> bool {
    let Some(host) = host(address) else { return false };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

text_enum! {
    /// Why figures could not be fetched.
    Trouble {
        /// No connection, no name, a certificate that is not trusted.
        Unreachable => "unreachable",
        Slow => "slow",
        /// 401.
        WrongKey => "wrong_key",
        /// 403.
        Forbidden => "forbidden",
        /// 404.
        NotFound => "not_found",
        /// 400 and whatever else of its kind.
        Refused => "refused",
        /// 5xx, 429.
        Unwell => "unwell",
        /// 3xx.
        Elsewhere => "elsewhere",
        /// The answer ends in its midst.
        Cut => "cut",
        /// It is something else than was asked for.
        WrongType => "wrong_type",
        TooLong => "too_long",
        /// The group is not in the answer.
        NoGroup => "no_group",
        /// A figure or a date that is none.
        BadFigure => "bad_figure",
        /// The key cannot be read here.
        NoKey => "no_key",
    }
}

impl Trouble {
    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable => "see that this server reaches the address, and that its certificate is trusted",
            Self::Slow | Self::Unwell => "nothing is to be done if it passes; otherwise ask ARGO's operators",
            Self::WrongKey => "give a key that is valid",
            Self::Forbidden => "ask ARGO's operators to let this key read the report",
            Self::NotFound => "correct the report and the group, or the months, of which there may be no results",
            Self::Refused => "correct the report, the group, and the version",
            Self::Elsewhere => "give the final address",
            Self::Cut => "nothing is to be done if it passes; otherwise look at proxies on the way",
            Self::WrongType => "choose the other format or version, or correct the address",
            Self::TooLong => "give a narrower group",
            Self::NoGroup => "correct the group: type and name must be as ARGO writes them",
            Self::BadFigure => "choose the other version, or tell ARGO's operators",
            Self::NoKey => "give the key again",
        }
    }
}

/// A fetch that failed: what happened, in words without key, and its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub trouble: Trouble,
    pub text: String,
}

impl Failed {
    pub fn new(trouble: Trouble, text: impl Into<String>) -> Self {
        Self { trouble, text: text.into() }
    }

    /// What happened and what to do, as one or two sentences.
    pub fn words(&self) -> String {
        format!("{}; {}", self.text.trim_end_matches(['.', ';', ' ']), self.trouble.remedy())
    }
}

/// When the next try is due after so many failures in a row.
pub fn next_try(failures: i64, now: Timestamp) -> Timestamp {
    let last = WAITS_S.len() - 1;
    match usize::try_from(failures) {
        Ok(0) | Err(_) => now.plus_secs(EVERY_S),
        Ok(n) => now.plus_secs(WAITS_S[(n - 1).min(last)]),
    }
}

/// Whether failing since then is an alert.
pub fn is_alert(failing_since: Option<Timestamp>, now: Timestamp) -> bool {
    failing_since.is_some_and(|at| now.secs_since(at) >= FAILING_S as f64)
}
