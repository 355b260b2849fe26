//! What a tamper test says of a repository, as a chip.

use domain::tamper::Protection;
use leptos::prelude::*;

use super::status::{Tone, chip, chip_with};

/// `None` where no test was made: that is no good news.
pub fn protection_chip(protection: Option<Protection>) -> AnyView {
    match protection {
        Some(Protection::Protected) => chip_with(Tone::Ok, "i-lock", "protected"),
        Some(Protection::Unprotected) => chip(Tone::Warn, "not protected"),
        Some(Protection::Unknown) => chip_with(Tone::None, "i-unknown", "could not be told"),
        None => chip(Tone::None, "never tested"),
    }
}
