//! A client's connection, which writes down what it hears.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::PATIENCE;
use super::script::{Message, Way};
use super::transcript::shown;
use super::wire::{Wire, told};
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};

const BARRIER: &[u8] = b"are you there?";

/// One connection.
pub(super) struct Visitor {
    /// `None` once it has left.
    wire: Option<Wire>,
    client: Option<SocketAddr>,
    /// It has got its 101.
    pub(super) admitted: bool,
    /// Answers to pings are not sent.
    pub(super) mute: bool,
    /// A close frame has been sent.
    closing: bool,
    /// Nothing comes any more, or nobody is there to hear it.
    pub(super) ended: bool,
    /// What was heard: answers, messages, closes, the end.
    pub(super) heard: Vec<String>,
    /// Pings and pongs.
    pub(super) aside: Vec<String>,
}

enum Event {
    Pong,
    Else,
    End,
}

impl Visitor {
    pub(super) async fn connect(to: SocketAddr) -> Result<Visitor, String> {
        let wire = Wire::connect(to).await?;
        let client = wire.stream.local_addr().ok();
        Ok(Visitor {
            wire: Some(wire),
            client,
            admitted: false,
            mute: false,
            closing: false,
            ended: false,
            heard: Vec::new(),
            aside: Vec::new(),
        })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        if let Some(wire) = &mut self.wire {
            wire.write(bytes).await;
        }
    }

    /// Its own address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.client
    }

    /// Reads the answer to the handshake; whether it is a 101.
    pub(super) async fn admitted(&mut self) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        let answer = wire.answer("GET").await;
        self.heard.push(told(&answer));
        self.admitted = answer.is_ok_and(|answer| answer.status == 101);
        self.ended |= !self.admitted;
        self.admitted
    }

    pub(super) async fn send(&mut self, frame: &Frame) {
        self.closing |= frame.opcode == CLOSE;
        self.write(&frame.encode()).await;
    }

    /// Writes a burst, all at once or in pieces of so many bytes.
    pub(super) async fn say(&mut self, bytes: &[u8], pieces: usize, closes: bool) {
        self.closing |= closes;
        if pieces == 0 {
            return self.write(bytes).await;
        }
        for piece in bytes.chunks(pieces) {
            self.write(piece).await;
            tokio::task::yield_now().await;
        }
    }

    /// What comes next, written down. Cancel safe but for the answers to pings and closes.
    async fn hear(&mut self) -> Event {
        while let Some(wire) = &mut self.wire {
            if let Some((frame, length)) = Frame::decode(&wire.buffer) {
                wire.buffer.drain(..length);
                return self.note(frame).await;
            }
            if !wire.more().await {
                if !wire.buffer.is_empty() {
                    self.heard.push(format!("part of a frame: {}", shown(&wire.buffer)));
                }
                self.heard.push("ended".into());
                self.wire = None;
            }
        }
        self.ended = true;
        Event::End
    }

    async fn note(&mut self, frame: Frame) -> Event {
        let odd = match (&frame.mask, frame.reserved, frame.fin) {
            (None, 0, true) => String::new(),
            wrong => format!(" (mask, reserved bits, last: {wrong:?})"),
        };
        let payload = shown(&frame.payload);
        match frame.opcode {
            TEXT => self.heard.push(format!("text {payload}{odd}")),
            BINARY => self.heard.push(format!("binary {payload}{odd}")),
            CLOSE => {
                let (code, reason) = frame.close_code();
                self.heard.push(format!("close {code} {reason:?}{odd}"));
                if !self.closing {
                    self.send(&Frame::new(CLOSE, &frame.payload)).await;
                }
            }
            PING => {
                self.aside.push(format!("ping {payload}{odd}"));
                if !self.mute {
                    self.send(&Frame::new(PONG, &frame.payload)).await;
                }
            }
            PONG if frame.payload == BARRIER => return Event::Pong,
            PONG => self.aside.push(format!("pong {payload}{odd}")),
            opcode => self.heard.push(format!("opcode {opcode} {payload}{odd}")),
        }
        Event::Else
    }

    /// Listens for ever.
    pub(super) async fn listen(&mut self) {
        while !self.ended {
            self.hear().await;
        }
        std::future::pending().await
    }

    /// Listens until everything that was sent before has been read by the gateway, and everything it
    /// had queued before has come. False if neither that comes about nor the end.
    pub(super) async fn sync(&mut self) -> bool {
        if self.ended || !self.admitted {
            return true;
        }
        if !self.closing {
            self.send(&Frame::new(PING, BARRIER)).await;
        }
        let synced = async {
            loop {
                match self.hear().await {
                    Event::Pong | Event::End => return,
                    Event::Else => {}
                }
            }
        };
        timeout(PATIENCE, synced).await.is_ok()
    }

    /// Listens until the connection ends. False if it does not.
    pub(super) async fn until_end(&mut self) -> bool {
        let ended = async {
            while !self.ended {
                self.hear().await;
            }
        };
        timeout(PATIENCE, ended).await.is_ok()
    }

    /// Ends the connection. Only after [`Way::HalfFin`] can more be heard.
    pub(super) async fn leave(&mut self, way: Way) {
        self.heard.push(format!("left by {way:?}"));
        self.closing = true;
        let Some(mut wire) = self.wire.take() else { return };
        match way {
            Way::Fin => self.ended = true,
            Way::HalfFin => {
                // Refused only if the gateway has gone already, which the end will tell.
                let _ = wire.stream.shutdown().await;
                self.wire = Some(wire);
            }
            Way::Rst => {
                crate::raw::reset(wire.stream);
                self.ended = true;
            }
        }
    }
}

/// The frames of a message.
pub(super) fn frames(message: &Message) -> Vec<u8> {
    let opcode = if message.binary { BINARY } else { TEXT };
    let size = message.payload.len().div_ceil(message.fragments.max(1)).max(1);
    let mut parts: Vec<&[u8]> = message.payload.chunks(size).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let frame = Frame::new(if index == 0 { opcode } else { CONTINUATION }, part);
        let last = index + 1 == parts.len();
        bytes.extend(if last { frame.encode() } else { frame.not_last().encode() });
        if message.ping && !last {
            bytes.extend(Frame::new(PING, format!("between {index}")).encode());
        }
    }
    bytes
}

/// How many ways there are to break the protocol.
pub(super) const BREACHES: usize = 14;

/// The bytes of one of them.
pub(super) fn breach(which: usize, max_message: usize) -> Vec<u8> {
    let text = Frame::new(TEXT, "text");
    match which {
        0 => text.unmasked().encode(),
        1 => text.reserved(4).encode(),
        2 => Frame::new(3, "x").encode(),
        3 => Frame::new(11, "x").encode(),
        4 => Frame::new(PING, "x").not_last().encode(),
        5 => Frame::new(PING, vec![b'x'; 126]).encode(),
        6 => Frame::new(CONTINUATION, "x").encode(),
        7 => [text.clone().not_last().encode(), text.encode()].concat(),
        8 => Frame::new(TEXT, b"\xff\xfe").encode(),
        9 => [Frame::new(TEXT, b"\xc3").not_last().encode(), Frame::new(CONTINUATION, b"x").encode()].concat(),
        10 => Frame::new(CLOSE, "x").encode(),
        11 => Frame::close(1005, "").encode(),
        12 => Frame::close(1000, b"\xff").encode(),
        _ => Frame::new(BINARY, "").header(max_message as u64 + 1),
    }
}
