//! The words and shapes of restore tests.
//!
//! Lives here: markup from values. May not: judging (`domain::evidence` does).

use domain::evidence::Verdict;
use leptos::prelude::*;

use super::status::{Tone, chip_with};

/// Tone, shape and word of a verdict. What could not be checked is grey, never green.
pub const fn verdict_sign(verdict: Option<Verdict>) -> (Tone, &'static str, &'static str) {
    match verdict {
        Some(Verdict::Passed) => (Tone::Ok, "i-ok", "passed"),
        Some(Verdict::Failed) => (Tone::Fail, "i-fail", "failed"),
        Some(Verdict::Unknown) => (Tone::None, "i-unknown", "could not check"),
        None => (Tone::None, "i-none", "no test"),
    }
}

pub fn verdict_chip(verdict: Option<Verdict>) -> AnyView {
    let (tone, symbol, word) = verdict_sign(verdict);
    chip_with(tone, symbol, word)
}

/// The words of a check's stable name.
pub fn check_name(name: &str) -> String {
    let words = match name {
        "counts" => "Counts equal the snapshots",
        "recapture" => "Every restored byte equals its snapshot",
        "canary" => "The canary file has its known hash",
        "start" => "The service starts on what was restored",
        "rto" => "Time to restore within the RTO",
        "rpo" => "Age of the snapshots within the RPO",
        "active" => "The clones of the instances are ACTIVE",
        "images" => "Every byte of the images is the recorded one",
        "volumes" => "The volumes are made of the recorded snapshots",
        "teardown" => "Nothing is left of what was made for it",
        other => match other.split_once(':') {
            Some(("sqlite" | "postgresql", own)) => return format!("{own}: a value of a database"),
            Some(("http", own)) => return format!("{own}: an address that answers"),
            Some(("tcp", own)) => return format!("{own}: a port that takes a connection"),
            Some(("command", own)) => return format!("{own}: a command"),
            _ => other,
        },
    };
    words.to_owned()
}
