//! Access tokens: how a program says for whom it speaks (R51).
//!
//! Lives here: making, listing, revoking, recognising. May not: headers (the server reads them).
//! Invariants: only the hash of a token is stored, so that it is shown once; a token may do what its maker may and its
//! scopes name, never more; no token makes another one or a sign-in link.

use domain::{field::FieldError, id::TokenId, units::Timestamp};
use rand::Rng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
pub use store::tokens::TokenRow;
use store::{
    Clock, Db,
    audit::NewEvent,
    ids::NewId as _,
    tokens::{self, NewToken},
};

use crate::{
    Actor, Ctx, OpsError, Result, Role, accounts,
    permission::{Action, On, Reach, allowed, reach, require, require_on},
};

/// What every token begins with, so that one in a wrong place is seen for what it is.
pub const PREFIX: &str = "hft_";
/// How long a token may live, in days.
pub const DAYS: std::ops::RangeInclusive<i64> = 1..=366;
/// How long one lives where nothing is said, in days.
pub const DEFAULT_DAYS: i64 = 90;
/// The longest name, in characters.
const LONGEST_NAME: usize = 80;
/// How often the last use is written, in seconds.
const USE_S: f64 = 60.0;
/// Tokens that are listed.
const LISTED: i64 = 1_000;

/// A token as it is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    pub scopes: Vec<Action>,
    pub days: i64,
}

/// What a token of theirs can be given.
pub fn grantable(actor: &Actor) -> Vec<Action> {
    let theirs = |action: Action| actor.roles().any(|role| reach(role, action) != Reach::Nowhere);
    Action::ALL.iter().copied().filter(|a| *a != Action::AdmitPeople && theirs(*a)).collect()
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Refuses a program: a token that leaked must not outlive itself.
fn in_person(ctx: &Ctx) -> Result<()> {
    require_on(ctx, Action::Read, On::Any)?;
    if ctx.actor.scopes.is_some() { Err(OpsError::Forbidden("manage tokens by a token; sign in")) } else { Ok(()) }
}

/// Makes a token for whoever asks. The text is returned this once and kept nowhere.
///
/// # Errors
/// `Invalid` with the fields `name`, `scopes`, `days`; `Forbidden` for a program.
pub async fn make(ctx: &Ctx, wanted: &Wanted) -> Result<(TokenRow, String)> {
    in_person(ctx)?;
    let name = wanted.name.trim();
    let mut wrong = Vec::new();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        wrong.push(FieldError::new("name", format!("must be 1 to {LONGEST_NAME} characters; say what the token is for")));
    }
    if wanted.scopes.is_empty() {
        wrong.push(FieldError::new("scopes", "is empty; name at least one thing that the token may do".to_owned()));
    }
    let may = grantable(&ctx.actor);
    if let Some(over) = wanted.scopes.iter().find(|s| !may.contains(s)) {
        wrong.push(FieldError::new("scopes", format!("names {over}, which you cannot give away; choose among {}", names(&may).join(", "))));
    }
    if !DAYS.contains(&wanted.days) {
        wrong.push(FieldError::new("days", format!("must be from {} to {}", DAYS.start(), DAYS.end())));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let text = format!("{PREFIX}{}", hex::encode(bytes));
    let (id, now) = (TokenId::new(), ctx.now());
    let scopes = names(&wanted.scopes);
    let new = NewToken {
        id,
        name,
        actor: &ctx.actor.name,
        role: ctx.actor.role.as_str(),
        scopes: &scopes,
        hash: &hash(&text),
        created_at: now,
        expires_at: now.plus_secs(wanted.days * 86_400),
    };
    let mut t = ctx.db.begin_audited().await?;
    tokens::insert(t.tx(), &new).await?;
    let after = json!({"name": name, "scopes": scopes, "expires_at": new.expires_at.0});
    ctx.audit(t.tx(), NewEvent { action: "token.make", entity: "token", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    let row = tokens::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("token", id))?;
    t.commit().await?;
    Ok((row, text))
}

fn names(actions: &[Action]) -> Vec<String> {
    let mut all: Vec<String> = actions.iter().map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    all
}

/// One's own tokens, the newest first; those of everybody for whoever admits people.
pub async fn list(ctx: &Ctx) -> Result<Vec<TokenRow>> {
    require_on(ctx, Action::Read, On::Any)?;
    let everybody = allowed(&ctx.actor, Action::AdmitPeople, On::All);
    let whose = if everybody { "" } else { &ctx.actor.name };
    Ok(tokens::list(ctx.db.read().await?.tx(), whose, LISTED).await?)
}

/// Ends a token: one's own, or anybody's for whoever admits people. To revoke it again changes nothing.
pub async fn revoke(ctx: &Ctx, id: TokenId) -> Result<()> {
    in_person(ctx)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = tokens::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("token", id))?;
    if row.actor != ctx.actor.name {
        require(ctx, Action::AdmitPeople)?;
    }
    if tokens::revoke(t.tx(), id, ctx.now(), &ctx.actor.name).await? {
        let before = json!({"name": row.name, "actor": row.actor});
        ctx.audit(t.tx(), NewEvent { action: "token.revoke", entity: "token", entity_id: id.to_string(), before: Some(before), after: None }).await?;
    }
    t.commit().await?;
    Ok(())
}

/// How a token stands.
pub fn state(row: &TokenRow, now: Timestamp) -> &'static str {
    match row.revoked_at {
        Some(_) => "revoked",
        None if row.expires_at <= now.0 => "expired",
        None => "valid",
    }
}

