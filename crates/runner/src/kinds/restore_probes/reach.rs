//! Addresses and ports that a restore test calls, also those of instances that it has brought back.
//!
//! Lives here: HTTP, TCP, what `{address}` stands for. May not: other checks.
//! Invariant: whoever gives no answer was not looked at; a refusal is an answer.

use std::{future::Future, io, time::Duration};

use domain::{
    channel::shown_url,
    definition::named_instance,
    evidence::{CheckOutcome, Verdict},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::Place;
use crate::{exec::Cx, notify::http as client};

/// How much of an answer over HTTP is looked through, in bytes.
const MOST_BODY: usize = 1 << 20;
/// How long one connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// What stands in an address for that of an instance.
const OPEN: &str = "{address";
/// How long a guest may take to answer, and how often it is asked.
const GUEST: Duration = Duration::from_mins(5);
const GUEST_PAUSE: Duration = Duration::from_secs(3);

/// Calls an address.
pub async fn http(cx: &Cx, name: &str, place: &Place<'_>, url: &str, status: u16, text: &str) -> CheckOutcome {
    match with_address(place, url, true) {
        Ok(to) => patiently(to != url, || get(cx, name, &to, status, text)).await,
        Err(why) => CheckOutcome::new(name, Verdict::Unknown, format!("{}: {why}", shown_url(url))).compared(status.to_string(), "not asked"),
    }
}

/// Opens a connection, and says nothing over it.
pub async fn tcp(name: &str, place: &Place<'_>, host: &str, port: u16) -> CheckOutcome {
    match with_address(place, host, false) {
        Ok(to) => patiently(to != host, || connect(name, &to, port)).await,
        Err(why) => CheckOutcome::new(name, Verdict::Unknown, format!("{host}, port {port}: {why}")).compared("a connection", "not asked"),
    }
}

/// Looks once, or until it is as it should be where a guest is asked that has only begun to start.
async fn patiently<F: Future<Output = CheckOutcome>>(of_guest: bool, look: impl Fn() -> F) -> CheckOutcome {
    let until = Instant::now() + GUEST;
    loop {
        let outcome = look().await;
        if !of_guest || outcome.verdict == Verdict::Passed || Instant::now() >= until {
            return outcome;
        }
        sleep(GUEST_PAUSE).await;
    }
}

/// The text with the address of an instance in it: `{address}` of the only one, `{address:web}` of the one that is named.
fn with_address(place: &Place<'_>, text: &str, in_url: bool) -> Result<String, String> {
    let Some((before, rest)) = text.split_once(OPEN) else { return Ok(text.to_owned()) };
    let open = || "“{address” is not closed; write {address} or {address:NAME}".to_owned();
    let (_, after) = rest.split_once('}').ok_or_else(open)?;
    let found = if let Some(item) = named_instance(text) {
        let mut of_item = place.chosen.items.iter().enumerate().filter(|(_, c)| c.item == item);
        of_item.find_map(|(n, _)| place.server(n)).ok_or_else(|| format!("no instance {item} was brought back"))?
    } else if rest.starts_with('}') {
        match place.restored.servers.as_slice() {
            [one] => one,
            [] => return Err("no instance was brought back".to_owned()),
            more => return Err(format!("{} instances were brought back; name one, such as {{address:NAME}}", more.len())),
        }
    } else {
        return Err(open());
    };
    let address = found.addresses.first().ok_or_else(|| format!("{} has no address; let the definition name a network", found.name))?;
    let address = if in_url && address.contains(':') { format!("[{address}]") } else { address.clone() };
    Ok(format!("{before}{address}{after}"))
}

/// Calls an address once. Redirects are not followed: what it answers itself counts.
async fn get(cx: &Cx, name: &str, url: &str, status: u16, text: &str) -> CheckOutcome {
    let place = shown_url(url);
    let expected = if text.is_empty() { status.to_string() } else { format!("{status} with “{text}”") };
    let unknown = |why: String| CheckOutcome::new(name, Verdict::Unknown, format!("{place}: {why}")).compared(expected.clone(), "no answer");
    let http = match client::client(&cx.deps.env) {
        Ok(http) => http,
        Err(e) => return unknown(e),
    };
    let mut response = match http.get(url).send().await {
        Ok(response) => response,
        Err(e) => return unknown(client::reason(e)),
    };
    let answered = response.status().as_u16();
    let mut body = Vec::new();
    while !text.is_empty() && body.len() < MOST_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(MOST_BODY - body.len())]),
            Ok(None) => break,
            Err(e) => return unknown(client::reason(e)),
        }
    }
    let holds = text.is_empty() || String::from_utf8_lossy(&body).contains(text);
    let seen = match (text.is_empty(), holds) {
        (true, _) => answered.to_string(),
        (false, true) => format!("{answered} with it"),
        (false, false) => format!("{answered} without it"),
    };
    let verdict = if answered == status && holds { Verdict::Passed } else { Verdict::Failed };
    CheckOutcome::new(name, verdict, format!("{place} answered {seen}, expected {expected}")).compared(expected, seen)
}

