//! A version of a plan as it is printed and exported, in EGI's order.
//!
//! Lives here: which part stands where. May not: Markdown, HTML, PDF (`ops::document` makes those).

use domain::{
    document::{Column, Document, Table, Tone},
    plan::{Annex, PlanContent, write_span},
    units::{Timestamp, span},
};
use serde_json::{Value, json};
use store::services::ServiceRow;

use super::{Version, annex::date};
use crate::{Ctx, Result};

/// One version as a document, with what was measured.
pub async fn document(ctx: &Ctx, service: &str, number: i64) -> Result<Document> {
    let version = super::version(ctx, service, number).await?;
    let service = crate::services::find(ctx, service).await?;
    let annex = super::annex(ctx, &service, &version).await?;
    Ok(compose(&service, &version, &annex))
}

/// One version as JSON: what it says, and under `about` what is known of it. An import reads over that.
pub async fn json(ctx: &Ctx, service: &str, number: i64) -> Result<Value> {
    let version = super::version(ctx, service, number).await?;
    let found = crate::services::find(ctx, service).await?;
    let annex = super::annex(ctx, &found, &version).await?;
    let row = &version.row;
    let signatures: Vec<Value> = version.signatures.iter().map(|s| json!({"role": s.role, "signer": s.signer, "signed_at": moment(s.signed_at)})).collect();
    let mut value = serde_json::to_value(&row.content.0).map_err(crate::OpsError::internal)?;
    value["about"] = json!({
        "service": found.name, "title": found.title, "version": row.number, "state": row.state, "sha256": row.content_sha256,
        "approved_at": row.approved_at.map(moment), "signatures": signatures, "annex": annex,
    });
    Ok(value)
}

