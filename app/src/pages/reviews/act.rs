//! What can be done about reviews from the pages. Permission is decided in `ops`.

use domain::id::{FeedId, ReviewId};
use leptos::prelude::*;
use ops::{OpsError, feeds, reviews, version::Seen};

use super::{feed, href};
use crate::{
    components::address::with_query,
    context::ctx,
    error::{AppError, back, go, refuse},
};

/// Goes to the page of the review, or back to it with what was typed and what is wrong with it.
fn end(done: Result<(), OpsError>, page: &str, typed: &[(&str, &str)]) -> Result<(), AppError> {
    match done {
        Ok(()) => go(page),
        Err(e @ (OpsError::Invalid(_) | OpsError::Stale(_))) => back(&with_query(page, typed), e)?,
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

/// Records a review that was done.
#[server(prefix = "/act", endpoint = "record-review")]
pub async fn record_review(service: String, review: String, on: String, by: String, outcome: String) -> Result<(), AppError> {
    let ctx = ctx();
    let kind = reviews::kind(&review).map_err(refuse)?;
    let done = match reviews::read_done(&ctx, &on, &by, &outcome) {
        Ok(done) => reviews::record(&ctx, &service, kind, &done).await.map(|_| ()),
        Err(e) => Err(e),
    };
    end(done, &href(&service, kind), &[("on", &on), ("by", &by), ("outcome", &outcome)])
}

/// Withdraws a review that was recorded by mistake. Its reason has another name than an exemption's, which stands on the same page.
#[server(prefix = "/act", endpoint = "withdraw-review")]
pub async fn withdraw_review(service: String, review: String, id: String, why: String) -> Result<(), AppError> {
    let ctx = ctx();
    let kind = reviews::kind(&review).map_err(refuse)?;
    // What is no id is none that was recorded.
    let recorded = ReviewId(id.parse().unwrap_or_default());
    end(reviews::withdraw(&ctx, &service, kind, recorded, &why).await, &href(&service, kind), &[("id", &id), ("why", &why)])
}

/// Says that a review need not be done for a while.
#[server(prefix = "/act", endpoint = "exempt-review")]
pub async fn exempt_review(service: String, review: String, until: String, reason: String) -> Result<(), AppError> {
    let ctx = ctx();
    let kind = reviews::kind(&review).map_err(refuse)?;
    let done = match reviews::read_until(&ctx, &until) {
        Ok(day) => reviews::exempt(&ctx, &service, kind, day, &reason).await.map(|_| ()),
        Err(e) => Err(e),
    };
    end(done, &href(&service, kind), &[("until", &until), ("reason", &reason)])
}

/// Ends an exemption before its day.
#[server(prefix = "/act", endpoint = "end-exemption")]
pub async fn end_exemption(service: String, review: String) -> Result<(), AppError> {
    let ctx = ctx();
    let kind = reviews::kind(&review).map_err(refuse)?;
    end(reviews::end_exemption(&ctx, &service, kind).await, &href(&service, kind), &[])
}

/// Says how often something is reviewed.
#[server(prefix = "/act", endpoint = "set-review-interval")]
pub async fn set_review_interval(service: String, review: String, months: String, version: String) -> Result<(), AppError> {
    let ctx = ctx();
    let kind = reviews::kind(&review).map_err(refuse)?;
    // What is no number is outside of what can be said.
    let wanted = months.trim().parse().unwrap_or(0);
    let done = reviews::set_interval(&ctx, &service, kind, wanted, &Seen::in_form(&version)).await.map(|_| ());
    end(done, &href(&service, kind), &[("months", &months)])
}

/// Makes an address for a calendar program and shows it once.
#[server(prefix = "/act", endpoint = "make-calendar")]
pub async fn make_calendar(name: String, days: String) -> Result<(), AppError> {
    let ctx = ctx();
    // What is no number is outside of what can be said.
    match feeds::make(&ctx, &name, days.trim().parse().unwrap_or(0)).await {
        Ok((_, secret)) => {
            feed::MADE.show(&secret);
            Ok(())
        }
        Err(e) => end(Err(e), feed::HERE, &[("name", &name), ("days", &days)]),
    }
}

/// Revokes an address for calendar programs.
#[server(prefix = "/act", endpoint = "revoke-calendar")]
pub async fn revoke_calendar(id: String) -> Result<(), AppError> {
    let id = id.parse::<FeedId>().map_err(|_| refuse(OpsError::not_found("calendar address", &id)))?;
    end(feeds::revoke(&ctx(), id).await, feed::HERE, &[])
}
