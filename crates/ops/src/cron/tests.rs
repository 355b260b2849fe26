//! What cron expressions mean, on ordinary days and where the clock changes.

use super::*;

fn at(zone: &TimeZone, text: &str) -> Timestamp {
    let zoned = text.parse::<DateTime>().unwrap().to_zoned(zone.clone()).unwrap();
    Timestamp(zoned.timestamp().as_microsecond())
}

/// The next `n` times as `Sun 28 02:30 +01`.
fn next(cron: &str, name: &str, from: &str, n: usize) -> Vec<String> {
    let (cron, zone) = (Cron::parse(cron).unwrap(), zone(name).unwrap());
    let from = at(&zone, from);
    cron.after(from, &zone)
        .take(n)
        .map(|t| jiff::Timestamp::from_microsecond(t.0).unwrap().to_zoned(zone.clone()).strftime("%a %-d %H:%M %:z").to_string())
        .collect()
}

#[test]
fn ordinary_days() {
    assert_eq!(next("15 1 * * *", "Europe/Prague", "2021-02-25T09:42", 2), ["Fri 26 01:15 +01:00", "Sat 27 01:15 +01:00"]);
    assert_eq!(next("15 1 * * *", "Europe/Prague", "2021-02-25T01:15", 1), ["Fri 26 01:15 +01:00"], "after, not at");
    assert_eq!(next("15 1 * * *", "Europe/Prague", "2021-02-25T01:14:59.999999", 1), ["Thu 25 01:15 +01:00"]);
    assert_eq!(next("30 5 * * SUN", "UTC", "2021-02-25T00:00", 2), ["Sun 28 05:30 +00:00", "Sun 7 05:30 +00:00"]);
    assert_eq!(next("0 0 29 2 *", "UTC", "2021-02-25T00:00", 2), ["Thu 29 00:00 +00:00", "Tue 29 00:00 +00:00"]);
    // Either the day or the weekday is enough where both are given.
    assert_eq!(next("0 0 1 * MON", "UTC", "2021-02-25T00:00", 3), ["Mon 1 00:00 +00:00", "Mon 8 00:00 +00:00", "Mon 15 00:00 +00:00"]);
    assert_eq!(next("* 5 * * *", "Europe/Zurich", "2021-02-25T05:58", 3), ["Thu 25 05:59 +01:00", "Fri 26 05:00 +01:00", "Fri 26 05:01 +01:00"]);
}

#[test]
fn a_fixed_time_runs_once_on_the_day_the_clock_jumps_forward() {
    for zone in ["Europe/Prague", "Europe/Zurich"] {
        // 02:00 becomes 03:00 on 28 March 2021.
        assert_eq!(next("30 2 * * *", zone, "2021-03-27T00:00", 3), ["Sat 27 02:30 +01:00", "Sun 28 03:00 +02:00", "Mon 29 02:30 +02:00"]);
        assert_eq!(next("30 2,14 * * *", zone, "2021-03-28T00:00", 3), ["Sun 28 03:00 +02:00", "Sun 28 14:30 +02:00", "Mon 29 02:30 +02:00"]);
        assert_eq!(next("0 2 * * *", zone, "2021-03-28T00:00", 2), ["Sun 28 03:00 +02:00", "Mon 29 02:00 +02:00"]);
        // All that was jumped over is one run, also together with what runs at that moment anyway.
        assert_eq!(next("*/15 2-3 * * *", zone, "2021-03-28T00:00", 2), ["Sun 28 03:00 +02:00", "Sun 28 03:15 +02:00"]);
        assert_eq!(next("0 5 * * *", zone, "2021-03-27T06:00", 2), ["Sun 28 05:00 +02:00", "Mon 29 05:00 +02:00"]);
        // From within the moment of the jump on, nothing of the day is left.
        assert_eq!(next("30 2 * * *", zone, "2021-03-28T03:00", 1), ["Mon 29 02:30 +02:00"]);
    }
}

