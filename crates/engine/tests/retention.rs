//! The keep rules agree with stock restic's `forget --dry-run --json` on generated histories: zones, clock changes, gaps,
//! ties, many a day, tags, a snapshot from the future (R16).
//!
//! Each history is a host of one repository, so that one call of restic judges all of them by one policy. Older restics
//! do not keep the oldest snapshot where counts are left; which one is installed is tried first, and that one reason is
//! left out for them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, path::Path};

use common::{folder_access, rt};
use domain::{
    retention::{Candidate, Decision, Reason, Rules, Within, decide},
    units::Timestamp,
};
use engine::repository::Repository;
use jiff::tz::TimeZone;
use rustic_core::repofile::SnapshotFile;

/// A sequence of numbers that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

type Histories = BTreeMap<String, Vec<Candidate>>;

/// Histories of several shapes. Snapshots of one moment have the same tags: restic leaves open which of them comes first.
fn histories(dice: &mut Dice, n: usize) -> Histories {
    let mut all = Histories::new();
    // Ends beside clock changes of Europe and America, at the turn of years whose weeks belong to the other one.
    let ends = ["2021-03-28T12:00:00Z", "2020-10-25T09:00:00Z", "2021-01-03T12:00:00Z", "2020-11-01T12:00:00Z", "2016-03-01T00:10:00Z", "2021-06-15T21:59:59Z"];
    for i in 0..n {
        let mut now = at(ends[i % ends.len()]);
        let step = [600, 3_600, 7_200, 86_400, 86_400, 7 * 86_400, 31 * 86_400][i % 7];
        let mut snapshots = Vec::new();
        for _ in 0..(8 + dice.below(50)) {
            // Jitter, gaps, ties.
            now = match dice.below(10) {
                0 => now.plus_secs(-(step * (2 + dice.below(20) as i64))),
                1 => now,
                _ => Timestamp(now.0 - step * 1_000_000 - dice.below(step as u64 * 400_000) as i64),
            };
            let tags = match now.0.rem_euclid(7) {
                0 => vec!["a".to_owned()],
                1 => vec!["a".to_owned(), "b".to_owned()],
                _ => vec![],
            };
            snapshots.push(Candidate { id: String::new(), taken_at: now, complete: true, tags, verified_at: None, held: false, in_use: false, safety: false });
        }
        if i % 9 == 4 {
            let mut future = snapshots[0].clone();
            future.taken_at = at("2099-12-31T23:30:00Z");
            snapshots.push(future);
        }
        all.insert(format!("h{i:02}"), snapshots);
    }
    all
}

fn policies(dice: &mut Dice, n: usize) -> Vec<Rules> {
    let span = |dice: &mut Dice| -> Option<Within> { ["3h", "36h", "9d", "1m", "2m3d", "1y", "1y2m3d4h"][dice.below(7) as usize].parse().ok() };
    (0..n)
        .map(|i| {
            let mut count = |most: u64| if dice.below(3) == 0 { 1 + dice.below(most) as u32 } else { 0 };
            let mut rules = Rules {
                keep_last: count(9),
                keep_hourly: count(30),
                keep_daily: count(12),
                keep_weekly: count(8),
                keep_monthly: count(6),
                keep_yearly: count(4),
                ..Rules::default()
            };
            if i % 2 == 0 {
                let which = dice.below(6);
                let within = span(dice);
                *[
                    &mut rules.keep_within,
                    &mut rules.keep_within_hourly,
                    &mut rules.keep_within_daily,
                    &mut rules.keep_within_weekly,
                    &mut rules.keep_within_monthly,
                    &mut rules.keep_within_yearly,
                ][which as usize] = within;
            }
            if i % 5 == 0 {
                rules.keep_tags = vec!["a,b".to_owned()];
            }
            if !rules.keeps() {
                rules.keep_weekly = 3;
            }
            rules
        })
        .collect()
}

/// Writes the histories as snapshot files whose times carry the zone's offset, as restic on a machine there writes them.
fn write(repository: &Repository, histories: &Histories, zone: &TimeZone) {
    let mut files = Vec::new();
    for (host, snapshots) in histories {
        for (n, s) in snapshots.iter().enumerate() {
            let mut file = SnapshotFile { hostname: host.clone(), ..SnapshotFile::default() };
            file.time = jiff::Timestamp::from_microsecond(s.taken_at.0).unwrap().to_zoned(zone.clone());
            file.label = n.to_string();
            for tag in &s.tags {
                file.tags.add(tag.clone());
            }
            files.push(file);
        }
    }
    repository.handle().unwrap().save_snapshots(files).unwrap();
}

