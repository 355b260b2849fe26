//! Moments in words: absolute with the zone, and relative.
//!
//! Lives here: turning stored microseconds into what people read. May not: reading the clock.

use domain::units::{Timestamp, span};
use jiff::{Zoned, tz::TimeZone};
use leptos::prelude::*;

fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(zone.clone())
}

/// `Thu 25 Feb 2021 09:42 CET` for the top bar.
pub fn now_line(at: Timestamp, zone: &TimeZone) -> impl IntoView + use<> {
    let z = zoned(at, zone);
    view! { <time datetime=machine(&z)>{z.strftime("%a %-d %b %Y ").to_string()}<b>{z.strftime("%H:%M").to_string()}</b>" "{z.strftime("%Z").to_string()}</time> }
}

/// `CET (UTC+1)`.
pub fn zone_name(at: Timestamp, zone: &TimeZone) -> String {
    let z = zoned(at, zone);
    let minutes = z.offset().seconds() / 60;
    let (hours, rest) = (minutes / 60, minutes.abs() % 60);
    let name = z.strftime("%Z").to_string();
    match (minutes, rest) {
        (0, _) => name,
        (_, 0) => format!("{name} (UTC{hours:+})"),
        _ => format!("{name} (UTC{hours:+}:{rest:02})"),
    }
}

fn machine(z: &Zoned) -> String {
    z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// `23:25` today, `Tue 06:40` within a week, `18 Jan 09:00` within the year, `6 Jun 2019` before.
pub fn short(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (z, n) = (zoned(at, zone), zoned(now, zone));
    let age = now.secs_since(at);
    let format = if z.date() == n.date() {
        "%H:%M"
    } else if (0.0..6.0 * 86_400.0).contains(&age) {
        "%a %H:%M"
    } else if z.year() == n.year() {
        "%-d %b %H:%M"
    } else {
        "%-d %b %Y"
    };
    z.strftime(format).to_string()
}

/// `Thu 25 Feb 2021`, the head of a day's rows.
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%a %-d %b %Y").to_string()
}

/// `23:25` below a day's head, with its age.
pub fn time_of_day(at: Timestamp, now: Timestamp, zone: &TimeZone) -> impl IntoView + use<> {
    let z = zoned(at, zone);
    view! { <time datetime=machine(&z) title=full(at, zone)>{z.strftime("%H:%M").to_string()}</time><span class="sub">{relative(at, now)}</span> }
}

/// `24 Feb`.
pub fn date(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%-d %b").to_string()
}

/// The time of a line of a log: `09:33:00`, with the day as its title.
pub fn clock(at: Timestamp, zone: &TimeZone) -> impl IntoView + use<> {
    let z = zoned(at, zone);
    view! { <time datetime=machine(&z) title=full(at, zone)>{z.strftime("%H:%M:%S").to_string()}</time> }
}

/// `24 Feb 2021 23:25:04 CET`.
pub fn full(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%-d %b %Y %H:%M:%S %Z").to_string()
}

/// `4 h 12 m ago` or `in 18 m`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let age = now.secs_since(at);
    if age.abs() < 1.0 {
        "now".to_owned()
    } else if age >= 0.0 {
        format!("{} ago", span(age.round()))
    } else {
        format!("in {}", span((-age).round()))
    }
}

/// A moment in a table: short form, with the full one for machines and as a title.
pub fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> impl IntoView + use<> {
    let z = zoned(at, zone);
    view! { <time datetime=machine(&z) title=full(at, zone)>{short(at, now, zone)}</time> }
}

/// The same with its age below.
pub fn moment_with_age(at: Timestamp, now: Timestamp, zone: &TimeZone) -> impl IntoView + use<> {
    view! { {moment(at, now, zone)}<span class="sub">{relative(at, now)}</span> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_moments() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let now = Timestamp(jiff::civil::date(2021, 2, 25).at(9, 42, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_microsecond());
        let ago = |s: i64| now.plus_secs(-s);
        assert_eq!(short(ago(3_600), now, &zone), "08:42");
        assert_eq!(short(ago(86_400), now, &zone), "Wed 09:42");
        assert_eq!(short(ago(40 * 86_400), now, &zone), "16 Jan 09:42");
        assert_eq!(short(ago(400 * 86_400), now, &zone), "22 Jan 2020");
        assert_eq!(relative(ago(4 * 3_600 + 720), now), "4 h 12 m ago");
        assert_eq!(relative(ago(-1_080), now), "in 18 m");
        assert_eq!(zone_name(now, &zone), "CET (UTC+1)");
        assert_eq!(zone_name(now, &TimeZone::UTC), "UTC");
        assert_eq!(full(now, &zone), "25 Feb 2021 09:42:00 CET");
    }
}
