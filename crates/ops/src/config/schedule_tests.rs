//! Schedules in the configuration: the good ones, every mistake with its words, what `apply` writes.

use domain::{
    schedule::{Misfire, ScheduleKind},
    work::Selection,
};
use serde_json::json;
use store::testing;

use super::*;
use crate::{Actor, Ctx, schedules};

const GOOD: &str = r#"version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { file: /etc/holdfast/main.password }
services:
  - name: notebooks
    owner: notebooks-ops
    sources:
      - { name: homes, kind: directory, path: /srv/exports, items: children, repository: main }
schedules:
  - name: daily
    kind: backup
    service: notebooks
    cron: "15 1 * * *"
    zone: Europe/Prague
    jitter: 10m
    max_duration: 6h
    misfire: skip
  - { name: homes, kind: backup, source: notebooks/homes, cron: "* 5 * * *", zone: UTC, runs_a_day: 60 }
  - { name: test, kind: restore_test, service: notebooks, sample: all, cron: "30 5 * * SUN", zone: UTC }
  - { name: check, kind: check, repository: main, read_data: true, cron: "30 3 * * SAT", zone: UTC }
"#;

#[test]
fn schedules_are_read() {
    let config = parse(GOOD).unwrap();
    let [daily, homes, test, check] = &config.schedules[..] else { panic!("{config:?}") };
    assert_eq!((daily.of.as_str(), daily.jitter_s, daily.max_duration_s, daily.misfire), ("notebooks", 600, Some(21_600), Misfire::Skip));
    assert_eq!((homes.of.as_str(), homes.runs_a_day, homes.misfire), ("notebooks/homes", Some(60), Misfire::Once));
    assert_eq!((test.kind, test.selection), (ScheduleKind::RestoreTest, Selection::All));
    assert_eq!((check.kind, check.of.as_str(), check.read_data), (ScheduleKind::Check, "main", true));
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    for (old, new, want) in [
        ("    zone: Europe/Prague\n", "", "12:5: a schedule needs “zone”; add zone: Europe/Prague"),
        (
            "zone: Europe/Prague",
            "zone: Europe/Prag",
            "16:11: “zone”: “Europe/Prag” is no time zone; write one of the IANA database such as Europe/Prague, or UTC",
        ),
        ("zone: Europe/Prague", "timezone: Europe/Prague", "12:5: a schedule needs “zone”; add zone: Europe/Prague"),
        (
            "\"15 1 * * *\"",
            "\"15 25 * * *\"",
            "15:11: the cron expression has an hour that is not understood: 25; write *, a number from 0 to 23, a range 1-5, a list 1,3 or a step */2",
        ),
        (
            "\"15 1 * * *\"",
            "\"* 1 * * *\"",
            "15:11: “* 1 * * *” means every minute from 01:00 to 01:59, every day: 60 runs a day; if at 01:00, every day is meant, write 0 1 * * *; \
             if 60 a day are meant, confirm it, by runs_a_day: 60",
        ),
        ("jitter: 10m", "jitter: 7h", "17:13: “jitter”: must be at most 6 h"),
        ("max_duration: 6h", "max_duration: 6", "18:19: “max_duration”: “6” is not a duration; write a number and a unit, such as 90s, 15m, 24h or 7d"),
        ("misfire: skip", "misfire: never", "19:14: “misfire”: “never” is not known; write skip, once or all"),
        ("misfire: skip", "sample: 5", "19:5: “sample” is for restore tests; remove it"),
        ("misfire: skip", "rpo: 5h", "19:5: “rpo” does not belong in a schedule; it belongs in a service or a restore test"),
        ("    kind: backup\n", "    kind: nap\n", "13:11: “kind”: “nap” is not known; write backup, check, prune or restore_test"),
        ("    service: notebooks\n", "", "12:5: a schedule of kind backup needs service or source; add service: notebooks"),
        ("    service: notebooks\n", "    service: notebook\n", "14:14: there is no service “notebook”; did you mean “notebooks”?"),
        (
            "    service: notebooks\n",
            "    service: notebooks/homes\n",
            "14:14: “service” names a service alone; write service: notebooks, or source: notebooks/homes",
        ),
        ("    service: notebooks\n", "    repository: main\n", "14:5: “repository” is not for a schedule of kind backup; it takes service or source"),
        ("source: notebooks/homes", "source: notebooks", "20:42: “source” names a service and its source; write notebooks/homes"),
        ("source: notebooks/homes", "source: notebooks/hoems", "20:42: service notebooks has no source “hoems”; it has homes"),
        ("runs_a_day: 60", "runs_a_day: many", "20:101: “runs_a_day” must be a number; “many” is none"),
        ("sample: all", "sample: 0", "21:67: “sample”: “0” is not known; write a number of items from 1 to 10000, latest or all"),
        ("repository: main, read_data: true", "repository: mian, read_data: true", "22:45: there is no repository “mian”; did you mean “main”?"),
        ("read_data: true", "read_data: yes", "22:62: “read_data” must be true or false"),
        ("name: check,", "name: daily,", "22:13: a second schedule is called “daily”; the first is on line 12; rename one"),
    ] {
        assert_eq!(GOOD.matches(old).count(), 1, "{old} must stand once in the good file");
        let told: Vec<String> = parse(&GOOD.replacen(old, new, 1)).unwrap_err().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|t| t == want), "{old} -> {new}:\n{want}\n{told:#?}");
    }
}

#[tokio::test]
async fn applying_makes_and_changes_schedules_once() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "shell");
        let names = |of: &[Subject]| of.iter().filter(|s| s.entity == "schedule").map(|s| s.name.clone()).collect::<Vec<_>>();
        let first = apply(&ctx, &parse(GOOD).unwrap(), Some("holdfast.yaml")).await.unwrap();
        assert_eq!(names(&first.created), ["daily", "homes", "test", "check"], "{}", t.name);
        let again = apply(&ctx, &parse(GOOD).unwrap(), Some("holdfast.yaml")).await.unwrap();
        assert_eq!((names(&again.created).len(), names(&again.changed).len(), names(&again.unchanged).len()), (0, 0, 4));
        // What a person has paused stays paused, and stays as it is.
        schedules::pause(&ctx, "daily", None, "moving").await.unwrap();
        assert_eq!(names(&apply(&ctx, &parse(GOOD).unwrap(), Some("holdfast.yaml")).await.unwrap().unchanged).len(), 4);

        let edited = GOOD.replace("15 1 * * *", "45 1 * * *");
        let changed = apply(&ctx, &parse(&edited).unwrap(), Some("holdfast.yaml")).await.unwrap();
        assert_eq!(names(&changed.changed), ["daily"]);
        let row = schedules::find(&ctx, "daily").await.unwrap();
        assert_eq!((row.cron.as_str(), row.paused_at.is_some()), ("45 1 * * *", true));
        let events = store::audit::page(t.db.read().await.unwrap().tx(), 0, 100).await.unwrap();
        let last = events.last().unwrap();
        assert_eq!((last.action.as_str(), last.before.as_ref().unwrap().0["cron"].clone()), ("schedule.apply", json!("15 1 * * *")));

        // One that was removed on its page comes back with the file.
        schedules::remove(&ctx, "daily").await.unwrap();
        assert_eq!(names(&apply(&ctx, &parse(&edited).unwrap(), Some("holdfast.yaml")).await.unwrap().changed), ["daily"]);
        assert_eq!(schedules::find(&ctx, "daily").await.unwrap().id, row.id);
    }
}