/// For whom a program speaks that shows this text; `None` where it is no token that is valid. Open to everybody: the
/// token is the permission.
pub async fn recognise(db: &Db, clock: &Clock, text: &str, from: &str) -> Result<Option<Actor>> {
    if !text.starts_with(PREFIX) {
        return Ok(None);
    }
    let now = clock.now();
    let Some(row) = tokens::of_hash(db.read().await?.tx(), &hash(text)).await?.filter(|r| state(r, now) == "valid") else { return Ok(None) };
    // Whoever has an account has what their provider's word gives them now, if that is less.
    let mut read = db.read().await?;
    let account = store::accounts::of_label(read.tx(), &row.actor).await?;
    let maker = match &account {
        Some(account) => accounts::actor_of(read.tx(), account).await?,
        None => Role::parse(&row.role).map(|role| Actor::new(row.actor.clone(), role)),
    };
    drop(read);
    let (Some(maker), Some(then)) = (maker, Role::parse(&row.role)) else { return Ok(None) };
    let role = if then.rank() > maker.role.rank() { then } else { maker.role };
    if row.last_used_at.is_none_or(|at| now.secs_since(Timestamp(at)).abs() > USE_S) {
        let mut t = db.begin().await?;
        tokens::used(t.tx(), row.id, now, from).await?;
        t.commit().await?;
    }
    let scopes = row.scopes.0.iter().filter_map(|s| Action::parse(s)).collect();
    // What a member's token was made for stays a member's, also where its maker has become an owner since.
    let services = if then.rank() <= Role::Owner.rank() { maker.services } else { Vec::new() };
    Ok(Some(Actor { name: format!("{} by token {}", row.actor, row.name), role, services, scopes: Some(scopes), ..maker }))
}

#[cfg(test)]
mod tests {
    use store::testing;

    use super::*;

    fn wanted(scopes: &[Action]) -> Wanted {
        Wanted { name: "ci".into(), scopes: scopes.to_vec(), days: 30 }
    }

