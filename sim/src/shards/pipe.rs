//! A socket between a client and the gateway: bytes on their way, buffers, ends.

use std::collections::VecDeque;
use std::time::Duration;

use ws2http_core::{ConnId, Event, Out, Peer, SocketEnd, Surface, Timestamp};

use super::Feature;
use super::world::{Phase, Step, World};
use crate::model::{Cut, Observation};

/// Index into the world's pipes.
pub(super) type PipeId = usize;

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Client(usize),
    Control(usize),
    /// Nobody whom a model judges: noise.
    Noise,
}

/// Where the gateway's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On its way to this shard's listener.
    Accepting(usize),
    At(usize, ConnId),
    /// Between two shards.
    Moving,
    Gone,
}

/// What travels in one direction.
#[derive(Clone, Debug)]
enum Flow {
    Bytes(Vec<u8>),
    End(SocketEnd),
}

/// One socket.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) owner: Owner,
    pub(super) peer: Peer,
    pub(super) place: Place,
    /// On the way to the gateway, with the time of arrival.
    up: VecDeque<(Timestamp, Flow)>,
    last_up: Timestamp,
    /// Arrived and not read.
    inbox: Vec<u8>,
    /// How the client's end ended, to be read behind the inbox.
    end: Option<SocketEnd>,
    /// The gateway's task waits for the socket, not only for [`ws2http_core::Action::Resume`].
    pub(super) interested: bool,
    reading: bool,
    /// On the way to the client.
    down: VecDeque<(Timestamp, Flow)>,
    last_down: Timestamp,
    /// Bytes that the gateway wrote and the client has not read.
    unread: usize,
    /// The gateway waits for room.
    full: bool,
    fin_sent: bool,
    /// Arrived at the client and not read.
    pub(super) client_inbox: Vec<u8>,
    client_end: bool,
    /// The client reads.
    pub(super) client_reads: bool,
    /// The client's end is closed both ways: what arrives is answered with a reset.
    pub(super) client_gone: bool,
    /// Nothing arrives at either end until it is released.
    held: bool,
    /// The other end is never heard of again.
    pub(super) vanished: bool,
}

impl Pipe {
    fn new(owner: Owner, peer: Peer, shard: usize) -> Self {
        Pipe {
            owner,
            peer,
            place: Place::Accepting(shard),
            up: VecDeque::new(),
            last_up: Timestamp::ZERO,
            inbox: Vec::new(),
            end: None,
            interested: false,
            reading: false,
            down: VecDeque::new(),
            last_down: Timestamp::ZERO,
            unread: 0,
            full: false,
            fin_sent: false,
            client_inbox: Vec::new(),
            client_end: false,
            client_reads: true,
            client_gone: false,
            held: false,
            vanished: false,
        }
    }

    /// So much waits for the gateway that the client can write no more.
    pub(super) fn is_full(&self) -> bool {
        self.inbox.len() > 20_000 || self.up.len() > 100
    }

    /// Nothing is on its way, at either end.
    pub(super) fn is_at_rest(&self) -> bool {
        // Nobody is left to read what lies at the end of a socket that both have given up.
        let forgotten = self.place == Place::Gone && self.client_gone;
        let still = self.up.is_empty() && self.down.is_empty() && self.inbox.is_empty() && self.client_inbox.is_empty();
        !self.is_between() && (forgotten || still)
    }

    /// No shard holds the gateway's end, but one will.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.place, Place::Accepting(_) | Place::Moving)
    }
}

impl World {
    /// A new socket, on its way to a listener.
    pub(super) fn connect(&mut self, owner: Owner, surface: Surface) -> PipeId {
        let address = [192, 0, 2, self.draw.below(200) as u8].into();
        let shard = self.draw.below(self.shards.len() as u64) as usize;
        self.pipes.push(Pipe::new(owner, Peer { address, surface }, shard));
        let pipe = self.pipes.len() - 1;
        let time = self.client_time();
        let at = self.now + time;
        self.pipes[pipe].last_up = at;
        self.queue.push(at, Step::Accept(pipe));
        pipe
    }

    fn client_time(&mut self) -> Duration {
        self.draw.time(self.plan.client_latency.0, self.plan.client_latency.1)
    }

    /// The client sends bytes, in pieces or not.
    pub(super) fn send_up(&mut self, pipe: PipeId, bytes: Vec<u8>) {
        let pieces = self.phase == Phase::Faults && self.has(Feature::Split) && self.draw.percent(40);
        if !pieces || bytes.len() < 2 {
            return self.flow_up(pipe, Flow::Bytes(bytes));
        }
        self.count("split");
        let mut rest = &bytes[..];
        let most = *self.draw.pick(&[7, 1, 40]);
        // A long message byte by byte would be most of a world.
        let least = rest.len() as u64 / 30 + 1;
        while !rest.is_empty() {
            let length = (self.draw.between(least, most.max(least)) as usize).min(rest.len());
            let (piece, after) = rest.split_at(length);
            self.flow_up(pipe, Flow::Bytes(piece.to_vec()));
            rest = after;
        }
    }

