//! Messages outlive the server that sends them; the server's key can be changed while it runs.

mod common;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use common::Place;

/// The next request whole, and its connection, still unanswered.
fn hear(listener: &TcpListener) -> (String, TcpStream) {
    let end = Instant::now() + Duration::from_secs(60);
    listener.set_nonblocking(true).unwrap();
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            Err(e) => panic!("nothing was sent within a minute: {e}"),
        }
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut text = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length = header(head, "content-length").parse::<usize>().unwrap_or(0);
            if body.len() >= length {
                return (whole, stream);
            }
        }
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "cut short: {whole}");
        text.extend_from_slice(&part[..n]);
    }
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find(|l| l.to_lowercase().starts_with(&format!("{name}:")));
    line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
}

fn answer(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
}

fn place(listener: &TcpListener) -> Place {
    let place = Place::with_homes();
    place.write("hook.url", &format!("http://{}/in/very-secret\n", listener.local_addr().unwrap()));
    let config = std::fs::read_to_string(place.path("holdfast.yaml")).unwrap();
    let told = format!(
        "{config}notifications:\n  channels:\n    - {{ name: hook, kind: webhook, url: {{ file: {} }} }}\n  rules:\n    - {{ name: all, channels: [hook], severity: info }}\n",
        place.path("hook.url").display()
    );
    place.write("holdfast.yaml", &told);
    let applied = place.run(&["apply", "holdfast.yaml"]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    place
}

#[test]
fn a_message_survives_kill_9_and_keeps_its_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = place(&listener);
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let (first, open) = hear(&listener);
    // It waits for an answer that never comes.
    server.kill().unwrap();
    server.wait().unwrap();
    drop(open);

    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let begun = Instant::now();
    let (second, open) = hear(&listener);
    answer(open);
    let id = header(&first, "webhook-id");
    assert!(!id.is_empty());
    assert_eq!(header(&second, "webhook-id"), id);
    assert_eq!(first.split_once("\r\n\r\n").unwrap().1, second.split_once("\r\n\r\n").unwrap().1, "every attempt says the same");
    assert!(begun.elapsed() < Duration::from_secs(30), "a dead sender is seen to be dead; its lease of 90 s is not waited for");
    // Told once more only if it had not arrived.
    std::thread::sleep(Duration::from_secs(4));
    assert!(listener.accept().is_err(), "it came a third time");
    server.kill().unwrap();
    let output = server.wait_with_output().unwrap();
    for text in [output.stdout, output.stderr] {
        assert!(!String::from_utf8_lossy(&text).contains("very-secret"), "the address is in the log");
    }
}

#[test]
fn the_key_is_made_private_and_can_be_changed() {
    use std::os::unix::fs::MetadataExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = place(&listener);
    let said = place.run(&["rotate-key", "--json"]);
    assert_eq!((said.code, said.json()["dropped"].as_i64()), (0, Some(1)), "{said:?}");
    let key = place.path("data/server.key");
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&key).unwrap();
    assert_eq!(place.run(&["rotate-key"]).code, 0);
    assert_ne!(std::fs::read_to_string(&key).unwrap(), first);
}
