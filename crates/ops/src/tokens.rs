//! Access tokens: how a program says for whom it speaks (R51).
//!
//! Lives here: making, listing, revoking, recognising. May not: headers (the server reads them).
//! Invariants: a token may do what its maker may and its scopes name, never more; no token makes another one or a
//! sign-in link.

use domain::{field::FieldError, id::TokenId};
use serde_json::json;
pub use store::tokens::TokenRow;
use store::{Clock, Db, ids::NewId as _, tokens};

use crate::{
    Actor, Ctx, OpsError, Result, Role, accounts,
    issued::{self, Kind},
    permission::{Action, Reach, reach},
};

/// What every token begins with.
pub const PREFIX: &str = "hft_";
/// How long one lives where nothing is said, in days.
pub const DEFAULT_DAYS: i64 = 90;

static KIND: Kind = Kind {
    words: "token",
    prefix: PREFIX,
    needs: Action::Read,
    refused: "manage tokens by a token; sign in",
    name: "name",
    says: "say what the token is for",
    days: 1..=366,
    entity: "token",
    made: "token.make",
    revoked: "token.revoke",
};

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

/// Makes a token for whoever asks. The text is returned this once and kept nowhere.
///
/// # Errors
/// `Invalid` with the fields `name`, `scopes`, `days`; `Forbidden` for a program.
pub async fn make(ctx: &Ctx, wanted: &Wanted) -> Result<(TokenRow, String)> {
    KIND.in_person(ctx)?;
    let name = wanted.name.trim();
    let mut wrong = Vec::from_iter(KIND.name_error(name));
    if wanted.scopes.is_empty() {
        wrong.push(FieldError::new("scopes", "is empty; name at least one thing that the token may do".to_owned()));
    }
    let may = grantable(&ctx.actor);
    if let Some(over) = wanted.scopes.iter().find(|s| !may.contains(s)) {
        wrong.push(FieldError::new("scopes", format!("names {over}, which you cannot give away; choose among {}", names(&may).join(", "))));
    }
    wrong.extend(KIND.days_error(wanted.days));
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let (text, new) = KIND.issue(ctx, TokenId::new().0, name, wanted.days);
    let scopes = names(&wanted.scopes);
    let mut t = ctx.db.begin_audited().await?;
    tokens::insert(t.tx(), &new, &scopes).await?;
    let after = json!({"name": name, "scopes": scopes, "expires_at": new.expires_at.0});
    Ok((KIND.made(ctx, t, new.id, after).await?, text))
}

fn names(actions: &[Action]) -> Vec<String> {
    let mut all: Vec<String> = actions.iter().map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    all
}

/// One's own tokens, the newest first; those of everybody for whoever admits people.
pub async fn list(ctx: &Ctx) -> Result<Vec<TokenRow>> {
    KIND.list(ctx).await
}

/// Ends a token: one's own, or anybody's for whoever admits people. To revoke it again changes nothing.
pub async fn revoke(ctx: &Ctx, id: TokenId) -> Result<()> {
    KIND.revoke::<TokenRow>(ctx, id.0).await
}

/// For whom a program speaks that shows this text; `None` where it is no token that is valid. Open to everybody: the
/// token is the permission.
pub async fn recognise(db: &Db, clock: &Clock, text: &str, from: &str) -> Result<Option<Actor>> {
    if !text.starts_with(PREFIX) {
        return Ok(None);
    }
    let now = clock.now();
    let Some(row) = issued::known::<TokenRow>(db, text, now).await? else { return Ok(None) };
    let of = &row.issued;
    // Whoever has an account has what their provider's word gives them now, if that is less.
    let mut read = db.read().await?;
    let account = store::accounts::of_label(read.tx(), &of.actor).await?;
    let maker = match &account {
        Some(account) => accounts::actor_of(read.tx(), account).await?,
        None => Role::parse(&of.role).map(|role| Actor::new(of.actor.clone(), role)),
    };
    drop(read);
    let (Some(maker), Some(then)) = (maker, Role::parse(&of.role)) else { return Ok(None) };
    let role = if then.rank() > maker.role.rank() { then } else { maker.role };
    issued::used(db, &row, now, from).await?;
    let scopes = row.scopes.0.iter().filter_map(|s| Action::parse(s)).collect();
    // What a member's token was made for stays a member's, also where its maker has become an owner since.
    let services = if then.rank() <= Role::Owner.rank() { maker.services } else { Vec::new() };
    Ok(Some(Actor { name: format!("{} by token {}", of.actor, of.name), role, services, scopes: Some(scopes), ..maker }))
}

#[cfg(test)]
mod tests {
    use domain::units::Timestamp;
    use store::testing;

    use super::*;
    use crate::permission::require;

    fn wanted(scopes: &[Action]) -> Wanted {
        Wanted { name: "ci".into(), scopes: scopes.to_vec(), days: 30 }
    }

    #[tokio::test]
    async fn a_token_does_what_its_scopes_name_until_it_is_revoked() {
        for t in testing::databases().await {
            let clock = Clock::fixed(Timestamp::from_secs(1_000_000));
            let ctx = Ctx { clock: clock.clone(), ..Ctx::new(t.db.clone(), Actor::new("ada", Role::Admin), "test") };
            let (row, text) = make(&ctx, &wanted(&[Action::Operate, Action::Read])).await.unwrap();
            assert!(!row.issued.hash.contains(&text[4..]) && text.len() == PREFIX.len() + 64);
            let actor = recognise(&t.db, &clock, &text, "10.0.0.9").await.unwrap().unwrap();
            assert_eq!((actor.name.as_str(), actor.role), ("ada by token ci", Role::Admin));
            let program = Ctx { actor, ..ctx.clone() };
            assert!(require(&program, Action::Operate).is_ok());
            for over in [Action::Restore, Action::Configure, Action::AdmitPeople, Action::Audit] {
                assert!(matches!(require(&program, over), Err(OpsError::Forbidden(_))), "{over}");
            }
            assert!(matches!(make(&program, &wanted(&[Action::Read])).await, Err(OpsError::Forbidden(_))), "no token makes another");
            assert!(matches!(revoke(&program, TokenId(row.issued.id)).await, Err(OpsError::Forbidden(_))));
            let listed = list(&ctx).await.unwrap().remove(0);
            assert_eq!((listed.issued.last_used_from.as_deref(), listed.issued.last_used_at), (Some("10.0.0.9"), Some(clock.now().0)), "{}", t.name);

            // Another letter, no prefix, the time is over, revoked: nobody.
            for bad in [format!("{}0", &text[..text.len() - 1]), text[4..].to_owned(), String::new(), row.issued.hash.clone()] {
                if bad != text {
                    assert!(recognise(&t.db, &clock, &bad, "x").await.unwrap().is_none());
                }
            }
            let late = Clock::fixed(clock.now().plus_secs(30 * 86_400));
            assert!(recognise(&t.db, &late, &text, "x").await.unwrap().is_none(), "{}: expired", t.name);
            revoke(&ctx, TokenId(row.issued.id)).await.unwrap();
            revoke(&ctx, TokenId(row.issued.id)).await.unwrap();
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
        assert!(matches!(revoke(&auditor, TokenId(of_admin.issued.id)).await, Err(OpsError::Forbidden(_))));
        revoke(&admin, TokenId(own.issued.id)).await.unwrap();
    }
}
