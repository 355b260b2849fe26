//! ARGO's API as its documentation shows it, on a real server, and what becomes of its answers, well and unwell.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use common::Site;
use domain::{
    availability::{
        Entry, Figures, Month, Origin,
        source::{Format, Settings, Trouble, Version},
    },
    units::Timestamp,
};
use ops::{
    availability::{
        self,
        source::{self, NewSource},
    },
    notifications::Given,
    seal::Keys,
    secrets::{Secret, Vault},
    version::Seen,
};
use runner::{Argo, Deps, Watchdogs};
use store::{Clock, testing};

const KEY: &str = "the-key-of-the-tenant";

/// How the stub answers next, where it is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Status(u16),
    Html,
    Other,
    /// The length is told and not kept.
    Cut,
    /// The end of the text is missing, and no length is told.
    Short,
    Slow,
    Away,
    Echo,
    Huge,
}

/// A tenant with one report: a project with two sites, one of which has a service.
#[derive(Clone, Default)]
struct Stub {
    moods: Arc<Mutex<Vec<Mood>>>,
    asked: Arc<Mutex<Vec<String>>>,
    url: String,
}

impl Stub {
    async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self { url: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let router = Router::new().route("/api/v2/results/{report}/{*group}", get(v2)).route("/api/v3/results/{report}", get(v3)).with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        stub
    }

    fn next(&self, moods: &[Mood]) {
        self.moods.lock().unwrap().extend(moods);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// One result: its time, availability, reliability, up, unknown, down.
type Row = (&'static str, [&'static str; 5]);

const MONTHS: [Row; 3] = [
    ("2020-01", ["99.99999900000002", "99.99999900000002", "1", "0", "0"]),
    ("2020-02", ["54.03509", "81.48148", "0.53472", "0.01042", "0.33333"]),
    ("2020-03", ["-1", "-1", "0", "1", "0"]),
];
const DAYS: [Row; 2] = [("2020-03-01", ["100", "100", "1", "0", "0"]), ("2020-03-02", ["-1", "-1", "0", "1", "0"])];

fn rows(q: &BTreeMap<String, String>) -> &'static [Row] {
    if q["granularity"] == "monthly" { &MONTHS } else { &DAYS }
}

const NAMES: [&str; 5] = ["availability", "reliability", "uptime", "unknown", "downtime"];

