//! Everything of a person on one axis of time: a lane an item, a mark a snapshot, a line at the chosen moment.
//!
//! Lives here: drawing. May not: loading. Its words stand in the table beside it.

use std::fmt::Write;

use domain::units::Timestamp;
use jiff::{ToSpan, tz::TimeZone};
use leptos::prelude::*;
use store::people::{Mark, MarkState, PersonItem};

const WIDTH: f64 = 1120.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 1092.0;
const TOP: f64 = 30.0;
const LANE: f64 = 34.0;
/// Marks nearer than this to the one before in their lane are one mark.
const APART: f64 = 8.0;

/// The span that is drawn and the moment in it.
pub struct Axis {
    pub from: Timestamp,
    pub to: Timestamp,
    pub chosen: Timestamp,
}

impl Axis {
    fn x(&self, at: Timestamp) -> f64 {
        let all = (self.to.0 - self.from.0).max(1) as f64;
        LEFT + (RIGHT - LEFT) * ((at.0 - self.from.0) as f64 / all).clamp(0.0, 1.0)
    }
}

/// The picture. `chosen` is how the moment is written.
pub fn timeline(name: &str, items: &[PersonItem], marks: &[Mark], axis: &Axis, zone: &TimeZone, chosen: &str) -> AnyView {
    let bottom = TOP + LANE * items.len() as f64;
    let mut svg = format!(
        r#"<title id="swt">Snapshots of {}</title><desc id="swd">{} in lanes. Chosen moment {chosen}. The table below lists the same.</desc>"#,
        escape(name),
        items.len()
    );
    for (x, label) in ticks(axis, zone) {
        let _ = write!(svg, r#"<path class="row-l" d="M{x:.1} 20V{bottom}"/><text x="{:.1}" y="14">{label}</text>"#, x + 3.0);
    }
    for (n, item) in items.iter().enumerate() {
        let y = TOP + LANE * n as f64;
        if n % 2 == 0 {
            let _ = write!(svg, r#"<rect class="row-b" x="0" y="{y}" width="{WIDTH}" height="{LANE}"/>"#);
        }
        let _ = write!(
            svg,
            r#"<text class="lane" x="8" y="{}">{}</text><text x="8" y="{}">{}</text>"#,
            y + 14.0,
            escape(&shortened(&item.service_title)),
            y + 28.0,
            escape(&shortened(place(item, items)))
        );
        lane(&mut svg, item, marks, axis, y + LANE / 2.0);
    }
    let x = axis.x(axis.chosen);
    // A sign is about seven units wide.
    let wide = 16.0 + 7.0 * chosen.chars().count() as f64;
    let label = (x - wide / 2.0).clamp(0.0, WIDTH - wide);
    let _ = write!(
        svg,
        r#"<path class="sel" d="M{x:.1} 22V{}"/><rect class="sel-f" x="{label:.1}" y="{}" width="{wide}" height="20" rx="2"/><text class="on-acc" x="{:.1}" y="{}" text-anchor="middle">{chosen}</text>"#,
        bottom + 4.0,
        bottom + 4.0,
        label + wide / 2.0,
        bottom + 18.0,
    );
    view! {
        <svg class="swim" viewBox=format!("0 0 {WIDTH} {}", bottom + 28.0) width="1120" role="img" aria-labelledby="swt swd" inner_html=svg></svg>
    }
    .into_any()
}

/// The marks of one item. Many in little space become one, as bad as the worst of them.
fn lane(svg: &mut String, item: &PersonItem, marks: &[Mark], axis: &Axis, y: f64) {
    let mut all: Vec<(f64, MarkState)> =
        marks.iter().filter(|m| m.item_id == Some(item.id) && m.taken_at <= axis.to.0).map(|m| (axis.x(Timestamp(m.taken_at)), m.state)).collect();
    all.reverse();
    let mut drawn: Vec<(f64, MarkState)> = Vec::new();
    for (x, state) in all {
        match drawn.last_mut() {
            Some((last, kept)) if x - *last < APART => {
                if state == MarkState::Partial {
                    *kept = state;
                }
            }
            _ => drawn.push((x, state)),
        }
    }
    if let (Some((first, _)), Some((last, _))) = (drawn.first(), drawn.last()) {
        let end = item.gone_at.map_or(*last, |at| axis.x(Timestamp(at)));
        let _ = write!(svg, r#"<path class="span-l" d="M{first:.1} {y}H{:.1}"/>"#, end.max(*last));
    }
    for (x, state) in drawn {
        let _ = match state {
            MarkState::Whole => write!(svg, r#"<rect class="ok" x="{:.1}" y="{:.1}" width="6" height="9"/>"#, x - 3.0, y - 4.5),
            MarkState::Partial => write!(svg, r#"<path class="warn" d="M{x:.1} {:.1}l5 15h-10z"/>"#, y - 8.0),
        };
    }
    if let Some(at) = item.gone_at.filter(|at| *at >= axis.from.0) {
        let x = axis.x(Timestamp(at));
        let _ = write!(svg, r#"<path class="gone" d="M{:.1} {:.1}l8 10M{:.1} {:.1}l-8 10"/>"#, x - 4.0, y - 5.0, x + 4.0, y - 5.0);
    }
}

/// Lines and words of the axis: days, months or years, about a dozen of them.
fn ticks(axis: &Axis, zone: &TimeZone) -> Vec<(f64, String)> {
    let zoned = |at: Timestamp| jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(zone.clone());
    let (from, days) = (zoned(axis.from), axis.to.secs_since(axis.from) / 86_400.0);
    let (start, step, format) = if days <= 45.0 {
        (from.start_of_day(), 4.days(), "%-d %b")
    } else if days <= 500.0 {
        (from.first_of_month().and_then(|d| d.start_of_day()), 1.month(), "%b")
    } else {
        (from.first_of_year().and_then(|d| d.start_of_day()), 1.year(), "%Y")
    };
    let mut found = Vec::new();
    let mut at = start.ok();
    while let Some(z) = at.filter(|_| found.len() < 40) {
        let moment = Timestamp(z.timestamp().as_microsecond());
        if moment > axis.to {
            break;
        }
        if moment >= axis.from && axis.x(moment) < RIGHT - 16.0 {
            let january = format == "%b" && (z.month() == 1 || found.is_empty());
            found.push((axis.x(moment), z.strftime(if january { "%b %Y" } else { format }).to_string()));
        }
        at = z.checked_add(step).ok();
    }
    found
}

/// The source, or the item's own name where the person has several in one source.
fn place<'i>(item: &'i PersonItem, all: &[PersonItem]) -> &'i str {
    let same = all.iter().filter(|i| (&i.service, &i.source) == (&item.service, &item.source)).count();
    if same > 1 { &item.name } else { &item.source }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 28 { text.to_owned() } else { text.chars().take(27).chain(['…']).collect() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn item(id: u128, title: &str) -> PersonItem {
        PersonItem {
            person: "ada".into(),
            id: Uuid::from_u128(id),
            name: "ada".into(),
            gone_at: None,
            last_snapshot_id: None,
            last_snapshot_at: None,
            snapshots: 0,
            service_id: uuid::Uuid::nil(),
            size_bytes: 0,
            service: "hub".into(),
            service_title: title.into(),
            rpo_s: None,
            source: "homes".into(),
            source_kind: "directory".into(),
        }
    }

    #[test]
    fn crowded_marks_become_one_as_bad_as_the_worst_and_names_are_escaped() {
        let axis = Axis { from: Timestamp(0), to: Timestamp::from_secs(86_400 * 365), chosen: Timestamp(0) };
        let mark = |hour: i64, state| Mark { id: Uuid::nil(), item_id: Some(Uuid::from_u128(1)), taken_at: hour * 3_600_000_000, state };
        let marks: Vec<Mark> = (0..48).rev().map(|h| mark(h, if h == 30 { MarkState::Partial } else { MarkState::Whole })).collect();
        let html = timeline("<ada>", &[item(1, "A & <b>")], &marks, &axis, &TimeZone::UTC, "now").to_html();
        assert_eq!((html.matches("class=\"ok\"").count(), html.matches("class=\"warn\"").count()), (0, 1));
        assert!(html.contains("A &amp; &lt;b&gt;") && !html.contains("<b>") && !html.contains("<ada>"));
        assert!(html.contains(">Feb<"));
    }
}
