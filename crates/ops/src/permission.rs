//! The one place where permission is decided, for pages, server functions, API and command line alike (R50).
//!
//! Lives here: the actions, the table role × action with how far each reaches, and what of a list somebody sees.
//! May not: how a role was given.

use domain::{
    id::{PersonId, ServiceId},
    text_enum,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::{items::ItemRow, runs::RunRow, snapshots::SnapshotRow};
use uuid::Uuid;

use crate::{Actor, Ctx, OpsError, Result, Role};

text_enum! {
    /// What can be asked for. Each use case names exactly one.
    Action {
        /// See services, runs, snapshots, tests, people.
        Read => "read",
        /// Look inside a snapshot: names and contents of people's files.
        Browse => "browse",
        /// Change services, sources, repositories.
        Configure => "configure",
        /// Start, cancel or retry backups, checks and restore tests.
        Operate => "operate",
        /// Write to a target.
        Restore => "restore",
        /// Place holds, and decide on those that the guard placed.
        Hold => "hold",
        /// Change continuity plans, risks, reviews, explanations and exercises.
        Plan => "plan",
        /// Remove locks of others from a repository.
        Unlock => "unlock",
        /// Make sign-in links, say who is who and whose data is whose, end the sessions and tokens of others.
        AdmitPeople => "admit_people",
        /// Read the audit trail and prove it.
        Audit => "audit",
        /// Read evidence: what was proven, when, and the signed records of it.
        Evidence => "evidence",
    }
}

impl Action {
    /// The words that follow “you may not”.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Read => "see this; ask an admin",
            Self::Browse => "look inside this; ask an admin",
            Self::Configure => "change the configuration; ask an admin",
            Self::Operate => "start or stop this; ask an admin",
            Self::Restore => "restore this; ask an admin",
            Self::Hold => "place or end holds here; ask an admin",
            Self::Plan => "change plans, risks and reviews; ask an admin or the service's owner",
            Self::Unlock => "clear locks; ask an admin",
            Self::AdmitPeople => "admit people; ask an admin",
            Self::Audit => "read the audit trail; ask an admin",
            Self::Evidence => "read this evidence; ask an admin or the service's owner for a link",
        }
    }
}

/// How far what a role allows reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Nowhere,
    /// What is kept of the person themselves.
    Own,
    /// The services that the link of a guest names.
    Linked,
    /// The services that the person owns, with all that is kept of them.
    Owned,
    Everywhere,
}

/// The table.
pub const fn reach(role: Role, action: Action) -> Reach {
    match (role, action) {
        (Role::Admin, _) | (Role::Auditor, Action::Read | Action::Audit | Action::Evidence) => Reach::Everywhere,
        (Role::Owner, Action::Read | Action::Browse | Action::Operate | Action::Restore | Action::Hold | Action::Plan | Action::Evidence) => Reach::Owned,
        (Role::Guest, Action::Evidence) => Reach::Linked,
        (Role::Member, Action::Read | Action::Browse | Action::Restore) => Reach::Own,
        _ => Reach::Nowhere,
    }
}

/// What something is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Something of the whole installation.
    All,
    /// Something that tells nothing of any service or person: whoever may do it anywhere.
    Any,
    /// A service as a whole.
    Service(ServiceId),
    /// What is kept of a service, and of a person where it is somebody's.
    Data { service: Option<ServiceId>, person: Option<PersonId> },
}

impl On {
    /// A service by its key; something of no service is the installation's.
    pub fn service(id: Option<Uuid>) -> Self {
        id.map_or(Self::All, |id| Self::Service(ServiceId(id)))
    }
}

impl From<&SnapshotRow> for On {
    fn from(s: &SnapshotRow) -> Self {
        Self::Data { service: s.service_id.map(ServiceId), person: s.person_id.map(PersonId) }
    }
}

impl From<&ItemRow> for On {
    fn from(i: &ItemRow) -> Self {
        Self::Data { service: Some(ServiceId(i.service_id)), person: i.person_id.map(PersonId) }
    }
}

/// Whether somebody may do it.
pub fn allowed(actor: &Actor, action: Action, on: On) -> bool {
    let in_scope = actor.scopes.as_ref().is_none_or(|s| s.contains(&action));
    let owned = |s: ServiceId| actor.services.contains(&s);
    let linked = |s: ServiceId| actor.guest.as_ref().is_some_and(|g| g.sees(s));
    in_scope
        && actor.roles().any(|role| match (reach(role, action), on) {
            (Reach::Nowhere, _) => false,
            (Reach::Everywhere, _) | (_, On::Any) => true,
            (Reach::Linked, On::All) => actor.guest.as_ref().is_some_and(|g| g.services.is_none()),
            (Reach::Linked, On::Service(service)) => linked(service),
            (Reach::Linked, On::Data { service, .. }) => service.is_some_and(linked),
            (Reach::Owned, On::Service(service)) => owned(service),
            (Reach::Owned, On::Data { service, .. }) => service.is_some_and(owned),
            (Reach::Own, On::Data { person, .. }) => person.is_some() && person == actor.person,
            (_, On::All) | (Reach::Own, On::Service(_)) => false,
        })
}

