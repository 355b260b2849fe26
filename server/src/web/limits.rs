//! How often somebody may try to get in.
//!
//! Lives here: a bucket for each address, and of tokens that are not valid one for all. May not: deciding whether a try
//! succeeds. Invariants: nobody's tries keep anybody at another address out, since nothing that is tried here can be guessed
//! and only tokens that are not valid count together; addresses that come no more are dropped, and no more than [`MOST`] are kept; a valid token is never refused
//! because of those that are not; what was refused is logged once a minute, not once a request.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use app::context::Arrival;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

use super::notice::refusal;
use crate::state::AppState;

/// Tries a minute from one address where nobody says otherwise.
pub const RATE: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
/// So many times as often may all addresses together show tokens that are not valid.
const ALL: u32 = 20;
/// Addresses that are kept; those beyond are not counted alone.
const MOST: usize = 10_000;
/// How often addresses are dropped and refusals logged at most.
const PERIOD: Duration = Duration::from_mins(1);

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// Spending a one-time link.
    Link,
    /// Going to a provider.
    Start,
    /// Coming back from it.
    Callback,
    /// A provider that ends sessions: it may end many at once.
    Logout,
    /// A token that is not valid: a program whose token has expired asks again and again.
    Token,
    /// A token, the address of a calendar, or a read-only link.
    MakeToken,
    /// Reading the calendar at a secret address.
    Calendar,
}

impl Try {
    const ALL: [Self; 7] = [Self::Link, Self::Start, Self::Callback, Self::Logout, Self::Token, Self::MakeToken, Self::Calendar];

    /// What a request tries, by its route.
    fn of(method: &Method, route: &str) -> Option<Self> {
        match route {
            "/login" if *method == Method::POST => Some(Self::Link),
            "/auth/{provider}/start" => Some(Self::Start),
            "/auth/callback" => Some(Self::Callback),
            "/auth/{provider}/backchannel" => Some(Self::Logout),
            "/api/v1/tokens" | "/act/make-token" | "/api/v1/calendars" | "/act/make-calendar" | "/api/v1/links" | "/act/make-link"
                if *method == Method::POST =>
            {
                Some(Self::MakeToken)
            }
            "/calendar/{file}" => Some(Self::Calendar),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "one-time links",
            Self::Start => "ways to a provider",
            Self::Callback => "ways back from a provider",
            Self::Logout => "logout tokens",
            Self::Token => "tokens that are not valid",
            Self::MakeToken => "new tokens",
            Self::Calendar => "addresses of calendars",
        }
    }

    /// Times as many as the rate says.
    const fn times(self) -> u32 {
        match self {
            Self::Link | Self::Start | Self::Callback | Self::MakeToken => 1,
            Self::Token | Self::Calendar => 6,
            Self::Logout => 60,
        }
    }
}

/// An address as far as one client has it: whoever has one IPv6 address has all of its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    V4(u32),
    V6(u64),
    Unknown,
}

impl Key {
    fn of(client: Option<IpAddr>) -> Self {
        match client.map(|c| c.to_canonical()) {
            Some(IpAddr::V4(a)) => Self::V4(a.to_bits()),
            Some(IpAddr::V6(a)) => Self::V6((a.to_bits() >> 64) as u64),
            None => Self::Unknown,
        }
    }
}

/// The buckets of all kinds of tries.
#[derive(Clone, Debug)]
pub struct Limits(Arc<[Limit; 7]>);

impl Default for Limits {
    fn default() -> Self {
        Self::new(RATE)
    }
}

impl Limits {
    /// So many tries a minute from one address.
    pub fn new(rate: NonZeroU32) -> Self {
        Self(Arc::new(Try::ALL.map(|what| Limit::new(what, rate))))
    }

    /// Takes one try out of the buckets.
    ///
    /// # Errors
    /// When to come again.
    pub fn check(&self, what: Try, client: Option<IpAddr>) -> Result<(), Refused> {
        self.0.iter().find(|l| l.what == what).map_or(Ok(()), |l| l.check(client))
    }
}

/// Somebody tried too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Seconds until the next try.
    wait_s: u64,
}

