//! Which snapshots of one instance are beyond `max_snapshots` (R22).
//!
//! Lives here: the decision, with a reason for each. May not: removing anything; what pins a snapshot.
//! Invariants: the newest one is never removed; what is pinned stays, and counts.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// A complete snapshot of the instance: its image and its volume snapshots as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    pub id: String,
    pub taken_at: Timestamp,
    /// Why it may not go, if so, such as `on hold` or `the volume “data” was made from it`.
    pub pinned: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: String,
    pub keep: bool,
    pub why: String,
}

/// A snapshot that stayed, as a run's result names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    pub why: String,
}

/// Decides on each snapshot of one instance, newest first; the oldest go first until `max` are left. 0 keeps all.
///
/// Of two of one moment the one with the greater id counts as the newer one.
pub fn beyond(units: &[Unit], max: u32) -> Vec<Decision> {
    let mut newest_first: Vec<&Unit> = units.iter().collect();
    newest_first.sort_by(|a, b| (b.taken_at, &b.id).cmp(&(a.taken_at, &a.id)));
    let most = usize::try_from(max).unwrap_or(usize::MAX);
    let mut excess = if max == 0 { 0 } else { units.len().saturating_sub(most) };
    let mut decisions: Vec<Decision> = Vec::with_capacity(units.len());
    for (nth, unit) in newest_first.into_iter().enumerate().rev() {
        let removed = excess > 0 && unit.pinned.is_none() && nth > 0;
        let why = match &unit.pinned {
            _ if removed => format!("over max_snapshots = {max}"),
            Some(pin) => pin.clone(),
            None if nth == 0 => "the newest one".to_owned(),
            None if max == 0 => "max_snapshots = 0 keeps all".to_owned(),
            None => format!("within max_snapshots = {max}"),
        };
        excess -= usize::from(removed);
        decisions.push(Decision { id: unit.id.clone(), keep: !removed, why });
    }
    decisions.reverse();
    decisions
}
