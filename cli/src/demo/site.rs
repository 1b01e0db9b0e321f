//! Which request gets which answer.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use serde_json::json;
use tiny_http::{Method, Request};

use crate::demo::api::Api;
use crate::demo::gateway::{Gateway, Said};
use crate::demo::web::{Answer, Body, Call, respond};

/// The page: path, content type, text.
const PAGE: [(&str, &str, &str); 5] = [
    ("", "text/html", include_str!("page/page.html")),
    ("page.css", "text/css", include_str!("page/page.css")),
    ("page.js", "text/javascript", include_str!("page/page.js")),
    ("flow.js", "text/javascript", include_str!("page/flow.js")),
    ("watch.js", "text/javascript", include_str!("page/watch.js")),
];

const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// The demo's API, its page and the requests of the page.
#[derive(Debug)]
pub(super) struct Site {
    api: Api,
    token: Option<String>,
    gateway: OnceLock<Reached>,
}

/// The gateway, once it listens.
#[derive(Debug)]
struct Reached {
    public_port: u16,
    control: SocketAddr,
    gateway: Gateway,
}

impl Site {
    pub(super) fn new(token: Option<String>) -> Site {
        Site { api: Api::new(), token, gateway: OnceLock::new() }
    }

    pub(super) fn gateway_listening(&self, public_port: u16, control: SocketAddr) {
        self.gateway.get_or_init(|| Reached {
            public_port,
            control,
            gateway: Gateway::new(control, self.token.clone()),
        });
    }

    /// Answers one request. A client that has gone meanwhile is no news.
    pub(super) fn handle(&self, mut request: Request) {
        let answered = match (self.gateway.get(), Call::read(&mut request)) {
            (None, _) => {
                respond(request, 503, &[TEXT, ("Retry-After", "1")], b"the gateway does not listen yet".into())
            }
            (_, Err(error)) => Err(error),
            (_, Ok(Err(refusal))) => send(request, refusal),
            (Some(reached), Ok(Ok(call))) => self.route(request, reached, call),
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "a client of the demo API has gone");
        }
    }

    fn route(&self, request: Request, reached: &Reached, call: Call) -> io::Result<()> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match (&call.method, path.as_slice()) {
            (_, ["api", client]) => {
                let client = (*client).to_owned();
                send(request, self.api_call(reached, call, &client))
            }
            (Method::Get, ["state"]) => self.report(request, reached, &call),
            (Method::Post, ["push" | "kick", _]) if call.cross_site() => {
                send(request, Answer::text(403, "only the demo's own page may ask this"))
            }
            (Method::Post, ["push", client]) => {
                send(request, said(self.api.push(&reached.gateway, client, &call.body, call.binary())))
            }
            (Method::Post, ["kick", client]) => {
                let (code, reason) = (call.query("code"), call.query("reason"));
                send(request, said(self.api.kick(&reached.gateway, client, &code, &reason)))
            }
            (Method::Get, [part]) => page(request, reached, part),
            _ => send(request, Answer::text(404, "not found")),
        }
    }

    /// The three requests that a gateway makes.
    fn api_call(&self, reached: &Reached, call: Call, client: &str) -> Answer {
        let connection = call.header("X-Connection-Id");
        match call.method {
            Method::Get => self.api.connect(client, connection),
            Method::Post => {
                let binary = call.binary();
                self.api.message(&reached.gateway, client, call.body, binary)
            }
            Method::Delete => {
                let reason = String::from_utf8_lossy(&call.body);
                self.api.close(client, connection, call.header("X-Close-Code"), &reason)
            }
            _ => Answer::text(405, "GET, POST or DELETE"),
        }
    }

    fn report(&self, request: Request, reached: &Reached, call: &Call) -> io::Result<()> {
        let after = call.query("after").parse().unwrap_or(0);
        let gateway = json!({
            "port": reached.public_port,
            "control": reached.control.to_string(),
            "token": self.token.is_some(),
        });
        let report = self.api.state().report(after, &gateway).to_string();
        respond(request, 200, &[("Content-Type", "application/json")], report.into())
    }
}

/// The gateway's answer, passed on to the page.
fn said(said: Said) -> Answer {
    Answer::text(said.status, said.text)
}

fn send(request: Request, answer: Answer) -> io::Result<()> {
    match answer.body {
        Body::Text(text) => respond(request, answer.status, &[TEXT], text.into()),
        Body::Binary(bytes) => respond(request, answer.status, &[("Content-Type", "application/octet-stream")], bytes),
    }
}

/// A part of the page, which may load nothing from elsewhere and talk to nobody but this server and
/// the gateway.
fn page(request: Request, reached: &Reached, path: &str) -> io::Result<()> {
    let Some((_, kind, text)) = PAGE.iter().find(|(at, ..)| *at == path) else {
        return send(request, Answer::text(404, "not found"));
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
         connect-src 'self' ws://*:{}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        reached.public_port
    );
    let kind = format!("{kind}; charset=utf-8");
    let headers = [
        ("Content-Type", kind.as_str()),
        ("Content-Security-Policy", policy.as_str()),
        ("Referrer-Policy", "no-referrer"),
    ];
    respond(request, 200, &headers, (*text).into())
}
