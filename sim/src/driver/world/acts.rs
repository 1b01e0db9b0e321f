//! What a client hears, and what it does of its own accord.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use bytes::Bytes;

use super::api::LAST;
use super::client::{Client, Session, Turn};
use super::stage::Phase;
use crate::driver::websocket::WebSocket;
use crate::model::{Heard, Observation, Payload, Sent};

impl Client {
    /// A message or control frame was read.
    pub(super) fn heard(&mut self, session: &mut Session, message: Message) {
        let heard = match message {
            Message::Text(text) => Heard::Message(Payload { text: true, body: text.into() }),
            Message::Binary(body) => Heard::Message(Payload { text: false, body }),
            Message::Ping(_) => Heard::Ping,
            Message::Pong(_) => Heard::Pong,
            Message::Close(close) => Heard::Close(close.map(|close| (close.code.into(), close.reason.to_string()))),
            // Never read.
            Message::Frame(_) => return,
        };
        match &heard {
            Heard::Message(payload) => {
                self.stage.count(if payload.body.starts_with(b"re ") { "answers heard" } else { "pushes heard" });
                if session.last && payload.body[..].strip_prefix(b"re ").is_some_and(|said| said.starts_with(LAST)) {
                    self.serve_last();
                }
            }
            Heard::Close(_) if !session.closing => {
                self.stage.count("closed by the gateway");
                session.closing = true;
            }
            Heard::Ping | Heard::Pong | Heard::Close(_) => {}
        }
        let ping = heard == Heard::Ping;
        self.stage.tell(session.process, Observation::Heard(session.id, heard));
        if ping {
            // The WebSocket library answers it by itself.
            self.stage.count("pings heard");
            self.stage.tell(session.process, Observation::Sent(session.id, Sent::Pong));
        }
    }

    fn serve_last(&mut self) {
        if !self.served {
            self.served = true;
            self.stage.count("clients served at the last");
        }
    }

    /// Does something.
    pub(super) async fn act(&mut self, session: &mut Session, socket: &mut WebSocket) -> Turn {
        if self.stage.cuts(self.host) != session.cuts {
            if self.rng.bool() {
                return Turn::Forget;
            }
            // If the network is back the gateway may see this; else this host's system answers what it still sends.
            self.ends(session);
            return Turn::End;
        }
        if self.stage.is_over(session.process) {
            self.ends(session);
            return Turn::End;
        }
        if session.closing {
            return Turn::Stay;
        }
        let habits = self.stage.plan.habits;
        match self.stage.phase.get() {
            Phase::Leave => self.close(session, socket).await,
            Phase::Last if session.last => Turn::Stay,
            Phase::Last => self.send(session, socket, LAST).await,
            Phase::Busy => match self.rng.u8(0..100) {
                die if die < habits.closes => self.close(session, socket).await,
                die if die < habits.closes + habits.drops => {
                    self.stage.count("ended without a close frame");
                    self.ends(session);
                    Turn::End
                }
                die if die < habits.closes + habits.drops + habits.pings => {
                    self.stage.tell(session.process, Observation::Sent(session.id, Sent::Ping));
                    put(socket, Message::Ping(Bytes::from_static(b"?"))).await
                }
                _ => self.send(session, socket, b"say ").await,
            },
        }
    }

    async fn send(&mut self, session: &mut Session, socket: &mut WebSocket, how: &[u8]) -> Turn {
        session.messages += 1;
        session.last = how == LAST;
        self.stage.count("messages sent");
        let mut body = [how, format!("{} {:?} {}", self.name, session.id, session.messages).as_bytes()].concat();
        let size = self.rng.usize(..self.stage.plan.habits.size);
        while body.len() < size {
            body.push(b' ' + self.rng.u8(..90));
        }
        let text = self.rng.bool();
        let payload = Payload { text, body: body.into() };
        self.stage.tell(session.process, Observation::Sent(session.id, Sent::Message(payload.clone())));
        if self.stage.plan.canary && self.rng.u8(0..10) == 0 {
            return Turn::Stay;
        }
        let message = match (text, String::from_utf8(payload.body.to_vec())) {
            (true, Ok(text)) => Message::text(text),
            _ => Message::Binary(payload.body),
        };
        put(socket, message).await
    }

    async fn close(&mut self, session: &mut Session, socket: &mut WebSocket) -> Turn {
        session.closing = true;
        self.stage.count("closed by the client");
        let said = Sent::Close(Some((1000, "bye".to_owned())));
        self.stage.tell(session.process, Observation::Sent(session.id, said));
        put(socket, Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "bye".into() }))).await
    }
}

/// Sends; whether that works shows when reading.
async fn put(socket: &mut WebSocket, message: Message) -> Turn {
    let _seen_when_reading = socket.send(message).await;
    Turn::Stay
}