fn arguments(rules: &Rules) -> Vec<String> {
    let mut args: Vec<String> = ["forget", "--dry-run", "--json", "--group-by", "host"].map(str::to_owned).to_vec();
    let mut flag = |name: &str, value: String| args.extend([format!("--keep-{name}"), value]);
    for (name, n) in [
        ("last", rules.keep_last),
        ("hourly", rules.keep_hourly),
        ("daily", rules.keep_daily),
        ("weekly", rules.keep_weekly),
        ("monthly", rules.keep_monthly),
        ("yearly", rules.keep_yearly),
    ] {
        if n > 0 {
            flag(name, n.to_string());
        }
    }
    for (name, within) in [
        ("within", rules.keep_within),
        ("within-hourly", rules.keep_within_hourly),
        ("within-daily", rules.keep_within_daily),
        ("within-weekly", rules.keep_within_weekly),
        ("within-monthly", rules.keep_within_monthly),
        ("within-yearly", rules.keep_within_yearly),
    ] {
        if let Some(within) = within {
            flag(name, within.to_string());
        }
    }
    for tags in &rules.keep_tags {
        flag("tag", tags.clone());
    }
    args
}

/// When the snapshots were taken that restic keeps, by host, in the zone of the machine it believes to run on.
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
fn restic_keeps(repository: &Path, rules: &Rules, zone: &str) -> BTreeMap<String, Vec<i64>> {
    let out = std::process::Command::new("restic")
        .args(["--no-cache", "-r"])
        .arg(repository)
        .args(arguments(rules))
        .env("RESTIC_PASSWORD", common::PASSWORD)
        .env("TZ", zone)
        .output()
        .unwrap();
    assert!(out.status.success(), "{rules:?}: {}", String::from_utf8_lossy(&out.stderr));
    let groups: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut kept = BTreeMap::new();
    for group in groups.as_array().unwrap() {
        let times = group["keep"].as_array().into_iter().flatten().map(|s| at(s["time"].as_str().unwrap()).0);
        let mut times: Vec<i64> = times.collect();
        times.sort_unstable();
        kept.insert(group["host"].as_str().unwrap().to_owned(), times);
    }
    kept
}

fn we_keep(rules: &Rules, zone: &TimeZone, snapshots: &[Candidate], oldest: bool) -> Vec<i64> {
    let of_restic = |r: &Reason| r.is_of_restic() && (oldest || !matches!(r, Reason::Oldest { .. } | Reason::OldestWithin { .. }));
    let decisions = decide(rules, zone, at("2026-01-01T00:00:00Z"), snapshots);
    let kept = |d: &Decision| matches!(d, Decision::Keep(reasons) if reasons.iter().any(of_restic));
    let mut times: Vec<i64> = snapshots.iter().zip(&decisions).filter(|(_, d)| kept(d)).map(|(s, _)| s.taken_at.0).collect();
    times.sort_unstable();
    times
}

/// Whether this restic keeps the oldest snapshot while counts are left.
fn keeps_the_oldest(dir: &Path) -> bool {
    let repo = dir.join("probe");
    let repository = Repository::open_or_create(&folder_access(&repo), &rt()).unwrap();
    let one = |t: &str| Candidate { id: t.into(), taken_at: at(t), complete: true, tags: vec![], verified_at: None, held: false, in_use: false, safety: false };
    write(&repository, &[("h".to_owned(), vec![one("2021-01-02T03:00:00Z"), one("2021-01-02T04:00:00Z")])].into(), &TimeZone::UTC);
    let rules = Rules { keep_daily: 2, ..Rules::default() };
    restic_keeps(&repo, &rules, "UTC")["h"].len() == 2
}

#[test]
fn stock_restic_keeps_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let oldest = keeps_the_oldest(dir.path());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut compared, mut kept) = (0, 0);
    for name in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"] {
        let zone = TimeZone::get(name).unwrap();
        let repo = dir.path().join(name.replace('/', "-"));
        let repository = Repository::open_or_create(&folder_access(&repo), &rt()).unwrap();
        let histories = histories(&mut dice, 28);
        write(&repository, &histories, &zone);
        for rules in policies(&mut dice, 7) {
            let theirs = restic_keeps(&repo, &rules, name);
            for (host, snapshots) in &histories {
                let ours = we_keep(&rules, &zone, snapshots, oldest);
                let theirs = theirs.get(host).cloned().unwrap_or_default();
                assert_eq!(ours, theirs, "{name} {host} {rules:?}: restic keeps {} of {}, we keep {}", theirs.len(), snapshots.len(), ours.len());
                compared += snapshots.len();
                kept += ours.len();
            }
        }
    }
    assert!(compared > 20_000 && kept > 3_000 && kept < compared, "{compared} decisions, {kept} kept");
}
