//! What the steady state allocates, counted: no timing, no jitter.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use ws2http_core::{
    Action, ApiAddress, CallId, Config, ConnId, Event, Gateway, Out, Peer, ShardId, Shared, Surface, Timestamp,
};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // An allocator cannot be written otherwise; this one only counts and passes on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAME: [u8; 11] = [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];

struct World {
    gateway: Gateway,
    out: Out,
    conn: ConnId,
    buffer: Vec<u8>,
}

impl World {
    fn handle(&mut self, event: Event<'_>) {
        self.out.actions.clear();
        self.gateway.handle(Timestamp::ZERO, event, &mut self.out);
    }

    fn call(&self) -> CallId {
        let call = |action: &Action| if let Action::Call { id, .. } = action { Some(*id) } else { None };
        self.out.actions.iter().find_map(call).expect("a call")
    }

    fn written(&mut self) {
        self.gateway.transmit(self.conn, &mut self.buffer);
        let count = self.buffer.len();
        assert!(count > 0);
        self.handle(Event::Sent(self.conn, count));
    }
}

fn open() -> World {
    let config = Arc::new(Config::new(ApiAddress::parse("http://api:8000/").unwrap()));
    let mut gateway = Gateway::new(config, ShardId(0), Arc::new(Shared::new(1)), [1; 32], Timestamp::ZERO);
    let mut out = Out::new();
    let peer = Peer { address: [192, 0, 2, 1].into(), surface: Surface::Public };
    let conn = gateway.accept(Timestamp::ZERO, peer, &mut out);
    let mut world = World { gateway, out, conn, buffer: Vec::new() };
    let mut handshake = b"GET /a HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    world.handle(Event::Received(conn, &mut handshake));
    let call = world.call();
    world.handle(Event::Reply(call, Ok(Response::new(Bytes::from_static(b"ok")))));
    world.written();
    world
}

/// Allocations of one message and its answer, beyond the answer itself.
fn exchange(world: &mut World) -> usize {
    let mut frame = FRAME;
    let before = COUNT.get();
    world.handle(Event::Received(world.conn, &mut frame));
    let call = world.call();
    let asked = COUNT.get() - before;
    let answer = Response::new(Bytes::from_static(b"world"));
    let before = COUNT.get();
    world.handle(Event::Reply(call, Ok(answer)));
    world.written();
    asked + COUNT.get() - before
}

#[test]
fn a_message_allocates_its_request_and_nothing_else() {
    let mut world = open();
    for _ in 0..200 {
        exchange(&mut world);
    }
    let most = (0..1000).map(|_| exchange(&mut world)).max().expect("some");
    assert!(most <= 10, "{most} allocations for one message");
}

#[test]
fn a_ping_allocates_nothing_but_its_payload() {
    let mut world = open();
    let ping = |world: &mut World| {
        let mut frame = [0x89, 0x81, 1, 2, 3, 4, b'x' ^ 1];
        let before = COUNT.get();
        world.handle(Event::Received(world.conn, &mut frame));
        world.written();
        COUNT.get() - before
    };
    for _ in 0..200 {
        ping(&mut world);
    }
    let most = (0..1000).map(|_| ping(&mut world)).max().expect("some");
    assert!(most <= 1, "{most} allocations for one ping");
}
