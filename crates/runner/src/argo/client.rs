//! One request to ARGO's API, and what became of it.
//!
//! Lives here: the address, the headers, limits, what a status means. May not: what the answer says.
//! Invariant: the key goes to the address of the settings and nowhere else: redirects are not followed, and it stands in
//! no error.

use domain::availability::source::{Failed, Format, Settings, Trouble, Version};
use engine::job::Secret;
use jiff::civil::Date;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde_json::Value;

use super::{
    answer::{self, Granularity, Period},
    json, xml,
};
use crate::notify::{clean_of, http};

/// The longest answer, in bytes: a report of a whole infrastructure has some.
const LONGEST: usize = 16 << 20;
/// How much of a refusal is read, in bytes.
const LONGEST_REFUSAL: usize = 4_096;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub granularity: Granularity,
    pub from: Date,
    pub to: Date,
}

/// Asks for the periods of the group that the settings name.
pub async fn ask(client: &Client, settings: &Settings, key: &Secret, ask: Ask) -> Result<Vec<Period>, Failed> {
    let masked = |f: Failed| Failed { text: clean_of(&f.text, key), ..f };
    let groups = settings.groups().ok_or_else(|| Failed::new(Trouble::NoGroup, "the group is not made of types and names"))?;
    let url = address(settings, ask)?;
    let mut secret = header::HeaderValue::from_str(key.reveal()).map_err(|_| Failed::new(Trouble::NoKey, "the key holds a sign that no key has"))?;
    secret.set_sensitive(true);
    let sent = client.get(url).header("x-api-key", secret).header(header::ACCEPT, settings.format.mime()).send().await;
    let response = sent.map_err(|e| masked(broken(e, Trouble::Unreachable)))?;
    let body = body(response, settings.format).await.map_err(masked)?;
    let tree = match settings.format {
        Format::Json => json::read(&body),
        Format::Xml => xml::read(&body),
    };
    tree.and_then(|tree| answer::periods(&tree, &groups, ask.granularity)).map_err(masked)
}

/// Version 2 is asked for one group; version 3 gives all groups of a report.
fn address(settings: &Settings, ask: Ask) -> Result<Url, Failed> {
    let bad = || Failed::new(Trouble::Unreachable, "the address is not one that can be called");
    let mut url = Url::parse(&settings.address).map_err(|_| bad())?;
    {
        let mut path = url.path_segments_mut().map_err(|()| bad())?;
        path.pop_if_empty().extend(["api", settings.version.as_str(), "results", &settings.report]);
        if settings.version == Version::V2 {
            path.extend(settings.group.trim_matches('/').split('/').map(str::trim));
        }
    }
    url.query_pairs_mut()
        .append_pair("start_time", &format!("{}T00:00:00Z", ask.from))
        .append_pair("end_time", &format!("{}T23:59:59Z", ask.to))
        .append_pair("granularity", ask.granularity.as_str());
    Ok(url)
}

/// A request or an answer that broke off.
fn broken(e: reqwest::Error, otherwise: Trouble) -> Failed {
    let trouble = if e.is_timeout() {
        Trouble::Slow
    } else if e.is_connect() {
        Trouble::Unreachable
    } else if broke_off(&e) {
        Trouble::Cut
    } else {
        otherwise
    };
    Failed::new(trouble, format!("ARGO was not read: {}", http::reason(e)))
}

/// Whether the other side closed the connection before its answer was whole.
fn broke_off(e: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        if c.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return true;
        }
        cause = c.source();
    }
    false
}

