//! How many different people have brought a service back (R45).
//!
//! Lives here: which names are people's, counting them. May not: reading runs.
//! Invariant: a schedule, a token and Holdfast itself are nobody, however often they did it.

use serde::{Deserialize, Serialize};

use crate::{run::text_enum, units::Timestamp};

/// Over how many months people are counted.
pub const MONTHS: i64 = 12;

text_enum! {
    /// What somebody completed.
    Feat { Restored => "restore", RestoreTest => "restore_test", Exercise => "exercise" }
}

impl Feat {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Restored => "restore",
            Self::RestoreTest => "restore test",
            Self::Exercise => "exercise",
        }
    }
}

/// What one name completed in the time that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    pub actor: String,
    pub feat: Feat,
    pub times: i64,
    pub last_at: Timestamp,
}

/// Somebody who completed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub restores: i64,
    pub restore_tests: i64,
    pub exercises: i64,
    pub last_at: Timestamp,
}

/// How many people it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusFactor {
    /// By name.
    pub people: Vec<Person>,
    /// Schedules, programs and Holdfast itself, which do not count.
    pub not_counted: Vec<String>,
}

impl BusFactor {
    pub fn of(completed: &[Completed]) -> Self {
        let mut found = Self::default();
        for c in completed {
            if !is_person(&c.actor) {
                if !found.not_counted.contains(&c.actor) {
                    found.not_counted.push(c.actor.clone());
                }
                continue;
            }
            let at = found.people.iter().position(|p| p.name == c.actor).unwrap_or_else(|| {
                found.people.push(Person { name: c.actor.clone(), restores: 0, restore_tests: 0, exercises: 0, last_at: c.last_at });
                found.people.len() - 1
            });
            let person = &mut found.people[at];
            match c.feat {
                Feat::Restored => person.restores += c.times,
                Feat::RestoreTest => person.restore_tests += c.times,
                Feat::Exercise => person.exercises += c.times,
            }
            person.last_at = person.last_at.max(c.last_at);
        }
        found.people.sort_by(|a, b| a.name.cmp(&b.name));
        found.not_counted.sort();
        found
    }

    /// How many people completed any of it.
    pub fn count(&self) -> usize {
        self.people.len()
    }

    /// How many people completed that.
    pub fn count_of(&self, feat: Feat) -> usize {
        let times = |p: &Person| match feat {
            Feat::Restored => p.restores,
            Feat::RestoreTest => p.restore_tests,
            Feat::Exercise => p.exercises,
        };
        self.people.iter().filter(|p| times(p) > 0).count()
    }

    /// Whether it rests on nobody, or on one person alone.
    pub fn is_low(&self) -> bool {
        self.count() < 2
    }

    pub fn words(&self) -> String {
        match self.people.as_slice() {
            [] => "Nobody has completed a restore, a restore test or an exercise in the last 12 months.".to_owned(),
            [one] => format!("Only {} has completed a restore, a restore test or an exercise in the last 12 months.", one.name),
            all => format!("{} people have completed a restore, a restore test or an exercise in the last 12 months.", all.len()),
        }
    }
}

/// Whether a name that stands with a run is a person's. Of the shell nobody knows whose it was, or whether a program's.
pub fn is_person(actor: &str) -> bool {
    let holdfast = ["holdfast", "shell", "metrics", "anonymous", ""].contains(&actor);
    !(holdfast
        || actor.starts_with("schedule ")
        || actor.starts_with("provider ")
        || actor.starts_with("guest ")
        || actor.contains(" by token ")
        || actor.ends_with(" by location"))
}