/// Refuses unless the actor may do it everywhere.
pub fn require(ctx: &Ctx, action: Action) -> Result<()> {
    require_on(ctx, action, On::All)
}

/// Refuses unless the actor may do it on this. The first line of every use case, or the first after what it is about is known.
pub fn require_on(ctx: &Ctx, action: Action, on: impl Into<On>) -> Result<()> {
    if allowed(&ctx.actor, action, on.into()) {
        return Ok(());
    }
    tracing::info!(actor = %ctx.actor.name, origin = %ctx.origin, %action, "refused: it is not theirs to do");
    if ctx.actor.role == Role::Anonymous { Err(OpsError::Forbidden("see or do this; sign in first")) } else { Err(OpsError::Forbidden(action.words())) }
}

/// The same of a run: whoever started it may follow it.
pub fn require_run(ctx: &Ctx, action: Action, run: &RunRow) -> Result<()> {
    let own = run.actor == ctx.actor.name;
    require_on(ctx, action, if own { On::Any } else { On::service(run.service_id) })
}

/// What of a list somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    All,
    Part { services: Vec<ServiceId>, person: Option<PersonId> },
}

impl Sight {
    pub fn service(&self, id: ServiceId) -> bool {
        match self {
            Self::All => true,
            Self::Part { services, .. } => services.contains(&id),
        }
    }

    /// Something of a service, by its key; something of none is the installation's.
    pub fn of(&self, service: Option<Uuid>) -> bool {
        match service {
            Some(id) => self.service(ServiceId(id)),
            None => *self == Self::All,
        }
    }

    pub fn data(&self, service: Option<Uuid>, person: Option<Uuid>) -> bool {
        match self {
            Self::All => true,
            Self::Part { person: own, .. } => self.of(service) || (own.is_some() && person.map(PersonId) == *own),
        }
    }
}

/// What of a list the actor sees.
///
/// # Errors
/// `Forbidden` where nothing of it would ever be theirs.
pub fn sight(ctx: &Ctx, action: Action) -> Result<Sight> {
    require_on(ctx, action, On::Any)?;
    if allowed(&ctx.actor, action, On::All) {
        return Ok(Sight::All);
    }
    let has = |wanted| ctx.actor.roles().any(|role| reach(role, action) == wanted);
    let mut services = if has(Reach::Owned) { ctx.actor.services.clone() } else { Vec::new() };
    if let Some(named) = ctx.actor.guest.as_ref().filter(|_| has(Reach::Linked)).and_then(|g| g.services.clone()) {
        services.extend(named);
    }
    Ok(Sight::Part { services, person: ctx.actor.person.filter(|_| has(Reach::Own)) })
}

/// From which day to which day somebody sees evidence, in UTC and with both days; `None` where there is no limit.
pub fn period(ctx: &Ctx) -> Option<(Date, Date)> {
    ctx.actor.guest.as_ref().map(|g| (g.from, g.to))
}

/// One page of several lists, each with the newest first, by time and id.
pub(crate) fn merged<T>(pages: impl IntoIterator<Item = Vec<T>>, key: impl Fn(&T) -> (i64, Uuid), limit: i64) -> Vec<T> {
    let mut all: Vec<T> = pages.into_iter().flatten().collect();
    all.sort_by_key(|t| std::cmp::Reverse(key(t)));
    all.dedup_by_key(|t| key(t));
    all.truncate(usize::try_from(limit).unwrap_or(0));
    all
}

#[cfg(test)]
mod tests {
    use domain::id::LinkId;

    use super::*;
    use crate::ctx::Guest;

    fn actor(role: Role) -> Actor {
        Actor { services: vec![service(1)], person: None, ..Actor::new("ada", role) }
    }

    fn service(n: u128) -> ServiceId {
        ServiceId(Uuid::from_u128(n))
    }

    const ON: [On; 4] = [
        On::All,
        On::Service(ServiceId(Uuid::from_u128(1))),
        On::Service(ServiceId(Uuid::from_u128(2))),
        On::Data { service: Some(ServiceId(Uuid::from_u128(2))), person: Some(PersonId(Uuid::from_u128(7))) },
    ];

    #[test]
    fn a_refusal_is_logged_with_who_asked() {
        use std::sync::{Arc, Mutex, PoisonError};

        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let sink = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = store::testing::sqlite().await;
                let ctx = Ctx::new(db.db.clone(), actor(Role::Owner), "192.0.2.7");
                assert!(require(&ctx, Action::Configure).is_err());
                assert!(require_on(&ctx, Action::Operate, On::Service(service(1))).is_ok());
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let refusals: Vec<&str> = text.lines().filter(|l| l.contains("refused")).collect();
        assert_eq!(refusals.len(), 1, "{text}");
        assert!(refusals[0].contains("actor=ada") && refusals[0].contains("origin=192.0.2.7") && refusals[0].contains("action=configure"), "{text}");
    }

