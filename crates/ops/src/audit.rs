//! The audit trail as an auditor reads it: looking for events, proving the chain, taking it away (R52).
//!
//! Lives here: the use cases. May not: writing events (each change does, in its own transaction), the chain's arithmetic
//! (`store::audit`).

use domain::units::Timestamp;
use store::audit;
pub use store::audit::{Broken, EventRow, Filter};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// The longest page.
pub const PAGE: i64 = 500;
/// Events of one step of an export.
const STEP: i64 = 1_000;

/// Events that fit, the newest first, before the number of the last one seen.
pub async fn list(ctx: &Ctx, filter: &Filter, before: Option<i64>, limit: i64) -> Result<Vec<EventRow>> {
    require(ctx, Action::Audit)?;
    Ok(audit::list(ctx.db.read().await?.tx(), filter, before.unwrap_or(i64::MAX), limit.clamp(1, PAGE)).await?)
}

/// How far the chain goes, without walking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub events: i64,
    /// When the last event was written; `None` where there is none.
    pub at: Option<Timestamp>,
}

pub async fn head(ctx: &Ctx) -> Result<Head> {
    require(ctx, Action::Audit)?;
    let mut read = ctx.db.read().await?;
    let (events, _) = audit::head(read.tx()).await?;
    Ok(Head { events, at: audit::head_at(read.tx()).await? })
}

/// Walks the whole chain: how many events are intact, or the first that is not as it was written.
pub async fn verify(ctx: &Ctx) -> Result<std::result::Result<i64, Broken>> {
    require(ctx, Action::Audit)?;
    Ok(audit::verify(ctx.db.read().await?.tx()).await?)
}

/// An export of all events up to the one that records it.
#[derive(Debug)]
pub struct Export {
    ctx: Ctx,
    after: i64,
    last: i64,
}

/// Begins an export, and records that it was made: `as_what` is `json` or `csv`.
pub async fn export(ctx: &Ctx, as_what: &str) -> Result<Export> {
    require(ctx, Action::Audit)?;
    let mut t = ctx.db.begin_audited().await?;
    let event = audit::NewEvent { action: "audit.export", entity: "audit", entity_id: as_what.to_owned(), ..Default::default() };
    ctx.audit(t.tx(), event).await?;
    let (last, _) = audit::head(t.tx()).await?;
    t.commit().await?;
    Ok(Export { ctx: ctx.clone(), after: 0, last })
}

impl Export {
    /// The next events, the oldest first; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<EventRow>>> {
        if self.after >= self.last {
            return Ok(None);
        }
        let mut rows = audit::page(self.ctx.db.read().await?.tx(), self.after, STEP).await?;
        rows.retain(|r| r.seq <= self.last);
        let Some(end) = rows.last() else {
            return Err(OpsError::internal(format!("the audit trail ends before event {}, which was written", self.last)));
        };
        self.after = end.seq;
        Ok(Some(rows))
    }
}

/// An event as one line of JSON, as an export has it.
pub fn json_line(row: &EventRow) -> Result<String> {
    serde_json::to_string(row).map_err(OpsError::internal)
}

/// The names of the columns that [`csv_line`] fills.
pub const CSV_HEAD: &str = "seq,id,at,actor,origin,action,entity,entity_id,before,after,prev_hash,hash";

/// An event as one line of CSV (RFC 4180); the moment as RFC 3339 in UTC.
pub fn csv_line(row: &EventRow) -> String {
    let at = jiff::Timestamp::from_microsecond(row.at).map(|t| t.to_string()).unwrap_or_default();
    let [before, after] = [&row.before, &row.after].map(|v| v.as_ref().map(|v| v.0.to_string()).unwrap_or_default());
    let (seq, id) = (row.seq.to_string(), row.id.to_string());
    let cells = [&seq, &id, &at, &row.actor, &row.origin, &row.action, &row.entity, &row.entity_id, &before, &after, &row.prev_hash, &row.hash];
    cells.map(|c| cell(c)).join(",")
}

/// A cell that a spreadsheet takes as text and never as a formula.
pub(crate) fn cell(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if safe.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{audit::Walk, testing};

    use super::*;
    use crate::{Actor, Role};

    async fn written(ctx: &Ctx, n: usize) {
        for i in 0..n {
            let mut t = ctx.db.begin_audited().await.unwrap();
            let after = Some(json!({"text": "a, \"b\"\n", "n": i}));
            let event = audit::NewEvent { action: "test.write", entity: "test", entity_id: format!("=cmd{i}"), before: None, after };
            ctx.audit(t.tx(), event).await.unwrap();
            t.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_export_can_be_proven_without_the_database() {
        for t in testing::databases().await {
            let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
            written(&ctx, 5).await;
            let mut export = export(&ctx, "json").await.unwrap();
            written(&ctx, 2).await;
            let (mut lines, mut csv) = (Vec::new(), vec![CSV_HEAD.to_owned()]);
            while let Some(rows) = export.next().await.unwrap() {
                for row in rows {
                    lines.push(json_line(&row).unwrap());
                    csv.push(csv_line(&row));
                }
            }
            assert_eq!(lines.len(), 6, "{}: up to the export itself and no further", t.name);
            let mut walk = Walk::default();
            for line in &lines {
                walk.step(&serde_json::from_str::<EventRow>(line).unwrap()).unwrap();
            }
            assert_eq!(walk.end().0, 6);
            assert_eq!(verify(&ctx).await.unwrap(), Ok(8));
            assert_eq!(head(&ctx).await.unwrap().events, 8);
            // One letter changed anywhere is found.
            let mut row: EventRow = serde_json::from_str(&lines[0]).unwrap();
            row.origin = "tesd".to_owned();
            assert!(Walk::default().step(&row).is_err());
            assert!(csv[1].contains(",'=cmd0,") && csv[1].contains(r#""{""n"":0,""text"":""a, \""b\""\n""}""#), "{}", csv[1]);
            let found = list(&ctx, &Filter { entity: "audit".into(), ..Filter::default() }, None, 9).await.unwrap();
            assert_eq!((found.len(), found[0].action.as_str(), found[0].seq), (1, "audit.export", 6));
        }
    }

    #[tokio::test]
    async fn only_admins_and_auditors_see_it() {
        let t = testing::sqlite().await;
        let ctx = |role| Ctx::new(t.db.clone(), Actor::new("x", role), "test");
        assert!(list(&ctx(Role::Auditor), &Filter::default(), None, 9).await.is_ok());
        let c = ctx(Role::Anonymous);
        assert!(matches!(list(&c, &Filter::default(), None, 9).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(verify(&c).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(head(&c).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(export(&c, "csv").await, Err(OpsError::Forbidden(_))));
    }
}
