//! What protects a repository from whoever holds the credentials that write it (R14).
//!
//! Lives here: what a tamper test found, and what that means. May not: writing or deleting anything.
//! Invariant: protected is only what stood a real attempt: a refusal alone, or a setting, proves nothing.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// What the storage answered to an attempt to destroy the probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "words", rename_all = "snake_case")]
pub enum Answer {
    /// It did as it was told.
    Done,
    /// It said that this is not allowed.
    Refused,
    /// It said something else, in its words.
    Other(String),
    /// It was not tried: there was nothing to try it on.
    NotTried,
}

/// What a tamper test did to its probe and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The probe's path in the repository.
    pub probe: String,
    /// Whether the storage keeps versions of an object.
    pub versioned: bool,
    pub overwrite: Answer,
    pub delete: Answer,
    /// Deleting the version that was written first.
    pub delete_version: Answer,
    /// The same with the right to bypass a lock in governance mode.
    pub bypass: Answer,
    /// Whether what was written first could still be read after all of it.
    pub intact: bool,
    /// Until when the storage says that it keeps what was written first.
    pub locked_until: Option<Timestamp>,
    /// Whether nothing of the probe is left.
    pub cleaned: bool,
}

/// What the findings mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// What was written could not be destroyed.
    Protected,
    /// Whoever holds these credentials can destroy the backups.
    Unprotected,
    /// It could not be told.
    Unknown,
}

impl Protection {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Unprotected => "unprotected",
            Self::Unknown => "unknown",
        }
    }
}

impl Findings {
    pub fn judge(&self) -> Protection {
        let attempts = if self.versioned { [&self.delete_version, &self.bypass] } else { [&self.overwrite, &self.delete] };
        if attempts.contains(&&Answer::Done) || !self.intact {
            return Protection::Unprotected;
        }
        if attempts.iter().all(|a| **a == Answer::Refused) { Protection::Protected } else { Protection::Unknown }
    }

    /// What was found, in a sentence.
    pub fn words(&self) -> String {
        match (self.judge(), self.versioned) {
            (Protection::Protected, true) => {
                "What is overwritten or deleted stays as an older version, and the storage refuses to delete that version.".to_owned()
            }
            (Protection::Protected, false) => "The storage refuses to overwrite and to delete what was written.".to_owned(),
            (Protection::Unprotected, true) => {
                let how = if self.bypass == Answer::Done && self.delete_version != Answer::Done { " by bypassing its lock" } else { "" };
                format!("The storage keeps older versions, but these credentials can delete them, too{how}.")
            }
            (Protection::Unprotected, false) => {
                let what = match (&self.overwrite, &self.delete) {
                    (Answer::Done, Answer::Done) => "overwrite and delete",
                    (Answer::Done, _) => "overwrite",
                    _ => "delete",
                };
                format!("Nothing protects it: whoever holds these credentials can {what} the backups.")
            }
            (Protection::Unknown, _) => {
                let other = [&self.overwrite, &self.delete, &self.delete_version, &self.bypass].into_iter().find_map(|a| match a {
                    Answer::Other(words) => Some(words.as_str()),
                    _ => None,
                });
                format!("It could not be told. The storage answered: {}", other.unwrap_or("nothing that settles it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(versioned: bool, [overwrite, delete, delete_version, bypass]: [Answer; 4], intact: bool) -> Findings {
        Findings { probe: "data/00/00".into(), versioned, overwrite, delete, delete_version, bypass, intact, locked_until: None, cleaned: false }
    }

    #[test]
    fn protected_is_only_what_stood_every_attempt() {
        use Answer::{Done, NotTried, Refused};
        let other = || Answer::Other("501 not implemented".into());
        for (versioned, answers, intact, meant) in [
            (true, [Done, Done, Refused, Refused], true, Protection::Protected),
            (true, [Done, Done, Refused, Done], false, Protection::Unprotected),
            (true, [Done, Done, Done, NotTried], false, Protection::Unprotected),
            (true, [Done, Done, Refused, Refused], false, Protection::Unprotected),
            (true, [Done, Done, other(), NotTried], true, Protection::Unknown),
            (true, [Done, Done, Refused, other()], true, Protection::Unknown),
            (false, [Refused, Refused, NotTried, NotTried], true, Protection::Protected),
            (false, [Done, Refused, NotTried, NotTried], false, Protection::Unprotected),
            (false, [Refused, Done, NotTried, NotTried], false, Protection::Unprotected),
            (false, [Done, Done, NotTried, NotTried], true, Protection::Unprotected),
            (false, [Refused, other(), NotTried, NotTried], true, Protection::Unknown),
        ] {
            let f = findings(versioned, answers, intact);
            assert_eq!(f.judge(), meant, "{f:?}");
            assert!(f.words().ends_with('.') || meant == Protection::Unknown, "{}", f.words());
        }
    }

    #[test]
    fn words_name_what_is_open() {
        use Answer::{Done, NotTried, Refused};
        assert!(findings(false, [Done, Done, NotTried, NotTried], false).words().contains("overwrite and delete the backups"));
        assert!(findings(true, [Done, Done, Refused, Done], false).words().contains("bypassing its lock"));
    }
}