#[test]
fn a_fixed_time_runs_once_on_the_day_the_clock_goes_back() {
    for name in ["Europe/Prague", "Europe/Zurich"] {
        // 03:00 becomes 02:00 on 31 October 2021.
        assert_eq!(next("30 2 * * *", name, "2021-10-30T03:00", 2), ["Sun 31 02:30 +02:00", "Mon 1 02:30 +01:00"]);
        assert_eq!(
            next("30 1-3 * * *", name, "2021-10-31T00:00", 4),
            ["Sun 31 01:30 +02:00", "Sun 31 02:30 +02:00", "Sun 31 03:30 +01:00", "Mon 1 01:30 +01:00"]
        );
        // Seen from the second 02:10, the first 02:30 is over.
        let (cron, zone) = (Cron::parse("30 2 * * *").unwrap(), zone(name).unwrap());
        let second: jiff::Timestamp = "2021-10-31T02:10:00+01:00".parse().unwrap();
        let monday: jiff::Timestamp = "2021-11-01T02:30:00+01:00".parse().unwrap();
        assert_eq!(cron.next(Timestamp(second.as_microsecond()), &zone), Some(Timestamp(monday.as_microsecond())));
    }
}

#[test]
fn every_hour_follows_the_time_that_passes() {
    for zone in ["Europe/Prague", "Europe/Zurich"] {
        assert_eq!(next("0 * * * *", zone, "2021-03-28T00:30", 3), ["Sun 28 01:00 +01:00", "Sun 28 03:00 +02:00", "Sun 28 04:00 +02:00"]);
        assert_eq!(
            next("30 * * * *", zone, "2021-10-31T01:00", 4),
            ["Sun 31 01:30 +02:00", "Sun 31 02:30 +02:00", "Sun 31 02:30 +01:00", "Sun 31 03:30 +01:00"]
        );
        assert_eq!(
            next("*/30 * * * *", zone, "2021-10-31T01:45", 5),
            ["Sun 31 02:00 +02:00", "Sun 31 02:30 +02:00", "Sun 31 02:00 +01:00", "Sun 31 02:30 +01:00", "Sun 31 03:00 +01:00"]
        );
    }
    // A whole year has as many hours as it has, in any zone, and none twice.
    let (cron, zone) = (Cron::parse("0 * * * *").unwrap(), zone("Europe/Prague").unwrap());
    let (from, to) = (at(&zone, "2021-01-01T00:30"), at(&zone, "2022-01-01T00:30"));
    let times: Vec<_> = cron.after(from, &zone).take_while(|t| *t < to).collect();
    assert_eq!(times.len(), 365 * 24);
    assert!(times.windows(2).all(|w| w[1].0 - w[0].0 == 3_600_000_000));
}

#[test]
fn every_day_of_every_zone_has_its_daily_run() {
    let cron = Cron::parse("30 2 * * *").unwrap();
    // Kathmandu's offset is odd, Lord Howe's clock jumps by half an hour, Apia once jumped over a whole day.
    for (name, year, days) in [("Asia/Kathmandu", 2021, 365), ("Australia/Lord_Howe", 2021, 365), ("America/New_York", 2024, 366), ("Pacific/Apia", 2011, 365)]
    {
        let zone = zone(name).unwrap();
        let (from, to) = (at(&zone, &format!("{year}-01-01T00:00")), at(&zone, &format!("{}-01-01T00:00", year + 1)));
        let times: Vec<_> = cron.after(from, &zone).take_while(|t| *t < to).collect();
        assert_eq!(times.len(), days, "{name}");
        assert!(times.windows(2).all(|w| w[0] < w[1]));
    }
}

