//! WebSocket clients: good ones, and the others.

use std::time::Duration;

use bytes::Bytes;
use ws2http_core::Surface;

use super::codec::{FrameReader, frame, take_answer};
use super::pipe::{Owner, PipeId};
use super::world::{Phase, Step, World};
use super::{Feature, plan};
use crate::model::{Cut, DIAL_HEADER, Dial, Heard, Misbehaviour, Observation, Payload, Sent, SocketId};

/// Longest pause before a client comes back.
const COMES_BACK: Duration = Duration::from_millis(800);

/// One socket of a client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: SocketId,
    /// Which of the world's clients it is.
    place: usize,
    pipe: PipeId,
    pub(super) offered: Vec<String>,
    stage: Stage,
    received: Vec<u8>,
    frames: FrameReader,
    messages: u32,
    close_sent: bool,
    silent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Dialling,
    Open,
    /// Nothing more will come of it.
    Over,
}

impl World {
    /// The ClientIds of a world; some need escapes.
    pub(super) fn client_name(&self, index: u64) -> String {
        match index % 5 {
            3 => format!("ä {index}?"),
            _ => format!("client-{index}"),
        }
    }

    pub(super) fn dial(&mut self, place: usize) {
        if self.phase != Phase::Faults || self.dials[place] >= self.plan.connects {
            return;
        }
        self.dials[place] += 1;
        self.count("dials");
        let name = self.client_name(place as u64 % self.plan.ids);
        let bad = if self.chance(Feature::BadHandshake, 15) { Some(*self.draw.pick(&[400, 426, 403])) } else { None };
        // Only with `--origin` is there a wrong one.
        let bad = bad.filter(|status| *status != 403 || !self.plan.config.origins.is_empty());
        let query = self.draw.percent(30).then(|| "a=1&b=%20".to_owned());
        let offered: Vec<String> = match self.draw.below(4) {
            0 => vec!["chat".to_owned(), "other".to_owned()],
            1 => vec!["other".to_owned()],
            _ => Vec::new(),
        };
        let good = plan::good_origin(&self.plan.config);
        let origin = if bad == Some(403) { Some("https://evil.example") } else { good }.map(str::to_owned);
        let dial = Dial { client: name, query, offered: offered.clone(), origin, bad };
        let socket = SocketId(self.clients.len() as u32);
        let pipe = self.connect(Owner::Client(self.clients.len()), Surface::Public);
        let head = self.handshake(socket, &dial);
        self.clients.push(Client {
            socket,
            place,
            pipe,
            offered,
            stage: Stage::Dialling,
            received: Vec::new(),
            frames: FrameReader::default(),
            messages: 0,
            close_sent: false,
            silent: false,
        });
        let client = self.clients.len() - 1;
        self.see(Observation::Dialled(socket, dial.clone()));
        self.send_up(pipe, head);
        if dial.bad.is_none() && self.chance(Feature::Eager, 40) {
            self.send_message(client);
        }
        if self.chance(Feature::Silent, 30) {
            self.clients[client].silent = true;
            self.see(Observation::Misbehaves(socket, Misbehaviour::Silent));
        }
        self.plan_act(client);
    }

    fn handshake(&mut self, socket: SocketId, dial: &Dial) -> Vec<u8> {
        let path = escape(&dial.client, self.draw.percent(30));
        let query = dial.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let (version, key) = match dial.bad {
            Some(426) => ("8", "dGhlIHNhbXBsZSBub25jZQ=="),
            Some(400) => ("13", "too short"),
            _ => ("13", "dGhlIHNhbXBsZSBub25jZQ=="),
        };
        let mut head = format!(
            "GET /{path}{query} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{DIAL_HEADER}: {}\r\n",
            socket.0
        );
        if !dial.offered.is_empty() {
            head += &format!("Sec-WebSocket-Protocol: {}\r\n", dial.offered.join(", "));
        }
        if let Some(origin) = &dial.origin {
            head += &format!("Origin: {origin}\r\n");
        }
        if self.draw.percent(20) {
            // Only the gateway may set these.
            head += "X-Connection-Id: forged\r\nX-Close-Code: 1000\r\n";
        }
        (head + "\r\n").into_bytes()
    }

