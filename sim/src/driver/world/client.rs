//! A client of a world: it connects, does this and that, and connects again, until it is told to leave.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::Error;
use futures_util::StreamExt;
use http::Response;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use turmoil::net::TcpStream;

use super::plan::pause;
use super::stage::{Phase, ProcessId, Stage};
use crate::driver::gateway::PORT;
use crate::driver::websocket::{self, WebSocket};
use crate::model::{Cut, DIAL_HEADER, Dial, HandshakeAnswer, Misbehaviour, Observation, SocketId};

/// How long a client waits for the answer to its handshake.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a client that does not read waits before it gives its socket up.
const NOT_READING: Duration = Duration::from_secs(12);

/// How late a silent client may be dropped: both ways, and the gateway's timer.
const TIMERS_ARE_LATE: Duration = Duration::from_millis(100);

/// What kind of a client it is, while it may do what it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ordinary,
    /// It stops reading after a while.
    SlowReader,
    /// It says nothing after its handshake, and does not read.
    Silent,
}

/// One client.
pub(crate) struct Client {
    pub(crate) stage: Rc<Stage>,
    pub(crate) host: usize,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) rng: fastrand::Rng,
    /// It has had the answer to its last message.
    pub(crate) served: bool,
    /// Sockets that a cut left behind, and that nobody closed.
    pub(crate) forgotten: Vec<WebSocket>,
}

/// A socket in use.
pub(super) struct Session {
    pub(super) id: SocketId,
    pub(super) process: ProcessId,
    /// Cuts of its host before it was opened.
    pub(super) cuts: u32,
    pub(super) messages: u32,
    /// The last message has been sent.
    pub(super) last: bool,
    pub(super) closing: bool,
}

/// What a client does next.
pub(super) enum Turn {
    Stay,
    /// The socket is to be dropped.
    End,
    /// The socket was cut; it is to be left as it is.
    Forget,
}

impl Client {
    /// Its whole life.
    pub(crate) async fn run(mut self) {
        while self.stage.phase.get() != Phase::Leave {
            self.visit().await;
            let away = pause(&mut self.rng, self.stage.plan.habits.away);
            sleep(away).await;
        }
        self.stage.count("clients that have left");
        pending().await
    }

    /// One connection, from the dial to the end.
    async fn visit(&mut self) {
        let Some(&gateway) = self.stage.homes(&self.name).first() else { return };
        let process = self.stage.process(gateway);
        if self.stage.is_over(process) {
            self.stage.count("connects to a gateway that is gone");
            return;
        }
        let dial = Dial { client: self.name.clone(), query: None, offered: Vec::new(), origin: None, bad: None };
        let id = self.stage.dial(process, self.host, dial);
        let cuts = self.stage.cuts(self.host);
        let session = Session { id, process, cuts, messages: 0, last: false, closing: false };
        if let Some(socket) = Box::pin(self.connect(&session, &super::gateway_name(gateway))).await {
            self.use_socket(session, socket).await;
        }
        self.stage.hang_up(id);
    }

    async fn connect(&self, session: &Session, gateway: &str) -> Option<WebSocket> {
        let tell = |observation| self.stage.tell(session.process, observation);
        let connected = timeout(PATIENCE, TcpStream::connect((gateway, PORT))).await;
        let Ok(Ok(stream)) = connected else {
            self.stage.count("connects refused");
            tell(Observation::Closed(session.id));
            return None;
        };
        let target = format!("/{}", self.name);
        let handshake = websocket::open(stream, &target, Some((DIAL_HEADER, session.id.0)));
        let mut handshake = pin!(timeout(PATIENCE, handshake));
        match handshake.as_mut().await {
            Ok(Ok((socket, response))) => {
                tell(Observation::Answered(session.id, answer(&response)));
                return Some(socket);
            }
            Ok(Err(Error::Http(response))) => {
                self.stage.count(match response.status().as_u16() {
                    409 => "handshakes answered 409",
                    502 => "handshakes answered 502",
                    503 => "handshakes answered 503",
                    504 => "handshakes answered 504",
                    _ => "handshakes refused otherwise",
                });
                tell(Observation::Answered(session.id, answer(&response)));
            }
            Ok(Err(_)) => {
                self.stage.count("handshakes broken off");
                tell(Observation::Closed(session.id));
            }
            Err(_) => {
                self.stage.count("handshakes without an answer");
                self.ends(session);
            }
        }
        None
    }

