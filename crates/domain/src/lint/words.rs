//! How findings write days, and what they read in the words of people.
//!
//! Lives here: that. May not: judging.

use jiff::{civil::Date, tz::TimeZone};

use crate::units::Timestamp;

/// Such as `28 May 2019`.
pub(super) fn date(d: Date) -> String {
    d.strftime("%-d %b %Y").to_string()
}

/// The day of a moment in UTC.
pub(super) fn day(t: Timestamp) -> String {
    date(jiff::Timestamp::from_microsecond(t.0).unwrap_or_default().to_zoned(TimeZone::UTC).date())
}

/// `one, two and three`.
pub(super) fn joined<S: AsRef<str>>(all: &[S]) -> String {
    match all {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => format!("{} and {}", first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref()),
    }
}

/// The measures that a text lists: its lines, and what semicolons part.
pub(super) fn parts(text: &str) -> impl Iterator<Item = String> {
    text.split(['\n', ';']).map(|p| p.trim().to_lowercase()).filter(|p| !p.is_empty())
}

/// Whether a measure promises copies of data.
pub(super) fn speaks_of_backup(part: &str) -> bool {
    let denied = ["no backup", "no back-up", "not backed up", "without backup", "without a backup"].iter().any(|w| part.contains(w));
    !denied && ["backup", "back-up", "backed up", "back up"].iter().any(|w| part.contains(w))
}

/// Whether a measure helps against the loss of data or configuration, and not against time.
pub(super) fn only_against_loss(part: &str) -> bool {
    speaks_of_backup(part) || ["in git", "as code", "version control", "snapshot"].iter().any(|w| part.contains(w))
}

/// Whether a risk is an outage of the network or a flood of requests.
pub(super) fn is_outage(title: &str) -> bool {
    let title = title.to_lowercase();
    ["network outage", "network failure", "network disruption", "loss of network", "denial of service", "denial-of-service", "ddos"]
        .iter()
        .any(|w| title.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        for (text, backup, loss) in [
            ("daily backup of user storage", true, true),
            ("volumes are backed up", true, true),
            ("no backup", false, false),
            ("all configuration and deployment as code in git", false, true),
            ("a second provider", false, false),
        ] {
            assert_eq!((speaks_of_backup(text), only_against_loss(text)), (backup, loss), "{text}");
        }
        for (title, want) in [("Network outage with a cause outside the site", true), ("Denial of service, distributed", true), ("DDoS", true), ("Fire", false)]
        {
            assert_eq!(is_outage(title), want, "{title}");
        }
        assert_eq!(parts(" A; b\n\n c ").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn figures_are_written() {
        assert_eq!(date(jiff::civil::date(2019, 5, 8)), "8 May 2019");
        assert_eq!(day(Timestamp::from_secs(0)), "1 Jan 1970");
        assert_eq!((joined(&["a"]), joined(&["a", "b", "c"]), joined::<&str>(&[])), ("a".to_owned(), "a, b and c".to_owned(), String::new()));
    }
}
