//! One search over services, people and runs, for the field in the top bar.
//!
//! Lives here: the use case. May not: ranking beyond each kind's own order.

use domain::id::RunId;
use store::{runs, runs::ListedRun, services::ServiceRow};
use uuid::Uuid;

use crate::{
    Ctx, Result,
    people::{self, Person},
    permission::{Action, require},
    services,
};

/// The most of each kind.
const MOST: i64 = 20;

#[derive(Clone, Debug, Default)]
pub struct Found {
    pub services: Vec<ServiceRow>,
    pub people: Vec<Person>,
    /// How many people match in all.
    pub people_total: i64,
    pub runs: Vec<ListedRun>,
}

/// Services and people whose name holds the text, and runs whose id begins with it. An empty text finds nothing.
pub async fn find(ctx: &Ctx, text: &str) -> Result<Found> {
    require(ctx, Action::Read)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(Found::default());
    }
    let services = services::list(ctx, "", text, MOST).await?;
    let (people, people_total) = people::list(ctx, "", text, MOST).await?;
    let runs = match id_range(text) {
        Some((from, to)) => runs::between(ctx.db.read().await?.tx(), RunId(from), RunId(to), MOST).await?,
        None => Vec::new(),
    };
    Ok(Found { services, people, people_total, runs })
}

/// The ids that begin with at least four hexadecimal digits; dashes do not count.
fn id_range(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    if !(4..=32).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: char| Uuid::parse_str(&digits.chars().chain(std::iter::repeat(with)).take(32).collect::<String>()).ok();
    Some((filled('0')?, filled('f')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_an_id_is_an_id() {
        let (from, to) = id_range("0192-af").unwrap();
        assert_eq!(from.to_string(), "0192af00-0000-0000-0000-000000000000");
        assert_eq!(to.to_string(), "0192afff-ffff-ffff-ffff-ffffffffffff");
        for text in ["", "abc", "notebooks", "0192_af", &"0".repeat(33)] {
            assert_eq!(id_range(text), None, "{text}");
        }
    }
}
