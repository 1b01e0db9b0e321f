//! The client's end of a socket: bytes to send, bytes received.

use ws2http_core::ConnId;

/// One socket as its client sees it.
pub(crate) struct Sock {
    pub(crate) shard: usize,
    pub(crate) conn: ConnId,
    /// Sent by the client, not read by the gateway yet.
    pub(crate) unread: Vec<u8>,
    pub(crate) received: Vec<u8>,
    /// The client does not read.
    pub(crate) blocked: bool,
    pub(crate) closed: bool,
    pub(crate) fin: bool,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A frame from the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
}

impl Sock {
    pub(crate) fn new(shard: usize, conn: ConnId) -> Self {
        Sock { shard, conn, unread: vec![], received: vec![], blocked: false, closed: false, fin: false }
    }

    /// The next HTTP answer, which must be whole.
    pub(crate) fn take_http(&mut self) -> Answer {
        let text = String::from_utf8_lossy(&self.received).into_owned();
        let end = text.find("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {text:?}")) + 4;
        let head = text[..end].to_owned();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let rest: Vec<u8> = self.received.split_off(end);
        answer.body = String::from_utf8_lossy(&rest[..length.min(rest.len())]).into_owned();
        self.received = rest[length.min(rest.len())..].to_vec();
        answer
    }

    /// All frames received, which must be whole and unmasked.
    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        let bytes = std::mem::take(&mut self.received);
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let [first, second, after @ ..] = rest {
            let (length, after) = match second {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                127 => (u64::from_be_bytes(after[..8].try_into().unwrap()) as usize, &after[8..]),
                length => (usize::from(*length), after),
            };
            let (payload, after) = after.split_at(length);
            let text = || String::from_utf8(payload.to_vec()).unwrap();
            frames.push(match first {
                0x81 => Frame::Text(text()),
                0x82 => Frame::Binary(payload.to_vec()),
                0x89 => Frame::Ping,
                0x8a => Frame::Pong(payload.to_vec()),
                0x88 if payload.is_empty() => Frame::Close(1005, String::new()),
                0x88 => {
                    let reason = String::from_utf8(payload[2..].to_vec()).unwrap();
                    Frame::Close(u16::from_be_bytes([payload[0], payload[1]]), reason)
                }
                other => panic!("first byte {other:x}"),
            });
            rest = after;
        }
        assert!(rest.is_empty());
        frames
    }
}

/// A good handshake, with more header lines.
pub(crate) fn handshake(id: &str, more: &str) -> String {
    format!(
        "GET /{id} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A masked frame; `first` is its first byte.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([9, 8, 7, 6]);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ [9, 8, 7, 6][index % 4]));
    bytes
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload)
}

pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

impl Sock {
    /// The status of the next answer, which is to a HEAD when it says so by having a length and no body.
    pub(crate) fn take_http_head_aware(&mut self) -> u16 {
        let text = String::from_utf8_lossy(&self.received).into_owned();
        if text.starts_with("HTTP/1.1 404") {
            let end = text.find("\r\n\r\n").unwrap() + 4;
            self.received.drain(..end);
            return 404;
        }
        self.take_http().status
    }
}