    fn flow_up(&mut self, pipe: PipeId, flow: Flow) {
        let time = self.client_time();
        let state = &mut self.pipes[pipe];
        if state.vanished {
            return;
        }
        let at = (self.now + time).max(state.last_up);
        state.last_up = at;
        state.up.push_back((at, flow));
        self.queue.push(at, Step::Arrive(pipe));
    }

    pub(super) fn arrive(&mut self, pipe: PipeId) {
        let state = &mut self.pipes[pipe];
        if state.held || state.vanished {
            return;
        }
        while let Some((_, flow)) = state.up.pop_front_if(|(at, _)| *at <= self.now) {
            match flow {
                _ if state.end == Some(SocketEnd::Reset) => {}
                Flow::Bytes(bytes) => state.inbox.extend(bytes),
                Flow::End(end) => {
                    if end != SocketEnd::Eof {
                        // A reset throws away what has not been read.
                        state.inbox.clear();
                    }
                    state.end = Some(end);
                }
            }
        }
        match self.pipes[pipe].place {
            Place::Gone => {
                self.pipes[pipe].inbox.clear();
                self.refuse_bytes(pipe);
            }
            Place::At(..) => {
                let state = &self.pipes[pipe];
                if state.full && state.end.is_some_and(|end| end != SocketEnd::Eof) {
                    // A reset wakes those who wait for room, too.
                    self.after(Duration::ZERO, Step::Write(pipe));
                }
                self.plan_read(pipe);
            }
            Place::Accepting(_) | Place::Moving => {}
        }
    }

    /// Bytes for a socket that the gateway has closed: the client is reset.
    fn refuse_bytes(&mut self, pipe: PipeId) {
        if !self.pipes[pipe].client_gone && self.pipes[pipe].end.is_none() {
            self.flow_down(pipe, Flow::End(SocketEnd::Reset));
        }
    }

    pub(super) fn plan_read(&mut self, pipe: PipeId) {
        let state = &mut self.pipes[pipe];
        let something = !state.inbox.is_empty() || state.end.is_some();
        if state.interested && something && !std::mem::replace(&mut state.reading, true) {
            let time = Duration::from_micros(self.draw.below(20));
            self.after(time, Step::Read(pipe));
        }
    }

    /// The gateway's task for the socket runs.
    pub(super) fn read(&mut self, pipe: PipeId) {
        self.pipes[pipe].reading = false;
        let Place::At(shard, conn) = self.pipes[pipe].place else { return };
        if !self.shards[shard].gateway.wants_read(conn) {
            self.pipes[pipe].interested = false;
            return;
        }
        if !self.pipes[pipe].inbox.is_empty() {
            let most = self.pipes[pipe].inbox.len() as u64;
            let split = self.phase == Phase::Faults && self.has(Feature::Split) && self.draw.percent(30);
            let length = if split { self.draw.between((most / 20).max(1), most) } else { most.min(65_536) };
            let mut piece: Vec<u8> = self.pipes[pipe].inbox.drain(..length as usize).collect();
            self.tell(shard, Event::Received(conn, &mut piece));
            return self.plan_read(pipe);
        }
        let Some(end) = self.pipes[pipe].end.take() else { return };
        if end != SocketEnd::Eof {
            self.places.remove(&(shard, conn));
            self.pipes[pipe].place = Place::Gone;
            self.pipes[pipe].end = Some(end);
        }
        self.tell(shard, Event::SocketEnded(conn, end));
    }

    /// The driver's loop of writing.
    pub(super) fn transmit(&mut self, shard: usize, conn: ConnId, pipe: PipeId, more: &mut Out) {
        let mut buffer = Vec::new();
        loop {
            let gateway = &mut self.shards[shard].gateway;
            gateway.transmit(conn, &mut buffer);
            if buffer.is_empty() {
                return;
            }
            let state = &mut self.pipes[pipe];
            if let Some(end) = state.end.filter(|end| *end != SocketEnd::Eof) {
                state.place = Place::Gone;
                self.places.remove(&(shard, conn));
                gateway.handle(self.now, Event::SocketEnded(conn, end), more);
                return;
            }
            let window = match state.owner {
                Owner::Client(_) => self.plan.window,
                // A page of metrics by the spoonful would be most of a world.
                Owner::Control(_) | Owner::Noise => self.plan.window.max(1000),
            };
            let room = window.saturating_sub(state.unread);
            let taken = buffer.len().min(room);
            if taken == 0 {
                if std::mem::replace(&mut state.full, true) && !self.draw.percent(30) {
                    return;
                }
                *self.counts.entry("full sockets").or_default() += 1;
                gateway.handle(self.now, Event::Sent(conn, 0), more);
                return;
            }
            state.full = false;
            state.unread += taken;
            gateway.handle(self.now, Event::Sent(conn, taken), more);
            self.note(|| format!("s{shard} sent {taken} to {conn}"));
            self.flow_down(pipe, Flow::Bytes(buffer[..taken].to_vec()));
        }
    }

