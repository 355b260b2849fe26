//! `/evidence`: the filter, the gaps, and the tests of the period with their signatures.

use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::RestoreTestId,
    units::{Timestamp, count},
};
use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use leptos::prelude::*;
use ops::{
    Ctx, OpsError,
    evidence::{Entry, Period, Signed, Standing},
    permission::{Action, On, allowed, period},
};
use store::services::ServiceRow;

use super::beside;
use crate::{
    components::{
        address::{Query, with_query},
        empty,
        evidence::ladder,
        icon,
        pager::{key, pager, parse_key},
        panel,
        service_field::service_field,
        status::{Tone, chip, chip_with},
        table::{table, th},
        test::verdict_chip,
        time::{moment, relative},
        way,
    },
    context::{AppContext, app, ctx, query},
    error::form_error,
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

/// Tests a page.
const ON_A_PAGE: i64 = 25;
/// Days before today where nothing else is asked for.
const DAYS: i64 = 180;
/// A chain of so many records is walked on every view; a longer one when it is asked for.
const WALKED: i64 = 2_000;

/// What the address asks for.
pub(super) struct Asked {
    pub from: Date,
    pub to: Date,
    pub service: String,
    pub period: Period,
    wrong: Option<String>,
}

impl Asked {
    fn read(query: &Query, ctx: &Ctx, zone: &TimeZone) -> Result<Self, OpsError> {
        let today = jiff::Timestamp::from_microsecond(ctx.now().0).unwrap_or_default().to_zoned(zone.clone()).date();
        let text = |name: &str| query.get(name).map(|v| v.trim().to_owned()).unwrap_or_default();
        let mut wrong = None;
        let mut day = |name: &str| {
            let text = text(name);
            let read = text.parse::<Date>().ok();
            if read.is_none() && !text.is_empty() {
                wrong = Some(format!("“{text}” is no day; write it as 2021-02-26."));
            }
            read
        };
        let (from, mut to) = (day("from"), day("to").unwrap_or(today));
        let mut from = from.unwrap_or_else(|| to.saturating_sub(DAYS.days()));
        if from > to {
            wrong = Some(format!("{from} is later than {to}; the period begins 180 days before its end."));
            from = to.saturating_sub(DAYS.days());
        }
        // A guest sees the days of their link: an absence outside of them is none.
        if let Some((first, last)) = period(ctx) {
            (from, to) = (from.clamp(first, last), to.clamp(first, last));
        }
        let service = text("service");
        let period = ops::evidence::days(from, to, zone, &service).ok_or_else(|| OpsError::invalid("to", "is out of range; give a day such as 2021-02-25"))?;
        Ok(Self { from, to, service, period, wrong })
    }

    /// An address with the same filter, and more.
    pub fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let mut pairs = vec![("from", from.as_str()), ("to", to.as_str()), ("service", self.service.as_str())];
        pairs.extend(more);
        with_query(path, &pairs)
    }

    fn words(&self) -> String {
        format!("{} to {}", self.from.strftime("%-d %b %Y"), self.to.strftime("%-d %b %Y"))
    }
}

/// `/evidence?from=&to=&service=&before=&verify=1&pack=1`.
#[component]
pub fn Evidence() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        let asked = Asked::read(&query, &ctx, &shared.zone)?;
        let body = body(&ctx, &shared, &query, &asked).await?;
        let whole = view! {
            <div class="page__head"><div><h1 class="page__title">"Evidence"</h1>
                <p class="page__lede">"What can be proven of restores. Dates are those of the tests, not of an upload."</p></div></div>
            {error.as_ref().map(refused)}
            {body}
        };
        Ok(Page { title: "Evidence".to_owned(), nav: Nav::Evidence, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: whole.into_any() })
    })
}

async fn body(ctx: &Ctx, shared: &AppContext, query: &Query, asked: &Asked) -> Result<AnyView, OpsError> {
    let standing = ops::evidence::standing(ctx, &asked.period).await?;
    let before = query.get("before").and_then(|b| parse_key(&b)).map(|(at, id)| (at, RestoreTestId(id)));
    let mut entries = ops::evidence::list(ctx, &asked.period, before, ON_A_PAGE + 1).await?;
    let more = entries.len() as i64 > ON_A_PAGE;
    entries.truncate(ON_A_PAGE as usize);
    let reads = allowed(&ctx.actor, Action::Read, On::Any);
    let services = if reads {
        let overview = shared.overview.get(ctx, &shared.zone).await?;
        service_field(&overview, (!asked.service.is_empty()).then_some(asked.service.as_str()))
    } else {
        of_a_guest(&ops::evidence::visible(ctx, "").await?, &asked.service)
    };
    let keys = ops::evidence::keys(ctx).await?;
    let head = ops::evidence::head(ctx).await?;
    let walk = head <= WALKED || query.get("verify").is_some();
    let chain = if walk { Some(ops::evidence::chain(ctx).await?) } else { None };
    let pack = match query.get("pack") {
        Some(_) if reads => Some(ops::evidence::pack::make(ctx, &shared.vault, &asked.period, &shared.zone).await),
        _ => None,
    };
    let (now, zone) = (ctx.now(), &shared.zone);
    let first = before.map(|_| ("Newest", asked.address("/evidence", &[])));
    let next = entries.last().filter(|_| more).map(|e| {
        let key = key(e.test.started_at, e.test.id);
        ("Older", asked.address("/evidence", &[("before", key.as_str())]))
    });
    let filter = view! {
        <section class="panel" aria-label="Filter"><form class="filters" method="get" action="/evidence">
            <div class="field"><label for="f-from">"From"</label><input class="input input--sm" type="date" id="f-from" name="from" value=asked.from.to_string()/></div>
            <div class="field"><label for="f-to">"To"</label><input class="input input--sm" type="date" id="f-to" name="to" value=asked.to.to_string()/></div>
            {services}
            <button class="btn btn--sm">"Show"</button>
        </form></section>
    };
    let wrong = asked
        .wrong
        .clone()
        .map(|w| view! { <div class="callout callout--warn" role="alert">{icon("i-warn")}<b>"The filter is not understood"</b><div>{w}</div></div> });
    Ok(view! {
        <div class="stack">
            {wrong}{filter}
            {meters(&standing)}
            <div class="grid grid--aside">
                <div class="stack">
                    {gaps(asked, &standing, reads, now, zone)}
                    {listed(asked, &entries, pager(first, next), reads, now, zone)}
                </div>
                <div class="stack">
                    {reads.then(|| beside::pack(asked, pack))}
                    {beside::chain(asked, head, chain.as_ref())}
                    {beside::keys(&keys, ops::evidence::may_rotate(ctx), zone)}
                    {beside::view_of(ctx)}
                </div>
            </div>
        </div>
    }
    .into_any())
}