    fn plan_act(&mut self, client: usize) {
        let time = self.draw.time(Duration::ZERO, 2 * self.plan.think);
        self.after(time, Step::Act(client));
    }

    /// A client does what comes next.
    pub(super) fn act(&mut self, client: usize) {
        if self.phase != Phase::Faults || self.clients[client].stage == Stage::Over {
            return;
        }
        if self.clients[client].stage == Stage::Dialling {
            self.act_early(client);
        } else if !self.clients[client].close_sent {
            self.act_open(client);
        }
        self.plan_act(client);
    }

    /// While the handshake is not answered.
    fn act_early(&mut self, client: usize) {
        let bad = self.chance(Feature::ClientReset, 2);
        if bad {
            self.cut(client, Cut::Reset);
        } else if self.chance(Feature::ClientEof, 2) {
            self.cut(client, Cut::Eof);
        } else if self.chance(Feature::Vanish, 1) {
            self.cut(client, Cut::Vanished);
        }
    }

    fn act_open(&mut self, client: usize) {
        let weight = |feature: Feature, weight: u64| if self.has(feature) { weight } else { 0 };
        let deeds = [
            (60, None),
            (weight(Feature::Flood, 8), Some(Feature::Flood)),
            (weight(Feature::Pings, 10), Some(Feature::Pings)),
            (weight(Feature::ClientClose, 6), Some(Feature::ClientClose)),
            (weight(Feature::ClientEof, 3), Some(Feature::ClientEof)),
            (weight(Feature::ClientReset, 3), Some(Feature::ClientReset)),
            (weight(Feature::Vanish, 2), Some(Feature::Vanish)),
            (weight(Feature::Stall, 5), Some(Feature::Stall)),
            (weight(Feature::Hold, 4), Some(Feature::Hold)),
            (weight(Feature::Garbage, 3), Some(Feature::Garbage)),
        ];
        let Some(deed) = self.draw.weighted(&deeds) else { return self.send_message(client) };
        self.count(deed.word());
        let (socket, pipe) = (self.clients[client].socket, self.clients[client].pipe);
        match deed {
            Feature::Flood => (0..self.draw.between(5, 40)).for_each(|_| self.send_message(client)),
            Feature::Pings => {
                let payload = [b'p'; 125];
                let length = self.draw.below(126) as usize;
                self.send_frame(client, true, 9, &payload[..length]);
                self.see(Observation::Sent(socket, Sent::Ping));
            }
            Feature::ClientClose => self.client_closes(client),
            Feature::ClientEof => self.cut(client, Cut::Eof),
            Feature::ClientReset => self.cut(client, Cut::Reset),
            Feature::Vanish => self.cut(client, Cut::Vanished),
            Feature::Stall => {
                self.see(Observation::Misbehaves(socket, Misbehaviour::NotReading));
                // It reads no pings either.
                self.see(Observation::Misbehaves(socket, Misbehaviour::Silent));
                self.pipes[pipe].client_reads = false;
                let time = self.draw.time(Duration::from_millis(10), 2 * self.plan.config.send_timeout);
                self.after(time, Step::Resume(client));
            }
            Feature::Hold => {
                self.see(Observation::Misbehaves(socket, Misbehaviour::NotReading));
                self.see(Observation::Misbehaves(socket, Misbehaviour::Silent));
                let time = self.draw.time(Duration::from_millis(10), 2 * self.plan.config.pong_timeout);
                self.hold(pipe, time);
            }
            _ => self.send_garbage(client),
        }
    }

    pub(super) fn resume_reading(&mut self, client: usize) {
        let pipe = self.clients[client].pipe;
        self.pipes[pipe].client_reads = true;
        self.client_reads(pipe);
    }

