//! A demo under test, an HTTP client, and a stand-in for the gateway.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use ureq::{Agent, AsSendBody};

use crate::demo::{Demo, start};

pub(super) const ANY: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway at which only bob is connected.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

/// A request that the stand-in got.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) kind: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

impl StandIn {
    pub(super) fn start(listen: &str) -> StandIn {
        let listener = TcpListener::bind(listen).unwrap();
        let address = listener.local_addr().unwrap();
        let server = tiny_http::Server::from_listener(listener, None).unwrap();
        let (report, seen) = mpsc::channel();
        thread::spawn(move || {
            for request in server.incoming_requests() {
                if report.send(answer(request)).is_err() {
                    return;
                }
            }
        });
        StandIn { address, seen }
    }

    pub(super) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request to the gateway")
    }
}

fn answer(mut request: tiny_http::Request) -> Seen {
    let mut body = String::new();
    request.as_reader().read_to_string(&mut body).unwrap();
    let header = |name: &'static str| {
        let found = request.headers().iter().find(|header| header.field.equiv(name));
        found.map_or(String::new(), |header| header.value.to_string())
    };
    let line = format!("{} {}", request.method(), request.url());
    let (status, text) = if line.contains("bob") { (200, "ok") } else { (404, "not found") };
    let (kind, authorization) = (header("Content-Type"), header("Authorization"));
    request.respond(tiny_http::Response::from_string(text).with_status_code(status)).unwrap();
    Seen { line, kind, authorization, body }
}

/// A demo that believes in a gateway at `gateway`.
pub(super) fn demo_with(gateway: SocketAddr, token: Option<&str>) -> Demo {
    let demo = start(ANY.parse().unwrap(), token.map(Into::into)).unwrap();
    demo.gateway_listening(gateway, None);
    demo
}

/// A demo whose gateway nobody can reach: nothing listens on port 1.
pub(super) fn demo() -> Demo {
    demo_with("127.0.0.1:1".parse().unwrap(), None)
}

/// What the demo answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) bytes: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.bytes).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: impl AsSendBody) -> Answer {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true) // DELETE with a body
        .proxy(None)
        .timeout_global(Some(PATIENCE));
    let agent: Agent = config.build().into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(body).unwrap()).unwrap();
    Answer {
        status: response.status().as_u16(),
        bytes: response.body_mut().read_to_vec().unwrap(),
        headers: response.headers().clone(),
    }
}

pub(super) fn get(demo: &Demo, path: &str) -> Answer {
    ask("GET", &at(demo, path), &[], ())
}

pub(super) fn post(demo: &Demo, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    ask("POST", &at(demo, path), headers, body)
}

fn at(demo: &Demo, path: &str) -> String {
    format!("{}{path}", demo.page_url())
}

/// What the gateway asks when `client` connects.
pub(super) fn connect(demo: &Demo, client: &str, connection: &str) -> Answer {
    let url = at(demo, &format!("api/{client}?lang=en"));
    ask("GET", &url, &[("X-Connection-Id", connection)], ())
}

/// What the gateway asks when `client` has gone.
pub(super) fn close(demo: &Demo, client: &str, connection: &str) -> Answer {
    let headers = [("X-Connection-Id", connection), ("X-Close-Code", "4001")];
    ask("DELETE", &at(demo, &format!("api/{client}")), &headers, "bye")
}

/// What the API replies to a text message of alice.
pub(super) fn say(demo: &Demo, text: &str) -> String {
    let headers = [("Content-Type", "text/plain; charset=utf-8")];
    let answer = post(demo, "api/alice", &headers, text.as_bytes());
    assert_eq!(answer.status, 200);
    answer.text().into()
}

/// What the page sees.
pub(super) fn state(demo: &Demo, after: u64) -> Value {
    serde_json::from_slice(&get(demo, &format!("state?after={after}")).bytes).unwrap()
}
