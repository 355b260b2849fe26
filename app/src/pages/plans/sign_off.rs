//! Section 9: where a version stands, who has signed, and the acts that may follow.
//!
//! Lives here: the section and its dialogs. May not: deciding who may sign or what stands in the way (`ops::plans` says).

use domain::{
    plan::{State, signers_missing},
    units::Timestamp,
};
use leptos::{prelude::*, server_fn::ServerFn};
use ops::permission::{Action, On, allowed};

use super::{
    act::{ApprovePlan, DiscardPlan, ReturnPlan, SignPlan, SubmitPlan},
    sections::{self, Shown},
};
use crate::{
    components::{
        dialog::dialog,
        icon, icon_sm,
        status::{Tone, chip, chip_with},
        table::{table, th},
        time::full,
    },
    error::upper,
};

/// The section with its heading.
pub fn section(s: &Shown<'_>, obstacles: &[String]) -> AnyView {
    sections::section(s, 9, body(s, obstacles))
}

fn body(s: &Shown<'_>, obstacles: &[String]) -> AnyView {
    let row = &s.version.row;
    let acts = s.plan.may.then(|| match row.state() {
        State::Draft => draft(s),
        State::InReview => in_review(s, obstacles),
        _ => ().into_any(),
    });
    let sum = row.content_sha256.as_ref().map(|sum| view! { <p class="xs muted">"SHA-256 of the content "<span class="hash">{sum.clone()}</span></p> });
    view! { {flow(row.state())}{signatures(s)}{sum}{acts} }.into_any()
}

fn flow(state: State) -> AnyView {
    let at = match state {
        State::Draft => 0,
        State::InReview => 1,
        _ => 2,
    };
    let last = match state {
        State::Superseded => "Superseded",
        State::Discarded => "Discarded",
        _ => "Approved",
    };
    let items = ["Draft", "In review", last].into_iter().enumerate().map(|(n, words)| {
        let (done, now) = (n < at || (n == at && at == 2), n == at && at < 2);
        let sign = if done { icon_sm("i-ok", "s-ok").into_any() } else { icon_sm(if now { "i-run" } else { "i-none" }, "").into_any() };
        view! { <li class=done.then_some("is-done") aria-current=(n == at).then_some("step")>{sign}{words}</li> }
    });
    view! { <ol class="flow" aria-label="State of the plan">{items.collect_view()}</ol> }.into_any()
}

fn signatures(s: &Shown<'_>) -> AnyView {
    let v = s.version;
    let rows = v.row.roles.0.iter().map(|role| {
        let signed = v.signatures.iter().find(|g| g.role == role.name);
        let who = signed.map_or_else(|| "–".to_owned(), |g| g.signer.clone());
        let state = match signed {
            Some(g) => chip(Tone::Ok, format!("signed {}", full(Timestamp(g.signed_at), s.zone))),
            None if v.row.state() == State::InReview => chip_with(Tone::None, "i-clock", "waits"),
            None => chip(Tone::None, "not signed"),
        };
        view! { <tr><th scope="row">{role.name.clone()}</th><td>{who}</td><td>{state}</td></tr> }
    });
    let head = view! { {th("Role", "")}{th("Who", "")}{th("State", "")} };
    table("Signatures", "table--tight", head.into_any(), rows.collect_view().into_any()).into_any()
}

/// The hidden fields that say which version was seen.
fn seen(s: &Shown<'_>) -> AnyView {
    let row = &s.version.row;
    view! {
        <input type="hidden" name="service" value=s.plan.service.name.clone()/><input type="hidden" name="version" value=row.number.to_string()/>
        <input type="hidden" name="revision" value=row.revision.to_string()/><input type="hidden" name="sha256" value=row.content_sha256.clone().unwrap_or_default()/>
    }
    .into_any()
}

