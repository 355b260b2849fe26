//! Whether somebody who is signed in still may be: the provider is asked again and again.
//!
//! Lives here: the look at each request, and what follows from the provider's answer. May not: the protocol.
//! Invariant: while a provider is away sessions go on as they are, up to their end; what it says counts at once.

use domain::units::Timestamp;
use ops::{Actor, Ctx, accounts};
use serde_json::json;
use tower_sessions::Session;

use super::{
    SIGNED, Signed,
    client::Trouble,
    flow::{seal, unseal},
};
use crate::{state::AppState, web::ACTOR};

/// How soon a provider that is away is asked again, in seconds.
const AGAIN_S: i64 = 30;

/// The actor of a session as of now; anonymous where the session has come to its end.
pub async fn still_in(state: &AppState, session: &Session, actor: Actor, origin: &str) -> Actor {
    let now = state.app.clock.now();
    let Some(signed) = session.get::<Signed>(SIGNED).await.ok().flatten() else { return actor };
    if now.0 >= signed.ends_at {
        session.flush().await.ok();
        return Actor::anonymous();
    }
    if signed.provider.is_none() || now.0 < signed.refresh_at {
        return actor;
    }
    let ctx = Ctx { actor: actor.clone(), origin: origin.into(), clock: state.app.clock.clone(), db: state.app.db.clone(), claim: None };
    match asked(state, &ctx, session, &signed, now).await {
        Ok(Answer::Same) => actor,
        Ok(Answer::Now(actor)) => actor,
        Ok(Answer::Out) => {
            session.flush().await.ok();
            Actor::anonymous()
        }
        Err(e) => {
            tracing::warn!(error = %e, "a session could not be refreshed; it goes on as it is");
            actor
        }
    }
}

enum Answer {
    /// Somebody else asks, or the provider is away.
    Same,
    Now(Actor),
    Out,
}

async fn asked(state: &AppState, ctx: &Ctx, session: &Session, signed: &Signed, now: Timestamp) -> Result<Answer, ops::OpsError> {
    let id = session.id().map(|id| id.to_string()).unwrap_or_default();
    let Some(due) = accounts::take_refresh(ctx, &id, now.plus_secs(AGAIN_S)).await? else { return Ok(Answer::Same) };
    let end = async |why: &str| -> Result<Answer, ops::OpsError> {
        accounts::changed(ctx, due.account, "session.end", json!({"why": why})).await?;
        Ok(Answer::Out)
    };
    if due.provider.removed_at.is_some() {
        return end("the provider is no longer configured").await;
    }
    let Some(kept) = unseal(&state.app, &due.tokens).await else { return end("its tokens cannot be opened").await };
    let (said, kept) = match state.providers.renew(&state.app, &due.provider, kept).await {
        Ok(renewed) => renewed,
        Err(Trouble::Away(e)) => {
            tracing::warn!(provider = due.provider.name, error = e, "the provider does not answer; sessions go on");
            put(session, &Signed { refresh_at: now.plus_secs(AGAIN_S).0, ..signed.clone() }, None).await;
            return Ok(Answer::Same);
        }
        Err(Trouble::Ops(e)) => return Err(e),
        Err(e) => {
            tracing::info!(provider = due.provider.name, error = %e, "the provider ends a session");
            return end("the provider says no").await;
        }
    };
    let Ok(who) = accounts::describe(&due.provider, &said) else { return end("the provider does not say who it is").await };
    let admitted = match accounts::admit(ctx, &due.provider, &who).await? {
        Ok(admitted) if admitted.account == due.account => admitted,
        Ok(_) => return end("the provider names somebody else").await,
        Err(refusal) => return end(refusal.as_str()).await,
    };
    let next = now.plus_secs(due.provider.config.0.refresh_s);
    accounts::refreshed(ctx, &id, &seal(&state.app, &kept)?, next).await?;
    if due.role != admitted.actor.role.as_str() {
        accounts::changed(ctx, due.account, "session.change", json!({"was": due.role, "role": admitted.actor.role})).await?;
    }
    let signed = Signed { refresh_at: next.0, refresh_s: due.provider.config.0.refresh_s, ..signed.clone() };
    put(session, &signed, Some(&admitted.actor)).await;
    Ok(Answer::Now(admitted.actor))
}

async fn put(session: &Session, signed: &Signed, actor: Option<&Actor>) {
    session.insert(SIGNED, signed).await.ok();
    if let Some(actor) = actor {
        session.insert(ACTOR, actor).await.ok();
    }
}
