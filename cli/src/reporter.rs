//! What the gateway reports, in the log: the first of a kind at once, floods as summaries.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use ws2http_core::Report;

use crate::demo::Demo;

/// A kind is summarised at most so often.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of report.
#[derive(Debug, Default)]
struct Kind {
    logged: Option<Instant>,
    /// Since then, not logged.
    more: u64,
    last: String,
}

impl Kind {
    /// What to log of one more, if anything.
    fn add(&mut self, text: String, now: Instant) -> Option<String> {
        if self.logged.is_some_and(|logged| now.duration_since(logged) < PAUSE) {
            self.more += 1;
            self.last = text;
            return None;
        }
        self.logged = Some(now);
        let more = std::mem::take(&mut self.more);
        Some(if more == 0 { text } else { format!("{text} (and {more} more since the last line)") })
    }

    fn flush(&mut self) -> Option<String> {
        let more = std::mem::take(&mut self.more);
        (more > 0).then(|| format!("{} (and {} more)", self.last, more - 1))
    }
}

/// Logs reports and the start; shared by the workers. A lock is taken only when something failed.
#[derive(Debug, Default)]
pub struct Reporter {
    failed: Mutex<Kind>,
    lost: Mutex<Kind>,
    demo: Option<Arc<Demo>>,
}

impl Reporter {
    pub(crate) fn new(demo: Option<Arc<Demo>>) -> Self {
        Reporter { demo, ..Reporter::default() }
    }

    /// Logs what a gateway reported.
    pub fn report(&self, report: Report) {
        let now = Instant::now();
        match report {
            Report::CallFailed { method, client, failure } => {
                let text = format!("{method} of {client} failed: {}", one_line(&failure));
                if let Some(line) = lock(&self.failed).add(text, now) {
                    warn!("call to the API: {line}");
                }
            }
            Report::DisconnectLost { client, connection, attempts } => {
                let text = format!("DELETE of {client} (connection {connection}) given up after {attempts} attempts");
                if let Some(line) = lock(&self.lost).add(text, now) {
                    warn!("the API does not know that a client has gone: {line}");
                }
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
        for (kind, what) in
            [(&self.failed, "call to the API"), (&self.lost, "the API does not know that a client has gone")]
        {
            if let Some(line) = lock(kind).flush() {
                warn!("{what}: {line}");
            }
        }
    }
}

fn lock(kind: &Mutex<Kind>) -> std::sync::MutexGuard<'_, Kind> {
    kind.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Peers choose parts of what is logged: no line of a log may be of their making.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_then_a_summary() {
        let (mut kind, start) = (Kind::default(), Instant::now());
        assert_eq!(kind.add("first".to_owned(), start), Some("first".to_owned()));
        for _ in 0..99 {
            assert_eq!(kind.add("again".to_owned(), start + PAUSE / 2), None);
        }
        let line = kind.add("later".to_owned(), start + PAUSE);
        assert_eq!(line, Some("later (and 99 more since the last line)".to_owned()));
        assert_eq!(kind.flush(), None);
    }

    #[test]
    fn what_was_held_back_is_told_at_the_end() {
        let (mut kind, start) = (Kind::default(), Instant::now());
        kind.add("first".to_owned(), start);
        kind.add("second".to_owned(), start);
        kind.add("third".to_owned(), start);
        assert_eq!(kind.flush(), Some("third (and 1 more)".to_owned()));
    }

    #[test]
    fn peers_cannot_make_lines() {
        assert_eq!(one_line("a\nb\x1b[31m\u{85}é"), "a\\nb\\u{1b}[31m\\u{85}é");
    }
}
