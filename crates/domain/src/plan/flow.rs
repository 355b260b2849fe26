//! How a version of a plan lives: draft, in review, approved, superseded.
//!
//! Lives here: states, what may follow what, the roles that sign. May not: who somebody is, storing.
//! Invariant: what is approved, superseded or discarded is locked.

use serde::{Deserialize, Serialize};

use crate::run::text_enum;

text_enum! {
    /// Where a version stands.
    State { Draft => "draft", InReview => "in_review", Approved => "approved", Superseded => "superseded", Discarded => "discarded" }
}

text_enum! {
    /// What happens to a version.
    Event {
        Started => "started", Saved => "saved", Submitted => "submitted", Signed => "signed", Approved => "approved",
        Returned => "returned", Discarded => "discarded", Superseded => "superseded",
    }
}

/// A change that the rules do not allow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version that {} cannot be {}; {}", .from.words(), .event.words(), .from.remedy())]
pub struct NotNow {
    pub event: Event,
    pub from: State,
}

impl State {
    /// Whether its content can never change again.
    pub const fn is_locked(self) -> bool {
        matches!(self, Self::Approved | Self::Superseded | Self::Discarded)
    }

    /// Whether somebody still works on it. A service has one such version at most.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::InReview)
    }

    /// The words people read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InReview => "in review",
            Self::Approved => "approved",
            Self::Superseded => "superseded",
            Self::Discarded => "discarded",
        }
    }

    /// The words that follow “this version”.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Draft => "is a draft",
            Self::InReview => "is in review",
            Self::Approved => "is approved",
            Self::Superseded => "is superseded",
            Self::Discarded => "was discarded",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Draft => "submit it for review first",
            Self::InReview => "return it to draft first",
            Self::Approved | Self::Superseded | Self::Discarded => "it is locked; begin a new draft",
        }
    }

    /// The state after `event`, or why it may not happen.
    pub const fn after(self, event: Event) -> Result<Self, NotNow> {
        Ok(match (self, event) {
            (Self::Draft, Event::Saved) | (Self::InReview, Event::Returned) => Self::Draft,
            (Self::Draft, Event::Submitted) | (Self::InReview, Event::Signed) => Self::InReview,
            (Self::InReview, Event::Approved) => Self::Approved,
            (Self::Draft, Event::Discarded) => Self::Discarded,
            (Self::Approved, Event::Superseded) => Self::Superseded,
            _ => return Err(NotNow { event, from: self }),
        })
    }
}

impl Event {
    /// The words after “cannot be”, and in the revision history.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Saved => "changed",
            Self::Submitted => "submitted for review",
            Self::Signed => "signed",
            Self::Approved => "approved",
            Self::Returned => "returned to draft",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
        }
    }
}

/// A role that has to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    /// Whether the service's owners may sign in it. Whoever may change plans everywhere always may.
    pub owner: bool,
}

impl Role {
    /// Who signs where nothing else was said.
    pub fn usual() -> Vec<Self> {
        vec![Self { name: "Service owner".to_owned(), owner: true }, Self { name: "Continuity office".to_owned(), owner: false }]
    }
}

/// The roles in which nobody has signed.
pub fn signers_missing<'a>(roles: &'a [Role], signed: &[&str]) -> Vec<&'a str> {
    roles.iter().map(|r| r.name.as_str()).filter(|r| !signed.contains(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let legal: Vec<String> =
            State::ALL.iter().flat_map(|s| Event::ALL.iter().filter_map(move |e| s.after(*e).ok().map(|to| format!("{s} {e} {to}")))).collect();
        assert_eq!(
            legal,
            [
                "draft saved draft",
                "draft submitted in_review",
                "draft discarded discarded",
                "in_review signed in_review",
                "in_review approved approved",
                "in_review returned draft",
                "approved superseded superseded",
            ]
        );
    }

    #[test]
    fn what_is_locked_is_never_saved_again() {
        for state in State::ALL.iter().filter(|s| s.is_locked()) {
            assert!(!state.is_open());
            for event in [Event::Saved, Event::Submitted, Event::Signed, Event::Approved, Event::Returned, Event::Discarded] {
                let refused = state.after(event).unwrap_err().to_string();
                assert!(refused.contains("it is locked; begin a new draft"), "{refused}");
            }
        }
        let refused = State::InReview.after(Event::Saved).unwrap_err();
        assert_eq!(refused.to_string(), "a version that is in review cannot be changed; return it to draft first");
    }

    #[test]
    fn each_role_has_to_sign() {
        let roles = Role::usual();
        assert_eq!(signers_missing(&roles, &[]), ["Service owner", "Continuity office"]);
        assert_eq!(signers_missing(&roles, &["Continuity office", "nobody"]), ["Service owner"]);
        assert!(signers_missing(&roles, &["Continuity office", "Service owner"]).is_empty());
    }
}
