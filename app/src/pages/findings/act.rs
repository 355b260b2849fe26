//! What can be done about findings from the pages. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::{OpsError, lint::Waive};

use super::parts::place;
use crate::{
    components::address::with_query,
    context::ctx,
    error::{AppError, back, go, refuse},
};

/// Waives a finding for a time and shows the findings.
#[server(prefix = "/act", endpoint = "waive-finding")]
pub async fn waive_finding(service: String, finding: String, #[server(default)] subject: String, reason: String, until: String) -> Result<(), AppError> {
    let new = Waive { finding, subject, reason, until };
    match ops::lint::waive(&ctx(), &service, &new).await {
        Ok(_) => {
            go(&place(&service));
            Ok(())
        }
        Err(e) => {
            let typed = [("waive", new.finding.as_str()), ("of", &new.subject), ("reason", &new.reason), ("until", &new.until)];
            back(&with_query(&place(&service), &typed), e)
        }
    }
}

/// Ends a waiver before its day and shows the findings.
#[server(prefix = "/act", endpoint = "end-waiver")]
pub async fn end_waiver(service: String, waiver: String, reason: String) -> Result<(), AppError> {
    let id = waiver.parse().map_err(|_| refuse(OpsError::not_found("waiver", &waiver)))?;
    ops::lint::end_waiver(&ctx(), id, &reason).await.map_err(refuse)?;
    go(&place(&service));
    Ok(())
}
