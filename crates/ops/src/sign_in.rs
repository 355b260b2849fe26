//! One-time sign-in links: the way in while no identity provider is configured (R49).
//!
//! Lives here: making a link's token, spending it. May not: cookies, pages.
//! Invariant: only the hash of a token is stored; a token works once and for fifteen minutes.

use rand::Rng;
use sha2::{Digest, Sha256};
use store::{audit::NewEvent, sessions};

use crate::{
    Actor, Ctx, OpsError, Result, Role,
    permission::{Action, require},
};

/// How long a link works, in seconds.
pub const LINK_LIFE_S: i64 = 10 * 60;

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Whether nobody has ever been let in: the server then prints a link by itself.
pub async fn is_first_start(ctx: &Ctx) -> Result<bool> {
    require(ctx, Action::AdmitPeople)?;
    Ok(!sessions::any_link(ctx.db.read().await?.tx()).await?)
}

/// Makes a link's token. It is shown once and stored only as a hash.
pub async fn make_link(ctx: &Ctx) -> Result<String> {
    require(ctx, Action::AdmitPeople)?;
    let mut bytes = [0_u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    let token = hex::encode(bytes);
    let mut t = ctx.db.begin_audited().await?;
    sessions::add_link(t.tx(), &hash(&token), ctx.now(), ctx.now().plus_secs(LINK_LIFE_S)).await?;
    ctx.audit(t.tx(), NewEvent { action: "login_link.make", entity: "login_link", entity_id: hash(&token)[..12].to_owned(), ..NewEvent::default() }).await?;
    t.commit().await?;
    Ok(token)
}

/// Spends a token; the actor who is then signed in. Open to everybody: the token is the permission.
pub async fn spend(ctx: &Ctx, token: &str) -> Result<Actor> {
    let mut t = ctx.db.begin_audited().await?;
    if !sessions::use_link(t.tx(), &hash(token), ctx.now()).await? {
        return Err(OpsError::invalid("token", "this link was used before or is older than 10 minutes; print a new one with: holdfast login-link"));
    }
    let actor = Actor::new("admin", Role::Admin);
    let signed_in = Ctx { actor: actor.clone(), ..ctx.clone() };
    signed_in.audit(t.tx(), NewEvent { action: "session.open", entity: "login_link", entity_id: hash(token)[..12].to_owned(), ..NewEvent::default() }).await?;
    t.commit().await?;
    Ok(actor)
}
