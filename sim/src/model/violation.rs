//! Breaches of the contract, as values.

use std::fmt;

use ws2http_core::Timestamp;

/// What the gateway owes, each a sentence of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Law {
    /// Every connect that the API answered with ok has exactly one DELETE taken, the last request of
    /// its connection (section 6).
    OneDelete,
    /// Nothing is asked about a connection before its GET, nor after its end (section 6).
    Lifecycle,
    /// Requests of one ClientId do not overlap across connections, nor more of one connection than
    /// allowed (sections 4 and 6).
    NoOverlap,
    /// Messages reach the API in the order sent, each at most once, none skipped (section 4).
    MessageOrder,
    /// What the client hears is an answer to a message of this very connection or a push to it, in
    /// order, once (sections 4 and 5).
    Delivery,
    /// A push that was answered 200 or 202 reaches its client, before what was queued later
    /// (sections 3.5 and 5).
    PushKept,
    /// A control request is answered as the state of its client demands (section 5).
    ControlAnswer,
    /// A connect is answered as the API's answer demands (section 3).
    HandshakeAnswer,
    /// The API is told the truth about a connect: id, query, headers (sections 2 and 3).
    Request,
    /// Close codes and reasons, towards API and client (sections 6, 7 and 8).
    CloseCode,
    /// The API is asked about bad handshakes, or a second time (section 3.1).
    Duplicate,
    /// Queues stay within their limits (section 10).
    Limits,
    /// Things take no longer than their timeout (sections 3, 6 and 8).
    Deadline,
    /// Counters agree with what was seen (section 11).
    Metrics,
    /// In the end nothing is left over (section 8).
    Drain,
}

/// One breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen.
    pub at: Timestamp,
    /// Of which law.
    pub law: Law,
    /// What happened, for a person.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.at, self.law, self.text)
    }
}
