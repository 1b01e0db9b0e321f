//! What the steady state allocates, counted: no timing, no jitter.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use ws2http_core::{
    Action, ApiAddress, CallId, Config, ConnId, Event, Gateway, HandOff, Out, Peer, ShardId, Shared, SocketEnd,
    Surface, Timestamp,
};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // An allocator cannot be written otherwise; this one only counts and passes on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAME: [u8; 11] = [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];

struct World {
    shards: Vec<Gateway>,
    out: Out,
    /// The client, and the shard that is its home.
    conn: ConnId,
    home: usize,
    buffer: Vec<u8>,
}

impl World {
    fn new(shards: u16) -> World {
        let config = Arc::new(Config::new(ApiAddress::parse("http://api:8000/").unwrap()));
        let shared = Arc::new(Shared::new(shards));
        let shard = |shard| Gateway::new(config.clone(), ShardId(shard), shared.clone(), [1; 32], Timestamp::ZERO);
        let (mut shards, mut out): (Vec<_>, _) = ((0..shards).map(shard).collect(), Out::new());
        let conn = shards[0].accept(Timestamp::ZERO, PEER, &mut out);
        World { shards, out, conn, home: 0, buffer: Vec::new() }
    }

    fn accept(&mut self) -> ConnId {
        self.out.actions.clear();
        self.shards[self.home].accept(Timestamp::ZERO, PEER, &mut self.out)
    }

    fn handle(&mut self, event: Event<'_>) {
        self.out.actions.clear();
        self.shards[self.home].handle(Timestamp::ZERO, event, &mut self.out);
    }

    fn call(&self) -> CallId {
        let call = |action: &Action| if let Action::Call { id, .. } = action { Some(*id) } else { None };
        self.out.actions.iter().find_map(call).expect("a call")
    }

    fn written(&mut self) {
        self.written_to(self.conn);
    }

    fn written_to(&mut self, conn: ConnId) {
        self.shards[self.home].transmit(conn, &mut self.buffer);
        let count = self.buffer.len();
        assert!(count > 0);
        self.handle(Event::Sent(conn, count));
    }

    /// The client connects, and the API says ok. `answer` is made beforehand: it is the driver's.
    fn connect(&mut self, handshake: &mut [u8], answer: Response<Bytes>) {
        self.handle(Event::Received(self.conn, handshake));
        let call = self.call();
        self.handle(Event::Reply(call, Ok(answer)));
        self.written();
    }

    /// The client is gone, and another socket takes its place.
    fn replace(&mut self) {
        self.handle(Event::SocketEnded(self.conn, SocketEnd::Reset));
        let call = self.call();
        self.handle(Event::Reply(call, Ok(Response::new(Bytes::new()))));
    }
}

const PEER: Peer =
    Peer { address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), surface: Surface::Public };

fn handshake(id: &str) -> Vec<u8> {
    format!(
        "GET /{id} HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

fn ok() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"ok"))
}

fn open() -> World {
    let mut world = World::new(1);
    world.connect(&mut handshake("a"), ok());
    world
}