    fn send_message(&mut self, client: usize) {
        if self.clients[client].close_sent || self.pipes[self.clients[client].pipe].is_full() {
            return;
        }
        let state = &mut self.clients[client];
        let (socket, number) = (state.socket, state.messages);
        state.messages += 1;
        let limit = self.plan.config.max_message;
        let text = !self.draw.percent(30);
        let mut body = format!("m{}.{number}.", socket.0).into_bytes();
        let size = (self.draw.below(self.plan.size) as usize).min(limit);
        body.resize(body.len().max(size), b'm');
        body.truncate(limit);
        self.count("messages");
        let opcode = if text { 1 } else { 2 };
        self.see(Observation::Sent(socket, Sent::Message(Payload { text, body: body.clone().into() })));
        if body.len() >= 4 && self.chance(Feature::Fragments, 30) {
            let (first, rest) = body.split_at(body.len() / 2);
            self.send_frame(client, false, opcode, first);
            if self.draw.percent(50) {
                self.send_frame(client, true, 9, b"between");
                self.see(Observation::Sent(socket, Sent::Ping));
            }
            self.send_frame(client, false, 0, b"");
            self.send_frame(client, true, 0, rest);
        } else {
            self.send_frame(client, true, opcode, &body);
        }
    }

    fn send_frame(&mut self, client: usize, fin: bool, opcode: u8, payload: &[u8]) {
        let mask = (self.draw.below(1 << 32) as u32).to_be_bytes();
        let pipe = self.clients[client].pipe;
        self.send_up(pipe, frame(fin, opcode, payload, mask));
    }

    fn send_garbage(&mut self, client: usize) {
        let limit = self.plan.config.max_message;
        let bytes = match self.draw.below(6) {
            0 => frame(true, 3, b"what", [1; 4]),
            1 => frame(true, 1, b"\xff\xfe", [1; 4]),
            2 => frame(true, 0, b"out of turn", [1; 4]),
            3 => vec![0x81, 0x05, b'h', b'e', b'l', b'l', b'o'],
            4 => frame(false, 9, b"", [1; 4]),
            _ => frame(true, 2, &vec![0; limit + 1], [1; 4]),
        };
        let (socket, pipe) = (self.clients[client].socket, self.clients[client].pipe);
        self.see(Observation::Sent(socket, Sent::Garbage));
        self.send_up(pipe, bytes);
    }

    /// The client closes in order.
    pub(super) fn client_closes(&mut self, client: usize) {
        if self.clients[client].close_sent || self.clients[client].stage != Stage::Open {
            return;
        }
        let close = match self.draw.below(4) {
            0 => None,
            1 => Some((4001, "enough".to_owned())),
            2 => Some((1001, String::new())),
            _ => Some((1000, "bye".to_owned())),
        };
        self.send_close(client, close);
    }

    fn send_close(&mut self, client: usize, close: Option<(u16, String)>) {
        let mut payload = Vec::new();
        if let Some((code, reason)) = &close {
            payload.extend(code.to_be_bytes());
            payload.extend(reason.as_bytes());
        }
        self.clients[client].close_sent = true;
        let socket = self.clients[client].socket;
        self.see(Observation::Sent(socket, Sent::Close(close)));
        self.send_frame(client, true, 8, &payload);
    }

    /// The client, or its network, ends the socket without a close frame.
    pub(super) fn cut(&mut self, client: usize, how: Cut) {
        let (socket, pipe) = (self.clients[client].socket, self.clients[client].pipe);
        if self.clients[client].stage == Stage::Over {
            return;
        }
        self.see(Observation::Cut(socket, how));
        self.hang_up(pipe, how);
        if how != Cut::Eof || self.pipes[pipe].client_gone {
            self.over(client);
        } else {
            self.clients[client].close_sent = true;
        }
    }

    fn over(&mut self, client: usize) {
        if self.clients[client].stage == Stage::Over {
            return;
        }
        self.clients[client].stage = Stage::Over;
        if self.phase == Phase::Faults {
            let place = self.clients[client].place;
            let time = self.draw.time(Duration::ZERO, COMES_BACK);
            self.after(time, Step::Dial(place));
        }
    }

    /// Bytes have come, or the end.
    pub(super) fn client_got(&mut self, client: usize, bytes: Vec<u8>, end: bool) {
        self.clients[client].received.extend(bytes);
        if let Err(text) = self.client_reads_on(client) {
            let socket = self.clients[client].socket;
            self.faults.push(format!("{socket:?} got {text}"));
        }
        if end && self.clients[client].stage != Stage::Over {
            let (socket, pipe) = (self.clients[client].socket, self.clients[client].pipe);
            self.see(Observation::Closed(socket));
            self.hang_up(pipe, Cut::Eof);
            self.pipes[pipe].client_gone = true;
            self.over(client);
        }
    }