impl Refused {
    pub fn answer(self, path: &str) -> Response {
        let seconds = self.wait_s;
        let remedy = format!("wait {seconds} second{} and try again.", if seconds == 1 { "" } else { "s" });
        let mut response = refusal(path, StatusCode::TOO_MANY_REQUESTS, "There were too many tries from here", &remedy);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

#[derive(Debug)]
struct Limit {
    what: Try,
    by_client: DefaultKeyedRateLimiter<Key>,
    overall: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
    kept: Mutex<Kept>,
}

/// What is done once a period.
#[derive(Debug)]
struct Kept {
    swept: Instant,
    told: Option<Instant>,
    /// Refused since it was told.
    refused: u64,
}

impl Limit {
    fn new(what: Try, rate: NonZeroU32) -> Self {
        let often = |times: u32| Quota::per_minute(rate.saturating_mul(NonZeroU32::MIN.saturating_add(times - 1)));
        Self {
            what,
            by_client: RateLimiter::keyed(often(what.times())),
            overall: (what == Try::Token).then(|| RateLimiter::direct(often(what.times() * ALL))),
            clock: DefaultClock::default(),
            kept: Mutex::new(Kept { swept: Instant::now(), told: None, refused: 0 }),
        }
    }

    fn check(&self, client: Option<IpAddr>) -> Result<(), Refused> {
        // Who is refused alone takes nothing from all.
        let all = || self.overall.as_ref().map_or(Ok(()), |o| o.check().map_err(|n| n.wait_time_from(self.clock.now())));
        let waits = self.by_client(client).and_then(|()| all());
        waits.map_err(|wait| {
            self.tell(client);
            Refused { wait_s: wait.as_secs() + 1 }
        })
    }

    fn by_client(&self, client: Option<IpAddr>) -> Result<(), Duration> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if self.by_client.len() >= MOST { Duration::from_secs(1) } else { PERIOD };
        if kept.swept.elapsed() >= pause {
            kept.swept = Instant::now();
            self.by_client.retain_recent();
            self.by_client.shrink_to_fit();
        }
        if self.by_client.len() >= MOST {
            return Ok(());
        }
        self.by_client.check_key(&Key::of(client)).map_err(|n| n.wait_time_from(self.clock.now()))
    }

    fn tell(&self, client: Option<IpAddr>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.told.is_some_and(|at| at.elapsed() < PERIOD) {
            kept.refused += 1;
            return;
        }
        let from = client.map_or_else(|| "unknown".to_owned(), |c| c.to_string());
        tracing::warn!(what = self.what.as_str(), from, untold = kept.refused, "too many tries; what else is refused within a minute is not logged");
        *kept = Kept { told: Some(Instant::now()), refused: 0, ..*kept };
    }
}

/// Refuses whoever tries too often.
pub async fn limited(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let tried = request.extensions().get::<MatchedPath>().and_then(|p| Try::of(request.method(), p.as_str()));
    let client = request.extensions().get::<Arrival>().and_then(|a| a.client);
    match tried.map_or(Ok(()), |what| state.edge.limits.check(what, client)) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.answer(request.uri().path()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn one_address_has_its_tries_and_another_has_its_own() {
        let limits = Limits::default();
        for _ in 0..10 {
            assert_eq!(limits.check(Try::Link, from("192.0.2.1")), Ok(()));
        }
        let refused = limits.check(Try::Link, from("192.0.2.1")).unwrap_err();
        assert!((1..=7).contains(&refused.wait_s), "{refused:?}");
        assert!(limits.check(Try::Link, from("::ffff:192.0.2.1")).is_err(), "the same address, written otherwise");
        assert_eq!(limits.check(Try::Link, from("192.0.2.2")), Ok(()));
        assert_eq!(limits.check(Try::Start, from("192.0.2.1")), Ok(()), "other tries are counted apart");
        // Whoever has one address of a /64 has all of them.
        for i in 0..10 {
            assert_eq!(limits.check(Try::Link, from(&format!("2001:db8::{i}"))), Ok(()));
        }
        assert!(limits.check(Try::Link, from("2001:db8::ffff")).is_err());
        assert_eq!(limits.check(Try::Link, from("2001:db8:0:1::1")), Ok(()));
    }

    #[test]
    fn all_together_have_a_limit_and_who_is_refused_takes_nothing_of_it() {
        let limits = Limits::new(NonZeroU32::MIN);
        let client = |i: u32| Some(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + i)));
        let six = |i: u32| (0..6).all(|_| limits.check(Try::Token, client(i)) == Ok(()));
        assert!(six(0));
        for _ in 0..100 {
            assert!(limits.check(Try::Token, client(0)).is_err());
        }
        for i in 1..ALL {
            assert!(six(i), "{i}");
        }
        assert!(limits.check(Try::Token, client(ALL)).is_err());
        // Ways in are counted by address alone: nobody keeps the others out.
        for i in 0..10 * ALL {
            assert_eq!(limits.check(Try::Link, client(i)), Ok(()), "{i}");
            assert!(limits.check(Try::Link, client(i)).is_err(), "{i}");
        }
    }

    #[test]
    fn no_more_addresses_are_kept_than_the_most() {
        let limits = Limits::new(NonZeroU32::new(1000).unwrap());
        let limit = &limits.0[0];
        for i in 0..2 * MOST as u64 {
            let client = IpAddr::V6(Ipv6Addr::from_bits(u128::from(i + 1) << 64));
            limit.by_client(Some(client)).unwrap();
        }
        assert!(limit.by_client.len() <= MOST, "{}", limit.by_client.len());
    }

    #[test]
    fn what_is_refused_is_told_once_a_minute() {
        let limits = Limits::new(NonZeroU32::MIN);
        let limit = &limits.0[0];
        for _ in 0..5 {
            limit.check(from("192.0.2.1")).ok();
        }
        let kept = limit.kept.lock().unwrap();
        assert_eq!((kept.told.is_some(), kept.refused), (true, 3), "four were refused, one of them was told");
    }
}