    fn guest(services: Option<Vec<ServiceId>>) -> Actor {
        let guest = Guest { link: LinkId(Uuid::from_u128(9)), services, from: jiff::civil::date(2026, 1, 1), to: jiff::civil::date(2026, 6, 30) };
        Actor { guest: Some(guest), ..Actor::new("guest by link audit", Role::Guest) }
    }

    /// For each action: on all, on the service that is owned, on another one, on what is one's own in that.
    fn row(actor: &Actor, action: Action) -> String {
        ON.iter().map(|on| if allowed(actor, action, *on) { '+' } else { '-' }).collect()
    }

    #[test]
    fn the_table() {
        let admin = Actor::new("ada", Role::Admin);
        let auditor = Actor::new("aud", Role::Auditor);
        let owner = actor(Role::Owner);
        let member = Actor { person: Some(PersonId(Uuid::from_u128(7))), ..Actor::new("mem", Role::Member) };
        let both = Actor { services: vec![service(1)], ..auditor.clone() };
        let guest = guest(Some(vec![service(1)]));
        let mut said = Vec::new();
        for &action in Action::ALL {
            let cells = [&admin, &auditor, &owner, &member, &both, &guest].map(|a| row(a, action)).join(" ");
            said.push(format!("{:<13}{cells}", action.as_str()));
            assert_eq!(row(&Actor::anonymous(), action), "----", "{action}");
            assert!(!allowed(&Actor::anonymous(), action, On::Any), "{action}");
        }
        assert_eq!(
            said,
            [
                "read         ++++ ++++ -+-- ---+ ++++ ----",
                "browse       ++++ ---- -+-- ---+ -+-- ----",
                "configure    ++++ ---- ---- ---- ---- ----",
                "operate      ++++ ---- -+-- ---- -+-- ----",
                "restore      ++++ ---- -+-- ---+ -+-- ----",
                "hold         ++++ ---- -+-- ---- -+-- ----",
                "plan         ++++ ---- -+-- ---- -+-- ----",
                "unlock       ++++ ---- ---- ---- ---- ----",
                "admit_people ++++ ---- ---- ---- ---- ----",
                "audit        ++++ ++++ ---- ---- ++++ ----",
                "evidence     ++++ ++++ -+-- ---- ++++ -+--",
            ]
        );
    }

    #[test]
    fn the_table_is_documented() {
        let words = |reach| match reach {
            Reach::Nowhere => "–",
            Reach::Own => "own data",
            Reach::Linked => "the link's services",
            Reach::Owned => "own services",
            Reach::Everywhere => "everywhere",
        };
        let docs = include_str!("../../../docs/permissions.md");
        for &action in Action::ALL {
            let cells = [Role::Admin, Role::Auditor, Role::Owner, Role::Member, Role::Guest].map(|role| words(reach(role, action))).join(" | ");
            let line = format!("| {} | {cells} |", action.to_string().replace('_', " "));
            assert!(docs.lines().any(|l| l == line), "docs/permissions.md lacks the line: {line}");
        }
    }

    #[test]
    fn nobody_is_owned_by_chance() {
        let nobody = Actor::new("new", Role::Member);
        let unowned = On::Data { service: None, person: None };
        assert!(!allowed(&nobody, Action::Read, unowned) && !allowed(&Actor::new("x", Role::Owner), Action::Read, unowned));
        let sees = |actor: Actor| actor.roles().map(Role::as_str).collect::<Vec<_>>();
        assert_eq!(sees(actor(Role::Auditor)), ["auditor", "owner"]);
        let program = Actor { scopes: Some(vec![Action::Read]), ..actor(Role::Owner) };
        assert_eq!((row(&program, Action::Read).as_str(), row(&program, Action::Browse).as_str()), ("-+--", "----"));
    }

    #[test]
    fn a_guest_sees_the_evidence_of_their_link_and_nothing_else() {
        let (some, all) = (guest(Some(vec![service(1)])), guest(None));
        for &action in Action::ALL {
            let evidence = action == Action::Evidence;
            assert_eq!((row(&some, action).as_str(), row(&all, action).as_str()), if evidence { ("-+--", "++++") } else { ("----", "----") }, "{action}");
            assert_eq!(allowed(&some, action, On::Any), evidence, "{action}");
        }
        // The role alone, without a link, is nobody.
        assert_eq!(row(&Actor::new("x", Role::Guest), Action::Evidence), "----");
        assert_eq!(some.roles().collect::<Vec<_>>(), [Role::Guest]);
    }

    #[test]
    fn a_merged_page_is_the_newest_of_all() {
        let at = |t: i64| (t, Uuid::from_u128(u128::try_from(t).unwrap()));
        let merged = merged([vec![at(9), at(5), at(1)], vec![at(8), at(5)], Vec::new()], |t| *t, 4);
        assert_eq!(merged.iter().map(|t| t.0).collect::<Vec<_>>(), [9, 8, 5, 1]);
    }
}