fn moment(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn compose(service: &ServiceRow, version: &Version, annex: &Annex) -> Document {
    let (row, c) = (&version.row, &version.row.content.0);
    let mut d = Document::new(format!("Availability and continuity plan of {}", service.title));
    d.footer = format!("{} · version {}, {}", service.title, row.number, row.state().label());
    d.fact("Service", format!("{} ({})", service.title, service.name));
    d.fact("Owner", service.owner.clone());
    d.fact("Version", format!("{}, {}", row.number, row.state().label()));
    if let Some(at) = row.approved_at {
        d.fact("Approved", date(at));
    }
    if let Some(sum) = &row.content_sha256 {
        d.fact("SHA-256 of the content", sum.clone());
    }
    d.heading(1, "Introduction");
    text(&mut d, &c.introduction);
    d.heading(1, "Last and next dates");
    reviews(&mut d, annex);
    d.heading(1, "Performance");
    performance(&mut d, c, annex);
    d.heading(1, "Risk analysis");
    risks(&mut d, annex);
    d.heading(1, "Outcome");
    text(&mut d, &c.outcome);
    d.heading(1, "Additional information");
    additional(&mut d, c);
    d.heading(1, "Availability and continuity test");
    test(&mut d, c, annex);
    d.heading(1, "Revision history");
    history(&mut d, annex);
    d.heading(1, "Sign-off");
    sign_off(&mut d, version, annex);
    d
}

fn text(d: &mut Document, markdown: &str) {
    if markdown.trim().is_empty() {
        d.note(Tone::Plain, "Nothing is written here yet.");
    } else {
        d.markdown(markdown);
    }
}

fn table<const N: usize>(d: &mut Document, caption: &str, columns: [Column; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut t = Table::new(caption, columns.into());
    for row in rows {
        t.row(row.into());
    }
    d.table(t);
}

fn or_dash(text: Option<String>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or_else(|| "–".to_owned())
}

fn reviews(d: &mut Document, annex: &Annex) {
    if annex.reviews.is_empty() {
        d.note(Tone::Plain, "No review is recorded.");
        return;
    }
    let columns = [Column::text("Item"), Column::text("Last"), Column::text("Next"), Column::text("State")];
    let rows = annex.reviews.iter().map(|r| [r.title.clone(), or_dash(r.last.clone()), or_dash(r.next.clone()), r.state.clone()]);
    table(d, "Last and next dates", columns, rows);
}

fn performance(d: &mut Document, c: &PlanContent, annex: &Annex) {
    let percent = |v: Option<f64>| or_dash(v.map(|v| format!("{v} %")));
    d.pairs([("Agreed availability, by month", percent(c.performance.availability)), ("Agreed reliability, by month", percent(c.performance.reliability))]);
    d.heading(2, "Other requirements");
    text(d, &c.performance.requirements);
    d.heading(2, "Probes");
    text(d, &c.performance.probes);
    if annex.months.is_empty() {
        return;
    }
    let figure = |v: Option<f64>| or_dash(v.map(|v| format!("{v:.2} %")));
    let met = |m: Option<bool>| match m {
        Some(true) => "met",
        Some(false) => "below",
        None => "no data",
    };
    let columns =
        [Column::text("Month"), Column::number("Availability"), Column::number("Reliability"), Column::text("Against the target"), Column::text("Explanation")];
    let rows = annex
        .months
        .iter()
        .map(|m| [m.month.clone(), figure(m.availability), figure(m.reliability), met(m.met).to_owned(), or_dash(Some(m.explanation.clone()))]);
    d.heading(2, "Measured by month");
    table(d, "Availability and reliability by month", columns, rows);
}

fn risks(d: &mut Document, annex: &Annex) {
    if annex.risks.is_empty() {
        d.note(Tone::Plain, "No risk is recorded.");
        return;
    }
    let columns = [
        Column::number("Id"),
        Column::text("Risk"),
        Column::text("Affected"),
        Column::text("Established measures"),
        Column::text("Level"),
        Column::text("Expected downtime"),
        Column::text("Treatment"),
    ];
    let rows = annex.risks.iter().map(|r| {
        let treatment = [r.treatment.clone(), r.owner.clone(), r.due.clone().unwrap_or_default(), r.comment.clone()];
        let level = format!("{} ({} × {})", r.level, r.likelihood, r.impact);
        let treatment = treatment.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("; ");
        [r.id.to_string(), r.title.clone(), r.components.clone(), or_dash(Some(r.measures.join("; "))), level, r.expected_downtime.clone(), treatment]
    });
    table(d, "Risks", columns, rows);
}

fn additional(d: &mut Document, c: &PlanContent) {
    d.heading(2, "Procedures");
    if c.procedures.is_empty() {
        d.note(Tone::Warning, "No procedure is named.");
    }
    for p in &c.procedures {
        d.heading(3, p.title.clone());
        if !p.link.is_empty() {
            d.pairs([("Link", p.link.clone())]);
        }
        d.markdown(&p.text);
    }
    d.heading(2, "Targets when invoked");
    text(d, &c.invocation_targets);
    let promise = |s: Option<i64>| or_dash(s.map(write_span));
    d.pairs([
        ("Maximum tolerable period of disruption (MTPoD)", promise(c.mtpod_s)),
        ("Recovery time objective (RTO)", promise(c.rto_s)),
        ("Recovery point objective (RPO)", promise(c.rpo_s)),
    ]);
    for (title, written) in
        [("Return to normal", &c.return_to_normal), ("Support unit", &c.support_unit), ("Contact", &c.contact), ("Escalation", &c.escalation)]
    {
        d.heading(2, title);
        text(d, written);
    }
}

fn test(d: &mut Document, c: &PlanContent, annex: &Annex) {
    text(d, &c.test.details);
    if !c.test.steps.is_empty() {
        d.heading(2, "Steps");
        d.list(true, c.test.steps.clone());
    }
    d.heading(2, "Outcome of the test");
    text(d, &c.test.outcome);
    if !c.test.log.is_empty() {
        d.heading(2, "Log of the test");
        d.code("Log", c.test.log.clone());
    }
    d.heading(2, "Last restore test");
    let Some(t) = &annex.test else {
        d.note(Tone::Warning, "No restore test is recorded.");
        return;
    };
    let at = |t: Timestamp| moment(t.0);
    d.pairs([
        ("Started", at(t.started_at)),
        ("Finished", at(t.finished_at)),
        ("Verdict", t.verdict.clone()),
        ("Level of evidence", t.level.clone()),
        ("RTO measured", or_dash(t.rto_s.map(span))),
        ("RPO measured", or_dash(t.rpo_s.map(|s| span(s as f64)))),
        ("Items restored", t.items_restored.to_string()),
        ("Items failed", t.items_failed.to_string()),
    ]);
}

fn history(d: &mut Document, annex: &Annex) {
    let columns = [Column::text("Version"), Column::text("Date"), Column::text("By"), Column::text("Comment")];
    let rows = annex.revisions.iter().map(|r| [r.version.clone(), r.date.clone(), r.by.clone(), r.comment.clone()]);
    table(d, "Revision history", columns, rows);
}

fn sign_off(d: &mut Document, version: &Version, annex: &Annex) {
    let rows = version.row.roles.0.iter().map(|role| {
        let signed = version.signatures.iter().find(|s| s.role == role.name);
        [role.name.clone(), or_dash(signed.map(|s| s.signer.clone())), or_dash(signed.map(|s| moment(s.signed_at)))]
    });
    table(d, "Signatures", [Column::text("Role"), Column::text("Signed by"), Column::text("At")], rows);
    if !annex.waivers.is_empty() {
        let columns = [Column::text("Waived finding"), Column::text("Reason"), Column::text("By"), Column::text("Until")];
        let rows = annex.waivers.iter().map(|w| [w.finding.clone(), w.reason.clone(), w.by.clone(), or_dash(w.until.clone())]);
        d.heading(2, "Waived findings");
        table(d, "Waived findings", columns, rows);
    }
}
