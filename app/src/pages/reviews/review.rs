//! One review of one service: recording that it was done, how often it is done, why it need not be done.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    permission::{Action, On, allowed},
    reviews::{Review, ReviewRow},
};

use super::{
    act::{EndExemption, ExemptReview, RecordReview, SetReviewInterval, WithdrawReview},
    civil, every,
    service::{exemptions, history},
    standing_chip, title,
};
use crate::{
    components::{
        address::Query,
        field::{Line, choose, line, lines},
        icon, panel,
    },
    context::{ctx, query, visitor},
    error::{AppError, form_error, refused},
    frame::{Nav, Page, page},
};

/// `/services/NAME/reviews/KIND`. A refused form comes back with what was typed in the address.
#[component]
pub fn ReviewPage() -> impl IntoView {
    let (ctx, who, error, typed) = (ctx(), visitor(), form_error(), query());
    let params = use_params_map().get_untracked();
    page(async move {
        let (name, kind) = (params.get("name").unwrap_or_default(), ops::reviews::kind(&params.get("review").unwrap_or_default())?);
        let mut found = ops::reviews::of_service(&ctx, &name).await?;
        found.history.retain(|r| r.kind == kind.as_str());
        found.exemptions.retain(|e| e.kind == kind.as_str());
        let r = ops::reviews::find(&ctx, &name, kind).await?;
        let may = allowed(&who.actor, Action::Plan, On::Service(r.service.id()));
        let today = ops::reviews::today(&ctx).to_string();
        // Two forms have a reason: it is wrong in the one that says which review it is about.
        let withdrawing = typed.get("id").is_some();
        let (of_withdrawal, of_others) = (error.as_ref().filter(|_| withdrawing), error.as_ref().filter(|_| !withdrawing));
        let forms = may.then(|| {
            view! {
                <div class="stack">
                    {panel("record", "Record a review", None, None, record(&r, &typed, &today, ctx.actor.shown(), of_others))}
                    {panel("often", "How often", None, None, interval(&r, &typed, of_others))}
                    {panel("exempt", "Exemption", None, None, exemption(&r, &typed, of_others))}
                    {withdrawal(&r, &found.history, &typed, of_withdrawal)}
                </div>
            }
        });
        let last = r.facts.last_on.map_or_else(|| view! { "never" }.into_any(), civil);
        let excuse = r.facts.exemption.as_ref().map(|e| {
            view! { <div class="callout callout--info">{icon("i-info")}<b>"Exempt"</b><div>{format!("{} said so, until {}: {}", e.actor, e.until_on, e.reason)}</div></div> }
        });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title(kind)}</h1>
                <div class="page__meta">{standing_chip(&r)}<span>"Due "<b>{civil(r.facts.due)}</b></span><span>"Last done "{last}</span><span>{every(r.facts.months)}</span>
                    <a href=format!("/services/{}/reviews", r.service.name)>{r.service.title.clone()}</a></div></div></div>
            {error.as_ref().map(refused)}
            <div class="grid grid--aside-w"><div class="stack">{excuse}{history(&found.history)}{exemptions(&found.exemptions)}</div>{forms}</div>
        };
        let base = format!("/services/{}", r.service.name);
        let crumbs =
            [("Home", "/".to_owned()), ("Services", "/services".to_owned()), (r.service.title.as_str(), base.clone()), ("Reviews", format!("{base}/reviews"))];
        let crumbs = crumbs.into_iter().map(|(words, href)| (words.to_owned(), href)).collect();
        Ok(Page { title: title(kind).to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

fn hidden(r: &Review) -> AnyView {
    view! { <input type="hidden" name="service" value=r.service.name.clone()/><input type="hidden" name="review" value=r.facts.kind.as_str()/> }.into_any()
}

fn record(r: &Review, typed: &Query, today: &str, who: &str, error: Option<&AppError>) -> AnyView {
    let on = Line {
        name: "on",
        field: "on",
        label: "Done on",
        hint: "The day on which it was done, also one of the past; today is in UTC",
        value: typed.get("on").unwrap_or_else(|| today.to_owned()),
        kind: "date",
        required: true,
        ..Line::default()
    };
    let by = Line {
        name: "by",
        field: "by",
        label: "By",
        hint: "Who did the review",
        value: typed.get("by").unwrap_or_else(|| who.to_owned()),
        required: true,
        ..Line::default()
    };
    let hint = "What was found and what follows from it, in a sentence or two";
    view! {
        <form class="panel__body form" method="post" action=RecordReview::url()>{hidden(r)}
            {line(&on, error)}{line(&by, error)}{lines("outcome", "Outcome", hint, typed.get("outcome").unwrap_or_default(), error)}
            <p><button class="btn btn--primary">"Record the review"</button></p>
        </form>
    }
    .into_any()
}

/// The form that withdraws what was recorded; nothing where there is none.
fn withdrawal(r: &Review, history: &[ReviewRow], typed: &Query, error: Option<&AppError>) -> Option<AnyView> {
    let all: Vec<(String, String)> = history
        .iter()
        .filter(|h| h.withdrawn_at.is_none())
        .map(|h| (h.id.to_string(), format!("{}, by {}: {}", h.done_on, h.done_by, h.outcome.chars().take(60).collect::<String>())))
        .collect();
    let options: Vec<(&str, &str)> = all.iter().map(|(id, words)| (id.as_str(), words.as_str())).collect();
    let why = Line {
        name: "why",
        field: "reason",
        label: "What was wrong",
        hint: "For whoever reads this in a year",
        value: typed.get("why").unwrap_or_default(),
        required: true,
        ..Line::default()
    };
    (!all.is_empty()).then(|| {
        let chosen =
            choose("id", "Which one", "One recorded by mistake. It stays in the history, and counts no longer", &options, &typed.get("id").unwrap_or_default());
        let form = view! {
            <form class="panel__body form" method="post" action=WithdrawReview::url()>{hidden(r)}
                {chosen}{line(&why, error)}
                <p><button class="btn">"Withdraw it"</button></p>
            </form>
        };
        panel("withdraw", "Withdraw a review", None, None, form.into_any()).into_any()
    })
}

fn interval(r: &Review, typed: &Query, error: Option<&AppError>) -> AnyView {
    let months = Line {
        name: "months",
        field: "months",
        label: "Months",
        hint: "It is due so many months after the last one; 12 is a year, at most 60",
        value: typed.get("months").unwrap_or_else(|| r.facts.months.to_string()),
        kind: "number",
        required: true,
        ..Line::default()
    };
    view! {
        <form class="panel__body form" method="post" action=SetReviewInterval::url()>{hidden(r)}<input type="hidden" name="version" value=r.version()/>
            {line(&months, error)}
            <p><button class="btn">"Save"</button></p>
        </form>
    }
    .into_any()
}

fn exemption(r: &Review, typed: &Query, error: Option<&AppError>) -> AnyView {
    let there = r.facts.exemption.as_ref();
    let until = Line {
        name: "until",
        field: "until",
        label: "Until",
        hint: "The last day on which no review is needed; then it is due again",
        value: typed.get("until").or_else(|| there.map(|e| e.until_on.clone())).unwrap_or_default(),
        kind: "date",
        required: true,
        ..Line::default()
    };
    let reason = typed.get("reason").or_else(|| there.map(|e| e.reason.clone())).unwrap_or_default();
    let end = there.map(|_| {
        view! {
            <form class="panel__foot" method="post" action=EndExemption::url()>{hidden(r)}<button class="btn btn--sm">"End the exemption now"</button></form>
        }
    });
    view! {
        <form class="panel__body form" method="post" action=ExemptReview::url()>{hidden(r)}
            {line(&until, error)}{lines("reason", "Reason", "Why no review is needed, for whoever reads this in a year", reason, error)}
            <p><button class="btn">{if there.is_some() { "Change the exemption" } else { "Exempt it" }}</button></p>
        </form>
        {end}
    }
    .into_any()
}
