//! What somebody else saved while a form was open, beside what was typed.
//!
//! Lives here: comparing the two, and showing where they differ. May not: knowing what the form is for.

use leptos::prelude::*;

use super::{
    panel,
    table::{table, th},
};
use crate::error::AppError;

/// The status of a change that did not start from what is there.
const STALE: u16 = 412;

/// Whether the form was refused because somebody else was first.
pub fn is_stale(error: Option<&AppError>) -> bool {
    error.is_some_and(|e| e.status == STALE)
}

/// Where what is saved now and what was typed differ. `theirs` leads to the form with what is saved.
pub fn differences<N: Into<String>>(saved: Vec<(N, String)>, typed: Vec<(N, String)>, theirs: &str) -> AnyView {
    let shown = |text: String| if text.is_empty() { view! { <span class="muted">"empty"</span> }.into_any() } else { text.into_any() };
    let rows: Vec<_> = saved.into_iter().zip(typed).filter(|(saved, typed)| saved.1 != typed.1).collect();
    let lede = if rows.is_empty() {
        "What you typed is what is saved now, but for secrets, which are not shown."
    } else {
        "What you typed is still in the form below. Save it to replace what is saved now where the two differ."
    };
    let rows = rows.into_iter().map(|((name, saved), (_, typed))| {
        view! { <tr><th scope="row">{Into::<String>::into(name)}</th><td><span class="wrap">{shown(saved)}</span></td><td><span class="wrap">{shown(typed)}</span></td></tr> }
    });
    let rows: Vec<_> = rows.collect();
    let head = view! { {th("Field", "")}{th("Saved now", "")}{th("You typed", "")} };
    let table = (!rows.is_empty()).then(|| table("What differs", "", head.into_any(), rows.into_any()));
    let body = view! {
        <div class="panel__body"><p>{lede}</p></div>{table}
        <div class="panel__foot row"><a class="btn btn--sm" href=theirs.to_owned()>"Leave it as it is saved"</a></div>
    };
    panel("stale", "What somebody else saved", None, None, body.into_any()).into_any()
}