fn draft(s: &Shown<'_>) -> AnyView {
    let why = view! {
        <p>"The draft ends here. It stays in the list of versions, and the approved version stays as it is."</p>
        <form action=DiscardPlan::url() method="post" id="discard-form">{seen(s)}
            <div class="field"><label for="discard-reason">"Reason"</label><input class="input" id="discard-reason" name="reason" maxlength="500" required autocomplete="off"/></div></form>
    };
    let button = view! { <button class="btn btn--danger" form="discard-form">"Discard the draft"</button> };
    view! {
        <form action=SubmitPlan::url() method="post" class="form">{seen(s)}
            <div class="field"><label for="f-comment">"What is new (optional)"</label><input class="input" id="f-comment" name="comment" maxlength="500" autocomplete="off" aria-describedby="f-comment-hint"/>
                <p class="field__hint" id="f-comment-hint">"Stands in the revision history. What was measured is frozen with the text."</p></div>
            <p class="row"><button class="btn btn--primary">"Submit for review"</button><a class="btn" href="#discard">"Discard the draft"</a></p></form>
        {dialog("discard", "Discard this draft?", "Leave it", why.into_any(), button.into_any())}
    }
    .into_any()
}

/// The form of one role that has not signed yet.
fn sign(s: &Shown<'_>, role: &str) -> AnyView {
    let id = format!("read-{}", role.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let words = format!("I have read version {} of this plan, and agree as {role}", s.version.row.number);
    view! {
        <form action=SignPlan::url() method="post" class="form">{seen(s)}<input type="hidden" name="role" value=role.to_owned()/>
            <label class="check"><input type="checkbox" id=id name="read" value="yes" required/>{words}</label>
            <p class="row"><button class="btn">{format!("Sign as {role}")}</button></p></form>
    }
    .into_any()
}

fn in_review(s: &Shown<'_>, obstacles: &[String]) -> AnyView {
    let v = s.version;
    let signed: Vec<&str> = v.signatures.iter().map(|g| g.role.as_str()).collect();
    let missing = signers_missing(&v.row.roles.0, &signed);
    let has_signed = v.signatures.iter().any(|g| g.signer == s.ctx.actor.name);
    let everywhere = allowed(&s.ctx.actor, Action::Plan, On::All);
    let open: Vec<&str> =
        v.row.roles.0.iter().filter(|r| !has_signed && (r.owner || everywhere) && missing.contains(&r.name.as_str())).map(|r| r.name.as_str()).collect();
    let forms = open.iter().map(|role| sign(s, role)).collect_view();
    view! { {forms}{approve(s, obstacles)}{give_back(s)} }.into_any()
}

fn approve(s: &Shown<'_>, obstacles: &[String]) -> AnyView {
    let number = s.version.row.number;
    if obstacles.is_empty() {
        let former = s.plan.approved.as_ref().map(|f| view! { <span class="sm soft">{format!("Version {} is superseded by it.", f.row.number)}</span> });
        return view! {
            <form action=ApprovePlan::url() method="post" class="form">{seen(s)}
                <p class="row"><button class="btn btn--primary">{format!("Approve version {number}")}</button>{former}</p></form>
        }
        .into_any();
    }
    let all = obstacles.iter().map(|o| view! { <li>{upper(o)}"."</li> }).collect_view();
    view! { <div class="callout callout--info">{icon("i-info")}<b>{format!("Version {number} cannot be approved yet")}</b><div><ul>{all}</ul></div></div> }
        .into_any()
}

fn give_back(s: &Shown<'_>) -> AnyView {
    let body = view! {
        <p>"It can be changed again. Its signatures fall: whoever has signed reads and signs it anew."</p>
        <form action=ReturnPlan::url() method="post" id="return-form">{seen(s)}
            <div class="field"><label for="return-reason">"Reason"</label><input class="input" id="return-reason" name="reason" maxlength="500" required autocomplete="off"/></div></form>
    };
    let button = view! { <button class="btn btn--primary" form="return-form">"Return it to draft"</button> };
    view! {
        <p class="row"><a class="btn" href="#return">"Return to draft"</a></p>
        {dialog("return", "Return this version to draft?", "Leave it", body.into_any(), button.into_any())}
    }
    .into_any()
}