    #[tokio::test]
    async fn a_token_does_what_its_scopes_name_until_it_is_revoked() {
        for t in testing::databases().await {
            let clock = Clock::fixed(Timestamp::from_secs(1_000_000));
            let ctx = Ctx { clock: clock.clone(), ..Ctx::new(t.db.clone(), Actor::new("ada", Role::Admin), "test") };
            let (row, text) = make(&ctx, &wanted(&[Action::Operate, Action::Read])).await.unwrap();
            assert!(!row.hash.contains(&text[4..]) && text.len() == PREFIX.len() + 64);
            let actor = recognise(&t.db, &clock, &text, "10.0.0.9").await.unwrap().unwrap();
            assert_eq!((actor.name.as_str(), actor.role), ("ada by token ci", Role::Admin));
            let program = Ctx { actor, ..ctx.clone() };
            assert!(require(&program, Action::Operate).is_ok());
            for over in [Action::Restore, Action::Configure, Action::AdmitPeople, Action::Audit] {
                assert!(matches!(require(&program, over), Err(OpsError::Forbidden(_))), "{over}");
            }
            assert!(matches!(make(&program, &wanted(&[Action::Read])).await, Err(OpsError::Forbidden(_))), "no token makes another");
            assert!(matches!(revoke(&program, TokenId(row.id)).await, Err(OpsError::Forbidden(_))));
            let listed = list(&ctx).await.unwrap().remove(0);
            assert_eq!((listed.last_used_from.as_deref(), listed.last_used_at), (Some("10.0.0.9"), Some(clock.now().0)), "{}", t.name);

            // Another letter, no prefix, the time is over, revoked: nobody.
            for bad in [format!("{}0", &text[..text.len() - 1]), text[4..].to_owned(), String::new(), row.hash.clone()] {
                if bad != text {
                    assert!(recognise(&t.db, &clock, &bad, "x").await.unwrap().is_none());
                }
            }
            let late = Clock::fixed(clock.now().plus_secs(30 * 86_400));
            assert!(recognise(&t.db, &late, &text, "x").await.unwrap().is_none(), "{}: expired", t.name);
            revoke(&ctx, TokenId(row.id)).await.unwrap();
            revoke(&ctx, TokenId(row.id)).await.unwrap();
            assert!(recognise(&t.db, &clock, &text, "x").await.unwrap().is_none(), "{}: revoked", t.name);
            let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 9).await.unwrap();
            assert_eq!(trail.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(), ["token.make", "token.revoke"]);
            assert!(!format!("{trail:?}").contains(&text), "the trail holds no token");
        }
    }

    #[tokio::test]
    async fn nobody_gives_away_more_than_they_have() {
        let t = testing::sqlite().await;
        let ctx = |name, role| Ctx::new(t.db.clone(), Actor::new(name, role), "test");
        let auditor = ctx("aud", Role::Auditor);
        let refused = make(&auditor, &Wanted { name: " ".into(), scopes: vec![Action::Operate], days: 0 }).await.unwrap_err();
        let OpsError::Invalid(fields) = refused else { panic!("{refused:?}") };
        assert_eq!(fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["name", "scopes", "days"]);
        let admin = ctx("ada", Role::Admin);
        assert!(matches!(make(&admin, &wanted(&[Action::AdmitPeople])).await, Err(OpsError::Invalid(_))), "a token signs nobody in");
        assert!(matches!(make(&admin, &wanted(&[])).await, Err(OpsError::Invalid(_))));
        assert!(matches!(make(&ctx("x", Role::Anonymous), &wanted(&[Action::Read])).await, Err(OpsError::Forbidden(_))));
        assert!(matches!(list(&ctx("x", Role::Anonymous)).await, Err(OpsError::Forbidden(_))));
        // One sees and ends one's own; an admin everybody's.
        let (of_admin, _) = make(&admin, &wanted(&[Action::Read])).await.unwrap();
        let (own, _) = make(&auditor, &wanted(&[Action::Read])).await.unwrap();
        assert_eq!((list(&auditor).await.unwrap().len(), list(&admin).await.unwrap().len()), (1, 2));
        assert!(matches!(revoke(&auditor, TokenId(of_admin.id)).await, Err(OpsError::Forbidden(_))));
        revoke(&admin, TokenId(own.id)).await.unwrap();
    }
}
