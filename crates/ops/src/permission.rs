//! The one place where permission is decided, for pages, server functions, API and command line alike (R50).
//!
//! Lives here: the actions and the table role × action. May not: how a role was given.

use crate::{Ctx, OpsError, Result, Role};

/// What can be asked for. Each use case names exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See services, runs, snapshots, tests, people.
    Read,
    /// Look inside a snapshot: names and contents of people's files.
    Browse,
    /// Change services, sources, repositories.
    Configure,
    /// Start, cancel or retry backups, checks and restore tests.
    Operate,
    /// Write to a target.
    Restore,
    /// Place holds, and decide on those that the guard placed.
    Hold,
    /// Remove locks of others from a repository.
    Unlock,
    /// Make sign-in links.
    AdmitPeople,
}

impl Action {
    pub const ALL: [Self; 8] = [Self::Read, Self::Browse, Self::Configure, Self::Operate, Self::Restore, Self::Hold, Self::Unlock, Self::AdmitPeople];

    /// The words that follow “you may not”.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Read => "see this; sign in first",
            Self::Browse => "look inside snapshots; ask an admin",
            Self::Configure => "change the configuration; ask an admin",
            Self::Operate => "start or stop runs; ask an admin",
            Self::Restore => "restore; ask an admin",
            Self::Hold => "place or end holds; ask an admin",
            Self::Unlock => "clear locks; ask an admin",
            Self::AdmitPeople => "make sign-in links; ask an admin",
        }
    }
}

/// Whether the role may do it.
pub const fn allows(role: Role, action: Action) -> bool {
    match role {
        Role::Admin => true,
        Role::Auditor => matches!(action, Action::Read),
        Role::Anonymous => false,
    }
}

/// Refuses unless the actor may do it. The first line of every use case.
pub fn require(ctx: &Ctx, action: Action) -> Result<()> {
    if allows(ctx.actor.role, action) { Ok(()) } else { Err(OpsError::Forbidden(action.words())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for action in Action::ALL {
            assert!(allows(Role::Admin, action));
            assert!(!allows(Role::Anonymous, action));
            assert_eq!(allows(Role::Auditor, action), action == Action::Read);
        }
    }
}
