//! Adopting all snapshots of a cloud that fit a pattern: first the list, then the act.
//!
//! Lives here: `/services/NAME/adopt?source=&pattern=`. May not: judging values, adopting by opening the page.

use domain::{
    instance::Pattern,
    units::{Timestamp, count, size},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    OpsError,
    instances::adopting::{self, Adoption, Adoptions},
    permission::{Action, require},
};

use super::parts::list_place;
use crate::{
    components::{
        address::{encode, with_query},
        empty, icon, panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment, relative},
    },
    context::{app, ctx},
    error::{AppError, back, form_error, go, refuse, refused},
    frame::{Nav, Page, page},
};

/// The address of the page.
pub fn href(service: &str, source: &str, pattern: &str) -> String {
    with_query(&format!("/services/{}/adopt", encode(service)), &[("source", source), ("pattern", pattern)])
}

/// Adopts all that fit and shows the instances. A refused form comes back with what was typed.
#[server(prefix = "/act", endpoint = "adopt-snapshots")]
pub async fn adopt_snapshots(service: String, source: String, pattern: String) -> Result<(), AppError> {
    match adopting::all(&ctx(), &service, &source, &pattern).await {
        Ok(_) => {
            go(&list_place(&service, &source, ""));
            Ok(())
        }
        Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_))) => back(&href(&service, &source, &pattern), e),
        Err(e) => Err(refuse(e)),
    }
}

/// `/services/:name/adopt?source=&pattern=`.
#[component]
pub fn Adopt() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        require(&ctx, Action::Configure)?;
        let text = |name: &str| query.get(name).unwrap_or_default();
        let (service, source, typed) = (params.get("name").unwrap_or_default(), text("source"), text("pattern"));
        let shown = ops::services::find(&ctx, &service).await?;
        let (found, wrong) = if typed.is_empty() {
            (None, None)
        } else {
            match adopting::preview(&ctx, &service, &source, &typed).await {
                Ok(found) => (Some(found), None),
                Err(OpsError::Invalid(fields)) => (None, fields.into_iter().next().map(|f| f.message)),
                Err(e) => return Err(e),
            }
        };
        let (now, zone) = (ctx.now(), &shared.zone);
        let typed = if typed.is_empty() { Pattern::DEFAULT.to_owned() } else { typed };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Adopt snapshots "<span class="soft">{shown.title.clone()}</span></h1>
                <p class="page__lede">"Snapshots in the cloud that other tools have taken become snapshots here, by their names. Nothing is changed in the cloud."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{ask(&service, &source, &typed, wrong)}{found.map(|f| fitting(&f, now, zone))}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (shown.title.clone(), format!("/services/{}", shown.name)),
            ("Instances".to_owned(), list_place(&service, &source, "")),
        ];
        Ok(Page { title: "Adopt snapshots".to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

fn ask(service: &str, source: &str, typed: &str, wrong: Option<String>) -> AnyView {
    let invalid = wrong.is_some().then_some("true");
    let problem = wrong.map(|m| view! { <p class="field__error" id="pattern-e">{icon("i-fail")}{format!("The pattern {m}")}</p> });
    let body = view! {
        <div class="panel__body"><form class="form" method="get" action=format!("/services/{}/adopt", encode(service))>
            <input type="hidden" name="source" value=source.to_owned()/>
            <div class="field"><label for="pattern">"pattern"</label>
                <input class="input input--mono" id="pattern" name="pattern" value=typed.to_owned() required spellcheck="false" autocomplete="off" aria-describedby="pattern-h pattern-e" aria-invalid=invalid/>
                {problem}<p class="field__hint" id="pattern-h">"How the snapshots are named: {0} stands for the instance, {1} for the time in UTC as YYYYMMDDHHMM."</p></div>
            <p class="row"><button class="btn">"Show what fits"</button></p>
        </form></div>
    };
    panel("pattern", "Which names", None, None, body.into_any()).into_any()
}

fn fitting(found: &Adoptions, now: Timestamp, zone: &TimeZone) -> AnyView {
    if found.all.is_empty() {
        let why = format!(
            "The last look at {} found nothing that no record names and that is named by this pattern for an instance of this source.",
            found.place.cloud.name
        );
        return view! { <section class="panel">{empty("Nothing fits", why.into_any(), None)}</section> }.into_any();
    }
    let good = found.all.iter().filter(|a| a.cannot.is_none()).count();
    let rows = found.all.iter().map(|a| row(a, now, zone)).collect_view();
    let head = view! { {th("Name", "")}{th("Instance", "")}{th("Taken", "")}{th("Size", "num col-md")}{th("Not known", "col-lo")} };
    let beyond = found.beyond.iter().map(|b| {
        view! {
            <div class="callout callout--warn">{icon("i-warn")}<b>{format!("The next snapshots by {} delete {} of these", b.schedule, count(b.snapshots as i64))}</b>
                <div>{format!("It keeps max_snapshots = {} of each instance. Raise that first, or place holds on what has to stay.", b.max_snapshots)}</div></div>
        }
    });
    let more = found
        .more
        .then(|| view! { <p class="panel__body sm soft">{format!("More fit. These are the first {}; adopt them, then come back.", adopting::MOST)}</p> });
    let form = (good > 0).then(|| {
        let words = if good == 1 { "Adopt 1 snapshot".to_owned() } else { format!("Adopt {} snapshots", count(good as i64)) };
        view! {
            <form method="post" action=AdoptSnapshots::url()>
                <input type="hidden" name="service" value=found.place.service.name.clone()/><input type="hidden" name="source" value=found.place.source.name.clone()/>
                <input type="hidden" name="pattern" value=found.pattern.to_string()/><button class="btn btn--primary">{words}</button></form>
        }
    });
    let body = view! {
        {table("Snapshots that fit, by instance and time", "table--top", head.into_any(), rows.into_any())}{more}
        <div class="panel__body stack stack--sm">{beyond.collect_view()}<div class="row">{form}</div></div>
    };
    panel("fits", "What fits", Some(count(found.all.len() as i64)), None, body.into_any()).into_any()
}

fn row(a: &Adoption, now: Timestamp, zone: &TimeZone) -> AnyView {
    let gone = (!a.present).then(|| view! { <span class="sub">{chip(Tone::None, "not in the cloud")}</span> });
    let cannot = a.cannot.clone().map(|why| view! { <span class="sub">{format!("Stays an orphan: {why}")}</span> });
    let unknown = if a.unknown.is_empty() { "–".to_owned() } else { a.unknown.join(", ") };
    view! {
        <tr><th scope="row"><span class="mono brk">{a.orphan.name.clone()}</span>{cannot}</th><td>{a.instance.clone()}{gone}</td>
            <td><span title=full(a.taken_at, zone)>{moment(a.taken_at, now, zone)}</span><span class="sub">{relative(a.taken_at, now)}</span></td>
            <td class="num col-md">{size(a.orphan.bytes)}</td><td class="col-lo">{unknown}</td></tr>
    }
    .into_any()
}
