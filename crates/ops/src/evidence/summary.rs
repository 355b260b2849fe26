//! The summary of a pack: for people, gaps first.
//!
//! Lives here: its words. May not: fonts and pages (`crate::document`), loading.

use domain::{
    document::{Column, Document, Table, Tone},
    evidence::Verdict,
    units::{Timestamp, size, span},
};
use jiff::tz::TimeZone;
use store::evidence::KeyRow;

use super::{Period, Standing, pack::Whole};
use crate::{Result, document};

/// The files of a pack that show the summary.
pub(super) fn files(summary: &Document) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let pdf = document::pdf(summary)?;
    Ok(vec![("summary.pdf", pdf), ("summary.html", document::html(summary).into_bytes())])
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    jiff::Timestamp::from_microsecond(at.0).map(|t| t.to_zoned(zone.clone()).strftime("%-d %b %Y").to_string()).unwrap_or_default()
}

fn minute(at: Timestamp, zone: &TimeZone) -> String {
    jiff::Timestamp::from_microsecond(at.0).map(|t| t.to_zoned(zone.clone()).strftime("%-d %b %Y %H:%M:%S %:z").to_string()).unwrap_or_default()
}

/// The first and the last day of a period, in words.
pub fn days(period: &Period, zone: &TimeZone) -> String {
    format!("{} to {}", day(period.since, zone), day(Timestamp(period.until.0 - 1), zone))
}

pub(super) fn document(period: &Period, zone: &TimeZone, standing: &Standing, tests: &[Whole], keys: &[KeyRow]) -> Document {
    let mut d = Document::new("Evidence pack");
    let days = days(period, zone);
    d.footer = format!("Holdfast evidence · {days}");
    let n = |v: Verdict| tests.iter().filter(|t| t.entry.test.verdict == v.as_str()).count();
    let signed = tests.iter().filter(|t| t.record.is_some()).count();
    d.fact("Period", days);
    d.fact("Services", if period.service.is_empty() { standing.services.to_string() } else { period.service.clone() });
    d.fact("Restore tests", format!("{}: {} passed, {} failed, {} could not check", tests.len(), n(Verdict::Passed), n(Verdict::Failed), n(Verdict::Unknown)));
    d.fact("Signed", format!("{signed} of {}; the others were recorded before signing began", tests.len()));
    d.fact("A copy exists", format!("of {} of {} services, which proves no restore", standing.with_copy, standing.services));
    d.fact("A restore was proven", format!("in the period, of {} of {} services", standing.proven, standing.services));
    d.heading(1, "Gaps");
    gaps(&mut d, standing, zone);
    d.heading(1, "Restore tests");
    listed(&mut d, tests, zone);
    for t in tests {
        one(&mut d, t, zone);
    }
    d.heading(1, "Keys");
    let mut table = Table::new("Public keys in keys/", vec![Column::text("Key"), Column::text("Made"), Column::text("Retired")]);
    for k in keys {
        let retired = k.retired_at.map_or_else(|| "signs now".to_owned(), |at| minute(Timestamp(at), zone));
        table.row(vec![k.id.clone(), minute(Timestamp(k.made_at), zone), retired]);
    }
    d.table(table);
    d.markdown("How to check this pack with Holdfast or with openssl alone stands in README.md.");
    d
}

fn gaps(d: &mut Document, standing: &Standing, zone: &TimeZone) {
    if standing.gaps.is_empty() {
        d.note(Tone::Plain, "None: of each service a restore was proven in the period.");
        return;
    }
    d.note(Tone::Warning, "An absence of evidence is shown, never filled in.");
    let mut table = Table::new("Gaps in the period", vec![Column::text("Service"), Column::text("What is missing"), Column::text("Last test")]);
    for g in &standing.gaps {
        table.row(vec![g.title.clone(), g.what.clone(), g.since.map_or_else(|| "never".to_owned(), |at| day(at, zone))]);
    }
    d.table(table);
}

fn listed(d: &mut Document, tests: &[Whole], zone: &TimeZone) {
    if tests.is_empty() {
        d.note(Tone::Warning, "No restore test in the period.");
        return;
    }
    let columns = ["Started", "Service", "Verdict", "Level"].map(Column::text).into_iter().chain(["RTO", "Target", "Record"].map(Column::number)).collect();
    let mut table = Table::new("Restore tests, the newest first", columns);
    for t in tests {
        let e = &t.entry.test;
        let record = e.seq.map_or_else(|| "not signed".to_owned(), |n| n.to_string());
        let rto = e.rto_s.map_or_else(|| "–".to_owned(), span);
        let target = e.rto_target_s.map_or_else(|| "–".to_owned(), |s| span(s as f64));
        table.row(vec![minute(Timestamp(e.started_at), zone), e.service_title.clone(), e.verdict.clone(), e.level.clone(), rto, target, record]);
    }
    d.table(table);
}

/// What one test found.
fn one(d: &mut Document, t: &Whole, zone: &TimeZone) {
    let (e, r) = (&t.entry.test, &t.row);
    d.heading(2, format!("{}, {}", e.service_title, minute(Timestamp(e.started_at), zone)));
    let measured = |s: Option<f64>, target: Option<i64>| {
        let target = target.map_or_else(|| "no target".to_owned(), |s| format!("target {}", span(s as f64)));
        format!("{} ({target})", s.map_or_else(|| "not measured".to_owned(), span))
    };
    let gone = r.teardown.0.gone_at.map_or_else(|| "not proven".to_owned(), |at| format!("looked for and not found, {}", minute(at, zone)));
    let signature = match (e.seq, &e.key_id, e.signed_at) {
        (Some(seq), Some(key), Some(at)) => format!("record {seq}, key {key}, signed {}", minute(Timestamp(at), zone)),
        _ => t.entry.signed.words().to_owned(),
    };
    d.pairs([
        ("Test", e.id.to_string()),
        ("Verdict", e.verdict.clone()),
        ("Evidence level", e.level.clone()),
        (
            "Selection",
            format!(
                "{}: {} restored, {} skipped, {} failed, {} files, {}",
                e.selection,
                e.items_restored,
                e.items_skipped,
                e.items_failed,
                r.files,
                size(r.bytes)
            ),
        ),
        ("Finished", minute(Timestamp(e.finished_at), zone)),
        ("RTO", measured(e.rto_s, e.rto_target_s)),
        ("RPO", measured(e.rpo_s.map(|s| s as f64), e.rpo_target_s)),
        ("Scratch folder", gone),
        ("Signature", signature),
    ]);
    let mut table = Table::new("Checks", vec![Column::text("Check"), Column::text("Verdict"), Column::text("What was compared")]);
    for c in &r.checks.0 {
        table.row(vec![c.name.clone(), c.verdict.as_str().to_owned(), c.detail.clone()]);
    }
    d.table(table);
    let said = t.countersignatures.iter().filter_map(super::stated);
    let lines: Vec<String> = said
        .map(|c| {
            let note = if c.note.is_empty() { String::new() } else { format!(": {}", c.note) };
            format!("Countersigned by {} ({}) at {}{note}", c.name, c.role, c.signed_at)
        })
        .collect();
    if !lines.is_empty() {
        d.list(false, lines);
    }
}
