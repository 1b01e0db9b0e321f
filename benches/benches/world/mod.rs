//! Shards of the core, and what drives them without sockets.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use ws2http_core::{
    Action, ApiAddress, CallId, Config, ConnId, Event, Gateway, Out, Peer, ShardId, Shared, SocketEnd, Surface,
    Timestamp,
};

/// Shards, and whoever drives them.
pub(crate) struct World {
    pub(crate) shards: Vec<Gateway>,
    pub(crate) now: Timestamp,
    pub(crate) out: Out,
    buffer: Vec<u8>,
}

impl World {
    pub(crate) fn new(shards: u16) -> World {
        let config = Arc::new(Config::new(ApiAddress::parse("http://api:8000/").expect("an address")));
        let (shared, now) = (Arc::new(Shared::new(shards)), Timestamp::ZERO);
        let shard = |shard| Gateway::new(config.clone(), ShardId(shard), shared.clone(), [1; 32], now);
        World { shards: (0..shards).map(shard).collect(), now, out: Out::new(), buffer: Vec::new() }
    }

    pub(crate) fn accept(&mut self, shard: usize) -> ConnId {
        self.out.actions.clear();
        let peer = Peer { address: [192, 0, 2, 1].into(), surface: Surface::Public };
        self.shards[shard].accept(self.now, peer, &mut self.out)
    }

    pub(crate) fn handle(&mut self, shard: usize, event: Event<'_>) {
        self.out.actions.clear();
        self.shards[shard].handle(self.now, event, &mut self.out);
    }

    /// Takes all that the socket has to send, as a driver does; answers how much it was.
    pub(crate) fn write(&mut self, shard: usize, conn: ConnId) -> usize {
        let mut sum = 0;
        loop {
            self.shards[shard].transmit(conn, &mut self.buffer);
            let count = self.buffer.len();
            if count == 0 {
                return sum;
            }
            sum += count;
            self.handle(shard, Event::Sent(conn, count));
        }
    }

    pub(crate) fn call(&self) -> CallId {
        let call = |action: &Action| if let Action::Call { id, .. } = action { Some(*id) } else { None };
        self.out.actions.iter().find_map(call).expect("a call")
    }

    /// The API's answer to the call under way.
    pub(crate) fn reply(&mut self, shard: usize, body: Bytes) {
        let call = self.call();
        self.handle(shard, Event::Reply(call, Ok(Response::new(body))));
    }

    /// Opens a client of this id, whose home is `shard`.
    pub(crate) fn open(&mut self, shard: usize, id: &str) -> ConnId {
        let conn = self.accept(shard);
        self.handle(shard, Event::Received(conn, &mut handshake(id)));
        self.reply(shard, Bytes::from_static(b"ok"));
        assert!(self.write(shard, conn) > 0, "a 101");
        conn
    }

    pub(crate) fn lose(&mut self, shard: usize, conn: ConnId) {
        self.handle(shard, Event::SocketEnded(conn, SocketEnd::Reset));
        self.reply(shard, Bytes::new());
    }
}

/// A client's request for a WebSocket.
pub(crate) fn handshake(id: &str) -> Vec<u8> {
    format!(
        "GET /{id} HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A client's frame with this opcode, masked.
pub(crate) fn frame(opcode: u8, size: usize) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match size {
        0..126 => frame.push(0x80 | size as u8),
        126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(size as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend_from_slice(&mask);
    frame.extend((0..size).map(|at| b'x' ^ mask[at % 4]));
    frame
}
