//! Proving the records of this database: each as it was signed, each bound to the one before, none cut off.
//!
//! Lives here: the walk. May not: packs (`verify` proves those).

use domain::statement::Statement;
use store::evidence as rows;

use super::{Signed, stands};
use crate::{
    Ctx, Result,
    permission::{Action, On, require_on},
};

/// Records of one step of a walk.
const STEP: i64 = 500;

/// How the chain stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Records that are in order, from the first on.
    pub records: i64,
    /// Those of them that wait for the server's signature.
    pub waiting: i64,
    /// SHA-256 of the last one; empty where there is none.
    pub head: String,
    /// What is wrong with the first that is not in order.
    pub fault: Option<String>,
}

/// Walks the whole chain. It tells nothing of any service, so whoever sees anything may ask.
pub async fn chain(ctx: &Ctx) -> Result<Chain> {
    require_on(ctx, Action::Evidence, On::Any)?;
    let mut t = ctx.db.begin_read().await?;
    let keys = rows::keys(t.tx()).await?;
    let (last, hash) = rows::head(t.tx()).await?;
    let mut out = Chain::default();
    loop {
        let page = rows::after(t.tx(), out.records, STEP).await?;
        for row in &page {
            let seq = out.records + 1;
            let place = serde_json::from_str::<Statement>(&row.payload).ok().map(|s| (s.sequence, s.previous));
            let fault = if row.seq > seq {
                Some(format!("record {seq} was removed"))
            } else if stands(row, &keys) == Signed::Broken {
                Some(format!("record {seq} is not as it was signed"))
            } else if row.prev_hash != out.head || place != Some((row.seq, row.prev_hash.clone())) {
                Some(format!("record {seq} is not bound to the one before"))
            } else {
                out.waiting += i64::from(stands(row, &keys) == Signed::Waiting);
                None
            };
            if fault.is_some() {
                return Ok(Chain { fault, ..out });
            }
            out.records = seq;
            out.head.clone_from(&row.hash);
        }
        if (page.len() as i64) < STEP {
            break;
        }
    }
    if last > out.records {
        out.fault = Some(format!("record {} and all later ones were cut off", out.records + 1));
    } else if last == out.records && hash != out.head {
        out.fault = Some(format!("record {last} is not the one that was written last"));
    }
    Ok(out)
}