fn json_results(rows: &[Row], time: &str) -> String {
    let one = |(at, values): &Row| {
        let fields: Vec<String> = NAMES.iter().zip(values).map(|(n, v)| format!(r#""{n}":"{v}""#)).collect();
        format!(r#"{{"{time}":"{at}",{}}}"#, fields.join(","))
    };
    rows.iter().map(one).collect::<Vec<_>>().join(",")
}

fn xml_results(rows: &[Row]) -> String {
    let one = |(at, values): &Row| {
        let fields: Vec<String> = NAMES.iter().zip(values).map(|(n, v)| format!(r#"{n}="{v}""#)).collect();
        format!(r#"<results timestamp="{at}" {}></results>"#, fields.join(" "))
    };
    rows.iter().map(one).collect()
}

fn refusal(status: u16, message: &str, details: &str) -> Response {
    let body = format!(r#"{{"status":{{"message":"{message}","code":"{status}","details":"{details}"}}}}"#);
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// What comes before the answer: the key, the form, the parameters, the mood.
async fn before(stub: &Stub, path: &str, headers: &HeaderMap, q: &BTreeMap<String, String>, whole: impl Fn(bool) -> String) -> Response {
    stub.asked.lock().unwrap().push(format!("{path}?{}&{}&{}", q["start_time"], q["end_time"], q["granularity"]));
    let text = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    if text("x-api-key") != KEY {
        return refusal(401, "Unauthorized", "You need to provide a correct authentication token using the header 'x-api-key'");
    }
    let is_xml = match text("accept").as_str() {
        "application/json" => false,
        "application/xml" => true,
        _ => return refusal(406, "Not Acceptable Content", "Accept header provided did not contain any valid content types"),
    };
    for time in ["start_time", "end_time"] {
        assert!(q[time].len() == 20 && q[time].ends_with('Z'), "{time} must be Zulu time: {}", q[time]);
    }
    let mime = if is_xml { "application/xml; charset=utf-8" } else { "application/json; charset=utf-8" };
    let body = whole(is_xml);
    let mood = {
        let mut moods = stub.moods.lock().unwrap();
        (!moods.is_empty()).then(|| moods.remove(0))
    };
    match mood {
        None => ([(header::CONTENT_TYPE, mime)], body).into_response(),
        Some(Mood::Status(status @ 300..=399)) => {
            (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, "https://elsewhere.example.org/")]).into_response()
        }
        Some(Mood::Status(status)) => refusal(status, "No", "not now"),
        Some(Mood::Html) => ([(header::CONTENT_TYPE, "text/html")], "<html><body>Sign in</body></html>").into_response(),
        Some(Mood::Other) => ([(header::CONTENT_TYPE, mime)], "hello").into_response(),
        Some(Mood::Cut) => {
            let half = body[..body.len() / 2].to_owned();
            let parts = futures::stream::iter([Ok(half), Err(std::io::Error::other("gone"))]);
            ([(header::CONTENT_TYPE, mime.to_owned()), (header::CONTENT_LENGTH, body.len().to_string())], Body::from_stream(parts)).into_response()
        }
        Some(Mood::Short) => ([(header::CONTENT_TYPE, mime)], body[..body.len() - 9].to_owned()).into_response(),
        Some(Mood::Slow) => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        Some(Mood::Away) => ([(header::CONTENT_TYPE, mime)], if is_xml { "<root></root>" } else { r#"{"results":[]}"# }).into_response(),
        Some(Mood::Echo) => refusal(403, "Forbidden", &format!("the key {KEY} may not read this")),
        Some(Mood::Huge) => ([(header::CONTENT_TYPE, mime)], " ".repeat((16 << 20) + 1)).into_response(),
    }
}

async fn v2(
    State(stub): State<Stub>,
    Path((report, group)): Path<(String, String)>,
    Query(q): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if headers.get("x-api-key").is_some_and(|k| k == KEY) {
        if report != "Critical" {
            return refusal(404, "Not Found", &format!("The report with the name {report} does not exist"));
        }
        if !matches!(group.as_str(), "SITES/CESGA" | "PROJECT/EGI/SITES/CESGA") {
            return refusal(404, "Not Found", "No results found for given query");
        }
    }
    let rows = rows(&q);
    let whole = |is_xml| {
        if is_xml {
            format!(r#" <root><group name="EGI" type="PROJECT"><group name="CESGA" type="SITES">{}</group></group></root>"#, xml_results(rows))
        } else {
            let results = json_results(rows, "timestamp");
            format!(r#"{{"results":[{{"name":"EGI","type":"PROJECT","endpoints":[{{"name":"CESGA","type":"SITES","results":[{results}]}}]}}]}}"#)
        }
    };
    before(&stub, &format!("v2/{report}/{group}"), &headers, &q, whole).await
}

async fn v3(State(stub): State<Stub>, Path(report): Path<String>, Query(q): Query<BTreeMap<String, String>>, headers: HeaderMap) -> Response {
    let rows = rows(&q);
    let whole = |is_xml| {
        if is_xml {
            let (all, one) = (xml_results(rows), xml_results(&rows[..1]));
            format!(
                r#"<root><group name="EGI" type="PROJECT">{one}<group name="OTHER" type="SITES">{one}</group><group name="CESGA" type="SITES">{all}</group></group></root>"#
            )
        } else {
            let (all, one) = (json_results(rows, "date"), json_results(&rows[..1], "date"));
            format!(
                r#"{{"results":[{{"name":"EGI","type":"PROJECT","results":[{one}],"groups":[{{"name":"OTHER","type":"SITES","results":[{one}]}},{{"name":"CESGA","type":"SITES","results":[{all}]}}]}}]}}"#
            )
        }
    };
    before(&stub, &format!("v3/{report}"), &headers, &q, whole).await
}

/// A site in March 2020 whose service is watched by the stub.
struct Place {
    site: Site,
    stub: Stub,
    vault: Vault,
    argo: Argo,
}

impl Place {
    async fn new(db: testing::TestDb) -> Self {
        let mut site = Site::new(db).await;
        let keys = Keys::of(&site.deps.data_dir);
        keys.make().unwrap();
        let vault = Vault::new(site.deps.env.clone(), keys);
        let clock = Clock::fixed(Timestamp::from_secs(1_583_150_400)); // 2020-03-02 12:00 UTC
        site.ctx.clock = clock.clone();
        site.deps = Deps { clock, ..site.deps.clone() };
        let argo = Argo::new(site.deps.clone()).with_patience(Duration::from_secs(2));
        Self { stub: Stub::open().await, site, vault, argo }
    }

    fn settings(&self, version: Version, format: Format, group: &str) -> Settings {
        Settings {
            address: self.stub.url.clone(),
            version,
            format,
            report: "Critical".into(),
            group: group.into(),
            allow_http: false,
            since: "2020-01".parse().unwrap(),
        }
    }

    async fn save(&self, settings: Settings, key: &str) {
        let new = NewSource { settings, key: Given::Typed(Secret::new(key)) };
        source::save(&self.site.ctx, &self.vault, "notebooks", &new, &Seen::Any).await.unwrap();
    }

    async fn usual(&self) {
        self.save(self.settings(Version::V2, Format::Json, "SITES/CESGA"), KEY).await;
    }

    /// Has everything fetched that is due; the kind of trouble and the words, if it failed.
    async fn turn(&self) -> Option<(Trouble, String)> {
        assert_eq!(self.argo.fetch_due().await.unwrap(), 1, "it was due");
        let row = source::find(&self.site.ctx, "notebooks").await.unwrap();
        row.failed.map(|f| (f.0.trouble, f.0.words()))
    }

    async fn figures(&self) -> Vec<(String, Option<f64>, Option<f64>)> {
        let report = availability::months(&self.site.ctx, "notebooks", None, None).await.unwrap();
        let known = report.months.into_iter().filter(|m| m.shown().is_some());
        known.map(|m| (m.month.to_string(), m.figures().availability, m.figures().reliability)).collect()
    }
}

fn wanted() -> Vec<(String, Option<f64>, Option<f64>)> {
    vec![("2020-01".into(), Some(100.0), Some(100.0)), ("2020-02".into(), Some(54.035), Some(81.481)), ("2020-03".into(), None, None)]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_in_both_forms_give_the_same_months_and_days() {
    for db in testing::databases().await {
        let (name, p) = (db.name, Place::new(db).await);
        for (version, format) in [(Version::V2, Format::Json), (Version::V2, Format::Xml), (Version::V3, Format::Json), (Version::V3, Format::Xml)] {
            let what = format!("{name} {version} {format}");
            for group in ["SITES/CESGA", "PROJECT/EGI/SITES/CESGA"] {
                p.save(p.settings(version, format, group), KEY).await;
                assert_eq!(p.turn().await, None, "{what}");
                assert_eq!(p.figures().await, wanted(), "{what}");
                let asked = p.stub.take();
                let path = if version == Version::V2 { format!("v2/Critical/{group}") } else { "v3/Critical".to_owned() };
                let monthly = format!("{path}?2020-01-01T00:00:00Z&2020-03-02T23:59:59Z&monthly");
                let daily = format!("{path}?2020-02-01T00:00:00Z&2020-03-02T23:59:59Z&daily");
                assert_eq!(asked, [monthly, daily], "{what}");
                source::remove(&p.site.ctx, "notebooks", &Seen::Any).await.unwrap();
            }
        }
        let march = availability::month(&p.site.ctx, "notebooks", "2020-03".parse().unwrap()).await.unwrap();
        let days: Vec<_> = march.days.iter().map(|(d, r)| (d.as_str(), r.figures.availability)).collect();
        assert_eq!(days, [("2020-03-01", Some(100.0)), ("2020-03-02", None)], "{name}");
        let shown = march.month.shown().unwrap();
        assert_eq!((shown.origin, shown.by.contains("Critical, PROJECT/EGI/SITES/CESGA")), (Origin::Argo, true), "{name}: {}", shown.by);
        // What changed is on record, once.
        let trail = store::audit::page(p.site.db.db.read().await.unwrap().tx(), 0, 1_000).await.unwrap();
        assert_eq!(trail.iter().filter(|e| e.action == "availability.fetch").count(), 1, "{name}: the same figures again are no news");
        assert!(store::audit::verify(p.site.db.db.read().await.unwrap().tx()).await.unwrap().is_ok(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_is_named_with_its_remedy_and_leaves_what_was_known() {
    let p = Place::new(testing::sqlite().await).await;
    p.usual().await;
    assert_eq!(p.turn().await, None);
    let table = [
        (Mood::Status(403), Trouble::Forbidden, "ask ARGO's operators to let this key read the report"),
        (Mood::Status(404), Trouble::NotFound, "correct the report and the group"),
        (Mood::Status(400), Trouble::Refused, "No, not now"),
        (Mood::Status(500), Trouble::Unwell, "500"),
        (Mood::Status(503), Trouble::Unwell, "503"),
        (Mood::Status(429), Trouble::Unwell, "429"),
        (Mood::Status(301), Trouble::Elsewhere, "give the final address"),
        (Mood::Html, Trouble::WrongType, "text/html"),
        (Mood::Other, Trouble::WrongType, "choose the other format or version"),
        (Mood::Cut, Trouble::Cut, "look at proxies on the way"),
        (Mood::Short, Trouble::Cut, "ends in its midst"),
        (Mood::Slow, Trouble::Slow, "no answer in time"),
        (Mood::Away, Trouble::NoGroup, "SITES/CESGA is not in the answer, which has no group at all"),
        (Mood::Huge, Trouble::TooLong, "longer than 16 MiB"),
        (Mood::Echo, Trouble::Forbidden, "the key ••• may not read this"),
    ];
    for (mood, trouble, words) in table {
        p.site.deps.clock.advance_secs(86_400);
        p.stub.next(&[mood]);
        let (found, said) = p.turn().await.unwrap_or_else(|| panic!("{mood:?} went well"));
        assert_eq!(found, trouble, "{mood:?}: {said}");
        assert!(said.contains(words) && said.contains(trouble.remedy()) && !said.contains(KEY), "{mood:?}: {said}");
        assert_eq!(p.figures().await.iter().find(|m| m.0 == "2020-02"), wanted().iter().find(|m| m.0 == "2020-02"), "{mood:?}");
    }
    // In XML as well.
    for (mood, trouble) in [(Mood::Cut, Trouble::Cut), (Mood::Short, Trouble::Cut), (Mood::Other, Trouble::WrongType), (Mood::Away, Trouble::NoGroup)] {
        p.save(p.settings(Version::V2, Format::Xml, if mood == Mood::Cut { "SITES/CESGA" } else { "PROJECT/EGI/SITES/CESGA" }), KEY).await;
        p.stub.next(&[mood]);
        let (found, said) = p.turn().await.unwrap();
        assert_eq!(found, trouble, "{mood:?}: {said}");
        source::remove(&p.site.ctx, "notebooks", &Seen::Any).await.unwrap();
    }
    // A wrong key, a report that is not there, nobody at home.
    p.save(p.settings(Version::V2, Format::Json, "SITES/CESGA"), "wrong-key").await;
    let (found, said) = p.turn().await.unwrap();
    assert!(found == Trouble::WrongKey && said.contains("401") && said.contains("give a key that is valid") && !said.contains("wrong-key"), "{said}");
    p.save(Settings { report: "None".into(), ..p.settings(Version::V2, Format::Json, "SITES/CESGA") }, KEY).await;
    let (found, said) = p.turn().await.unwrap();
    assert!(found == Trouble::NotFound && said.contains("The report with the name None does not exist"), "{said}");
    p.save(Settings { address: "http://127.0.0.1:1".into(), ..p.settings(Version::V2, Format::Json, "SITES/CESGA") }, KEY).await;
    let (found, said) = p.turn().await.unwrap();
    assert!(found == Trouble::Unreachable && said.contains("see that this server reaches the address"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_by_itself_and_is_fetched_once_a_day() {
    let p = Place::new(testing::sqlite().await).await;
    p.usual().await;
    p.stub.next(&[Mood::Status(502)]);
    assert_eq!(p.turn().await.unwrap().0, Trouble::Unwell);
    assert_eq!(p.argo.fetch_due().await.unwrap(), 0, "not at once again");
    p.site.deps.clock.advance_secs(300);
    assert_eq!(p.turn().await, None, "5xx and then well");
    assert_eq!(p.figures().await, wanted());
    let row = source::find(&p.site.ctx, "notebooks").await.unwrap();
    assert_eq!((row.failures, row.failing_since, row.next_at), (0, None, p.site.deps.clock.now().plus_secs(86_400).0));
    assert_eq!(p.argo.fetch_due().await.unwrap(), 0, "once a day");
    source::fetch_now(&p.site.ctx, "notebooks").await.unwrap();
    assert_eq!(p.turn().await, None, "sooner where somebody asks for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_entered_stays_until_somebody_chooses() {
    let p = Place::new(testing::sqlite().await).await;
    let feb: Month = "2020-02".parse().unwrap();
    let figures = Figures { availability: Some(78.53), reliability: Some(78.53) };
    availability::enter(&p.site.ctx, "notebooks", &Entry { month: feb, figures, instead: false }, &Seen::Any).await.unwrap();
    p.usual().await;
    assert_eq!(p.turn().await, None);
    let seen = availability::month(&p.site.ctx, "notebooks", feb).await.unwrap().month;
    assert_eq!((seen.recorded.len(), seen.shown().unwrap().origin, seen.figures()), (2, Origin::Hand, figures));
    availability::show(&p.site.ctx, "notebooks", feb, Origin::Argo).await.unwrap();
    p.site.deps.clock.advance_secs(86_400);
    assert_eq!(p.turn().await, None);
    let seen = availability::month(&p.site.ctx, "notebooks", feb).await.unwrap().month;
    assert_eq!((seen.recorded.len(), seen.figures().availability), (2, Some(54.035)), "the choice stays with the next fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_for_three_days_is_an_alert_until_it_is_well() {
    let p = Place::new(testing::sqlite().await).await;
    p.save(p.settings(Version::V3, Format::Json, "SITES/CESGA"), "wrong-key").await;
    let mut dogs = Watchdogs::new(p.site.deps.clone());
    let open = async || {
        let all = ops::alerts::open(&p.site.ctx).await.unwrap();
        all.into_iter().find(|a| a.kind == "figures_missing")
    };
    for day in 0..3 {
        assert_eq!(p.turn().await.unwrap().0, Trouble::WrongKey);
        dogs.look().await.unwrap();
        assert!(open().await.is_none(), "day {day}");
        p.site.deps.clock.advance_secs(86_400);
    }
    assert!(p.turn().await.is_some());
    dogs.look().await.unwrap();
    let alert = open().await.unwrap();
    assert!(
        alert.severity == "warning" && alert.text.contains("3 d") && alert.text.contains("401") && alert.text.contains("give a key that is valid"),
        "{}",
        alert.text
    );
    assert!(!alert.text.contains("wrong-key"));
    p.save(p.settings(Version::V3, Format::Json, "SITES/CESGA"), KEY).await;
    assert_eq!(p.turn().await, None);
    dogs.look().await.unwrap();
    assert!(open().await.is_none());
}
