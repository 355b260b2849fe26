//! What a pasted file would change, or did, or why it was refused.
//!
//! Lives here: the words and their markup. May not: comparing (that is `ops::config`).

use domain::units::count;
use leptos::prelude::*;
use ops::config::{Applied, Difference, Mistake, Subject};

use super::{PATH, Pasted};
use crate::{
    components::{
        icon, panel,
        status::{Tone, chip},
        table::{table, th},
    },
    error::upper,
};

/// Things of one kind that are named; of the rest the number.
const SHOWN: usize = 500;
const NAMED: usize = 50;

pub fn mistakes(all: &[Mistake]) -> AnyView {
    let rows = all
        .iter()
        .map(|m| view! { <tr><td class="num">{m.line}</td><td class="num">{m.col}</td><th scope="row" class="why">{upper(&m.message)}</th></tr> })
        .collect_view();
    let head = view! { {th("Line", "num")}{th("Column", "num")}{th("What is wrong", "")} };
    let title = if all.len() == 1 { "A mistake".to_owned() } else { format!("{} mistakes", all.len()) };
    let secret = all.iter().any(|m| m.is_secret).then(|| {
        view! { <p>"The text is not shown again, since a secret stands in it. Mend the file, and paste it anew."</p> }
    });
    view! {
        <div class="callout callout--fail" role="alert">{icon("i-fail")}<b>{title}</b><div>"Nothing was changed."{secret}</div></div>
        {panel("mistakes", "What is wrong", None, None, table("Mistakes by line", "table--tight", head.into_any(), rows.into_any()).into_any())}
    }
    .into_any()
}

/// What would change, with the button that applies exactly this text.
pub fn tried(a: &Applied, pasted: &Pasted) -> AnyView {
    if a.is_nothing() {
        return view! {
            <div class="callout callout--ok" role="status">{icon("i-ok")}<b>"Nothing would change"</b><div>"What the file says is what is configured."{left_alone(a)}</div></div>
        }
        .into_any();
    }
    let apply = view! {
        <form method="post" action=PATH>
            <input type="hidden" name="text" value=pasted.text.clone()/><input type="hidden" name="file" value=pasted.file.clone()/>
            <input type="hidden" name="what" value="apply"/><button class="btn btn--primary">"Apply it"</button>
        </form>
    };
    let body = view! {
        {things(a)}
        <div class="panel__body stack stack--sm">{left_alone(a)}<div class="row">{apply}</div></div>
    };
    view! { <div role="status">{panel("preview", "What would change", Some("nothing is written yet".to_owned()), None, body.into_any())}</div> }.into_any()
}

pub fn done(a: &Applied) -> AnyView {
    let number = |n: usize, word: &str| (n > 0).then(|| format!("{} {word}", count(n as i64)));
    let words: Vec<_> =
        [number(a.created.len(), "new"), number(a.changed.len(), "changed"), number(a.removed.len(), "removed")].into_iter().flatten().collect();
    let words = if words.is_empty() { "Nothing was other than the file says.".to_owned() } else { format!("{}.", upper(&words.join(", "))) };
    let list = (!a.is_nothing()).then(|| panel("done", "What has changed", None, None, things(a)));
    view! {
        <div class="callout callout--ok" role="status">{icon("i-ok")}<b>"The file was applied"</b><div>{words}{left_alone(a)}</div></div>
        {list}
    }
    .into_any()
}

/// Each thing that is other than before, with its keys.
fn things(a: &Applied) -> AnyView {
    let kinds = [("new", Tone::Ok, &a.created), ("changed", Tone::Warn, &a.changed), ("removed", Tone::Fail, &a.removed)];
    let all: Vec<_> = kinds.iter().flat_map(|(word, tone, of)| of.iter().map(move |s| (*word, *tone, s))).collect();
    let rows = all.iter().take(SHOWN).map(|(word, tone, s)| thing(word, *tone, s)).collect_view();
    let more = (all.len() > SHOWN).then(|| view! { <p class="panel__body sm soft">{format!("and {} more", count((all.len() - SHOWN) as i64))}</p> });
    let head = view! { {th("What", "")}{th("How", "")}{th("Keys", "")} };
    view! { {table("What changes", "table--tight", head.into_any(), rows.into_any())}{more} }.into_any()
}

fn thing(word: &'static str, tone: Tone, s: &Subject) -> AnyView {
    let line = |d: &Difference| {
        let was = d.was.clone().map(|v| view! { <del>{v}</del>" " });
        let new = d.will_be.clone().map(|v| view! { <ins>{v}</ins> });
        view! { <li><span class="muted">{d.key}</span>" "{was}{new}</li> }
    };
    view! {
        <tr><th scope="row">{s.name.clone()}<span class="sub">{s.entity}</span></th><td>{chip(tone, word)}</td>
            <td class="why"><ul class="changes">{s.differences.iter().map(line).collect_view()}</ul></td></tr>
    }
    .into_any()
}

fn left_alone(a: &Applied) -> Option<AnyView> {
    if a.left_alone.is_empty() {
        return None;
    }
    let mut names: Vec<String> = a.left_alone.iter().take(NAMED).map(|s| format!("{} {}", s.entity, s.name)).collect();
    if a.left_alone.len() > NAMED {
        names.push(format!("and {} more", count((a.left_alone.len() - NAMED) as i64)));
    }
    Some(view! { <p class="sm soft">{format!("Left alone, since the file does not name it: {}.", names.join(", "))}</p> }.into_any())
}
