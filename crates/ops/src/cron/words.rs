//! A cron expression in words.

use super::Cron;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/// More times of a day than this are told as minutes and hours.
const MOST_TIMES: usize = 4;

pub fn of(cron: &Cron) -> String {
    let [_, _, day, month, weekday] = cron.fields();
    let mut text = format!("{}, {}", time(cron), days(cron, day, weekday));
    if !month.starts_with('*') || month.contains('/') {
        let months: Vec<_> = cron.pattern.pattern.months.values().into_iter().filter_map(|m| MONTHS.get(usize::from(m) - 1).copied()).collect();
        text = format!("{text} in {}", ranges(&months, |i| months_follow(&months, i)));
    }
    text
}

fn time(cron: &Cron) -> String {
    let [minute, hour, ..] = cron.fields();
    let (minutes, hours) = (cron.minutes(), cron.hours());
    let clock = |h: u16, m: u16| format!("{h:02}:{m:02}");
    if minutes.len() * hours.len() <= MOST_TIMES {
        let times: Vec<_> = hours.iter().flat_map(|h| minutes.iter().map(move |m| clock(*h, *m))).collect();
        return format!("at {}", list(&times));
    }
    let step = |field: &str| field.strip_prefix("*/").and_then(|n| n.parse::<u16>().ok()).filter(|n| *n > 1);
    let every = match (minute, step(minute), minutes.as_slice()) {
        ("*", ..) => "every minute".to_owned(),
        // A step that does not divide the hour starts anew with each hour.
        (_, Some(n), _) if 60 % n == 0 => format!("every {n} minutes"),
        (_, _, [0]) => String::new(),
        (_, _, [m]) => format!("{m} {} past", if *m == 1 { "minute" } else { "minutes" }),
        (_, _, many) => format!("at the minutes {}", list(&numbers(many))),
    };
    let spans = || {
        let last = if minute == "*" { 59 } else { minutes.last().copied().unwrap_or(0) };
        let first = minutes.first().copied().unwrap_or(0);
        runs_of(&hours).into_iter().map(|(a, b)| format!("from {} to {}", clock(a, first), clock(b, last))).collect::<Vec<_>>()
    };
    let hourly = hours.len() == 24;
    match (every.as_str(), step(hour)) {
        ("", _) if hourly => "every hour, on the hour".to_owned(),
        ("", Some(n)) if 24 % n == 0 => format!("every {n} hours, on the hour"),
        ("", _) => match runs_of(&hours).as_slice() {
            [(a, b)] => format!("every hour from {} to {}", clock(*a, 0), clock(*b, 0)),
            _ => format!("at {}", list(&hours.iter().map(|h| clock(*h, 0)).collect::<Vec<_>>())),
        },
        (every, _) if hourly && every.ends_with("past") => format!("{every} every hour"),
        (every, Some(n)) if every.ends_with("past") && 24 % n == 0 => format!("every {n} hours, {every} the hour"),
        (every, _) if every.ends_with("past") => format!("at {}", list(&hours.iter().map(|h| clock(*h, minutes[0])).collect::<Vec<_>>())),
        (every, _) if hourly && every.starts_with("at ") => format!("{every} of every hour"),
        (every, _) if every.starts_with("at ") => format!("{every} of the hours {}", list(&numbers(&hours))),
        (every, _) if hourly => every.to_owned(),
        (every, _) => format!("{every} {}", list(&spans())),
    }
}

fn days(cron: &Cron, day: &str, weekday: &str) -> String {
    let free = |field: &str| field == "*";
    let of_month = || {
        let days: Vec<_> = cron.pattern.pattern.days.values().into_iter().map(ordinal).collect();
        format!("on the {} of the month", list(&days))
    };
    let of_week = || {
        let mut days: Vec<u16> = cron.pattern.pattern.days_of_week.values().into_iter().map(|d| d % 7).collect();
        // The week begins on Monday.
        days.sort_by_key(|d| (d + 6) % 7);
        days.dedup();
        let names: Vec<&str> = days.iter().map(|d| WEEKDAYS[usize::from(*d)]).collect();
        format!("on {}", ranges(&names, |i| (days[i] + 1) % 7 == days[i + 1] % 7))
    };
    match (free(day), free(weekday)) {
        (true, true) => "every day".to_owned(),
        (false, true) => of_month(),
        (true, false) => of_week(),
        // Either is enough where both are given.
        (false, false) => format!("{} and {}", of_month(), of_week()),
    }
}

fn months_follow(months: &[&str], i: usize) -> bool {
    let at = |name: &str| MONTHS.iter().position(|m| *m == name);
    at(months[i]).zip(at(months[i + 1])).is_some_and(|(a, b)| a + 1 == b)
}

/// Names with three or more that follow each other drawn together, such as “Monday to Friday and Sunday”.
fn ranges(names: &[&str], follows: impl Fn(usize) -> bool) -> String {
    let (mut parts, mut i) = (Vec::new(), 0);
    while i < names.len() {
        let mut end = i;
        while end + 1 < names.len() && follows(end) {
            end += 1;
        }
        if end >= i + 2 {
            parts.push(format!("{} to {}", names[i], names[end]));
        } else {
            parts.extend(names[i..=end].iter().map(|n| (*n).to_owned()));
        }
        i = end + 1;
    }
    list(&parts)
}

/// Numbers that follow each other, as their first and last.
fn runs_of(numbers: &[u16]) -> Vec<(u16, u16)> {
    let mut out: Vec<(u16, u16)> = Vec::new();
    for n in numbers {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => out.push((*n, *n)),
        }
    }
    out
}

fn numbers(values: &[u16]) -> Vec<String> {
    runs_of(values)
        .into_iter()
        .flat_map(|(a, b)| match b - a {
            0 => vec![a.to_string()],
            1 => vec![a.to_string(), b.to_string()],
            _ => vec![format!("{a} to {b}")],
        })
        .collect()
}

fn ordinal(n: u16) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

fn list<S: AsRef<str>>(parts: &[S]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => format!("{} and {}", first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref()),
    }
}
