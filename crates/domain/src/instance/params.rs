//! What an instance snapshot is asked for, with CERN's names and defaults (R22).
//!
//! Lives here: the parameters and what is wrong with them. May not: which instances there are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Pattern;
use crate::{channel::address_problem, field::FieldError};

/// Receivers that each kind of mail may have.
pub const MOST_MAILS: usize = 50;
/// The longest name of an instance that Nova takes.
const LONGEST_INSTANCE: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotParams {
    /// The instance's name. Empty in a schedule: each instance of the source.
    pub instance: String,
    pub pattern: String,
    /// As many snapshots of the instance are kept; all of them where it is 0.
    pub max_snapshots: u32,
    /// Wait until the snapshot is really there. Otherwise the run ends when the cloud has accepted it.
    pub wait: bool,
    /// Stop the instance first, and start it again.
    pub instance_stop: bool,
    pub to_addr_success: Vec<String>,
    pub to_addr_error: Vec<String>,
}

impl Default for SnapshotParams {
    fn default() -> Self {
        Self {
            instance: String::new(),
            pattern: Pattern::DEFAULT.to_owned(),
            max_snapshots: 0,
            wait: true,
            instance_stop: false,
            to_addr_success: Vec::new(),
            to_addr_error: Vec::new(),
        }
    }
}

impl SnapshotParams {
    /// Every field that cannot be used, with its remedy. Whether the instance exists is not looked at.
    pub fn check(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: String| found.push(FieldError::new(field, message));
        if self.instance.chars().count() > LONGEST_INSTANCE {
            say("instance", "is longer than 255 characters, which no instance's name is; shorten it".to_owned());
        } else if self.instance.contains(char::is_control) {
            say("instance", "holds a line break or another control character; write the name on one line".to_owned());
        } else if self.instance.trim() != self.instance {
            say("instance", "begins or ends with a space, which no instance's name does; remove it".to_owned());
        }
        match Pattern::parse(&self.pattern) {
            Err(problem) => say("pattern", problem.to_string()),
            Ok(pattern) if !self.instance.is_empty() => {
                if let Some(problem) = pattern.problem(&self.instance, None)
                    && self.instance.chars().count() <= LONGEST_INSTANCE
                    && !self.instance.contains(char::is_control)
                {
                    say("instance", problem);
                }
            }
            Ok(_) => {}
        }
        for (field, mails) in [("to_addr_success", &self.to_addr_success), ("to_addr_error", &self.to_addr_error)] {
            if mails.len() > MOST_MAILS {
                say(field, "has more than 50 receivers; use a mailing list".to_owned());
            }
            let mut seen = BTreeSet::new();
            for mail in mails {
                let short: String = mail.chars().take(60).filter(|c| !c.is_control()).collect();
                if let Some(problem) = address_problem(mail) {
                    say(field, format!("“{short}” {problem}"));
                } else if !seen.insert(mail) {
                    say(field, format!("“{short}” stands there twice; remove one"));
                }
            }
        }
        found
    }
}
