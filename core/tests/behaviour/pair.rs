//! The pair that all tests drive: clients and an API around one or several shards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ws2http_core::{
    Action, ApiAddress, CallError, CallId, Config, ConnId, Event, Gateway, Out, Peer, ProcessStats, Report, ShardId,
    Shared, SocketEnd, Surface, Timestamp,
};

use crate::client::Sock;

/// A call that the API has not answered.
pub(crate) struct Call {
    pub(crate) shard: usize,
    pub(crate) id: CallId,
    pub(crate) request: Request<Bytes>,
    pub(crate) fresh: bool,
}

impl Call {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.request.method(), self.request.uri().path_and_query().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.request.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn body(&self) -> String {
        String::from_utf8_lossy(self.request.body()).into_owned()
    }
}

/// Shards, their clients, their API, and the time.
pub(crate) struct Pair {
    pub(crate) shards: Vec<Gateway>,
    pub(crate) now: Timestamp,
    /// Calls that wait for their answer, oldest first.
    pub(crate) calls: Vec<Call>,
    /// All calls there ever were, as `METHOD path`.
    pub(crate) log: Vec<String>,
    pub(crate) cancelled: usize,
    /// How often there was something to write.
    pub(crate) transmits: usize,
    pub(crate) reports: Vec<Report>,
    pub(crate) drained: usize,
    socks: Vec<Sock>,
    places: BTreeMap<(usize, ConnId), usize>,
}

pub(crate) fn config() -> Config {
    Config::new(ApiAddress::parse("http://api:8000/base").unwrap())
}

/// One shard with the settings that `change` makes of the defaults.
pub(crate) fn pair(change: impl FnOnce(&mut Config)) -> Pair {
    pair_of(1, change)
}

pub(crate) fn pair_of(shards: u16, change: impl FnOnce(&mut Config)) -> Pair {
    let mut config = config();
    change(&mut config);
    let (config, shared, now) = (Arc::new(config), Arc::new(Shared::new(shards)), Timestamp::from_micros(5_000_000));
    let gateway = |shard| Gateway::new(config.clone(), ShardId(shard), shared.clone(), [7; 32], now);
    Pair {
        shards: (0..shards).map(gateway).collect(),
        now,
        calls: Vec::new(),
        log: Vec::new(),
        cancelled: 0,
        transmits: 0,
        reports: Vec::new(),
        drained: 0,
        socks: Vec::new(),
        places: BTreeMap::new(),
    }
}

impl Pair {
    /// A new socket to shard 0, on the public listener.
    pub(crate) fn socket(&mut self) -> usize {
        self.socket_at(0, Surface::Public)
    }

    pub(crate) fn socket_at(&mut self, shard: usize, surface: Surface) -> usize {
        let peer = Peer { address: [192, 0, 2, 7].into(), surface };
        let mut out = Out::new();
        let conn = self.shards[shard].accept(self.now, peer, &mut out);
        self.socks.push(Sock::new(shard, conn));
        self.places.insert((shard, conn), self.socks.len() - 1);
        self.run(shard, out);
        self.socks.len() - 1
    }

    pub(crate) fn sock(&mut self, sock: usize) -> &mut Sock {
        &mut self.socks[sock]
    }

    /// The client sends bytes; what the gateway does not want to read yet stays in the socket.
    pub(crate) fn send(&mut self, sock: usize, bytes: impl AsRef<[u8]>) {
        self.socks[sock].unread.extend_from_slice(bytes.as_ref());
        self.feed(sock);
    }

    fn feed(&mut self, sock: usize) {
        let Sock { shard, conn, closed, .. } = self.socks[sock];
        while !closed && !self.socks[sock].unread.is_empty() && self.shards[shard].wants_read(conn) {
            let unread = &mut self.socks[sock].unread;
            let mut piece: Vec<u8> = unread.drain(..unread.len().min(64 * 1024)).collect();
            self.event(shard, Event::Received(conn, &mut piece));
            if (self.socks[sock].shard, self.socks[sock].conn) != (shard, conn) || self.socks[sock].closed {
                return self.feed_moved(sock);
            }
        }
    }

    fn feed_moved(&mut self, sock: usize) {
        if !self.socks[sock].closed {
            self.feed(sock);
        }
    }

    pub(crate) fn end(&mut self, sock: usize, end: SocketEnd) {
        let Sock { shard, conn, .. } = self.socks[sock];
        if end != SocketEnd::Eof {
            self.socks[sock].closed = true;
        }
        self.event(shard, Event::SocketEnded(conn, end));
    }

    /// Lets the socket take bytes again.
    pub(crate) fn unblock(&mut self, sock: usize) {
        self.socks[sock].blocked = false;
        self.write(sock);
    }

    /// Tells one shard what happened, and does what follows.
    pub(crate) fn event(&mut self, shard: usize, event: Event<'_>) {
        let mut out = Out::new();
        self.shards[shard].handle(self.now, event, &mut out);
        self.run(shard, out);
    }

