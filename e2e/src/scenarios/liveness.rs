//! Section 8: pings.

use std::time::{Duration, Instant};

use crate::api::echo;
use crate::frame::{Frame, PING, PONG, TEXT};
use crate::rig::Binary;

super::scenarios!["liveness":
    quiet_clients_are_pinged, silent_clients_are_dropped, traffic_is_life, no_pings_when_off, pings_are_answered,
    unasked_pongs_are_fine, a_stall_of_the_gateway_is_not_the_clients_fault,
];

async fn quiet_clients_are_pinged(binary: Binary) {
    let rig = binary.rig("--ping-interval 200ms --pong-timeout 10s", echo).await;
    let start = Instant::now();
    let mut raw = rig.open("a").await;
    for _ in 0..4 {
        let ping = raw.frame().await;
        assert_eq!(ping.opcode, PING);
        raw.send(&Frame::new(PONG, &ping.payload)).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(700), "four intervals, not {:?}", start.elapsed());
    drop(raw);
    rig.finish().await;
}

async fn silent_clients_are_dropped(binary: Binary) {
    let rig = binary.rig("--ping-interval 200ms --pong-timeout 300ms", echo).await;
    let start = Instant::now();
    let mut raw = rig.open("a").await;
    assert_eq!(rig.api.disconnect("a").await, (1006, "ping timeout".into()));
    assert!(start.elapsed() >= Duration::from_millis(450), "after {:?}", start.elapsed());
    assert_eq!(raw.frame().await.opcode, PING);
    raw.end().await;
    rig.finish().await;
}

async fn traffic_is_life(binary: Binary) {
    let rig = binary.rig("--ping-interval 3s --pong-timeout 300ms", echo).await;
    let mut raw = rig.open("a").await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        raw.send(&Frame::new(TEXT, "m")).await;
        // A ping would come before or instead of the answer.
        raw.expect(TEXT, "m").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(raw);
    rig.finish().await;
}

async fn no_pings_when_off(binary: Binary) {
    let rig = binary.rig("--ping-interval 0 --pong-timeout 100ms", echo).await;
    let mut raw = rig.open("a").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(raw.is_quiet().await);
    raw.send(&Frame::new(TEXT, "m")).await;
    raw.expect(TEXT, "m").await;
    drop(raw);
    rig.finish().await;
}

async fn pings_are_answered(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        raw.send(&Frame::new(PING, payload)).await;
        raw.expect(PONG, payload).await;
    }
    drop(raw);
    rig.finish().await;
}

async fn unasked_pongs_are_fine(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(PONG, "nobody asked")).await;
    raw.send(&Frame::new(TEXT, "m")).await;
    raw.expect(TEXT, "m").await;
    assert_eq!(rig.api.messages_of("a"), ["m"], "control frames do not reach the API");
    drop(raw);
    rig.finish().await;
}

async fn a_stall_of_the_gateway_is_not_the_clients_fault(binary: Binary) {
    let rig = binary.rig("--ping-interval 1s --pong-timeout 1s", echo).await;
    let mut raw = rig.open("a").await;
    let ping = raw.frame().await;
    assert_eq!(ping.opcode, PING);
    rig.gateway.freeze();
    raw.send(&Frame::new(PONG, &ping.payload)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    rig.gateway.thaw();
    raw.send(&Frame::new(TEXT, "I answered in time")).await;
    let mut frame = raw.frame().await;
    while frame.opcode == PING {
        frame = raw.frame().await;
    }
    assert_eq!(frame.payload, b"I answered in time");
    drop(raw);
    rig.finish().await;
}
