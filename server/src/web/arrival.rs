//! How a request came in: whose it is, at which host, over TLS or not.
//!
//! Lives here: what proxies say of it, and which of them are believed. May not: recognising people (`guard`).
//! Invariant: a header counts only where the peer is a trusted proxy; then the right-most address that is none of these is
//! the client's. What stands to the left of it anybody may have written.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use app::context::Arrival;
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use ops::{Actor, Ctx};
use store::Db;

use super::limits::Limits;
use crate::state::AppState;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How long the configured address is believed to be what it was.
const FRESH: Duration = Duration::from_secs(5);
/// How long a request waits for the database to say what it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stands between the network and the pages.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    pub trusted: Trusted,
    pub limits: Limits,
    address: Address,
    /// It was said that a proxy is not trusted.
    warned: Arc<AtomicBool>,
}

impl Edge {
    pub fn new(trusted: Trusted, limits: Limits) -> Self {
        Self { trusted, limits, ..Self::default() }
    }

    /// Whoever forgot to name their proxy hears of it, once: everybody shares its limits then.
    fn warn(&self, peer: Option<IpAddr>, headers: &HeaderMap) {
        let Some(proxy) = peer.map(|p| p.to_canonical()).filter(|p| !self.trusted.has(*p)) else { return };
        if (headers.contains_key(FOR) || headers.contains_key(header::FORWARDED)) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%proxy, "a request came through a proxy that is not trusted, so that all its clients seem to be one; if it is yours, give --trusted-proxy");
        }
    }
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<[IpNet]>);

impl Trusted {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|n| n.contains(&address))
    }
}

/// A network or one address, as the command line and the environment name a proxy.
///
/// # Errors
/// A sentence with the remedy.
pub fn network(text: &str) -> Result<IpNet, String> {
    let found = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(|a| IpNet::from(a.to_canonical())));
    match found {
        Some(n) if n.prefix_len() == 0 => Err(format!("“{text}” would believe everybody; name the proxy, such as 10.0.0.7 or 10.0.0.0/8")),
        Some(n) => Ok(n.trunc()),
        None => Err(format!("“{text}” is neither an address nor a network; write 10.0.0.7, 10.0.0.0/8 or fd00::/8")),
    }
}

/// Puts the [`Arrival`] into the request.
pub async fn arrived(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let seen = seen(&state.edge.trusted, peer, request.headers());
    state.edge.warn(peer, request.headers());
    let secure = state.app.secure_cookies || seen.https || state.edge.address.is_https(&state.app.db).await;
    request.extensions_mut().insert(Arrival { client: seen.client, secure, host: seen.host });
    next.run(request).await
}

/// Proxies one behind another that are followed.
const MOST_HOPS: usize = 32;

/// What the connection and the trusted proxies tell of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    client: Option<IpAddr>,
    https: bool,
    host: Option<String>,
}

/// What one proxy tells of the request that came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    from: Option<IpAddr>,
    https: bool,
    host: Option<String>,
}

fn seen(trusted: &Trusted, peer: Option<IpAddr>, headers: &HeaderMap) -> Seen {
    let peer = peer.map(|p| p.to_canonical());
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let direct = Seen { client: peer, https: false, host };
    let Some(proxy) = peer.filter(|p| trusted.has(*p)) else { return direct };
    let one = follow(trusted, proxy, &x_forwarded(headers));
    let other = follow(trusted, proxy, &forwarded(headers));
    let told = match (one, other) {
        // A proxy writes one of the two and may hand on the other as the client wrote it: which one, nobody knows.
        (Some(a), Some(b)) if a.client != b.client => return direct,
        (Some(told), _) | (None, Some(told)) => told,
        (None, None) => return direct,
    };
    Seen { host: told.host.or(direct.host), ..told }
}

/// Goes from proxy to proxy, the nearest first, as long as the next address is a trusted one's, too.
fn follow(trusted: &Trusted, proxy: IpAddr, hops: &[Hop]) -> Option<Seen> {
    let mut seen = None;
    let mut client = proxy;
    for hop in hops.iter().rev() {
        client = hop.from.unwrap_or(client);
        seen = Some(Seen { client: Some(client), https: hop.https, host: hop.host.clone() });
        if !hop.from.is_some_and(|f| trusted.has(f)) {
            break;
        }
    }
    seen
}

