//! Which packs of a repository are read next, so that each is read within a given time.
//!
//! Lives here: the choice, from sizes and times alone. May not: reading, storing when something was read.
//! Invariant: while checks come as often as they say, no pack waits longer than the time that is given.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// How much a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Seconds within which every pack is read.
    pub within_s: i64,
    /// Seconds until the next such check, at most.
    pub every_s: i64,
}

/// What is known of a pack's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// When it was last read and found whole; where it never was, when it was first seen.
    pub at: Timestamp,
    pub read: bool,
}

/// The packs to read now, as numbers in `packs`, which are sizes in bytes with their marks.
///
/// First those that would be late at the next check. Then those that were never read, then those whose last reading is
/// the longest ago, until as many bytes are chosen as every check must read for all to be in time. Where there are
/// packs, at least one is chosen.
pub fn choose(packs: &[(u64, Mark)], slice: Slice, now: Timestamp) -> Vec<usize> {
    let every = slice.every_s.max(1);
    let due = |m: &Mark| m.at.plus_secs(slice.within_s.max(0));
    let mut by_due: Vec<usize> = (0..packs.len()).collect();
    by_due.sort_by_key(|n| (due(&packs[*n].1), *n));

    // The least that each check must read: of all that is due by some time, its part of the checks until then.
    let (mut sum, mut rate) = (0_u64, 0_u64);
    for n in &by_due {
        let (size, mark) = &packs[*n];
        sum = sum.saturating_add(*size);
        let left = ((due(mark).0 - now.0) / 1_000_000).max(0);
        let checks = u64::try_from(left / every + 1).unwrap_or(1);
        rate = rate.max(sum.div_ceil(checks));
    }

    let next = now.plus_secs(every);
    let (late, mut others): (Vec<usize>, Vec<usize>) = by_due.into_iter().partition(|n| due(&packs[*n].1) < next);
    others.sort_by_key(|n| (packs[*n].1.read, packs[*n].1.at, *n));
    let (mut chosen, mut bytes) = (Vec::new(), 0_u64);
    let is_late = late.len();
    for (n, pack) in late.into_iter().chain(others).enumerate() {
        if n >= is_late.max(1) && bytes >= rate {
            break;
        }
        bytes = bytes.saturating_add(packs[pack].0);
        chosen.push(pack);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const MONTH: Slice = Slice { within_s: 30 * DAY, every_s: DAY };

    fn day(n: i64) -> Timestamp {
        Timestamp::from_secs(n * DAY)
    }

    fn pack(size: u64, at: i64, read: bool) -> (u64, Mark) {
        (size, Mark { at: day(at), read })
    }

    #[test]
    fn a_repository_that_was_never_read_is_read_by_and_by() {
        let packs = vec![pack(10, 0, false); 300];
        assert_eq!(choose(&packs, MONTH, day(0)).len(), 10, "with today there are 31 checks until the day, 97 bytes each");
        assert_eq!(choose(&[], MONTH, day(0)), Vec::<usize>::new());
        assert_eq!(choose(&packs[..1], MONTH, day(0)), [0], "always at least one");
        let rarely = Slice { within_s: 7 * DAY, every_s: 30 * DAY };
        assert_eq!(choose(&packs, rarely, day(0)).len(), 300, "who checks more rarely than that reads everything each time");
    }

    #[test]
    fn who_would_be_late_comes_first_then_the_new_then_the_oldest() {
        let packs = [pack(10, 80, true), pack(10, 71, true), pack(10, 75, true), pack(10, 99, false), pack(10, 70, true)];
        assert_eq!(choose(&packs, MONTH, day(100)), [4], "one is due today, the next just when the next check comes");
        let tomorrow = Slice { every_s: DAY + 1, ..MONTH };
        assert_eq!(choose(&packs, tomorrow, day(100)), [4, 1], "if that comes any later, two are due");
        assert_eq!(choose(&packs[..4], MONTH, day(99)), [3], "a new one before those that can wait");
        assert_eq!(choose(&packs[..3], MONTH, day(99)), [1]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_reading() {
        let packs = [pack(10, 1_000, true), pack(10, 0, true)];
        assert_eq!(choose(&packs, MONTH, day(10)), [1]);
        assert_eq!(choose(&packs, Slice { within_s: i64::MAX / 2_000_000, every_s: 0 }, day(10)).len(), 1);
    }

    /// Two years of daily checks over a repository that grows in jumps and loses packs: none is late, and no check
    /// reads more than twice what is fair.
    #[test]
    fn none_is_ever_late_and_the_work_is_even() {
        let mut packs: Vec<(u64, Mark)> = vec![pack(16, 0, false); 2_000];
        let mut dice = 7_u64;
        let mut roll = |n: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % n
        };
        for today in 0..730 {
            let now = day(today);
            for _ in 0..roll(if today % 50 == 0 { 400 } else { 6 }) {
                packs.push((1 + roll(32), Mark { at: now, read: false }));
            }
            if roll(10) == 0 {
                let keep = packs.len() as u64 - roll(40);
                packs.truncate(usize::try_from(keep).unwrap());
            }
            let all: u64 = packs.iter().map(|p| p.0).sum();
            let chosen = choose(&packs, MONTH, now);
            let bytes: u64 = chosen.iter().map(|n| packs[*n].0).sum();
            assert!(bytes <= all / 15, "day {today}: {bytes} of {all}");
            for n in chosen {
                packs[n].1 = Mark { at: now, read: true };
            }
            let oldest = packs.iter().map(|p| p.1.at).min().unwrap();
            assert!(now.secs_since(oldest) <= (30 * DAY) as f64, "day {today}");
        }
    }
}
