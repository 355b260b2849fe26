//! The mass-change guard: whether what a snapshot changed is out of the ordinary for its item (R21).
//!
//! Lives here: what is measured, what is usual, the signs of an attack or an accident. May not: words for people
//! (see `words`), where measures come from, what a hold does.
//! Invariants: a first snapshot needs no decision; few or small changes never make a sign, whatever the history says;
//! what a person has accepted is normal from then on.

mod crowd;
pub mod refilled;
mod words;

pub use crowd::{Crowd, crowd};
use serde::{Deserialize, Serialize};

use crate::{id::SnapshotId, units::Timestamp};

/// As many snapshots before one are what it is compared with.
pub const COMPARED: usize = 30;
/// Fewer than this say nothing about what is usual; then the floors alone count.
const FEW: usize = 3;
/// How many robust standard deviations above the median are still usual, and how many there are at least.
const DEVIATIONS: f64 = 6.0;
/// The least deviation of a share, and of a count: an item that did exactly the same every time may vary a little.
const LEAST: (f64, f64) = (0.02, 0.5);
/// A median absolute deviation of a normal distribution times this is its standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;

/// From so many files on, turned into noise in one snapshot.
const TURNED: i64 = 8;
/// Or from so many on, if they are this share of all, in hundredths.
const TURNED_SMALL: (i64, i64) = (4, 60);
/// Or so many over the last snapshots together, for what goes slowly.
const DRIP: (usize, i64) = (14, 24);
/// Files that are gone: from so many on, if they are this share of all in hundredths. Any row is enough.
const LOST: [(i64, i64); 4] = [(10, 95), (20, 80), (50, 65), (200, 50)];
/// A loss counts only if the item is left with less than this share of its usual files, in hundredths.
const LEFT: i64 = 60;
/// Files with other content under the same name, in the same way.
const REWRITTEN: [(i64, i64); 3] = [(30, 90), (100, 75), (500, 60)];
/// Rewritten files that make an item shrink: from so many on, this share of all, to this share of its usual bytes.
const SHRUNK: (i64, i64, i64) = (20, 30, 25);

/// What a snapshot changed against the one before it. Files in caches are in `shed` alone: programs fill them again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measure {
    /// There was a snapshot before to compare with.
    pub compared: bool,
    /// Files outside of caches, and their bytes, now.
    pub files: i64,
    pub bytes: i64,
    /// Files that came, those that only moved left out.
    pub added: i64,
    /// Files with other content under the same name, or under one that was made of it, such as `a.txt.locked`.
    pub rewritten: i64,
    /// Files that are gone or empty now, those that only moved left out.
    pub removed: i64,
    pub removed_bytes: i64,
    /// Files of the same content in another place.
    pub moved: i64,
    /// Files that are gone from caches, or that the source leaves out now.
    pub shed: i64,
    /// Content that came, before compression.
    pub came_bytes: i64,
    /// Of it what no compression makes smaller; `None` where the repository compresses nothing.
    pub noise_bytes: Option<i64>,
    /// Rewritten files that could be compressed or told by their first bytes, and now can be neither.
    pub turned: i64,
    pub turned_bytes: i64,
    /// At most five of the turned files, or of the removed ones where none turned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

impl Measure {
    /// Files outside of caches before this snapshot.
    pub const fn files_before(&self) -> i64 {
        let n = self.files - self.added + self.removed;
        if n < 0 { 0 } else { n }
    }

    /// Whether it is below every floor, so that no history is needed to say that nothing is wrong.
    pub const fn is_quiet(&self) -> bool {
        !self.compared || (self.turned == 0 && self.removed < LOST[0].0 && self.rewritten < SHRUNK.0)
    }
}

/// One snapshot of an item's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    pub measure: Measure,
    /// Files could not be read: what is missing may be there.
    pub partial: bool,
    /// A person looked at what it changed and found it in order.
    pub accepted: bool,
}

/// What is out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Files turned into noise: encryption.
    Turned,
    /// The same, a few at a time.
    Drip,
    /// Most files are gone.
    Lost,
    /// Most files have other content.
    Rewritten,
    /// Files were overwritten and the item shrank.
    Shrunk,
}

/// One sign with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub sign: Sign,
    /// Files that show it, of so many that there were, and their bytes.
    pub files: i64,
    pub of: i64,
    pub bytes: i64,
    /// How many files of a snapshot usually show it: the median.
    pub usual: f64,
    /// From how many on it is out of the ordinary.
    pub limit: i64,
}

/// Why an item is on hold: what a guard's hold keeps as its facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The first snapshot in question, and when it was taken.
    pub snapshot: Option<SnapshotId>,
    pub taken_at: Timestamp,
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub measure: Measure,
    /// How many snapshots before it it was compared with.
    pub compared: usize,
    /// What was found over several items of a source at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd: Option<Crowd>,
}

/// What is usual: the median of the past, and the value from which on one is out of the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usual {
    median: f64,
    limit: f64,
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn usual(values: impl Iterator<Item = f64>, least: f64) -> Usual {
    let mut values: Vec<f64> = values.collect();
    let few = values.len() < FEW;
    let middle = median(&mut values);
    let mut off: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    let spread = (MAD_TO_SIGMA * median(&mut off)).max(least);
    Usual { median: middle, limit: if few { 0.0 } else { middle + DEVIATIONS * spread } }
}

/// The smallest number that any row of a table of floors asks for.
fn floor(rows: &[(i64, i64)], of: i64) -> i64 {
    rows.iter().map(|(n, share)| (*n).max(hundredths_up(of, *share))).min().unwrap_or(i64::MAX)
}

