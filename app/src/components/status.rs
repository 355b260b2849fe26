//! Chips: shape, word and colour of a status.

use leptos::prelude::*;

use super::icon;

/// How something stands. Each has its own shape and colour; the word comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Ok,
    Warn,
    Fail,
    Hold,
    Run,
    None,
}

impl Tone {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Hold => "hold",
            Self::Run => "run",
            Self::None => "none",
        }
    }

    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Ok => "i-ok",
            Self::Warn => "i-warn",
            Self::Fail => "i-fail",
            Self::Hold => "i-hold",
            Self::Run => "i-run",
            Self::None => "i-none",
        }
    }
}

pub fn chip(tone: Tone, word: impl Into<String>) -> AnyView {
    chip_with(tone, tone.symbol(), word)
}

/// A chip with another shape than the tone's own, such as a clock for "queued".
pub fn chip_with(tone: Tone, symbol: &'static str, word: impl Into<String>) -> AnyView {
    let word: String = word.into();
    view! { <span class=format!("chip chip--{}", tone.as_str())>{icon(symbol)}{word}</span> }.into_any()
}