    pub(super) fn write_again(&mut self, pipe: PipeId) {
        let Place::At(shard, conn) = self.pipes[pipe].place else { return };
        let mut out = Out::new();
        self.transmit(shard, conn, pipe, &mut out);
        self.carry_out(shard, out);
    }

    fn flow_down(&mut self, pipe: PipeId, flow: Flow) {
        let time = self.client_time();
        let state = &mut self.pipes[pipe];
        let at = (self.now + time).max(state.last_down);
        state.last_down = at;
        state.down.push_back((at, flow));
        self.queue.push(at, Step::Deliver(pipe));
    }

    pub(super) fn send_fin(&mut self, pipe: PipeId) {
        if !std::mem::replace(&mut self.pipes[pipe].fin_sent, true) {
            self.flow_down(pipe, Flow::End(SocketEnd::Eof));
        }
    }

    pub(super) fn gateway_closes(&mut self, pipe: PipeId) {
        self.pipes[pipe].place = Place::Gone;
        if self.pipes[pipe].inbox.is_empty() {
            self.send_fin(pipe);
        } else {
            // Unread bytes make of the close a reset.
            self.pipes[pipe].inbox.clear();
            self.flow_down(pipe, Flow::End(SocketEnd::Reset));
        }
    }

    /// Bytes arrive at the client's machine; the client reads them if it reads at all.
    pub(super) fn deliver(&mut self, pipe: PipeId) {
        let state = &mut self.pipes[pipe];
        if state.held || state.vanished {
            return;
        }
        let mut refused = false;
        while let Some((_, flow)) = state.down.pop_front_if(|(at, _)| *at <= self.now) {
            match flow {
                Flow::Bytes(_) if state.client_gone => refused = true,
                Flow::Bytes(bytes) => state.client_inbox.extend(bytes),
                Flow::End(end) => {
                    if end != SocketEnd::Eof {
                        state.client_inbox.clear();
                    }
                    state.client_end = true;
                }
            }
        }
        if refused {
            self.client_resets_back(pipe);
        }
        self.client_reads(pipe);
    }

    /// What arrives at a closed socket is answered with a reset.
    fn client_resets_back(&mut self, pipe: PipeId) {
        if let Owner::Client(client) = self.pipes[pipe].owner {
            let socket = self.clients[client].socket;
            self.see(Observation::Cut(socket, Cut::Reset));
        }
        self.flow_up(pipe, Flow::End(SocketEnd::Reset));
    }

    /// The client takes what has arrived.
    pub(super) fn client_reads(&mut self, pipe: PipeId) {
        let state = &mut self.pipes[pipe];
        if !state.client_reads || state.client_gone {
            return;
        }
        let bytes = std::mem::take(&mut state.client_inbox);
        let end = std::mem::take(&mut state.client_end);
        state.unread -= bytes.len().min(state.unread);
        if state.full && !bytes.is_empty() {
            let time = self.client_time();
            self.after(time, Step::Write(pipe));
        }
        match self.pipes[pipe].owner {
            Owner::Client(client) => self.client_got(client, bytes, end),
            Owner::Control(control) => self.control_got(control, bytes, end),
            Owner::Noise if end => self.hang_up(pipe, Cut::Eof),
            Owner::Noise => {}
        }
    }

    /// The client ends its socket.
    pub(super) fn hang_up(&mut self, pipe: PipeId, how: Cut) {
        match how {
            Cut::Eof => self.flow_up(pipe, Flow::End(SocketEnd::Eof)),
            Cut::Reset => {
                let end = if self.draw.percent(20) { SocketEnd::Failed } else { SocketEnd::Reset };
                self.flow_up(pipe, Flow::End(end));
            }
            Cut::Vanished => self.pipes[pipe].vanished = true,
        }
        let half = how == Cut::Eof && self.draw.percent(30);
        self.pipes[pipe].client_gone |= !half;
    }

    /// Stops the network of a socket for a while.
    pub(super) fn hold(&mut self, pipe: PipeId, time: Duration) {
        self.pipes[pipe].held = true;
        self.after(time, Step::Release(pipe));
    }

    pub(super) fn release(&mut self, pipe: PipeId) {
        if std::mem::take(&mut self.pipes[pipe].held) {
            self.arrive(pipe);
            self.deliver(pipe);
        }
    }

    /// After faults the network of a vanished client says that it is gone.
    pub(super) fn reveal_vanished(&mut self) {
        for pipe in 0..self.pipes.len() {
            if std::mem::take(&mut self.pipes[pipe].vanished) {
                self.pipes[pipe].client_gone = true;
                if let Owner::Client(client) = self.pipes[pipe].owner {
                    let socket = self.clients[client].socket;
                    self.see(Observation::Cut(socket, Cut::Reset));
                }
                self.flow_up(pipe, Flow::End(SocketEnd::Reset));
            }
        }
    }

    /// The shard that a socket is at.
    pub(super) fn shard_of(&self, pipe: PipeId) -> Option<usize> {
        match self.pipes[pipe].place {
            Place::Accepting(shard) | Place::At(shard, _) => Some(shard),
            Place::Moving | Place::Gone => None,
        }
    }
}
