//! A server for the tests of the client: it answers one request after the other as a script says.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What becomes of one request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Status, headers such as `Retry-After: 1\r\n`, body.
    Say(u16, String, String),
    /// The connection ends without an answer.
    Cut,
    /// The connection ends in the middle of the answer's body.
    CutInBody,
    /// Nothing comes.
    Hang,
    /// A body without end.
    Flood,
}

pub(super) fn say(status: u16, body: impl Into<String>) -> Reply {
    Reply::Say(status, String::new(), body.into())
}

/// A server with its script; the last line of it is repeated.
pub(super) struct Scripted {
    pub address: String,
    /// Method, path with query, and headers and body of each request.
    pub requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Scripted {
    /// `script` is asked with the number of the request, from 0, and the request's first line.
    pub async fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (seen, script) = (Arc::clone(&requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&script)));
            }
        });
        Self { address, requests }
    }

    pub fn lines(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<(String, String)>>>, script: Arc<impl Fn(usize, &str) -> Reply>) {
    let mut request = vec![];
    let mut buffer = [0; 4_096];
    loop {
        let Ok(n) = stream.read(&mut buffer).await else { return };
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if n == 0 {
            return;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap())).unwrap_or(0);
        if body.len() >= length {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let (line, rest) = text.split_once("\r\n").unwrap();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push((line.clone(), rest.to_owned()));
        seen.len() - 1
    };
    match script(number, &line) {
        Reply::Say(status, headers, body) => {
            let answer = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Reply::Cut => {}
        Reply::CutInBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half").await;
        }
        Reply::Hang => tokio::time::sleep(std::time::Duration::from_mins(1)).await,
        Reply::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
            let piece = vec![b'x'; 1 << 20];
            while stream.write_all(&piece).await.is_ok() {}
        }
    }
    let _ = stream.shutdown().await;
}