/// The field of the filter for whoever sees nothing else of services than their evidence.
fn of_a_guest(services: &[ServiceRow], chosen: &str) -> AnyView {
    let options = services.iter().map(|s| view! { <option value=s.name.clone() selected=s.name == chosen>{s.title.clone()}</option> }).collect_view();
    view! {
        <div class="field"><label for="f-service">"Service"</label><select class="select input--sm" id="f-service" name="service"><option value="">"any"</option>{options}</select></div>
    }
    .into_any()
}

/// Copies apart from restores: one proves nothing of the other.
fn meters(s: &Standing) -> AnyView {
    let of = format!("of {} services", s.services);
    view! {
        <dl class="meters">
            <div><dt>"A copy exists"</dt><dd class="readout readout--md">{s.with_copy}" "<small>{of.clone()}</small></dd>
                <dd class="sm soft">"A copy proves no restore."</dd></div>
            <div><dt>"A restore was proven"</dt><dd class="readout readout--md">{s.proven}" "<small>{of}</small></dd>
                <dd class="sm soft">"The newest test in the period passed, and data came back."</dd></div>
            <div><dt>"Gaps"</dt><dd class="readout readout--md">{s.gaps.len()}</dd><dd class="sm soft">"Services without such a test in the period."</dd></div>
        </dl>
    }
    .into_any()
}

fn gaps(asked: &Asked, s: &Standing, reads: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = s
        .gaps
        .iter()
        .map(|g| {
            let since = match g.since {
                Some(at) => view! { {moment(at, now, zone)}<span class="sub">{relative(at, now)}</span> }.into_any(),
                None => "never".into_any(),
            };
            view! { <tr><th scope="row">{way(reads, format!("/services/{}", g.service), g.title.clone())}</th><td>{g.what.clone()}</td><td>{since}</td></tr> }
        })
        .collect_view();
    let body = if s.services == 0 {
        view! { <p class="panel__body soft">"There is no service here."</p> }.into_any()
    } else if s.gaps.is_empty() {
        view! { <p class="panel__body soft">"None: of each service a restore was proven in the period."</p> }.into_any()
    } else {
        let head = view! { {th("Service", "")}{th("What is missing", "")}{th("Last test", "")} };
        table("Gaps in the period", "table--tight", head.into_any(), rows.into_any()).into_any()
    };
    let note = format!("{} · an absence of evidence is shown, never filled in", asked.words());
    panel("gaps", "Gaps", Some(note), None, body).into_any()
}

/// Tone, shape and words of a signature.
pub(super) fn signed_chip(signed: Signed, countersigned: i64) -> AnyView {
    let more = if countersigned > 0 { ", countersigned" } else { "" };
    match signed {
        Signed::Valid => chip(Tone::Ok, format!("valid{more}")),
        Signed::Waiting => chip_with(Tone::None, "i-clock", signed.words()),
        Signed::Broken => chip(Tone::Fail, signed.words()),
        Signed::Never => chip_with(Tone::None, "i-unknown", signed.words()),
    }
}

fn listed(asked: &Asked, entries: &[Entry], pages: AnyView, reads: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = entries
        .iter()
        .map(|e| {
            let (t, at) = (&e.test, Timestamp(e.test.started_at));
            let level = EvidenceLevel::parse(&t.level).unwrap_or_default();
            let link = t.seq.map_or_else(|| "–".to_owned(), count);
            view! {
                <tr><th scope="row">{if reads { view! { <a class="rowlink" href=format!("/tests/{}", t.id)>{moment(at, now, zone)}</a> }.into_any() } else { moment(at, now, zone).into_any() }}<span class="sub">{relative(at, now)}</span></th>
                    <td>{t.service_title.clone()}</td><td>{verdict_chip(Verdict::parse(&t.verdict))}</td><td class="col-md">{ladder(level)}</td>
                    <td class="num col-lo">{link}</td><td>{signed_chip(e.signed, t.countersigned)}</td></tr>
            }
        })
        .collect_view();
    let body = if entries.is_empty() {
        empty("No restore test in this period", "Where nothing was tested, nothing is proven.".into_any(), None).into_any()
    } else {
        let head = view! { {th("Restore test", "")}{th("Service", "")}{th("Verdict", "")}{th("Level", "col-md")}{th("Chain link", "num col-lo")}{th("Signature", "")} };
        table("Evidence, the newest first", "", head.into_any(), rows.into_any()).into_any()
    };
    panel("evidence", "Evidence", Some(asked.words()), None, view! { {body}{pages} }.into_any()).into_any()
}
