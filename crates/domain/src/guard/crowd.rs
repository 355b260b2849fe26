//! What is out of the ordinary over many items of a source at once, though each may be too small to say so.
//!
//! Lives here: the counts of one pass and their judgement. May not: the judgement of one item.

use serde::{Deserialize, Serialize};

use super::Measure;

/// Items that make a crowd: so many, and this share of those that were read, in hundredths.
const CROWD: (i64, i64) = (5, 10);
/// Files of them all that turned into noise.
const TURNED: i64 = 20;
/// Items that are no longer listed: so many, and this share of those known, in hundredths.
const GONE: (i64, i64) = (5, 25);
/// An item that has lost nearly all: this share of its files, in hundredths, of so many at least.
const EMPTIED: (i64, i64) = (3, 90);

/// The counts of one pass over a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Crowd {
    /// Items that were read and compared.
    pub items: i64,
    /// Items with files that turned into noise, and those files.
    pub turned_items: i64,
    pub turned: i64,
    /// Items that lost nearly all of their files.
    pub emptied: i64,
    /// Items that were there before the pass, and those of them that are not listed any more.
    pub known: i64,
    pub gone: i64,
    /// Items that are on hold by what they show themselves.
    pub held: i64,
    /// At most twenty names of the items in question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Crowd {
    /// Counts one item. Whether it belongs to those in question, by the counts alone.
    pub const fn add(&mut self, m: &Measure) -> bool {
        if !m.compared {
            return false;
        }
        self.items += 1;
        let emptied = m.removed >= EMPTIED.0 && m.removed * 100 >= m.files_before() * EMPTIED.1;
        if m.turned > 0 {
            self.turned_items += 1;
            self.turned += m.turned;
        }
        if emptied {
            self.emptied += 1;
        }
        emptied || m.turned > 0
    }

    /// From so many items on they are a crowd.
    pub const fn limit(&self) -> i64 {
        at_least(CROWD, self.items)
    }

    /// From so many items on it is out of the ordinary that they are no longer listed.
    pub const fn gone_limit(&self) -> i64 {
        at_least(GONE, self.known)
    }

    /// Whether so many items show something that they are one event, and one hold stands over the source's service.
    pub const fn is_one_event(&self) -> bool {
        self.shows_turned() || self.shows_emptied() || self.shows_gone() || self.held >= self.limit()
    }

    pub const fn shows_turned(&self) -> bool {
        self.turned >= TURNED && self.turned_items >= self.limit()
    }

    pub const fn shows_emptied(&self) -> bool {
        self.emptied >= self.limit()
    }

    pub const fn shows_gone(&self) -> bool {
        self.gone >= self.gone_limit()
    }
}

const fn at_least((n, share): (i64, i64), of: i64) -> i64 {
    let part = super::hundredths_up(of, share);
    if part > n { part } else { n }
}

/// Counts the items of one pass.
pub fn crowd<'a>(measures: impl Iterator<Item = &'a Measure>) -> Crowd {
    let mut crowd = Crowd::default();
    for m in measures {
        crowd.add(m);
    }
    crowd
}
