//! Definitions of restore tests: the list on the Tests tab, and the form of one.
//!
//! Lives here: the list, words of terms. May not: judging values (`ops::test_definitions` does).

pub mod act;
pub mod fields;
pub mod form;

use domain::{
    definition::{Probe, Terms},
    units::span,
    work::Selection,
};
use leptos::{prelude::*, server_fn::ServerFn};
use store::test_definitions::TestDefinitionRow;

use self::act::TestByDefinition;
use crate::components::{
    address::encode,
    panel,
    table::{table, th},
};

/// What a selection takes, in words.
pub fn selection_words(selection: Selection) -> String {
    match selection {
        Selection::Latest => "the newest snapshot".to_owned(),
        Selection::Random { days: 1 } => "one snapshot at random of the last day".to_owned(),
        Selection::Random { days } => format!("one snapshot at random of the last {days} days"),
        Selection::Sample { count: 1 } => "one item at random".to_owned(),
        Selection::Sample { count } => format!("{count} items at random"),
        Selection::All => "every item".to_owned(),
    }
}

/// What a probe looks at, in words.
pub fn probe_words(probe: &Probe) -> String {
    match probe {
        Probe::Sqlite { item, path, assertion: a } => format!("SQLite {item}/{path}: {} {} {}", a.statement, a.compare, a.expected),
        Probe::Postgresql { connection, assertion: a } => format!("PostgreSQL {connection}: {} {} {}", a.statement, a.compare, a.expected),
        Probe::Http { url, status, text } if text.is_empty() => format!("{url} answers {status}"),
        Probe::Http { url, status, text } => format!("{url} answers {status} with “{text}”"),
        Probe::Tcp { host, port } => format!("{host} takes a connection at port {port}"),
        Probe::Command { command } => format!("command {command}"),
    }
}

fn limits(t: &Terms) -> String {
    let one = |name: &str, s: Option<i64>| s.map_or_else(|| format!("{name} of the service"), |s| format!("{name} {}", span(s as f64)));
    format!("{}, {}", one("RTO", t.rto_s), one("RPO", t.rpo_s))
}

/// The definitions of a service; each can be started by whoever may.
pub fn list(service: &str, rows: &[TestDefinitionRow], may_start: bool) -> AnyView {
    let base = format!("/services/{}/definitions", encode(service));
    let start = |name: &str| {
        may_start.then(|| {
            view! {
                <form method="post" action=TestByDefinition::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="definition" value=name.to_owned()/>
                    <button class="btn btn--sm">"Start"<span class="vh">{format!(" a test by {name}")}</span></button></form>
            }
        })
    };
    let own = rows
        .iter()
        .map(|d| {
            let t = &d.terms.0;
            let checks = t.checks.iter().map(|c| view! { <span class="sub brk">{format!("{}: {}", c.name, probe_words(&c.probe))}</span> }).collect_view();
            let starts = t.start.as_ref().map(|s| view! { <span class="sub brk">{format!("then the service is started by {s}")}</span> });
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("{base}/{}", encode(&d.name))>{d.name.clone()}</a><span class="sub">{selection_words(t.selection)}</span></th>
                    <td class="col-md">"Counts, every byte, canary"{checks}{starts}</td><td class="col-md">{limits(t)}</td><td>{start(&d.name)}</td></tr>
            }
        })
        .collect_view();
    let built_in = Terms::default();
    let rows = view! {
        {own}
        <tr><th scope="row">"Built in"<span class="sub">{selection_words(built_in.selection)}</span></th><td class="col-md">"Counts, every byte, canary"</td><td class="col-md">{limits(&built_in)}</td><td></td></tr>
    };
    let head = view! { {th("Definition", "")}{th("Checks", "col-md")}{th("Limits", "col-md")}{th("Test by it", "")} };
    let new = may_start.then(|| view! { <a class="btn btn--sm" href=format!("{base}/new")>"New definition"</a> }.into_any());
    panel(
        "definitions",
        "Definitions",
        None,
        new,
        table("Definitions of restore tests of this service", "table--top", head.into_any(), rows.into_any()).into_any(),
    )
    .into_any()
}