    fn client_reads_on(&mut self, client: usize) -> Result<(), String> {
        loop {
            let state = &mut self.clients[client];
            match state.stage {
                Stage::Over => return Ok(()),
                Stage::Dialling => {
                    let Some(answer) = take_answer(&mut state.received, false)? else { return Ok(()) };
                    if answer.status == 101 {
                        state.stage = Stage::Open;
                    }
                    let (socket, status) = (state.socket, answer.status);
                    self.see(Observation::Answered(socket, answer.of_handshake()));
                    self.count(if status == 101 { "opened" } else { "refused" });
                    if status != 101 {
                        // It waits for the end.
                        return Ok(());
                    }
                }
                Stage::Open => {
                    let Some(heard) = state.frames.take(&mut state.received)? else { return Ok(()) };
                    self.client_heard(client, heard);
                }
            }
        }
    }

    fn client_heard(&mut self, client: usize, heard: Heard) {
        let socket = self.clients[client].socket;
        self.see(Observation::Heard(socket, heard.clone()));
        match heard {
            Heard::Ping if !self.clients[client].silent && !self.clients[client].close_sent => {
                self.see(Observation::Sent(socket, Sent::Pong));
                self.send_frame(client, true, 10, b"");
            }
            Heard::Close(close) => {
                self.count("closes heard");
                if !self.clients[client].close_sent {
                    self.send_close(client, close.map(|(code, _)| (code, String::new())));
                }
                if self.draw.percent(30) {
                    self.cut(client, Cut::Eof);
                }
            }
            Heard::Message(_) => self.count("heard"),
            Heard::Ping | Heard::Pong => {}
        }
    }

    /// After faults every client leaves, in order where it can.
    pub(super) fn clients_leave(&mut self) {
        for client in 0..self.clients.len() {
            match self.clients[client].stage {
                Stage::Open if !self.clients[client].close_sent => self.client_closes(client),
                Stage::Open | Stage::Dialling => self.cut(client, Cut::Reset),
                Stage::Over => {}
            }
        }
    }

    /// Clients that do nothing of their own accord must be read from again.
    pub(super) fn clients_recover(&mut self) {
        for client in 0..self.clients.len() {
            let pipe = self.clients[client].pipe;
            self.release(pipe);
            if !self.pipes[pipe].client_reads {
                self.resume_reading(client);
            }
        }
    }

    /// No handshake waits for its answer.
    pub(super) fn nobody_dials(&self) -> bool {
        self.clients.iter().all(|client| client.stage != Stage::Dialling)
    }

    /// Noise on a socket.
    pub(super) fn make_noise(&mut self) {
        let pipe = self.connect(Owner::Noise, Surface::Public);
        let bytes: Vec<u8> = match self.draw.below(5) {
            0 => (0..self.draw.below(200)).map(|_| self.draw.below(256) as u8).collect(),
            1 => b"GET / HTTP/1.1\r\nHost".to_vec(),
            2 => b"POST /client-0 HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec(),
            3 => b"POST /client-0 HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\nshort".to_vec(),
            _ => Vec::new(),
        };
        if !bytes.is_empty() {
            self.send_up(pipe, bytes);
        }
        match self.draw.below(3) {
            0 => self.hang_up(pipe, Cut::Eof),
            1 => self.hang_up(pipe, Cut::Reset),
            _ => {}
        }
    }

    /// A body for a push.
    pub(super) fn push_body(&mut self, number: u32) -> Bytes {
        let limit = self.plan.config.max_message;
        let size = (self.draw.below(2 * self.plan.size) as usize).min(limit);
        let mut body = format!("p{number}.").into_bytes();
        body.resize(body.len().max(size), b'p');
        body.truncate(limit);
        body.into()
    }
}

/// A ClientId as a path segment, in one spelling or another.
pub(super) fn escape(client: &str, all: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() && !all || b"-._~".contains(&byte);
    client.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}
