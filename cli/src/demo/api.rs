//! What the demo API does: the part that every user of the gateway writes for themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::demo::gateway::{Gateway, Said};
use crate::demo::state::{Event, Kind, State};
use crate::demo::web::{Answer, Body};

const HELP: &str = "say anything: the API answers\n\
    @bob hello: the API pushes \"hello\" to bob\n\
    /who: who is connected\n\
    /quiet: the API answers nothing";

/// The API's memory and its three handlers, and the two things that it asks of the gateway.
#[derive(Debug)]
pub(super) struct Api {
    state: Mutex<State>,
}

impl Api {
    pub(super) fn new() -> Api {
        Api { state: Mutex::new(State::new()) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `GET`: may this client connect? `ok`, or why not.
    pub(super) fn connect(&self, client: &str, connection: &str) -> Answer {
        let start = Instant::now();
        let answer = if client.starts_with("banned") {
            Answer::text(403, "the API lets nobody in whose name starts with \"banned\"")
        } else if self.state().connect(client, connection) {
            Answer::text(200, "ok")
        } else {
            Answer::text(403, "the demo is full")
        };
        self.record(start, Kind::Connect, client, "", answer)
    }

    /// `POST`: a message; the answer goes back to the client.
    pub(super) fn message(&self, gateway: &Gateway, client: &str, body: Vec<u8>, binary: bool) -> Answer {
        let start = Instant::now();
        let sent = shown_body(&body, binary);
        let answer = if binary {
            Answer { status: 200, body: Body::Binary(body) }
        } else {
            match String::from_utf8(body) {
                Ok(text) => Answer::text(200, self.reply(gateway, client, &text)),
                Err(_) => Answer::text(400, "this text is not UTF-8"),
            }
        };
        self.record(start, Kind::Message, client, &sent, answer)
    }

    /// `DELETE`: the client has gone.
    pub(super) fn close(&self, client: &str, connection: &str, code: &str, reason: &str) -> Answer {
        let start = Instant::now();
        self.state().disconnect(client, connection);
        let sent = format!("{code} {reason}");
        self.record(start, Kind::Close, client, sent.trim(), Answer::text(200, "ok"))
    }

    /// Pushes a message to a client.
    pub(super) fn push(&self, gateway: &Gateway, client: &str, body: &[u8], binary: bool) -> Said {
        let start = Instant::now();
        let said = gateway.push(client, body, binary);
        self.record_asked(start, Kind::Push, client, shown_body(body, binary), &said);
        said
    }

    /// Closes a client's connection.
    pub(super) fn kick(&self, gateway: &Gateway, client: &str, code: &str, reason: &str) -> Said {
        let start = Instant::now();
        let said = gateway.kick(client, code, reason);
        self.record_asked(start, Kind::Kick, client, format!("{code} {reason}").trim().into(), &said);
        said
    }

    /// The API's side of the conversation.
    fn reply(&self, gateway: &Gateway, client: &str, text: &str) -> String {
        let addressed = text.strip_prefix('@').and_then(|rest| rest.split_once(' '));
        match (addressed, text.trim()) {
            (Some((to, what)), _) if !to.is_empty() => {
                let said = self.push(gateway, to, format!("{client}: {what}").as_bytes(), false);
                match said.status {
                    200..300 => format!("pushed to {to}"),
                    404 => format!("{to} is not connected"),
                    status => format!("not pushed to {to}: {status} {}", said.text),
                }
            }
            (_, "/who") => format!("connected: {}", self.state().clients().collect::<Vec<_>>().join(", ")),
            (_, "/help") => HELP.into(),
            (_, "/quiet") => String::new(),
            _ => format!("you said: {text}"),
        }
    }

    fn record(&self, start: Instant, kind: Kind, client: &str, sent: &str, answer: Answer) -> Answer {
        self.state().record(&Event {
            kind,
            client: client.into(),
            sent: sent.into(),
            status: answer.status,
            answer: match &answer.body {
                Body::Text(text) => text.clone(),
                Body::Binary(bytes) => shown_body(bytes, true),
            },
            took: start.elapsed(),
        });
        answer
    }

    fn record_asked(&self, start: Instant, kind: Kind, client: &str, sent: String, said: &Said) {
        let (status, answer) = (said.status, said.text.clone());
        self.state().record(&Event { kind, client: client.into(), sent, status, answer, took: start.elapsed() });
    }
}

/// A message as the event log shows it.
fn shown_body(body: &[u8], binary: bool) -> String {
    if binary { format!("{} bytes of binary", body.len()) } else { String::from_utf8_lossy(body).into_owned() }
}
