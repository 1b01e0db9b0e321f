//! What the demo remembers: who is connected, what happened, how often. All of it is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The most clients that may be connected.
const MAX_CLIENTS: usize = 1000;
/// The most events that are kept; older ones are forgotten.
const MAX_EVENTS: usize = 200;
/// The most characters of a message that an event shows.
const MAX_SHOWN: usize = 200;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Message,
    Close,
    Push,
    Kick,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Connect => "connect",
            Kind::Message => "message",
            Kind::Close => "close",
            Kind::Push => "push",
            Kind::Kick => "kick",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Kind::Connect => "GET",
            Kind::Message | Kind::Push => "POST",
            Kind::Close | Kind::Kick => "DELETE",
        }
    }
}

/// One HTTP request between gateway and API, in either direction, with its answer.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    /// The ClientId.
    pub(super) client: String,
    /// What the request said.
    pub(super) sent: String,
    pub(super) status: u16,
    /// What the answer said.
    pub(super) answer: String,
    pub(super) took: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    connects: u64,
    refused: u64,
    messages: u64,
    replies: u64,
    pushes: u64,
    undelivered: u64,
    kicks: u64,
    closes: u64,
}

/// The memory of one demo.
#[derive(Debug)]
pub(super) struct State {
    /// Milliseconds since the Unix epoch; tells a page that the demo has been started anew.
    started: u64,
    /// ClientId to connection id.
    clients: BTreeMap<String, String>,
    counts: Counts,
    events: VecDeque<Value>,
    /// How many events there have been; they are numbered from 1.
    last: u64,
}

impl State {
    pub(super) fn new() -> State {
        State {
            started: unix_millis(),
            clients: BTreeMap::new(),
            counts: Counts::default(),
            events: VecDeque::new(),
            last: 0,
        }
    }

    /// Notes that `client` has connected. `false` if there are too many already.
    pub(super) fn connect(&mut self, client: &str, connection: &str) -> bool {
        let room = self.clients.len() < MAX_CLIENTS || self.clients.contains_key(client);
        if room {
            self.clients.insert(client.into(), connection.into());
        }
        room
    }

    /// Notes that `connection` has ended. A newer connection of the same client stays.
    pub(super) fn disconnect(&mut self, client: &str, connection: &str) {
        if self.clients.get(client).is_some_and(|current| current == connection) {
            self.clients.remove(client);
        }
    }

    /// The ClientIds connected, in alphabetical order.
    pub(super) fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(String::as_str)
    }

    /// Counts an event and keeps it for the page.
    pub(super) fn record(&mut self, event: &Event) {
        self.counts.add(event);
        self.last += 1;
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(json!({
            "n": self.last,
            "at": unix_millis(),
            "kind": event.kind.name(),
            "method": event.kind.method(),
            "client": event.client,
            "sent": shown(&event.sent),
            "status": event.status,
            "answer": shown(&event.answer),
            "micros": u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX),
        }));
    }

    /// What the page asks for: everything, with the events numbered above `after`.
    pub(super) fn report(&self, after: u64, gateway: &Value) -> Value {
        let known = self.events.len() as u64;
        let first = self.last - known;
        let skip = usize::try_from(after.clamp(first, self.last) - first).unwrap_or(usize::MAX);
        json!({
            "started": self.started,
            "gateway": gateway,
            "clients": self.clients().collect::<Vec<_>>(),
            "counts": self.counts.report(self.clients.len()),
            "events": self.events.iter().skip(skip).collect::<Vec<_>>(),
            "last": self.last,
        })
    }
}

impl Counts {
    fn add(&mut self, event: &Event) {
        let good = matches!(event.status, 200..300);
        let count = match event.kind {
            Kind::Connect if good => &mut self.connects,
            Kind::Connect => &mut self.refused,
            Kind::Message => &mut self.messages,
            Kind::Close => &mut self.closes,
            Kind::Push if good => &mut self.pushes,
            Kind::Push => &mut self.undelivered,
            Kind::Kick if good => &mut self.kicks,
            Kind::Kick => return,
        };
        *count += 1;
        if event.kind == Kind::Message && good && !event.answer.is_empty() {
            self.replies += 1;
        }
    }

    fn report(&self, connected: usize) -> Value {
        json!({
            "connected": connected,
            "connects": self.connects,
            "refused": self.refused,
            "messages": self.messages,
            "replies": self.replies,
            "pushes": self.pushes,
            "undelivered": self.undelivered,
            "kicks": self.kicks,
            "closes": self.closes,
        })
    }
}

/// `text`, cut to what an event shows.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
