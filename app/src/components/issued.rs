//! Secrets that people make for programs and guests: the one that is shown once, the list of those that were made.
//!
//! Lives here: markup, from values alone. May not: knowing what one of them opens.

use domain::units::{Timestamp, count};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::issued::Issued;

use super::{
    address::Query,
    empty,
    field::{Line, line},
    icon, panel,
    status::{Tone, chip},
    table::{table, th},
    time::{date, moment_with_age, relative},
};
use crate::error::AppError;

/// What was made just now, to be copied.
pub fn shown(title: &'static str, advice: AnyView, secret: String) -> AnyView {
    view! {
        <div class="callout callout--ok" role="status">{icon("i-key")}<b>{title}</b>
            <div><p>"Copy it now: only its hash is kept. "{advice}</p>
                <p class="mt-2"><code class="token">{secret}</code></p></div></div>
    }
    .into_any()
}

/// The words of a list.
pub struct Words {
    pub id: &'static str,
    pub title: &'static str,
    pub caption: &'static str,
    /// What an empty list says, and why it is empty.
    pub none: (&'static str, &'static str),
    /// The heads of the name, of what a row has of its own (with its class), and of the last use.
    pub name: &'static str,
    pub own: Option<(&'static str, &'static str)>,
    pub used: &'static str,
    /// What leads to somebody else's name: `of`, `by`.
    pub whose: &'static str,
    /// Where the form of the button goes.
    pub revoke: &'static str,
}

/// One that was made.
pub struct Made<'a> {
    pub row: &'a Issued,
    /// What stands under the head of its own.
    pub own: AnyView,
    /// What stands below the moment of the last use.
    pub used: Option<String>,
}

/// The panel with all of them, each with a button where there is something to revoke. `me` is whose name goes without saying.
pub fn list(w: &Words, me: &str, all: Vec<Made<'_>>, now: Timestamp, zone: &TimeZone) -> AnyView {
    if all.is_empty() {
        return panel(w.id, w.title, None, None, empty(w.none.0, w.none.1.into_any(), None).into_any()).into_any();
    }
    let valid = all.iter().filter(|m| m.row.state(now) == "valid").count();
    let rows = all.into_iter().map(|m| row(w, me, m, now, zone)).collect_view();
    let own = w.own.map(|(name, class)| th(name, class));
    let head = view! { {th(w.name, "")}{th("State", "")}{own}{th(w.used, "col-md")}{th("Ends", "")}<th scope="col"><span class="vh">"Revoke"</span></th> };
    panel(w.id, w.title, Some(format!("{} valid", count(valid as i64))), None, table(w.caption, "", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn row(w: &Words, me: &str, Made { row: r, own, used }: Made<'_>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let (state, ends) = (r.state(now), Timestamp(r.expires_at));
    let sign = chip(if state == "valid" { Tone::Ok } else { Tone::None }, state);
    let whose = (r.actor != me).then(|| view! { <span class="sub">{format!("{} {}", w.whose, r.actor)}</span> });
    let own = w.own.map(|(_, class)| view! { <td class=(!class.is_empty()).then_some(class)>{own}</td> });
    let used =
        r.last_used_at.map_or_else(|| "never".into_any(), |at| view! { {moment_with_age(Timestamp(at), now, zone)}<span class="sub">{used}</span> }.into_any());
    let revoke = (state == "valid").then(|| {
        view! { <form method="post" action=w.revoke><input type="hidden" name="id" value=r.id.to_string()/>
        <button class="btn btn--sm">"Revoke"<span class="vh">{format!(" {}", r.name)}</span></button></form> }
    });
    view! {
        <tr><th scope="row">{r.name.clone()}{whose}</th><td>{sign}</td>{own}<td class="col-md">{used}</td>
            <td class="nowrap">{date(ends, zone)}<span class="sub">{relative(ends, now)}</span></td><td class="ta-r">{revoke}</td></tr>
    }
    .into_any()
}

/// Where the last use came from.
pub fn from(row: &Issued) -> Option<String> {
    row.last_used_from.as_ref().map(|f| format!("from {f}"))
}

/// The fields of a name and of the days that it lives, with what was typed: the name of the first one with its label and
/// hint, the usual days and the hint of the second one.
pub fn name_and_days(name: (&str, &str, &str), days: (i64, &str), typed: &Query, error: Option<&AppError>) -> AnyView {
    let (field, label, hint) = name;
    let name = Line { name: field, field, label, hint, value: typed.get(field).unwrap_or_default(), required: true, ..Line::default() };
    let days = Line {
        name: "days",
        field: "days",
        label: "Days",
        hint: days.1,
        value: typed.get("days").unwrap_or_else(|| days.0.to_string()),
        kind: "number",
        required: true,
        ..Line::default()
    };
    view! { <div class="form__row">{line(&name, error)}{line(&days, error)}</div> }.into_any()
}
