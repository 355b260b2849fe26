//! Who has brought a service back (R45), for the pages of its reviews, plan and risks.

use domain::review::bus::{BusFactor, Feat, Person};
use jiff::tz::TimeZone;
use leptos::prelude::*;

use crate::components::{
    panel,
    status::{Tone, chip},
    table::{table, th},
    time::date,
};

/// A panel with the people who completed something, and whether that is enough.
pub fn bus_factor(b: &BusFactor, zone: &TimeZone) -> AnyView {
    let words = match b.count() {
        0 => chip(Tone::Fail, "nobody"),
        1 => chip(Tone::Warn, "one person"),
        n => chip(Tone::Ok, format!("{n} people")),
    };
    let advice = b
        .is_low()
        .then(|| view! { <p class="sm soft">"If they are away, nobody has shown that they can do it. Let somebody else run the next restore test."</p> });
    let others = (!b.not_counted.is_empty()).then(|| {
        view! { <p class="sm soft">{format!("Not counted, since no person is known behind them: {}.", b.not_counted.join(", "))}</p> }
    });
    let rows = b.people.iter().map(|p| row(p, zone)).collect_view();
    let people = (!b.people.is_empty()).then(|| {
        let head = view! { {th("Person", "")}{th("Restores", "num")}{th("Restore tests", "num")}{th("Exercises", "num")}{th("Last", "col-md")} };
        table("People who have brought it back", "table--tight", head.into_any(), rows.into_any())
    });
    let each = (!b.people.is_empty()).then(|| {
        let of = |feat: Feat| b.count_of(feat);
        view! { <p class="sm soft">{format!("Restores: {}. Restore tests: {}. Exercises: {}.", of(Feat::Restored), of(Feat::RestoreTest), of(Feat::Exercise))}</p> }
    });
    let body = view! { <div class="panel__body">{words}<p>{b.words()}</p>{each}{advice}{others}</div>{people} };
    panel("people", "Who can bring it back", Some("people in the last 12 months".to_owned()), None, body.into_any()).into_any()
}

fn row(p: &Person, zone: &TimeZone) -> AnyView {
    view! {
        <tr><th scope="row"><span class="clip">{p.name.clone()}</span></th><td class="num">{p.restores}</td><td class="num">{p.restore_tests}</td>
            <td class="num">{p.exercises}</td><td class="col-md nowrap">{date(p.last_at, zone)}</td></tr>
    }
    .into_any()
}
