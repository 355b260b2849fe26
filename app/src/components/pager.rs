//! The pager that follows a key: nothing slips while new rows arrive.
//!
//! Lives here: the key in an address and the links. May not: knowing what is listed.

use domain::units::Timestamp;
use leptos::prelude::*;
use uuid::Uuid;

/// A key of a list that is ordered by moment and id, as an address holds it.
pub fn key(at: i64, id: Uuid) -> String {
    format!("{at}_{id}")
}

/// Reads such a key; one that was tampered with counts as none, so that the newest page shows.
pub fn parse_key(text: &str) -> Option<(Timestamp, Uuid)> {
    let (at, id) = text.split_once('_')?;
    Some((Timestamp(at.parse().ok()?), Uuid::parse_str(id).ok()?))
}

/// Links to the first page and to the next one; nothing where all stands on one page.
///
/// `first` is `None` on the first page, `next` on the last one. The words say which way each leads, such as
/// “Newest” and “Older than Tue 02:15”.
pub fn pager(first: Option<(&str, String)>, next: Option<(&str, String)>) -> AnyView {
    if first.is_none() && next.is_none() {
        return ().into_any();
    }
    let link = |of: Option<(&str, String)>| of.map(|(words, href)| view! { <a class="btn btn--sm" href=href>{words.to_owned()}</a> });
    view! {
        <nav class="pager" aria-label="Pages">{link(first)}{link(next)}
            <span class="end">"Pages follow a key, not a number: nothing slips while new rows arrive."</span>
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_nonsense_is_none() {
        let id = Uuid::from_u128(7);
        assert_eq!(parse_key(&key(-5, id)), Some((Timestamp(-5), id)));
        for text in ["", "5", "x_y", "5_zz"] {
            assert_eq!(parse_key(text), None, "{text}");
        }
    }
}
