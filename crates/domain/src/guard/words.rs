//! What a guard says, in numbers and words.
//!
//! Lives here: sentences for findings, which runs, pages and programs share. May not: deciding.

use super::{Crowd, Facts, Finding, Sign};
use crate::units::{count, size};

impl Sign {
    /// Two or three words for a chip or a list.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turned => "turned into noise",
            Self::Drip => "turning into noise",
            Self::Lost => "mass deletion",
            Self::Rewritten => "mass change",
            Self::Shrunk => "overwritten and shrunk",
        }
    }
}

fn files(n: i64) -> String {
    if n == 1 { "1 file".to_owned() } else { format!("{} files", count(n)) }
}

fn percent(part: i64, of: i64) -> String {
    if of <= 0 { "0 %".to_owned() } else { format!("{} %", (part as f64 * 100.0 / of as f64).round().min(100.0) as i64) }
}

impl Finding {
    /// What was measured, in one sentence.
    pub fn measured(&self) -> String {
        let (n, of, share) = (files(self.files), count(self.of), percent(self.files, self.of));
        match self.sign {
            Sign::Turned => format!(
                "{n} of {of} ({share}, {}) turned into noise: they could be compressed or recognised before and cannot be now, as if they were encrypted",
                size(self.bytes)
            ),
            Sign::Drip => format!("{n} turned into noise over the last snapshots, a few in each, as if they were encrypted one by one"),
            Sign::Lost => format!("{n} of {of} ({share}, {}) are gone or empty, and were not moved", size(self.bytes)),
            Sign::Rewritten => format!("{n} of {of} ({share}) have other content; {} of content came", size(self.bytes)),
            Sign::Shrunk => format!("{n} of {of} ({share}) were overwritten and little is left of their size"),
        }
    }

    /// What it is measured against, in one sentence.
    pub fn expected(&self) -> String {
        let usual = if self.usual < 0.5 { "none".to_owned() } else { files(self.usual.round() as i64) };
        match self.sign {
            Sign::Drip => format!("usual in a snapshot: {usual}; out of the ordinary from {} in 14 snapshots on", count(self.limit)),
            _ => format!("usual in a snapshot: {usual}; out of the ordinary from {} on", count(self.limit)),
        }
    }
}

impl Crowd {
    /// What was found over all items, one sentence each.
    pub fn measured(&self) -> Vec<String> {
        let mut all = Vec::new();
        let of = count(self.items);
        if self.held >= self.limit() {
            all.push(format!("{} of {of} items show it by themselves; one event from {} on", count(self.held), count(self.limit())));
        }
        if self.shows_turned() {
            all.push(format!("{} in {} of {of} items turned into noise, as if they were encrypted", files(self.turned), count(self.turned_items)));
        }
        if self.shows_emptied() {
            all.push(format!("{} of {of} items lost nearly all of their files; out of the ordinary from {} on", count(self.emptied), count(self.limit())));
        }
        if self.shows_gone() {
            let (gone, known, limit) = (count(self.gone), count(self.known), count(self.gone_limit()));
            all.push(format!("{gone} of {known} items are no longer there; out of the ordinary from {limit} on"));
        }
        all
    }
}

impl Facts {
    /// The names of what was found, the first one leading, such as `turned into noise, mass deletion`.
    pub fn names(&self) -> String {
        let mut names: Vec<&str> = self.findings.iter().map(|f| f.sign.name()).collect();
        if self.crowd.is_some() {
            names.push("many items at once");
        }
        names.join(", ")
    }

    /// Everything that was found, a sentence each.
    pub fn measured(&self) -> Vec<String> {
        self.crowd.iter().flat_map(Crowd::measured).chain(self.findings.iter().map(Finding::measured)).collect()
    }

    /// The reason that a hold carries.
    pub fn reason(&self) -> String {
        self.measured().join("; ")
    }

    /// Of the content that came, how much cannot be compressed, such as `98 % of 12.0 MB`; `None` where that is not known.
    pub fn noise(&self) -> Option<String> {
        let m = &self.measure;
        m.noise_bytes.filter(|_| m.came_bytes > 0).map(|noise| format!("{} of {}", percent(noise, m.came_bytes), size(m.came_bytes)))
    }
}
