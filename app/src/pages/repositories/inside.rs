//! The panels that are read from the repository itself: its locks, with the act that clears one, and its keys.
//!
//! Lives here: markup from values. May not: loading anything, any secret.

use domain::units::{Timestamp, span};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    OpsError,
    repositories::{Inside, Lock, StaleReason},
};

use super::act::ClearLock;
use crate::{
    components::{
        dialog::dialog,
        icon, panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment_with_age, relative},
    },
    error::upper,
};

/// Locks and keys. Where they could not be read, why. With `may` there are buttons.
pub fn panels(repository: &str, inside: &Result<Inside, OpsError>, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    match inside {
        Ok(inside) => view! { {locks(repository, inside, may, now, zone)}{keys(inside, now, zone)} }.into_any(),
        Err(e) => {
            let body = view! {
                <div class="panel__body"><div class="callout callout--none">{icon("i-unknown")}<b>"Locks and keys cannot be shown"</b>
                    <div>{format!("{}.", upper(&e.to_string()))}</div></div></div>
            };
            panel("inside", "Locks and keys", None, None, body.into_any()).into_any()
        }
    }
}

fn locks(repository: &str, inside: &Inside, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    if inside.locks.is_empty() {
        let body = view! { <p class="panel__body soft">"Nobody holds a lock: no backup, check or prune is at work."</p> };
        return panel("locks", "Locks", None, None, body.into_any()).into_any();
    }
    let rows = inside.locks.iter().map(|l| lock_row(l, may, now, zone)).collect_view();
    let head = view! { {th("Owner", "")}{th("Since", "")}{th("Kind", "col-md")}{th("State", "")}{may.then(|| view! { <th scope="col"><span class="vh">"Act"</span></th> })} };
    let dialogs = may.then(|| inside.locks.iter().filter(|l| l.can_be_cleared()).map(|l| clear_dialog(repository, l, now)).collect_view());
    let body = view! { {table("Locks, the oldest first", "table--top", head.into_any(), rows.into_any())}{dialogs} };
    let note = "who works on it; a prune waits for all of them".to_owned();
    panel("locks", "Locks", Some(note), None, body.into_any()).into_any()
}

fn lock_row(l: &Lock, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let r = &l.record;
    let state = match (&l.run, r.stale) {
        (Some((run, title)), _) => {
            let href = format!("/runs/{run}");
            view! { {chip(Tone::Run, "in use")}<span class="sub"><a href=href>{title.clone()}</a></span> }.into_any()
        }
        (None, Some(StaleReason::Old)) => view! { {chip(Tone::Warn, "stale")}<span class="sub">"not refreshed for 30 minutes"</span> }.into_any(),
        (None, Some(StaleReason::ProcessGone)) => view! { {chip(Tone::Warn, "stale")}<span class="sub">"its process is gone"</span> }.into_any(),
        (None, None) => view! { {chip(Tone::None, "fresh")}<span class="sub">"another program, or another Holdfast"</span> }.into_any(),
    };
    let button = may.then(|| {
        let link = l.can_be_cleared().then(|| {
            view! { <a class="btn btn--sm" href=format!("#clear-{}", short(&r.id))>"Clear"<span class="vh">{format!(" the lock of {}", owner(l))}</span></a> }
        });
        view! { <td class="num">{link}</td> }
    });
    view! {
        <tr><th scope="row">{owner(l)}<span class="sub">{format!("process {}", r.pid)}</span></th>
            <td class="nowrap">{moment_with_age(r.since, now, zone)}</td>
            <td class="col-md">{if r.exclusive { "exclusive" } else { "shared" }}</td><td>{state}</td>{button}</tr>
    }
    .into_any()
}

fn owner(l: &Lock) -> String {
    let r = &l.record;
    let user = if r.user.is_empty() { "somebody" } else { &r.user };
    format!("{user} on {}", if r.host.is_empty() { "an unknown host" } else { &r.host })
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn clear_dialog(repository: &str, l: &Lock, now: Timestamp) -> AnyView {
    let id = short(&l.record.id);
    let (form, field) = (format!("clear-form-{id}"), format!("clear-why-{id}"));
    let hint = format!("{field}-h");
    let (text, confirm) = if l.is_fresh() {
        let box_id = format!("clear-sure-{id}");
        let for_box = box_id.clone();
        let age = span(now.secs_since(l.record.since).max(0.0));
        let text = format!(
            "It was written {age} ago, so its owner may be at work. If a prune then removes what a backup is writing, that backup is lost. \
             Look at the machine first.",
        );
        let confirm = view! {
            <div class="field"><label class="check" for=for_box><input type="checkbox" id=box_id name="confirmed" value="yes" required/>
                <span>{format!("Nothing runs on {} any more: I have looked", l.record.host)}</span></label></div>
        };
        (text, Some(confirm))
    } else {
        (format!("Its owner is gone: it was written {} and not since. Whoever waits for it goes on.", relative(l.record.since, now)), None)
    };
    let body = view! {
        <p>{text}</p>
        <form action=ClearLock::url() method="post" id=form.clone()>
            <input type="hidden" name="repository" value=repository.to_owned()/>
            <input type="hidden" name="lock" value=l.record.id.clone()/>
            <div class="field"><label for=field.clone()>"Reason"</label>
                <input class="input" id=field name="reason" maxlength="500" required autocomplete="off" aria-describedby=hint.clone()/>
                <p class="field__hint" id=hint>"It is kept in the audit trail, with the owner of the lock."</p></div>
            {confirm}
        </form>
    };
    let class = if l.is_fresh() { "btn btn--danger" } else { "btn" };
    let button = view! { <button class=class form=form>"Clear the lock"</button> };
    dialog(&format!("clear-{id}"), &format!("Clear the lock of {}?", owner(l)), "Leave it", body.into_any(), button.into_any())
}

fn keys(inside: &Inside, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = inside
        .keys
        .iter()
        .map(|k| {
            let who = if k.user.is_empty() { "not said".to_owned() } else { k.user.clone() };
            let at = k.created_at.map_or_else(|| "not said".into_any(), |at| {
                view! { <time title=full(at, zone)>{crate::components::time::short(at, now, zone)}</time> }.into_any()
            });
            let own = k.own.then(|| chip(Tone::Ok, "Holdfast's password opens it"));
            let host = if k.host.is_empty() { "not said".to_owned() } else { k.host.clone() };
            view! { <tr><th scope="row"><span class="hash">{short(&k.id).to_owned()}</span></th><td>{who}</td><td>{host}</td><td class="nowrap">{at}</td><td>{own}</td></tr> }
        })
        .collect_view();
    let head = view! { {th("Key", "")}{th("User", "")}{th("Host", "")}{th("Added", "")}{th("Opened by", "")} };
    let note = "each opens all of it with its own password".to_owned();
    panel("keys", "Keys", Some(note), None, table("Keys of the repository", "table--tight", head.into_any(), rows.into_any()).into_any()).into_any()
}