/// `X-Forwarded-For`, `-Proto` and `-Host`. Where there are fewer of the latter two, the left-most goes for the rest.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let (addresses, protocols, hosts) = (list(headers, &FOR), list(headers, &PROTO), list(headers, &HOST));
    let longest = addresses.len().max(usize::from(!protocols.is_empty() || !hosts.is_empty()));
    let from_the_right = |all: &[&str], i: usize| all.len().checked_sub(i + 1).and_then(|at| all.get(at)).or(all.first()).map(|t| (*t).to_owned());
    (0..longest.min(MOST_HOPS))
        .rev()
        .map(|i| Hop {
            from: addresses.len().checked_sub(i + 1).and_then(|at| address(addresses[at])),
            https: from_the_right(&protocols, i).is_some_and(|p| p.eq_ignore_ascii_case("https")),
            host: from_the_right(&hosts, i).filter(|h| !h.is_empty()),
        })
        .collect()
}

fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().flat_map(|v| v.to_str().unwrap_or_default().split(',')).map(str::trim).collect()
}

/// `Forwarded` (RFC 7239).
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(header::FORWARDED).iter().map(|v| v.to_str().unwrap_or_default());
    lines
        .flat_map(|line| unquoted(line, ','))
        .map(|element| {
            let mut hop = Hop::default();
            for (name, value) in unquoted(element, ';').filter_map(|pair| pair.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.from = address(value),
                    "proto" => hop.https = value.eq_ignore_ascii_case("https"),
                    "host" => hop.host = Some(value.to_owned()).filter(|h| !h.is_empty()),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

/// The parts of a text between signs that stand outside of quotes.
fn unquoted(text: &str, sign: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        c == sign && !quoted
    })
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let found = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|s| s.ip())).or_else(bare);
    found.map(|a| a.to_canonical())
}

/// Whether the configured address is one of TLS, kept for a moment.
#[derive(Clone, Debug, Default)]
struct Address(Arc<Mutex<Option<(Instant, bool)>>>);