#[test]
fn what_is_refused_names_the_field_and_the_remedy() {
    for (text, want) in [
        ("", "is empty; write five fields such as 15 1 * * *"),
        ("@daily", "has 1 field, not five"),
        ("0 0 5 * * *", "has 6 fields, not five"),
        ("60 5 * * *", "has a minute that is not understood: 60; write *, a number from 0 to 59"),
        ("0 24 * * *", "has an hour that is not understood: 24"),
        ("0 5 0 * *", "has a day of the month that is not understood: 0"),
        ("0 5 L * *", "has a day of the month that is not understood: L"),
        ("0 5 15W * *", "has a day of the month that is not understood: 15W"),
        ("0 5 * 13 *", "has a month that is not understood: 13"),
        ("0 5 * FOO *", "has a month that is not understood: FOO"),
        ("0 5 * * 8", "has a weekday that is not understood: 8"),
        ("0 5 * * MON#2", "has a weekday that is not understood: MON#2"),
        ("0 5 ? * 1", "has a day of the month that is not understood: ?"),
        ("0/10 5 * * *", "has a minute that is not understood: 0/10"),
        ("*/0 5 * * *", "has a minute that is not understood: */0"),
        ("1,,2 5 * * *", "has a minute that is not understood: 1,,2"),
        ("5-1 5 * * *", "has a minute that is not understood: 5-1"),
        ("0 0 31 2 *", "names a day that never comes"),
        ("0 0 30 2,2 *", "names a day that never comes"),
    ] {
        let said = Cron::parse(text).unwrap_err();
        assert!(said.starts_with(want), "{text}: {said}");
    }
    assert!(Cron::parse(&"1".repeat(500)).unwrap_err().contains("longer than"));
    for name in ["", "local", "CET+1", "+01:00", "Europe/Nowhere", "../etc/passwd"] {
        assert!(zone(name).is_none(), "{name}");
    }
    assert!(zones().iter().any(|z| z == "Europe/Zurich") && zones().len() > 300);
}

#[test]
fn words() {
    for (text, want) in [
        ("0 5 * * *", "at 05:00, every day"),
        ("* 5 * * *", "every minute from 05:00 to 05:59, every day"),
        ("* * * * *", "every minute, every day"),
        ("*/15 * * * *", "every 15 minutes, every day"),
        ("*/7 * * * *", "at the minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour, every day"),
        ("0 * * * *", "every hour, on the hour, every day"),
        ("1 * * * *", "1 minute past every hour, every day"),
        ("20 * * * *", "20 minutes past every hour, every day"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00, every day"),
        ("0 */2 * * *", "every 2 hours, on the hour, every day"),
        ("20 */2 * * *", "every 2 hours, 20 minutes past the hour, every day"),
        ("0 8-18 * * 1-5", "every hour from 08:00 to 18:00, on Monday to Friday"),
        ("*/10 8-17 * * 1-5", "every 10 minutes from 08:00 to 17:50, on Monday to Friday"),
        ("30 2,14 * * 1,3,5", "at 02:30 and 14:30, on Monday, Wednesday and Friday"),
        ("15 1,3,5,7,9 * * *", "at 01:15, 03:15, 05:15, 07:15 and 09:15, every day"),
        ("30 5 * * 0", "at 05:30, on Sunday"),
        ("30 5 * * 7", "at 05:30, on Sunday"),
        ("30 5 * * 6,0", "at 05:30, on Saturday and Sunday"),
        ("0 4 1 * *", "at 04:00, on the 1st of the month"),
        ("0 4 1,15,22 JAN,JUL *", "at 04:00, on the 1st, 15th and 22nd of the month in January and July"),
        ("0 4 * 6-8 *", "at 04:00, every day in June to August"),
        ("0 0 13 * FRI", "at 00:00, on the 13th of the month and on Friday"),
        ("5,35 9-11 * * *", "at the minutes 5 and 35 of the hours 9 to 11, every day"),
    ] {
        assert_eq!(Cron::parse(text).unwrap().words(), want, "{text}");
    }
}

#[test]
fn how_often_and_what_was_meant() {
    for (text, a_day, likely) in [
        ("* 5 * * *", 60, Some("0 5 * * *")),
        ("0 5 * * *", 1, None),
        ("* 5,17 * * MON", 120, Some("0 5,17 * * MON")),
        ("*/5 * * * *", 288, None),
        ("* * * * *", 1_440, None),
        ("0 0 1 * *", 1, None),
    ] {
        let cron = Cron::parse(text).unwrap();
        assert_eq!((cron.runs_a_day(), cron.likely_meaning().as_deref()), (a_day, likely), "{text}");
        assert_eq!(cron.by_hour().iter().sum::<i64>(), a_day, "{text}");
    }
    assert_eq!(Cron::parse("  0   5 *  * * ").unwrap().as_str(), "0 5 * * *");
}