async fn connect(name: &str, host: &str, port: u16) -> CheckOutcome {
    let (verdict, seen) = match timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => (Verdict::Passed, "a connection".to_owned()),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => (Verdict::Failed, "refused: nothing listens there".to_owned()),
        Ok(Err(e)) => (Verdict::Unknown, format!("no answer: {e}")),
        Err(_) => (Verdict::Unknown, format!("no answer within {} s", CONNECT.as_secs())),
    };
    CheckOutcome::new(name, verdict, format!("{host}, port {port}: {seen}")).compared("a connection", seen)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::units::Timestamp;

    use super::*;
    use crate::kinds::{
        restore_choice::{Choice, Chosen},
        restore_test::driver::{Brought, Restored},
    };

    fn chosen(item: &str) -> Chosen {
        Chosen {
            name: item.into(),
            item: item.into(),
            kind: "openstack-instance".into(),
            snapshot: domain::id::SnapshotId(uuid::Uuid::nil()),
            repository: domain::id::RepositoryId(uuid::Uuid::nil()),
            restic_id: String::new(),
            taken_at: Timestamp(0),
            files: 0,
            bytes: 0,
        }
    }

    fn brought(n: usize, addresses: &[&str]) -> Brought {
        let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
        Brought { n, server: "s".into(), name: format!("c{n}"), addresses, image: None, disks: vec![], volumes: vec![] }
    }

    #[test]
    fn an_address_names_the_instance_that_is_meant() {
        let chosen = Choice { items: vec![chosen("web"), chosen("db"), chosen("cold")], ..Choice::nothing(Timestamp(0)) };
        let mut restored = Restored::begun(Timestamp(0));
        let said = |restored: &Restored, url: &str| with_address(&Place { chosen: &chosen, restored, scratch: Path::new("/s") }, url, true);
        assert!(said(&restored, "http://{address}/").unwrap_err().contains("no instance"));
        restored.servers.push(brought(0, &["198.18.0.7", "10.0.0.1"]));
        assert_eq!(said(&restored, "http://{address}:8080/x").unwrap(), "http://198.18.0.7:8080/x");
        restored.servers.extend([brought(1, &["fd00::1"]), brought(2, &[])]);
        assert!(said(&restored, "http://{address}/").unwrap_err().contains("3 instances"));
        assert_eq!(said(&restored, "https://{address:db}/").unwrap(), "https://[fd00::1]/");
        let host = with_address(&Place { chosen: &chosen, restored: &restored, scratch: Path::new("/s") }, "{address:db}", false);
        assert_eq!(host.unwrap(), "fd00::1");
        assert!(said(&restored, "https://{address:cold}/").unwrap_err().contains("no address"));
        for (bad, says) in [("http://{address:mail}/", "no instance mail"), ("http://{address/", "not closed"), ("http://{addresses}/", "not closed")] {
            assert!(said(&restored, bad).unwrap_err().contains(says), "{bad}");
        }
        assert_eq!(said(&restored, "http://hub.example.org/").unwrap(), "http://hub.example.org/");
    }

    #[tokio::test]
    async fn a_port_is_open_or_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(connect("tcp:db", "127.0.0.1", port).await.verdict, Verdict::Passed);
        drop(listener);
        let refused = connect("tcp:db", "127.0.0.1", port).await;
        assert!(refused.verdict == Verdict::Failed && refused.detail.contains("nothing listens"), "{}", refused.detail);
        assert_eq!(connect("tcp:db", "no-such-host.invalid", port).await.verdict, Verdict::Unknown);
    }
}