/// Allocations of `work`.
fn count(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// The most that a thing takes once it was done often: first doings grow tables.
fn most(mut once: impl FnMut() -> usize) -> usize {
    for _ in 0..200 {
        once();
    }
    (0..1000).map(|_| once()).max().expect("some")
}

/// Allocations of one message, and of its answer beyond the answer itself.
fn exchange(world: &mut World) -> (usize, usize) {
    let mut frame = FRAME;
    let asked = count(|| world.handle(Event::Received(world.conn, &mut frame)));
    let (call, answer) = (world.call(), Response::new(Bytes::from_static(b"world")));
    let answered = count(|| {
        world.handle(Event::Reply(call, Ok(answer)));
        world.written();
    });
    (asked, answered)
}

#[test]
fn a_message_allocates_its_request_and_nothing_else() {
    let mut world = open();
    let most = most(|| exchange(&mut world).0);
    assert!(most <= 8, "{most} allocations for one message");
}

#[test]
fn an_answer_allocates_nothing() {
    let mut world = open();
    let most = most(|| exchange(&mut world).1);
    assert!(most == 0, "{most} allocations for one answer");
}

#[test]
fn a_ping_allocates_nothing_but_its_payload() {
    let mut world = open();
    let most = most(|| {
        let mut frame = [0x89, 0x81, 1, 2, 3, 4, b'x' ^ 1];
        count(|| {
            world.handle(Event::Received(world.conn, &mut frame));
            world.written();
        })
    });
    assert!(most <= 1, "{most} allocations for one ping");
}

#[test]
fn a_push_allocates_its_request_and_its_answer() {
    let mut world = open();
    let control = world.accept();
    let most = most(|| {
        let mut request = *b"POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\r\nhello";
        count(|| {
            world.handle(Event::Received(control, &mut request));
            world.written();
            world.written_to(control);
        })
    });
    assert!(most <= 16, "{most} allocations for one push");
}

#[test]
fn a_handshake_allocates_a_request_a_session_and_an_answer() {
    let mut world = open();
    let most = most(|| {
        world.replace();
        let (mut request, answer) = (handshake("a"), ok());
        count(|| {
            world.conn = world.accept();
            world.connect(&mut request, answer);
        })
    });
    assert!(most <= 52, "{most} allocations for one handshake");
}

#[test]
fn a_hand_off_allocates_no_more_than_a_handshake() {
    let mut world = World::new(2);
    let id = (0..100).map(|number| format!("c{number}")).find(|id| hand_off(&mut world, &mut handshake(id)).is_some());
    let id = id.expect("an id that is at home on shard 1");
    let most = most(|| {
        let (mut request, mut handoff) = (handshake(&id), None);
        let taken = count(|| {
            handoff = hand_off(&mut world, &mut request);
            let handoff = *handoff.take().expect("its home is shard 1");
            world.home = 1;
            world.conn = world.shards[1].adopt(Timestamp::ZERO, handoff, &mut world.out);
        });
        let call = world.call();
        world.handle(Event::Reply(call, Ok(ok())));
        world.written();
        world.replace();
        taken
    });
    assert!(most <= 51, "{most} allocations for one hand-off, up to the call");
}

/// What shard 0 hands to shard 1 when a client connects to it; `None` if it stays.
fn hand_off(world: &mut World, request: &mut [u8]) -> Option<Box<HandOff>> {
    world.home = 0;
    let conn = world.accept();
    world.handle(Event::Received(conn, request));
    world
        .out
        .actions
        .drain(..)
        .find_map(|action| if let Action::HandOff(_, ShardId(1), handoff) = action { Some(handoff) } else { None })
}

/// Bytes that `work` has taken from the heap and not given back.
fn kept(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    work();
    usize::try_from(LIVE.get() - before).unwrap_or(0)
}

#[test]
fn a_full_send_queue_takes_up_what_it_counts() {
    let limit = Config::new(ApiAddress::parse("http://api:8000/").unwrap()).send_queue;
    for size in [0, 1, 60, 125] {
        let mut world = open();
        let conn = world.conn;
        let ping = [&[0x89, 0x80 | size as u8, 0, 0, 0, 0][..], &vec![b'x'; size]].concat();
        let held = kept(|| {
            while world.shards[0].wants_read(conn) {
                world.handle(Event::Received(conn, &mut ping.clone()));
            }
        });
        assert!((limit / 2..limit + limit / 8).contains(&held), "pongs of {size} bytes: {held} bytes for {limit}");
    }
}

#[test]
fn pushes_to_a_full_send_queue_take_up_what_they_count() {
    let limit = Config::new(ApiAddress::parse("http://api:8000/").unwrap()).send_queue;
    for size in [1, 7, 100, 40_000] {
        let mut world = open();
        let control = world.accept();
        let head = format!("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: {size}\r\n\r\n");
        let request = [head.as_bytes(), &vec![b'x'; size]].concat();
        let held = kept(|| {
            let mut full = false;
            while !full {
                // In pieces, as they come from a socket.
                for piece in request.clone().chunks_mut(16 * 1024) {
                    world.handle(Event::Received(control, piece));
                }
                world.written_to(control);
                full = world.buffer.starts_with(b"HTTP/1.1 503");
            }
        });
        assert!((limit / 2..limit + limit / 8).contains(&held), "pushes of {size} bytes: {held} bytes for {limit}");
    }
}