/// `share` hundredths of `of`, rounded up.
const fn hundredths_up(of: i64, share: i64) -> i64 {
    (of.saturating_mul(share) + 99) / 100
}

fn ratio(part: i64, of: i64) -> f64 {
    if of <= 0 { 0.0 } else { part as f64 / of as f64 }
}

/// What is out of the ordinary about `now`, given the snapshots before it, the oldest first.
///
/// Nothing for a first snapshot. Removals are not judged where files could not be read; the next whole snapshot answers
/// for them.
pub fn judge(history: &[Past], now: &Past) -> Vec<Finding> {
    let m = &now.measure;
    if !m.compared {
        return Vec::new();
    }
    let past = since_accepted(history);
    let mut found = Vec::new();
    found.extend(turned(&past, m));
    if !now.partial {
        found.extend(lost(&past, m));
    }
    if found.iter().all(|f| !matches!(f.sign, Sign::Turned)) {
        found.extend(rewritten(&past, m));
    }
    found
}

/// What several items changed together.
pub fn sum<'a>(measures: impl Iterator<Item = &'a Measure>) -> Measure {
    measures.fold(Measure { compared: true, ..Measure::default() }, |mut all, m| {
        all.files += m.files;
        all.bytes += m.bytes;
        all.added += m.added;
        all.rewritten += m.rewritten;
        all.removed += m.removed;
        all.removed_bytes += m.removed_bytes;
        all.moved += m.moved;
        all.shed += m.shed;
        all.came_bytes += m.came_bytes;
        all.noise_bytes = m.noise_bytes.map(|n| n + all.noise_bytes.unwrap_or(0)).or(all.noise_bytes);
        all.turned += m.turned;
        all.turned_bytes += m.turned_bytes;
        if all.examples.is_empty() {
            all.examples.clone_from(&m.examples);
        }
        all
    })
}

/// The history from the last snapshot on that a person accepted. Of that one the size counts and not what it changed.
fn since_accepted(history: &[Past]) -> Vec<Past> {
    let history = &history[history.len().saturating_sub(COMPARED)..];
    let from = history.iter().rposition(|p| p.accepted).unwrap_or(0);
    let mut past = history[from..].to_vec();
    if let Some(first) = past.first_mut().filter(|p| p.accepted) {
        first.measure = Measure { files: first.measure.files, bytes: first.measure.bytes, ..Measure::default() };
    }
    past
}

fn compared(past: &[Past]) -> impl Iterator<Item = &Measure> {
    past.iter().map(|p| &p.measure).filter(|m| m.compared)
}

fn turned(past: &[Past], m: &Measure) -> Option<Finding> {
    let of = m.files_before();
    let was = usual(compared(past).map(|p| p.turned as f64), LEAST.1);
    let at_once = TURNED.min(TURNED_SMALL.0.max(hundredths_up(of, TURNED_SMALL.1))).max(was.limit.ceil() as i64);
    let one = |sign, files, limit| Finding { sign, files, of, bytes: m.turned_bytes, usual: was.median, limit };
    if m.turned >= at_once {
        return Some(one(Sign::Turned, m.turned, at_once));
    }
    // An item that shows a few in every snapshot is that way.
    let steady = was.limit.ceil() as i64;
    let lately: i64 = past.iter().rev().take(DRIP.0 - 1).map(|p| p.measure.turned).sum();
    (m.turned > steady && lately + m.turned >= DRIP.1).then(|| one(Sign::Drip, lately + m.turned, DRIP.1))
}

fn lost(past: &[Past], m: &Measure) -> Option<Finding> {
    // What a snapshot with unreadable files seemed to have lost is counted once it is known.
    let unread = past.iter().rev().take_while(|p| p.partial);
    let carried: i64 = unread.map(|p| (p.measure.removed - p.measure.added).max(0)).sum();
    let (removed, of) = (m.removed + carried, m.files_before() + carried);
    let was = usual(compared(past).map(|p| ratio(p.removed, p.files_before())), LEAST.0);
    let limit = floor(&LOST, of).max((was.limit * of as f64).ceil() as i64);
    let mut level: Vec<f64> = past.iter().filter(|p| !p.partial).map(|p| p.measure.files as f64).collect();
    let level = if level.is_empty() { of as f64 } else { median(&mut level) };
    let shrank = m.files as f64 * 100.0 < level * LEFT as f64;
    (removed >= limit && shrank).then_some(Finding { sign: Sign::Lost, files: removed, of, bytes: m.removed_bytes, usual: was.median * of as f64, limit })
}

fn rewritten(past: &[Past], m: &Measure) -> Option<Finding> {
    let of = m.files_before();
    let was = usual(compared(past).map(|p| ratio(p.rewritten, p.files_before())), LEAST.0);
    let beyond = (was.limit * of as f64).ceil() as i64;
    let one = |sign, limit| Finding { sign, files: m.rewritten, of, bytes: m.came_bytes, usual: was.median * of as f64, limit };
    let limit = floor(&REWRITTEN, of).max(beyond);
    if m.rewritten >= limit {
        return Some(one(Sign::Rewritten, limit));
    }
    let (least, share, left) = SHRUNK;
    let limit = least.max(hundredths_up(of, share)).max(beyond);
    let mut bytes: Vec<f64> = past.iter().map(|p| p.measure.bytes as f64).collect();
    let level = median(&mut bytes);
    (m.rewritten >= limit && (m.bytes as f64) * 100.0 < level * left as f64).then(|| one(Sign::Shrunk, limit))
}

#[cfg(test)]
mod tests;
