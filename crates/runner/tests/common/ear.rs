//! A receiver over HTTP that keeps what it hears and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse,
};
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

type Answer = (u16, &'static str, Vec<(&'static str, &'static str)>);

/// Answers 200 unless something else was put before it.
#[derive(Clone, Default)]
pub struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
    pub url: String,
}

impl Ear {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ear = Self { url: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let router = Router::new().fallback(hear).with_state(ear.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        ear
    }

    /// What was heard since the last call.
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// The next answers, one a request.
    pub fn answer(&self, status: u16, body: &'static str, headers: &[(&'static str, &'static str)]) {
        self.answers.lock().unwrap().push((status, body, headers.to_vec()));
    }
}

async fn hear(State(ear): State<Ear>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let text = String::from_utf8_lossy(&body).into_owned();
    let heard = Heard { method: method.to_string(), path: uri.to_string(), headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text };
    ear.heard.lock().unwrap().push(heard);
    let mut answers = ear.answers.lock().unwrap();
    let (status, body, with) = if answers.is_empty() { (200, "ok", vec![]) } else { answers.remove(0) };
    let mut map = HeaderMap::new();
    for (name, value) in with {
        map.insert(name, value.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), map, body)
}
