//! Where ARGO's figures come from: how fetching went, and the settings.
//!
//! Lives here: the panels and the form of a source. May not: showing the key.

use domain::{
    availability::{
        Month,
        source::{Format, Version},
    },
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::availability::{
    Report,
    source::{key_words, version},
};
use store::availability::SourceRow;

use super::act::{FetchArgo, RemoveArgo, SaveArgo};
use crate::{
    components::{
        address::Query,
        dialog::dialog,
        field::{Line, choose, line, secret},
        panel,
        status::{Tone, chip},
        time::{full, relative},
    },
    error::AppError,
};

pub fn panels(report: &Report, configure: bool, operate: bool, query: &Query, error: Option<&AppError>, (now, zone): (Timestamp, &TimeZone)) -> AnyView {
    let service = report.service.name.as_str();
    let source = report.source.as_ref();
    let state = source.map(|row| state(service, row, operate, configure, now, zone));
    let settings = configure.then(|| form(service, source, query, error.filter(|_| query.get("form").as_deref() == Some("argo")), now));
    let none =
        (source.is_none() && !configure).then(|| view! { <p class="panel__body soft">"No ARGO is asked for this service; months are entered by hand."</p> });
    let body = view! { {none}{state}{settings} };
    panel("argo", "Figures from ARGO", None, None, body.into_any()).into_any()
}

/// How fetching went, and what can be done.
fn state(service: &str, row: &SourceRow, operate: bool, configure: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let s = &row.settings.0;
    let moment = |at: i64| {
        let at = Timestamp(at);
        view! { <span title=full(at, zone)>{relative(at, now)}</span> }
    };
    let fetched = row.fetched_at.map_or_else(|| view! { "never" }.into_any(), |at| moment(at).into_any());
    let stands = match (&row.failed, row.fetched_at) {
        (Some(_), _) => chip(Tone::Fail, "failing"),
        (None, Some(_)) => chip(Tone::Ok, "fetched"),
        (None, None) => chip(Tone::None, "not fetched yet"),
    };
    let failed = row.failed.as_ref().map(|f| {
        let since = row.failing_since.map(|at| view! { " for "{domain::units::span(now.secs_since(Timestamp(at)).max(0.0).round())} });
        let times = format!("{} {}", count(row.failures), if row.failures == 1 { "try" } else { "tries" });
        view! { <div class="callout callout--fail"><b>"Fetching fails"{since}</b><div>{crate::error::upper(&f.0.words())}<span class="sub">{times}</span></div></div> }
    });
    let due = if row.next_at <= now.0 { view! { "now" }.into_any() } else { moment(row.next_at).into_any() };
    let fetch = operate.then(|| {
        view! { <form method="post" action=FetchArgo::url()><input type="hidden" name="service" value=service.to_owned()/><button class="btn">"Fetch now"</button></form> }
    });
    let remove = configure.then(|| {
        let body = view! { <p>"Its key is forgotten. Figures that were fetched stay, and are marked as from ARGO."</p> };
        let button = view! { <form method="post" action=RemoveArgo::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="version" value=version(row)/><button class="btn btn--danger">"Remove the source"</button></form> };
        view! { <a class="btn btn--quiet" href="#remove-argo">"Remove"</a>{dialog("remove-argo", "Remove the source of ARGO's figures?", "Keep it", body.into_any(), button.into_any())} }
    });
    view! {
        <div class="panel__body stack">
            {failed}
            <dl class="kv"><dt>"Stands"</dt><dd>{stands}</dd><dt>"Last fetched"</dt><dd>{fetched}</dd><dt>"Next try"</dt><dd>{due}</dd>
                <dt>"Address"</dt><dd class="wrap">{s.address.clone()}</dd><dt>"API"</dt><dd>{format!("{}, {}", s.version, s.format.to_string().to_uppercase())}</dd>
                <dt>"Report"</dt><dd class="wrap">{s.report.clone()}</dd><dt>"Group"</dt><dd class="wrap">{s.group.clone()}</dd>
                <dt>"Months since"</dt><dd>{s.since.to_string()}</dd><dt>"Key"</dt><dd>{key_words(row)}</dd></dl>
            <div class="row">{fetch}{remove}</div>
        </div>
    }
    .into_any()
}

fn form(service: &str, there: Option<&SourceRow>, query: &Query, error: Option<&AppError>, now: Timestamp) -> AnyView {
    let s = there.map(|r| &r.settings.0);
    let value = |name: &str, saved: Option<String>, usual: &str| {
        if error.is_some() { query.get(name).unwrap_or_default() } else { saved.unwrap_or_else(|| usual.to_owned()) }
    };
    let text = |name: &'static str, label: &'static str, hint: &'static str, value: String| {
        line(&Line { name, field: name, label, hint, value, required: true, ..Line::default() }, error)
    };
    let versions = [(Version::V2.as_str(), "Version 2: asked for this group alone"), (Version::V3.as_str(), "Version 3: asked for the whole report")];
    let formats = [(Format::Json.as_str(), "JSON"), (Format::Xml.as_str(), "XML")];
    let http = if error.is_some() { query.get("allow_http").is_some() } else { s.is_some_and(|s| s.allow_http) };
    let usual = Month::of(now).back(11).to_string();
    let again = error.map(|_| view! { <p class="muted">"A key that was typed is not sent back; type it again."</p> });
    let api = value("api", s.map(|s| s.version.to_string()), Version::V2.as_str());
    let format = value("format", s.map(|s| s.format.to_string()), Format::Json.as_str());
    let inner = view! {
        <form class="panel__body form measure" method="post" action=SaveArgo::url()>
            <input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="version" value=there.map(version).unwrap_or_default()/>
            {text("address", "Address", "Such as https://api.argo.example.org, before /api/. Redirects are not followed.", value("address", s.map(|s| s.address.clone()), ""))}
            <div class="pair">{choose("api", "API", "", &versions, &api)}{choose("format", "Format", "", &formats, &format)}</div>
            {text("report", "Report", "Its name, such as Critical", value("report", s.map(|s| s.report.clone()), ""))}
            {text("group", "Group", "Type and name, such as SITES/CESGA; groups around it stand before it", value("group", s.map(|s| s.group.clone()), ""))}
            {text("since", "Months since", "The first month that is fetched, such as 2020-01", value("since", s.map(|s| s.since.to_string()), &usual))}
            {secret("key", "Key", "What ARGO's operators gave you for the header x-api-key. It is stored sealed and never shown again.", there.map(key_words).as_deref(), true, false, error)}
            {again}
            <div class="field"><label class="check"><input type="checkbox" name="allow_http" value="1" checked=http/>"Allow an address without TLS: the key then travels readable for everybody on the way"</label></div>
            <p class="row"><button class="btn">{if there.is_some() { "Save the source" } else { "Add the source" }}</button></p>
        </form>
    };
    if there.is_some() || error.is_some() {
        let open = error.is_some();
        view! { <details class="more panel__body" open=open><summary>"Settings"</summary>{inner}</details> }.into_any()
    } else {
        inner.into_any()
    }
}
