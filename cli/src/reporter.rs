//! What the gateway reports, in the log: the first of a kind at once, floods as summaries.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use ws2http_core::Report;

use crate::demo::Demo;

/// A kind is logged at most so often.
const PAUSE: Duration = Duration::from_secs(10);

/// No failure needs more of a line, in characters.
const LONGEST: usize = 300;

/// Logs reports and the start; shared by the workers. A lock is taken only when something failed.
#[derive(Debug)]
pub struct Reporter {
    failed: Arc<Kind>,
    lost: Arc<Kind>,
    demo: Option<Arc<Demo>>,
}

impl Default for Reporter {
    fn default() -> Self {
        Reporter::new(None)
    }
}

impl Reporter {
    pub(crate) fn new(demo: Option<Arc<Demo>>) -> Self {
        Reporter {
            failed: Arc::new(Kind::new("a call to the API failed", PAUSE)),
            lost: Arc::new(Kind::new("the API does not know that a client has gone", PAUSE)),
            demo,
        }
    }

    /// Logs what a gateway reported.
    pub fn report(&self, report: Report) {
        match report {
            Report::CallFailed { method, client, failure } => {
                self.failed.report(format!("{method} of {}: {}", one_line(&client), one_line(&failure)));
            }
            Report::DisconnectLost { client, connection, attempts } => self.lost.report(format!(
                "DELETE of {} (connection {connection}) given up after {attempts} attempts",
                one_line(&client)
            )),
            Report::MessagesLost { messages } => {
                warn!("{messages} messages of clients did not reach the API before the drain ended");
            }
        }
    }

    /// Logs that all listeners are bound. Test suites read this line for the ports.
    pub fn listening(&self, public: SocketAddr, control: Option<SocketAddr>) {
        match control {
            Some(control) => info!(%public, %control, "listening"),
            None => info!(%public, "listening"),
        }
        if let Some(demo) = &self.demo {
            demo.gateway_listening(public, control);
            info!(page = demo.page_url(), "demo: open the page in a browser, in two tabs");
        }
    }

    /// Logs what has been held back.
    pub(crate) fn flush(&self) {
        self.failed.flush();
        self.lost.flush();
    }
}

/// One kind of report.
#[derive(Debug)]
struct Kind {
    what: &'static str,
    pause: Duration,
    held: Mutex<Held>,
}

/// What has not been logged since something was.
#[derive(Debug, Default)]
struct Held {
    logged: Option<Instant>,
    more: u64,
    last: String,
}

/// What to do about one more.
#[derive(Debug, PartialEq)]
enum Next {
    Log(String),
    /// It is the first that is held back: summarise after so long.
    SummariseIn(Duration),
    Wait,
}

impl Kind {
    fn new(what: &'static str, pause: Duration) -> Self {
        Kind { what, pause, held: Mutex::default() }
    }

    fn report(self: &Arc<Self>, text: String) {
        // The lock is given back before anything is written: standard error may be slow.
        let next = self.held().add(text, self.pause, Instant::now());
        match next {
            Next::Log(text) => warn!("{}: {text}", self.what),
            Next::SummariseIn(time) => self.summarise_in(time),
            Next::Wait => {}
        }
    }

    /// At most one thread for each pause, and none while nothing fails.
    fn summarise_in(self: &Arc<Self>, time: Duration) {
        let kind = Arc::clone(self);
        let summarise = move || {
            thread::sleep(time);
            kind.flush();
        };
        if thread::Builder::new().name("reporter".to_owned()).spawn(summarise).is_err() {
            self.flush();
        }
    }

    fn flush(&self) {
        let summary = self.held().summary(Instant::now());
        if let Some(summary) = summary {
            warn!("{}: {summary}", self.what);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, text: String, pause: Duration, now: Instant) -> Next {
        let due = self.logged.map(|logged| pause.saturating_sub(now.duration_since(logged)));
        let left = due.unwrap_or(Duration::ZERO);
        if self.more == 0 && left.is_zero() {
            self.logged = Some(now);
            return Next::Log(text);
        }
        self.more += 1;
        self.last = text;
        if self.more == 1 { Next::SummariseIn(left) } else { Next::Wait }
    }

    fn summary(&mut self, now: Instant) -> Option<String> {
        let (more, last) = (std::mem::take(&mut self.more), std::mem::take(&mut self.last));
        if more == 0 {
            return None;
        }
        self.logged = Some(now);
        Some(format!("{more} more, the last: {last}"))
    }
}

/// Peers choose parts of what is logged: no line of a log may be of their making, nor very long.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            line.push_str("...");
            break;
        }
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
