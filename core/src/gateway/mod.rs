//! One shard: the entry points of the state machine.

mod calls;
mod canary;
mod connect;
mod control;
mod drain;
mod ending;
mod holdings;
mod inbound;
mod messages;
mod outbound;
mod router;
mod scrape;
mod timeouts;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::call::Calls;
use crate::event::{Action, Event, Out, Peer, SocketEnd, Surface};
use crate::metrics::{Counters, Refused};
use crate::pool::Pool;
use crate::retries::Retries;
use crate::send_queue::Chunk;
use crate::session::{Message, Session, SessionId};
use crate::slab::Slab;
use crate::socket::{HttpWire, Socket, Wire};
use crate::timers::{TimerReason, Timers};
use crate::{CallId, Config, ConnId, ConnectionId, ShardId, Timestamp};

#[cfg(feature = "canaries")]
pub use canary::Canary;
pub use connect::HandOff;
use drain::Drain;
pub use holdings::Holdings;
use router::Router;

/// What the shards of one process share: counters, so that limits are exact.
#[derive(Debug)]
pub struct Shared {
    shards: u16,
    clients: AtomicUsize,
    sockets: AtomicUsize,
}

impl Shared {
    /// For a process of `shards` shards, numbered from 0; at least one.
    pub fn new(shards: u16) -> Self {
        Shared { shards: shards.max(1), clients: AtomicUsize::new(0), sockets: AtomicUsize::new(0) }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The share of one shard in a limit of the whole process: the shares add up to the limit,
    /// but each shard has at least one.
    pub fn share(&self, limit: usize, shard: ShardId) -> usize {
        let shards = usize::from(self.shards);
        let more = usize::from(usize::from(shard.0) < limit % shards);
        (limit / shards + more).max(1)
    }
}

/// One shard of the gateway: one thread's share of the clients.
///
/// # How to drive it
///
/// - [`accept`](Gateway::accept), [`adopt`](Gateway::adopt) and [`handle`](Gateway::handle) are the
///   only calls that change anything. After each, carry out all of [`Out::actions`], in order, and
///   empty it. Nothing that must be done waits inside.
/// - [`transmit`](Gateway::transmit), [`wants_read`](Gateway::wants_read) and
///   [`poll_timeout`](Gateway::poll_timeout) only look.
/// - Call `handle` with [`Event::Timeout`] when the time of `poll_timeout` has come; early or
///   repeated is safe. Look at `poll_timeout` again after every change.
/// - `now` never goes back.
/// - Read from a socket only while `wants_read`; offer what `transmit` gives to the socket and
///   report by [`Event::Sent`] what it took, also when that is nothing.
///
/// Nothing that a peer does is an error here: it becomes answers, close frames and reports.
/// Events about sockets or calls that are no more are ignored.
#[derive(Debug)]
pub struct Gateway {
    config: Arc<Config>,
    shard: ShardId,
    shared: Arc<Shared>,
    node: u64,
    connections: u64,
    /// When the event under way happened.
    now: Timestamp,
    out: Out,
    sockets: Slab<Socket>,
    /// Of the sockets, those that speak plain HTTP.
    http_sockets: usize,
    sessions: Slab<Session>,
    router: Router,
    chunks: Pool<Chunk>,
    messages: Pool<Message>,
    calls: Calls,
    retries: Retries,
    timers: Timers,
    /// Sockets whose stashed input has room again.
    resumable: VecDeque<ConnId>,
    /// Messages of all clients that wait for their call.
    waiting_messages: usize,
    drain: Option<Drain>,
    counters: Counters,
}

impl Gateway {
    /// A shard of the process that `shared` describes. All shards of a process are given the same
    /// `seed`, which must not repeat over nodes and restarts nor be known to clients: connection
    /// ids and hash keys are made of it.
    pub fn new(config: Arc<Config>, shard: ShardId, shared: Arc<Shared>, seed: [u8; 32], now: Timestamp) -> Gateway {
        let word = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&seed[8 * index..8 * index + 8]);
            u64::from_le_bytes(bytes)
        };
        let calls = Calls::new(&config, shared.share(config.max_api_connections, shard));
        Gateway {
            shard,
            node: word(0),
            connections: 0,
            now,
            out: Out::new(),
            sockets: Slab::new(),
            http_sockets: 0,
            sessions: Slab::new(),
            router: Router::new(word(1), word(2), shared.shards()),
            chunks: Pool::new(),
            messages: Pool::new(),
            calls,
            retries: Retries::new(word(3) ^ u64::from(shard.0)),
            timers: Timers::default(),
            resumable: VecDeque::new(),
            waiting_messages: 0,
            drain: None,
            counters: Counters::default(),
            config,
            shared,
        }
    }

    /// A socket was accepted. Beyond [`Config::max_sockets`] it is closed at once, but for one at a control
    /// listener of its own.
    pub fn accept(&mut self, now: Timestamp, peer: Peer, out: &mut Out) -> ConnId {
        self.enter(now, out);
        let mut socket = Socket::new(Wire::Http(Box::new(HttpWire::new(peer))), now);
        socket.deadline = now + self.config.handshake_timeout;
        let conn = self.sockets.insert(socket).into();
        self.http_sockets += 1;
        self.arm(conn);
        let before = self.shared.sockets.fetch_add(1, Ordering::Relaxed);
        if before >= self.config.max_sockets && peer.surface == Surface::Public {
            self.counters.refused(Refused::Capacity);
            self.close_socket(conn);
        }
        self.leave(out);
        conn
    }

    /// A socket comes from another shard, by [`Action::HandOff`]. It has been counted all the way.
    pub fn adopt(&mut self, now: Timestamp, handoff: HandOff, out: &mut Out) -> ConnId {
        self.enter(now, out);
        let (client, connecting) = handoff.into_parts();
        let conn = self.sockets.insert(Socket::new(Wire::Handshake(connecting), now)).into();
        self.admit(conn, client);
        self.leave(out);
        conn
    }

    /// Something happened.
    pub fn handle(&mut self, now: Timestamp, event: Event<'_>, out: &mut Out) {
        self.enter(now, out);
        match event {
            Event::Received(conn, bytes) => self.received(conn, bytes),
            Event::Sent(conn, count) => self.sent(conn, count),
            Event::SocketEnded(conn, SocketEnd::Eof) => self.read_closed(conn),
            Event::SocketEnded(conn, SocketEnd::Reset) => self.socket_lost(conn, "connection reset"),
            Event::SocketEnded(conn, SocketEnd::Failed) => self.socket_lost(conn, "connection failed"),
            Event::Reply(call, result) => self.replied(call, result),
            Event::Routed(message) => self.routed(message),
            Event::Observed(conn, process) => self.observed(conn, process),
            Event::Timeout => self.expire(),
            Event::Drain => self.start_drain(),
        }
        self.leave(out);
    }

    /// The next bytes for the socket, at most 64 KiB, in place of what `buffer` holds; none if
    /// there is nothing to send now.
    pub fn transmit(&self, conn: ConnId, buffer: &mut Vec<u8>) {
        buffer.clear();
        self.fill(conn, buffer);
    }

    /// Whether the socket should be read.
    pub fn wants_read(&self, conn: ConnId) -> bool {
        self.sockets.get(conn).is_some_and(|socket| self.may_read(socket))
    }

    /// When [`Event::Timeout`] is due, and for what. It may come up a little too often, never too late.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerReason)> {
        let candidates = [
            (self.timers.next(), TimerReason::Socket),
            (self.calls.next_deadline(), TimerReason::Call),
            (self.calls.next_impatient(), TimerReason::Call),
            (self.retries.next_due(), TimerReason::Disconnect),
            (self.retries.next_end(), TimerReason::Disconnect),
            (self.drain_due(), TimerReason::Drain),
        ];
        let timed = candidates.into_iter().filter_map(|(at, reason)| at.map(|at| (at, reason)));
        timed.min_by_key(|(at, _)| *at)
    }

    /// When a call under way will be given up ([`Action::CancelCall`]), for drivers whose HTTP client
    /// cannot be told so later.
    pub fn call_deadline(&self, call: CallId) -> Option<Timestamp> {
        self.calls.deadline(call)
    }

    /// The `X-Connection-Id` for a serial number of this shard.
    fn connection_id(&self, serial: u64) -> ConnectionId {
        ConnectionId { node: self.node, serial }
    }

    fn enter(&mut self, now: Timestamp, out: &mut Out) {
        debug_assert!(now >= self.now, "time went back");
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out, out);
    }

    fn leave(&mut self, out: &mut Out) {
        self.resume_all();
        self.send_calls();
        self.end_drain();
        std::mem::swap(&mut self.out, out);
    }

    fn act(&mut self, action: Action) {
        self.out.actions.push(action);
    }

    fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        self.sockets.get(conn)?.session
    }
}