/// The answer, where it is one and of the form that was asked for.
async fn body(mut response: Response, format: Format) -> Result<Vec<u8>, Failed> {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if status != StatusCode::OK {
        let body = read(&mut response, LONGEST_REFUSAL).await.map_or_else(|_| Vec::new(), |(b, _)| b);
        let said = words(&body);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(Failed::new(trouble(status), format!("ARGO answered {status}{said}")));
    }
    if !is_of(&kind, format) {
        return Err(Failed::new(Trouble::WrongType, format!("ARGO answered with {kind} and was asked for {}", format.mime())));
    }
    let (body, whole) = read(&mut response, LONGEST).await.map_err(|e| broken(e, Trouble::Cut))?;
    if whole { Ok(body) } else { Err(Failed::new(Trouble::TooLong, format!("the answer is longer than {} MiB", LONGEST >> 20))) }
}

/// Reads to a limit; `false` where there is more.
async fn read(response: &mut Response, limit: usize) -> reqwest::Result<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            body.extend_from_slice(&chunk[..limit - body.len()]);
            return Ok((body, false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, true))
}

fn is_of(kind: &str, format: Format) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let fits = match format {
        Format::Json => kind.ends_with("json"),
        Format::Xml => matches!(kind, "application/xml" | "text/xml"),
    };
    // Where nothing is said the content tells.
    fits || kind.is_empty() || kind == "text/plain"
}

const fn trouble(status: StatusCode) -> Trouble {
    match status.as_u16() {
        401 => Trouble::WrongKey,
        403 => Trouble::Forbidden,
        404 => Trouble::NotFound,
        300..=399 => Trouble::Elsewhere,
        408 | 429 | 500..=599 => Trouble::Unwell,
        _ => Trouble::Refused,
    }
}

/// Why ARGO refused, in its own words: `status.message` and `errors[].message`, or the text without its tags.
fn words(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|v| {
        let status = v.get("status")?;
        let errors = v.get("errors").and_then(Value::as_array).into_iter().flatten();
        let parts =
            [status.get("message"), status.get("details")].into_iter().flatten().chain(errors.filter_map(|e| e.get("details").or_else(|| e.get("message"))));
        let parts: Vec<&str> = parts.filter_map(Value::as_str).filter(|p| !p.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    });
    let said = said.unwrap_or_else(|| http::excerpt(body));
    said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_documentation() {
        let settings = |version, group: &str| Settings {
            address: "https://api.argo.example.org/gateway".into(),
            version,
            format: Format::Json,
            report: "Report A".into(),
            group: group.into(),
            allow_http: false,
            since: "2020-01".parse().unwrap(),
        };
        let day = |text: &str| text.parse::<Date>().unwrap();
        let ask = Ask { granularity: Granularity::Monthly, from: day("2020-01-01"), to: day("2020-02-14") };
        let tail = "?start_time=2020-01-01T00%3A00%3A00Z&end_time=2020-02-14T23%3A59%3A59Z&granularity=monthly";
        for (version, group, want) in [
            (Version::V2, "SITES/ST01", "/api/v2/results/Report%20A/SITES/ST01"),
            (Version::V2, "GROUP/A/SITES/a b?c", "/api/v2/results/Report%20A/GROUP/A/SITES/a%20b%3Fc"),
            (Version::V3, "GROUP/A/SITES/ST01", "/api/v3/results/Report%20A"),
        ] {
            let url = address(&settings(version, group), ask).unwrap();
            assert_eq!(url.as_str(), format!("https://api.argo.example.org/gateway{want}{tail}"));
        }
    }

    #[test]
    fn refusals_are_told_in_argos_words() {
        let json = br#"{"status":{"message":"Unauthorized","code":"401","details":"You need to provide a correct authentication token using the header 'x-api-key'"}}"#;
        assert_eq!(words(json), "Unauthorized, You need to provide a correct authentication token using the header 'x-api-key'");
        let json = br#"{"status":{"message":"Bad Request","code":"400"},"errors":[{"message":"start_time parsing error","code":"400","details":"Error parsing date string"}]}"#;
        assert_eq!(words(json), "Bad Request, Error parsing date string");
        assert_eq!(
            words(b" <root>\n   <message>The report with the name Report_B does not exist</message>\n </root>"),
            "The report with the name Report_B does not exist"
        );
        assert_eq!(words(b""), "");
    }
}
