//! Section 5: clients that do not read.

use std::time::{Duration, Instant};

use crate::api::{Answer, Request, echo};
use crate::frame::{Frame, TEXT};
use crate::raw::Raw;
use crate::rig::{Binary, Rig};

super::scenarios!["slow_readers":
    full_queue_is_503_and_kept, stuck_queue_is_closed, answers_are_bounded_too, others_go_on, kick_of_a_stuck_client,
    huge_frame_on_a_small_queue,
];

/// Opens a client that will not read.
async fn deaf(rig: &Rig, id: &str) -> Raw {
    let mut raw = Raw::connect_narrow(rig.gateway.public).await;
    raw.shake_hands(&format!("/{id}")).await;
    raw
}

/// Pushes until the queue is full; how many were taken.
async fn fill(rig: &Rig, id: &str) -> usize {
    let mut taken = 0;
    loop {
        let answer = rig.push(id, &format!("{taken:06}{}", "x".repeat(30_000))).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{answer:?}");
            let after = answer.header("retry-after").and_then(|after| after.parse::<u32>().ok());
            assert!(after.is_some(), "{answer:?}");
            return taken;
        }
        taken += 1;
        assert!(taken < 2000, "60 MB were queued for a client that does not read");
    }
}

async fn full_queue_is_503_and_kept(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB", echo).await;
    let mut client = deaf(&rig, "a").await;
    let taken = fill(&rig, "a").await;
    assert!(rig.connected("a").await.is_some(), "it stays connected");
    for number in 0..taken {
        let frame = client.frame().await;
        assert_eq!(frame.payload[..6], *format!("{number:06}").as_bytes(), "what was queued stays, in order");
    }
    assert_eq!(rig.push("a", "again").await.status, 200);
    client.expect(TEXT, "again").await;
    drop(client);
    rig.finish().await;
}

async fn stuck_queue_is_closed(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB --send-timeout 700ms --ping-interval 0", echo).await;
    let client = deaf(&rig, "a").await;
    let start = Instant::now();
    fill(&rig, "a").await;
    let (code, reason) = rig.api.disconnect("a").await;
    assert_eq!(code, 1006, "closed abnormally");
    assert!(!reason.is_empty(), "and reported as such");
    assert!(start.elapsed() >= Duration::from_millis(650), "after {:?}", start.elapsed());
    assert_eq!(rig.push("a", "x").await.status, 404);
    drop(client);
    rig.finish().await;
}

async fn answers_are_bounded_too(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB --send-timeout 60s --ping-interval 0", |request: &Request| {
        let call = request.method == "POST";
        if call { Answer::new(200, "x".repeat(50_000)) } else { Answer::ok() }
    });
    let rig = rig.await;
    let mut client = deaf(&rig, "a").await;
    // 400 answers of 50 kB: far more than the queue and the sockets in between hold.
    let before = rig.gateway.rss();
    let messages = Frame::new(TEXT, "m").encode().repeat(400);
    client.write(&messages).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let grown = rig.gateway.rss().saturating_sub(before);
    assert!(grown < 12 << 20, "{grown} bytes for a client that does not read");
    let called = rig.api.messages_of("a").len();
    assert!(called < 400, "the gateway went on calling for answers it cannot send");
    for _ in 0..called {
        assert_eq!(client.frame().await.payload.len(), 50_000, "no answer is dropped while it lives");
    }
    drop(client);
    rig.finish().await;
}

async fn others_go_on(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB", echo).await;
    let stuck = deaf(&rig, "stuck").await;
    fill(&rig, "stuck").await;
    let mut client = rig.connect("a").await;
    for number in 0..50 {
        client.send_text(&number.to_string()).await;
        client.expect_text(&number.to_string()).await;
    }
    assert_eq!(rig.push("a", "x").await.status, 200);
    client.expect_text("x").await;
    drop((client, stuck));
    rig.finish().await;
}

async fn kick_of_a_stuck_client(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB --close-timeout 700ms --ping-interval 0", echo).await;
    let client = deaf(&rig, "a").await;
    fill(&rig, "a").await;
    assert_eq!(rig.kick("a", "?code=4000").await.status, 200);
    rig.api.disconnect("a").await;
    rig.gateway.metrics_until("the client to be gone", |now| now.sum("active_connections") == 0.0).await;
    drop(client);
    rig.finish().await;
}

async fn huge_frame_on_a_small_queue(binary: Binary) {
    // A message within --max-message but over --send-queue: one is always taken.
    let rig = binary.rig("--send-queue 1000", echo).await;
    let mut client = rig.connect("a").await;
    let text = "x".repeat(100_000);
    assert_eq!(rig.push("a", &text).await.status, 200);
    client.expect_text(&text).await;
    assert_eq!(rig.push("a", "small").await.status, 200);
    client.expect_text("small").await;
    drop(client);
    rig.finish().await;
}
