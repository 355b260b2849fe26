//! How a secret that was made just now reaches the page that shows it once.
//!
//! Lives here: the cookie in between. May not: how it is shown (`components::issued`), keeping it for longer than a minute.

use leptos::prelude::*;

use crate::context::{arrival, cookie};

/// The way to one page.
pub struct Once {
    /// The name of the cookie, which the page takes away.
    pub cookie: &'static str,
    pub page: &'static str,
    /// What every secret of this kind begins with.
    pub prefix: &'static str,
}

impl Once {
    /// Its name, and what marks it as one for TLS alone.
    fn name(&self) -> (String, &'static str) {
        if arrival().secure { (format!("__Secure-{}", self.cookie), "; Secure") } else { (self.cookie.to_owned(), "") }
    }

    fn set(&self, secret: &str, seconds: u32) {
        let Some(response) = use_context::<leptos_axum::ResponseOptions>() else { return };
        let ((name, secure), page) = (self.name(), self.page);
        if let Ok(value) = http::HeaderValue::from_str(&format!("{name}={secret}; Path={page}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")) {
            response.append_header(http::header::SET_COOKIE, value);
        }
    }

    /// Gives the browser a secret and sends it on to the page.
    pub fn show(&self, secret: &str) {
        self.set(secret, 60);
        crate::error::go(self.page);
    }

    /// Takes the secret that was made just now. Call it before the first `await`.
    pub fn take(&self) -> Option<String> {
        let found = cookie(&use_context::<http::request::Parts>()?.headers, &self.name().0);
        let found = found.filter(|v| v.starts_with(self.prefix) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))?;
        self.set("", 0);
        Some(found)
    }
}

/// Where the browser found this site, where nobody has configured its address. Call it before the first `await`.
pub fn site() -> String {
    let arrived = arrival();
    let scheme = if arrived.secure { "https" } else { "http" };
    arrived.host.map(|h| format!("{scheme}://{h}")).unwrap_or_default()
}