    fn run(&mut self, shard: usize, out: Out) {
        for action in out.actions {
            match action {
                Action::Transmit(conn) => {
                    self.transmits += 1;
                    self.with(shard, conn, Self::write);
                }
                Action::Resume(conn) => self.with(shard, conn, Self::feed),
                Action::Shutdown(conn) => self.with(shard, conn, |pair, sock| pair.socks[sock].fin = true),
                Action::Close(conn) => self.with(shard, conn, |pair, sock| pair.socks[sock].closed = true),
                Action::Call { id, request, fresh } => {
                    let call = Call { shard, id, request, fresh };
                    self.log.push(call.line());
                    self.calls.push(call);
                }
                Action::CancelCall(id) => {
                    self.cancelled += 1;
                    self.calls.retain(|call| (call.shard, call.id) != (shard, id));
                }
                Action::HandOff(conn, to, handoff) => self.hand_off(shard, conn, usize::from(to.0), *handoff),
                Action::Route(to, message) => self.event(usize::from(to.0), Event::Routed(message)),
                Action::Observe(conn) => {
                    let stats = ProcessStats { resident_bytes: 4096, ..ProcessStats::default() };
                    self.event(shard, Event::Observed(conn, stats));
                }
                Action::Report(report) => self.reports.push(report),
                Action::Drained => self.drained += 1,
            }
        }
    }

    fn with(&mut self, shard: usize, conn: ConnId, act: impl FnOnce(&mut Self, usize)) {
        if let Some(sock) = self.places.get(&(shard, conn)).copied() {
            act(self, sock);
        }
    }

    fn hand_off(&mut self, from: usize, conn: ConnId, to: usize, handoff: ws2http_core::HandOff) {
        let sock = self.places.remove(&(from, conn)).unwrap();
        let mut out = Out::new();
        let conn = self.shards[to].adopt(self.now, handoff, &mut out);
        (self.socks[sock].shard, self.socks[sock].conn) = (to, conn);
        self.places.insert((to, conn), sock);
        self.run(to, out);
    }

    fn write(&mut self, sock: usize) {
        let mut buffer = Vec::new();
        loop {
            let Sock { shard, conn, blocked, closed, .. } = self.socks[sock];
            self.shards[shard].transmit(conn, &mut buffer);
            if buffer.is_empty() || closed {
                return;
            }
            let taken = if blocked { 0 } else { buffer.len() };
            self.socks[sock].received.extend_from_slice(&buffer[..taken]);
            self.event(shard, Event::Sent(conn, taken));
            if blocked {
                return;
            }
        }
    }

    /// Answers the oldest call.
    pub(crate) fn answer(&mut self, status: u16, body: impl Into<Bytes>) {
        self.respond(Response::builder().status(status).body(body.into()).unwrap());
    }

    pub(crate) fn respond(&mut self, response: Response<Bytes>) {
        self.finish(Ok(response));
    }

    pub(crate) fn fail(&mut self, error: CallError) {
        self.finish(Err(error));
    }

    fn finish(&mut self, result: Result<Response<Bytes>, CallError>) {
        assert!(!self.calls.is_empty(), "nothing was asked; so far: {:?}", self.log);
        let call = self.calls.remove(0);
        self.event(call.shard, Event::Reply(call.id, result));
    }

    /// The calls under way, as `METHOD path`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.calls.iter().map(Call::line).collect()
    }

    /// Lets time pass, waking the shards exactly when they want to be woken.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..100_000 {
            let due = self.shards.iter().map(|shard| shard.poll_timeout().map(|(at, _)| at));
            let next = due.enumerate().filter_map(|(shard, at)| at.map(|at| (at, shard))).min();
            match next.filter(|(at, _)| *at <= end) {
                Some((at, shard)) => {
                    self.now = self.now.max(at);
                    self.event(shard, Event::Timeout);
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("a shard wants to be woken again and again");
    }

    /// Connects a client and has the API say ok.
    pub(crate) fn open(&mut self, id: &str) -> usize {
        let sock = self.handshake(id);
        assert_eq!(self.asked().last(), Some(&format!("GET /base/{id}")));
        let call = self.calls.pop().unwrap();
        self.event(call.shard, Event::Reply(call.id, Ok(Response::new(Bytes::from_static(b"ok")))));
        assert_eq!(self.sock(sock).take_http().status, 101);
        sock
    }

    /// Sends a handshake; the API is asked.
    pub(crate) fn handshake(&mut self, id: &str) -> usize {
        let sock = self.socket();
        self.send(sock, crate::client::handshake(id, ""));
        sock
    }

    /// A control request on a connection of its own, and its answer.
    pub(crate) fn control(&mut self, request: &str) -> crate::client::Answer {
        let sock = self.socket();
        self.send(sock, request);
        self.sock(sock).take_http()
    }

    pub(crate) fn push(&mut self, id: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let answer = self.control(&format!("POST /{id} HTTP/1.1\r\nHost: g\r\nContent-Length: {length}\r\n\r\n{body}"));
        (answer.status, answer.body)
    }

    /// The value of a sample in the metrics.
    pub(crate) fn metric(&mut self, sample: &str) -> u64 {
        let page = self.control("GET /metrics HTTP/1.1\r\nHost: g\r\n\r\n").body;
        let line = page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == sample));
        let line = line.unwrap_or_else(|| panic!("no {sample} in {page}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Nothing is left over: no call, no session, no deadline.
    pub(crate) fn assert_empty(&mut self) {
        assert_eq!(self.asked(), Vec::<String>::new());
        for sample in [
            "active_connections",
            "ws2http_disconnects_pending",
            "ws2http_api_calls_in_flight",
            "ws2http_api_calls_waiting",
        ] {
            assert_eq!(self.metric(sample), 0, "{sample}");
        }
    }
}
