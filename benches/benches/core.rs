//! What the core takes for each thing it does, without sockets: `cargo bench -p ws2http-benches --bench core`.
//!
//! Only the part that a name tells is timed; what brings the gateway there and back is not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws2http_core::{Action, ConnId, Event, HandOff, ShardId};

use crate::world::{World, frame, handshake};

mod world;

const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
const IDLE: usize = 10_000;

/// Sums up the time that `part` takes, which answers how long its own measured part was.
fn sum(count: u64, mut part: impl FnMut() -> Duration) -> Duration {
    (0..count).map(|_| part()).sum()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn handshakes(criterion: &mut Criterion) {
    criterion.bench_function("handshake: socket to 101", |bencher| {
        let mut world = World::new(1);
        bencher.iter_custom(|count| {
            sum(count, || {
                let mut request = handshake("client");
                let mut conn = None;
                let time = timed(|| {
                    let new = world.accept(0);
                    world.handle(0, Event::Received(new, &mut request));
                    world.reply(0, Bytes::from_static(b"ok"));
                    world.write(0, new);
                    conn = Some(new);
                });
                world.lose(0, conn.expect("a socket"));
                time
            })
        });
    });
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message in: frame to call");
    for size in SIZES {
        let (mut world, template) = (World::new(1), frame(1, size));
        let conn = world.open(0, "client");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|count| {
                sum(count, || {
                    let mut bytes = template.clone();
                    let time = timed(|| world.handle(0, Event::Received(conn, &mut bytes)));
                    world.reply(0, Bytes::new());
                    time
                })
            });
        });
    }
}

fn replies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply out: answer to frame");
    for size in SIZES {
        let (mut world, body) = (World::new(1), Bytes::from(vec![b'x'; size]));
        let conn = world.open(0, "client");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|count| {
                sum(count, || {
                    world.handle(0, Event::Received(conn, &mut frame(1, 5)));
                    let body = body.clone();
                    timed(|| {
                        world.reply(0, body);
                        world.write(0, conn);
                    })
                })
            });
        });
    }
}

fn pushes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push: request to frame and answer");
    for size in SIZES {
        let mut world = World::new(1);
        let (client, control) = (world.open(0, "client"), world.accept(0));
        let mut request = format!("POST /client HTTP/1.1\r\nHost: g\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        request.resize(request.len() + size, b'x');
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|count| {
                sum(count, || {
                    let mut bytes = request.clone();
                    let mut written = 0;
                    let time = timed(|| {
                        world.handle(0, Event::Received(control, &mut bytes));
                        written = world.write(0, client).min(world.write(0, control));
                    });
                    assert!(written > 0, "an answer and a frame");
                    time
                })
            });
        });
    }
}

/// Every idle client is pinged once and answers: all that the timers of a ping interval take.
fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("idle clients");
    group.sample_size(10).throughput(Throughput::Elements(IDLE as u64));
    group.bench_function(BenchmarkId::new("all pinged once", IDLE), |bencher| {
        let mut world = World::new(1);
        let conns: Vec<ConnId> = (0..IDLE).map(|number| world.open(0, &format!("c{number}"))).collect();
        bencher.iter_custom(|count| {
            sum(count, || {
                let (until, mut pings, mut time) = (world.now + Duration::from_secs(31), Vec::new(), Duration::ZERO);
                while let Some((due, _)) = world.shards[0].poll_timeout().filter(|(due, _)| *due <= until) {
                    world.now = due;
                    time += timed(|| world.handle(0, Event::Timeout));
                    let ping = |action: &Action| if let Action::Transmit(conn) = action { Some(*conn) } else { None };
                    pings.extend(world.out.actions.iter().filter_map(ping));
                }
                assert_eq!(pings.len(), conns.len(), "a ping for everyone");
                pings.iter().for_each(|conn| assert!(world.write(0, *conn) > 0));
                conns.iter().for_each(|conn| world.handle(0, Event::Received(*conn, &mut frame(10, 0))));
                time
            })
        });
    });
    let mut world = World::new(1);
    for number in 0..IDLE {
        world.open(0, &format!("c{number}"));
    }
    group.finish();
    criterion.bench_function("idle clients/the next deadline of 10000", |bencher| {
        bencher.iter(|| world.shards[0].poll_timeout());
    });
}

fn hand_offs(criterion: &mut Criterion) {
    criterion.bench_function("hand-off: socket of another shard to call", |bencher| {
        let mut world = World::new(2);
        let id = (0..100).map(|number| format!("c{number}")).find(|id| hand_off(&mut world, id).is_some());
        let id = id.expect("an id that is at home on shard 1");
        bencher.iter_custom(|count| {
            sum(count, || {
                let mut conn = None;
                let time = timed(|| {
                    let handoff = hand_off(&mut world, &id).expect("its home is shard 1");
                    world.out.actions.clear();
                    conn = Some(world.shards[1].adopt(world.now, *handoff, &mut world.out));
                });
                world.reply(1, Bytes::from_static(b"ok"));
                let conn = conn.expect("a socket");
                world.write(1, conn);
                world.lose(1, conn);
                time
            })
        });
    });
}

/// What shard 0 hands to shard 1 when a client of this id connects to it; `None` if it stays.
fn hand_off(world: &mut World, id: &str) -> Option<Box<HandOff>> {
    let conn = world.accept(0);
    world.handle(0, Event::Received(conn, &mut handshake(id)));
    world
        .out
        .actions
        .drain(..)
        .find_map(|action| if let Action::HandOff(_, ShardId(1), handoff) = action { Some(handoff) } else { None })
}

criterion_group!(core, handshakes, messages, replies, pushes, timers, hand_offs);
criterion_main!(core);
