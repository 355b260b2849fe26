use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use super::{Gate, Strike};

/// A service that says what it was asked, and where it is, as JSON. It has a port of five digits. What arrives is told.
fn service() -> (u16, Receiver<String>) {
    let listener = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap()).find(|l| l.local_addr().unwrap().port() > 9999).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = whole(&mut client);
            let kind = if request.contains("/disk") { "application/octet-stream" } else { "application/json" };
            let body = format!(r#"{{"url":"http://127.0.0.1:{port}/v3","other":"127.0.0.1:{port}0"}}"#);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n", body.len());
            client.write_all((head + &body).as_bytes()).ok();
            tell.send(request).ok();
        }
    });
    (port, told)
}

/// Head and as much body as its length says.
fn whole(client: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    let length = |head: &str| head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() == length(head)) || client.read(&mut byte).unwrap() == 0 {
            return text;
        }
        all.push(byte[0]);
    }
}

fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let (line, body) = request.split_once('|').unwrap_or((request, ""));
    let text = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

#[test]
fn what_passes_arrives_whole_and_addresses_lead_through_the_gate() {
    let ((one, told), (two, _)) = (service(), service());
    let gate = Gate::before(&[one, two]).unwrap();
    let port = gate.port(one).unwrap();
    let answer = ask(port, "POST /v3/auth/tokens?nocatalog|{\"auth\": 1}").unwrap();
    assert!(answer.contains(&format!("http://127.0.0.1:{port}/v3")), "{answer}");
    assert!(answer.contains(&format!("127.0.0.1:{one}0")), "a longer number is another port: {answer}");
    assert!(answer.contains("Connection: close\r\n") && !answer.contains("keep-alive"), "{answer}");
    let request = told.recv().unwrap();
    assert!(request.starts_with("POST /v3/auth/tokens?nocatalog HTTP/1.1\r\nConnection: close\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"auth\": 1}"), "{request}");
    assert!(request.contains(&format!("Host: 127.0.0.1:{port}\r\n")), "links in answers come out of the host: {request}");
    assert!(ask(port, "GET /disk").unwrap().contains(&format!("http://127.0.0.1:{one}/v3")), "what is no text is left as it is");
    assert_eq!(gate.through(&format!("openstack+http://127.0.0.1:{two}/v3")), format!("openstack+http://127.0.0.1:{}/v3", gate.port(two).unwrap()));
    let passed = gate.passed();
    assert_eq!((passed[0].service, passed[0].method.as_str(), passed[0].path.as_str()), (one, "POST", "/v3/auth/tokens?nocatalog"));
}

#[test]
fn refused_connections_are_taken_again_once_it_heals() {
    let (service, _told) = service();
    let gate = Gate::before(&[service]).unwrap();
    let port = gate.port(service).unwrap();
    for _ in 0..20 {
        gate.refuse();
        assert_eq!(ask(port, "GET /").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        gate.heal();
        ask(port, "GET /").unwrap();
    }
    let began = Instant::now();
    gate.refuse_for(Duration::from_millis(300));
    assert_eq!(ask(port, "GET /").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    while ask(port, "GET /").is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn what_is_cut_did_not_arrive_and_what_is_lost_did() {
    let (service, told) = service();
    let gate = Gate::before(&[service]).unwrap();
    let port = gate.port(service).unwrap();
    gate.cut();
    ask(port, "POST /a|x").unwrap_err();
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err());
    gate.lose();
    ask(port, "POST /b|x").unwrap_err();
    assert!(told.recv_timeout(Duration::from_secs(20)).unwrap().starts_with("POST /b "));
    gate.heal();
    ask(port, "POST /c|x").unwrap();
}

#[test]
fn statuses_are_answered_as_often_as_told() {
    let (service, told) = service();
    let gate = Gate::before(&[service]).unwrap();
    let port = gate.port(service).unwrap();
    gate.answer(503, 2);
    for _ in 0..2 {
        let answer = ask(port, "POST /|a body that nobody reads").unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && answer.contains("Retry-After: 1\r\n"), "{answer}");
    }
    assert!(told.try_recv().is_err());
    assert!(ask(port, "GET /").unwrap().starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_strike_meets_the_request_it_was_placed_for() {
    let (service, _told) = service();
    let gate = Gate::before(&[service]).unwrap();
    let port = gate.port(service).unwrap();
    gate.at("POST", "/action", Strike::Away(Duration::from_millis(300)));
    ask(port, "GET /servers/1/action").unwrap();
    ask(port, "POST /servers").unwrap();
    assert!(!gate.struck());
    ask(port, "POST /servers/1/action").unwrap_err();
    assert!(gate.struck());
    let began = Instant::now();
    while ask(port, "GET /").is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(gate.passed()[2].strike, Some(Strike::Away(Duration::from_millis(300))));
}

#[test]
fn what_hangs_is_cut_when_it_heals_or_goes_away() {
    let (service, _told) = service();
    let gate = Gate::before(&[service]).unwrap();
    let port = gate.port(service).unwrap();
    for heal in [true, false] {
        gate.hang();
        let before = gate.passed().len();
        let hangs = std::thread::spawn(move || ask(port, "GET /"));
        let until = Instant::now() + Duration::from_secs(20);
        while gate.passed().len() == before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!hangs.is_finished());
        if heal {
            gate.heal();
        } else {
            gate.refuse();
        }
        assert!(hangs.join().unwrap().is_err());
    }
}
