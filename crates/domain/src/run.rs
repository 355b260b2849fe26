//! A run's states and its legal transitions (R19, R20).
//!
//! Lives here: kinds, states, what may follow what. May not: the queue, the clock, SQL.
//! Invariant: a run that has ended never changes its state again.

use serde::{Deserialize, Serialize};

/// An enumeration with a stored form for each of its variants.
#[macro_export]
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stored form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub use text_enum;

text_enum! {
    /// What a run does.
    RunKind { Backup => "backup", Restore => "restore", RestoreTest => "restore_test", Check => "check", Prune => "prune", TamperTest => "tamper_test",
        /// A copy of Holdfast itself into a repository.
        InstallationBackup => "installation_backup",
        /// Bringing such a copy back beside, to prove that it works.
        InstallationTest => "installation_test",
        /// A native snapshot of one instance, which stays in its cloud.
        InstanceSnapshot => "instance_snapshot",
        /// A new server made of such a snapshot.
        InstanceClone => "restore_clone_snapshot",
        /// The server itself brought back to such a snapshot.
        InstanceRestore => "restore_inplace_snapshot",
        /// A copy of such a snapshot's image in a repository.
        OffsiteCopy => "offsite_copy",
        /// An image made anew in a cloud of such a copy.
        OffsiteReturn => "offsite_return",
    }
}

text_enum! {
    /// Where a run stands. The first two are live, the others are ends.
    RunState {
        Queued => "queued", Running => "running", Succeeded => "succeeded", Partial => "partial",
        Failed => "failed", Cancelled => "cancelled", Interrupted => "interrupted",
    }
}

text_enum! {
    /// Where a step stands. `Tolerated` failed without failing the run.
    StepState {
        Pending => "pending", Running => "running", Succeeded => "succeeded", Tolerated => "tolerated",
        Failed => "failed", Skipped => "skipped", Cancelled => "cancelled", Interrupted => "interrupted",
    }
}

text_enum! {
    /// How one item of a run went. `Partial` means that files are missing, each of them named.
    ItemState { Ok => "ok", Partial => "partial", Failed => "failed", Skipped => "skipped" }
}

text_enum! {
    /// What happens to a run's state.
    RunEvent {
        Claim => "claim", Succeed => "succeed", FinishPartly => "finish partly", Fail => "fail",
        Cancel => "cancel", Interrupt => "interrupt", Requeue => "requeue",
    }
}

/// A change that the rules do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {entity} that is {from} cannot {event}")]
pub struct InvalidTransition {
    pub entity: &'static str,
    pub event: RunEvent,
    pub from: RunState,
}

impl RunState {
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// The state after `event`, or why it may not happen.
    pub const fn after(self, event: RunEvent) -> Result<Self, InvalidTransition> {
        Ok(match (self, event) {
            (Self::Queued, RunEvent::Claim) => Self::Running,
            (Self::Queued | Self::Running, RunEvent::Cancel) => Self::Cancelled,
            (Self::Running, RunEvent::Succeed) => Self::Succeeded,
            (Self::Running, RunEvent::FinishPartly) => Self::Partial,
            (Self::Running, RunEvent::Fail) => Self::Failed,
            (Self::Running, RunEvent::Interrupt) => Self::Interrupted,
            (Self::Running, RunEvent::Requeue) => Self::Queued,
            _ => return Err(InvalidTransition { entity: "run", event, from: self }),
        })
    }
}

impl RunKind {
    /// Whether a run whose worker died may be started again without a person's consent (R20).
    ///
    /// A restore writes to a target, so it is unwound and ends as interrupted.
    pub const fn resumes_alone(self) -> bool {
        !matches!(self, Self::Restore | Self::InstanceRestore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_run_never_changes() {
        for from in RunState::ALL.iter().filter(|s| !s.is_live()) {
            for event in RunEvent::ALL {
                assert_eq!(from.after(*event), Err(InvalidTransition { entity: "run", event: *event, from: *from }));
            }
        }
    }

    #[test]
    fn a_queued_run_can_only_be_claimed_or_cancelled() {
        let legal: Vec<_> = RunEvent::ALL.iter().filter(|e| RunState::Queued.after(**e).is_ok()).collect();
        assert_eq!(legal, [&RunEvent::Claim, &RunEvent::Cancel]);
    }

    #[test]
    fn stored_forms_round_trip() {
        for s in RunState::ALL {
            assert_eq!(RunState::parse(s.as_str()), Some(*s));
        }
        assert_eq!(RunKind::parse("nonsense"), None);
    }
}