    /// Told before the socket is dropped; with unread data that is a reset.
    pub(super) fn ends(&self, session: &Session) {
        self.stage.tell(session.process, Observation::Cut(session.id, Cut::Eof));
        self.stage.tell(session.process, Observation::Cut(session.id, Cut::Reset));
    }

    async fn use_socket(&mut self, mut session: Session, mut socket: WebSocket) {
        self.stage.count("connections opened");
        if self.kind == Kind::Silent && self.stage.phase.get() == Phase::Busy {
            return self.be_silent(&session, socket).await;
        }
        let mut timer = pin!(sleep_until(self.next_turn()));
        let stops_reading = (self.kind == Kind::SlowReader).then(|| Instant::now() + Duration::from_secs(2));
        loop {
            tokio::select! {
                biased;
                message = socket.next() => match message {
                    Some(Ok(message)) => self.heard(&mut session, message),
                    Some(Err(_)) | None => {
                        self.stage.tell(session.process, Observation::Closed(session.id));
                        return;
                    }
                },
                () = self.stage.storm.notified() => {
                    self.stage.count("ended by a storm");
                    return self.ends(&session);
                }
                () = &mut timer => {
                    if stops_reading.is_some_and(|at| at <= Instant::now()) && self.stage.phase.get() == Phase::Busy {
                        return self.stop_reading(&session, socket).await;
                    }
                    match Box::pin(self.act(&mut session, &mut socket)).await {
                        Turn::Stay => timer.as_mut().reset(self.next_turn()),
                        Turn::End => return,
                        Turn::Forget => return self.forgotten.push(socket),
                    }
                }
            }
        }
    }

    fn next_turn(&mut self) -> Instant {
        let longest = self.stage.plan.habits.pause;
        let longest =
            if self.stage.phase.get() == Phase::Busy { longest } else { longest.min(Duration::from_millis(500)) };
        Instant::now() + pause(&mut self.rng, longest)
    }

    /// Reads and says nothing, until the gateway has had enough of it. That must not take longer than announced,
    /// however busy the gateway is.
    async fn be_silent(&self, session: &Session, socket: WebSocket) {
        self.stage.tell(session.process, Observation::Misbehaves(session.id, Misbehaviour::Silent));
        let config = &self.stage.plan.config;
        let limit = config.ping_interval.unwrap_or_default() + config.pong_timeout + TIMERS_ARE_LATE;
        let mut stream = socket.into_inner().into_inner();
        let (mut buffer, opened) = ([0; 1024], Instant::now());
        let read = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
        let closed = timeout(3 * limit, read).await;
        match closed {
            Ok(()) if opened.elapsed() <= limit => self.stage.count("silent clients dropped in time"),
            _ => self.stage.count("silent clients dropped late"),
        }
        self.ends(session);
    }

    async fn stop_reading(&self, session: &Session, socket: WebSocket) {
        self.stage.count("clients that stopped reading");
        self.stage.tell(session.process, Observation::Misbehaves(session.id, Misbehaviour::NotReading));
        self.stage.tell(session.process, Observation::Misbehaves(session.id, Misbehaviour::Silent));
        sleep(NOT_READING).await;
        self.ends(session);
        drop(socket);
    }
}

fn answer(response: &Response<Option<Vec<u8>>>) -> HandshakeAnswer {
    let field = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    HandshakeAnswer {
        status: response.status().as_u16(),
        protocol: field("sec-websocket-protocol"),
        retry_after: field("retry-after").is_some(),
        body: response.body().clone().unwrap_or_default().into(),
    }
}
