//! The matrix of likelihood and impact with a pip for each risk, and the same as a table.
//!
//! Lives here: markup. May not: computing levels (`domain::risk::scale` does).

use domain::risk::scale::{Scale, ScaleRef};
use leptos::prelude::*;
use ops::risks::Judged;

use super::parts::grade_class;
use crate::components::{
    address::encode,
    panel,
    table::{table, th},
};

/// One matrix for each version of a scale that is in use.
pub fn matrices(service: &str, all: &[Judged]) -> AnyView {
    let mut versions: Vec<(&ScaleRef, &Scale)> = Vec::new();
    for j in all {
        if !versions.iter().any(|(of, _)| **of == j.risk().scale) {
            versions.push((&j.risk().scale, &j.scale));
        }
    }
    versions
        .into_iter()
        .enumerate()
        .map(|(n, (of, scale))| {
            let of_it: Vec<&Judged> = all.iter().filter(|j| j.risk().scale == *of).collect();
            matrix(n, service, of, scale, &of_it)
        })
        .collect_view()
        .into_any()
}

fn at<'a>(all: &'a [&Judged], likelihood: i64, impact: i64) -> impl Iterator<Item = &'a Judged> {
    all.iter().copied().filter(move |j| j.risk().likelihood == likelihood && j.risk().impact == impact)
}

fn matrix(n: usize, service: &str, of: &ScaleRef, scale: &Scale, all: &[&Judged]) -> AnyView {
    let base = format!("/services/{}/risks", encode(service));
    let steps = |names: &[String]| (1_i64..).zip(names.iter().cloned()).collect::<Vec<_>>();
    let (likelihood, impact) = (steps(&scale.likelihood), steps(&scale.impact));
    let heads = impact.iter().map(|(i, name)| view! { <th scope="col">{format!("{i} {name}")}</th> }).collect_view();
    let mut twin = Vec::new();
    let rows: Vec<_> = likelihood
        .iter()
        .rev()
        .map(|(l, name)| {
            let cells: Vec<_> = impact
                .iter()
                .map(|(i, impact_name)| {
                    let band = scale.level(*l, *i);
                    let words = band.map_or_else(|| (l * i).to_string(), |b| format!("{} {}", l * i, b.level.to_lowercase()));
                    let class = band.map_or("m-low", |b| grade_class(scale.tone(b)));
                    let pips: Vec<_> = at(all, *l, *i)
                        .map(|j| {
                            let number = j.row.number;
                            view! { <a class="pip" href=format!("{base}/{number}")><span class="vh">"risk "</span>{number}</a> }
                        })
                        .collect();
                    let numbers: Vec<_> = at(all, *l, *i).map(|j| j.row.number.to_string()).collect();
                    if !numbers.is_empty() {
                        twin.push(view! {
                            <tr><th scope="row">{format!("{l} {name}")}</th><td>{format!("{i} {impact_name}")}</td><td>{words.clone()}</td><td>{numbers.join(", ")}</td></tr>
                        });
                    }
                    let pips = (!pips.is_empty()).then(|| view! { <span class="pips">{pips}</span> });
                    view! { <td class=class><small>{words}</small>{pips}</td> }
                })
                .collect();
            view! { <tr><th scope="row">{format!("{l} {name}")}</th>{cells}</tr> }
        })
        .collect();
    let head = view! { {th("Likelihood", "")}{th("Impact", "")}{th("Level", "")}{th("Risks", "")} };
    let caption = format!("Risk matrix, likelihood by impact, scale {of}");
    let region = format!("{caption}, table");
    let body = view! {
        <div class="panel__body">
            <div class="table-wrap" tabindex="0" role="region" aria-label=region>
                <table class="matrix"><caption class="vh">{caption}</caption><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>
            <p class="xs muted">{format!("Impact to the right, likelihood upwards; scale {of}: {}", scale.words().to_lowercase())}</p>
            <details class="more"><summary>"The same as a table"</summary>{table(&format!("Risks by likelihood and impact, scale {of}"), "table--tight", head.into_any(), twin.into_iter().collect_view().into_any())}</details>
        </div>
    };
    panel(&format!("matrix-{n}"), &format!("Matrix, scale {of}"), None, None, body.into_any()).into_any()
}