impl Address {
    async fn is_https(&self, db: &Db) -> bool {
        let kept = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match *kept {
                Some((at, https)) if at.elapsed() < FRESH => return https,
                // One request asks; the others go on with what was.
                Some((_, https)) => *kept = Some((Instant::now(), https)),
                None => {}
            }
            *kept
        };
        let ctx = Ctx::new(db.clone(), Actor::anonymous(), "address");
        let Ok(Ok(address)) = tokio::time::timeout(PATIENCE, ops::accounts::address(&ctx)).await else {
            return kept.is_some_and(|(_, https)| https);
        };
        let https = address.is_some_and(|a| a.starts_with("https://"));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), https));
        https
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Trusted {
        Trusted::new(&["10.0.0.0/8", "fd00::/8", "127.0.0.1"].map(|n| network(n).unwrap()))
    }

    fn came(peer: &str, lines: &[(&str, &str)]) -> Seen {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        seen(&trusted(), peer.parse().ok(), &headers)
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_clients() {
        let (x, f) = ("x-forwarded-for", "forwarded");
        for (peer, lines, client) in [
            // Nobody else is believed.
            ("192.0.2.1", &[(x, "203.0.113.9")][..], "192.0.2.1"),
            ("192.0.2.1", &[(f, "for=203.0.113.9")], "192.0.2.1"),
            ("2001:db8::1", &[(x, "203.0.113.9")], "2001:db8::1"),
            // One proxy, then two; what the client wrote itself stands to the left.
            ("10.0.0.1", &[(x, "203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "198.51.100.7, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "198.51.100.7, 203.0.113.9, 10.9.9.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "198.51.100.7"), (x, "203.0.113.9"), (x, "10.9.9.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            // IPv6, ports, mapped addresses.
            ("fd00::1", &[(x, "2001:db8::9")], "2001:db8::9"),
            ("fd00::1", &[(x, "[2001:db8::9]:4711")], "2001:db8::9"),
            ("fd00::1", &[(x, "[2001:db8::9]")], "2001:db8::9"),
            ("10.0.0.1", &[(x, "203.0.113.9:4711")], "203.0.113.9"),
            ("::ffff:10.0.0.1", &[(x, "::ffff:203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "203.0.113.9, ::ffff:10.0.0.2")], "203.0.113.9"),
            // Garbage ends the way: the last address that is known stays.
            ("10.0.0.1", &[(x, "unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(x, "203.0.113.9, garbage, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(x, "203.0.113.9,")], "10.0.0.1"),
            ("10.0.0.1", &[(x, "")], "10.0.0.1"),
            ("10.0.0.1", &[(x, "203.0.113.9\u{e9}")], "10.0.0.1"),
            ("10.0.0.1", &[(x, "203.0.113.9 or so")], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // RFC 7239.
            ("10.0.0.1", &[(f, "for=203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(f, "For=\"[2001:db8::9]:4711\";proto=https")], "2001:db8::9"),
            ("10.0.0.1", &[(f, "for=198.51.100.7, for=203.0.113.9;by=10.0.0.2, for=10.0.0.2")], "203.0.113.9"),
            ("10.0.0.1", &[(f, "for=198.51.100.7"), (f, "for=203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(f, "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[(f, "for=\"198.51.100.7, for=203.0.113.9")], "10.0.0.1"),
            ("10.0.0.1", &[(f, "host=\"a,b\";for=203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(f, "host=\"a\\\", for=198.51.100.7\";for=203.0.113.9")], "203.0.113.9"),
            // Both count where they agree.
            ("10.0.0.1", &[(x, "203.0.113.9"), (f, "for=203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(x, "203.0.113.9"), (f, "for=198.51.100.7")], "10.0.0.1"),
        ] {
            assert_eq!(came(peer, lines).client, client.parse().ok(), "{peer} {lines:?}");
        }
        assert_eq!(came("nowhere", &[(x, "203.0.113.9")]).client, None);
    }

    #[test]
    fn the_protocol_and_the_host_are_those_that_the_client_used() {
        let (x, p, h, f) = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded");
        let own = ("host", "127.0.0.1:3000");
        for (peer, lines, https, host) in [
            ("192.0.2.1", &[own, (p, "https"), (h, "evil")][..], false, "127.0.0.1:3000"),
            ("192.0.2.1", &[own, (f, "proto=https;host=evil")], false, "127.0.0.1:3000"),
            ("10.0.0.1", &[own], false, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (p, "https")], true, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (p, "HTTPS"), (h, "h.example.org")], true, "h.example.org"),
            ("10.0.0.1", &[own, (x, "203.0.113.9"), (p, "http")], false, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (x, "203.0.113.9, 10.0.0.2"), (p, "https")], true, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (x, "203.0.113.9, 10.0.0.2"), (p, "https, http"), (h, "h.example.org, inner")], true, "h.example.org"),
            // What the client wrote itself is not what its own proxy saw.
            ("10.0.0.1", &[own, (x, "203.0.113.9"), (p, "https, http"), (h, "evil, h.example.org")], false, "h.example.org"),
            ("10.0.0.1", &[own, (f, "for=203.0.113.9;proto=https;host=\"h.example.org:8443\"")], true, "h.example.org:8443"),
            ("10.0.0.1", &[own, (f, "for=198.51.100.7;proto=https;host=evil, for=203.0.113.9;proto=http")], false, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (f, "for=203.0.113.9;proto=https, for=10.0.0.2;proto=http")], true, "127.0.0.1:3000"),
            ("10.0.0.1", &[own, (x, "203.0.113.9"), (p, "https"), (f, "for=198.51.100.7;proto=https")], false, "127.0.0.1:3000"),
        ] {
            let seen = came(peer, lines);
            assert_eq!((seen.https, seen.host.as_deref()), (https, Some(host)), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (text, means) in [("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/8", "10.0.0.0/8"), ("fd00::1/8", "fd00::/8"), ("::1", "::1/128")] {
            assert_eq!(network(text).unwrap().to_string(), means);
        }
        for (text, word) in [("0.0.0.0/0", "believe everybody"), ("::/0", "believe everybody"), ("proxy.example.org", "neither"), ("10.0.0.0/33", "neither")] {
            assert!(network(text).unwrap_err().contains(word), "{text}");
        }
    }
}
