//! The one place where permission is decided, for pages, server functions, API and command line alike (R50).
//!
//! Lives here: the actions and the table role × action. May not: how a role was given.

use domain::text_enum;
use serde::{Deserialize, Serialize};

use crate::{Ctx, OpsError, Result, Role};

text_enum! {
    /// What can be asked for. Each use case names exactly one.
    Action {
        /// See services, runs, snapshots, tests, people.
        Read = "read",
        /// Look inside a snapshot: names and contents of people's files.
        Browse = "browse",
        /// Change services, sources, repositories.
        Configure = "configure",
        /// Start, cancel or retry backups, checks and restore tests.
        Operate = "operate",
        /// Write to a target.
        Restore = "restore",
        /// Place holds, and decide on those that the guard placed.
        Hold = "hold",
        /// Remove locks of others from a repository.
        Unlock = "unlock",
        /// Make sign-in links, and end the tokens of others.
        AdmitPeople = "admit_people",
        /// Read the audit trail and prove it.
        Audit = "audit",
    }
}

impl Action {
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
            Self::Audit => "read the audit trail; ask an admin",
        }
    }
}

/// Whether the role may do it.
pub const fn allows(role: Role, action: Action) -> bool {
    match role {
        Role::Admin => true,
        Role::Auditor => matches!(action, Action::Read | Action::Audit),
        Role::Anonymous => false,
    }
}

/// Refuses unless the actor may do it. The first line of every use case.
pub fn require(ctx: &Ctx, action: Action) -> Result<()> {
    let in_scope = ctx.actor.scopes.as_ref().is_none_or(|s| s.contains(&action));
    if in_scope && allows(ctx.actor.role, action) { Ok(()) } else { Err(OpsError::Forbidden(action.words())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for &action in Action::ALL {
            assert!(allows(Role::Admin, action));
            assert!(!allows(Role::Anonymous, action));
            assert_eq!(allows(Role::Auditor, action), matches!(action, Action::Read | Action::Audit));
        }
    }
}
