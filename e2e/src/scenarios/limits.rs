//! Section 10: limits, each of them hit.

use std::time::Duration;

use crate::api::{Answer, Request, echo, silent};
use crate::frame::{Frame, PING, PONG, TEXT};
use crate::raw::{Raw, handshake};
use crate::rig::Binary;

super::scenarios!["limits":
    one_connection_too_many_is_503,
    a_full_send_queue_refuses_pushes,
    a_reader_that_stops_is_dropped,
    a_full_receive_queue_stops_reading_and_loses_nothing,
    api_connections_are_capped,
    messages_over_the_limit,
    endless_answers_are_failures,
];

async fn one_connection_too_many_is_503(binary: Binary) {
    let rig = binary.rig("--max-connections 3 --threads 2", silent).await;
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(rig.connect(&format!("c{number}")).await);
    }
    let refusal = rig.refusal("one-more", &[]).await;
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some());
    assert!(rig.api.seen_of("one-more").is_empty());
    clients.pop().expect("three").close(1000, "").await;
    rig.gateway.metrics_until("a free place", |metrics| metrics.sum("active_connections") == 2.0).await;
    let again = rig.connect("one-more").await;
    drop((clients, again));
    rig.finish().await;
}

async fn a_full_send_queue_refuses_pushes(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB --send-timeout 60s", silent).await;
    let mut raw = Raw::connect_narrow(rig.gateway.public).await;
    raw.shake_hands("/a").await;
    let text = "x".repeat(50 * 1024);
    let mut accepted = 0;
    // The system's socket buffers take some before the gateway's queue fills.
    let refusal = loop {
        let answer = rig.push("a", &text).await;
        match answer.status {
            200 => accepted += 1,
            _ => break answer,
        }
        assert!(accepted < 1000, "the queue has no end");
    };
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some());
    for _ in 0..accepted {
        assert_eq!(raw.frame().await.payload.len(), text.len());
    }
    assert!(raw.is_quiet().await);
    drop(raw);
    rig.finish().await;
}

async fn a_reader_that_stops_is_dropped(binary: Binary) {
    let rig = binary.rig("--send-queue 100KiB --send-timeout 500ms --ping-interval 0", silent).await;
    let mut raw = Raw::connect_narrow(rig.gateway.public).await;
    raw.shake_hands("/a").await;
    let text = "x".repeat(50 * 1024);
    while rig.push("a", &text).await.status == 200 {}
    assert_eq!(rig.api.disconnect("a").await, (1006, "send timeout".to_owned()));
    drop(raw);
    rig.finish().await;
}

async fn a_full_receive_queue_stops_reading_and_loses_nothing(binary: Binary) {
    let slow = |request: &Request| echo(request).delayed(Duration::from_millis(if request.method == "POST" { 5 } else { 0 }));
    let rig = binary.rig("--receive-queue 4", slow).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(PING, "first")).await;
    raw.expect(PONG, "first").await;
    for number in 0..200 {
        raw.send(&Frame::new(TEXT, number.to_string())).await;
    }
    let waiting = rig.gateway.metrics().await.sum("ws2http_api_calls_waiting");
    assert!(waiting <= 4.0, "{waiting} messages wait");
    assert_eq!(rig.push("a", "pushed meanwhile").await.status, 200);
    let mut next = 0;
    while next < 200 {
        let payload = String::from_utf8(raw.frame().await.payload).expect("text");
        if payload != "pushed meanwhile" {
            assert_eq!(payload, next.to_string());
            next += 1;
        }
    }
    drop(raw);
    rig.finish().await;
}

async fn api_connections_are_capped(binary: Binary) {
    let slow = |request: &Request| silent(request).delayed(Duration::from_millis(20));
    let rig = binary.rig("--max-api-connections 2 --threads 2", slow).await;
    let mut clients: Vec<Raw> = Vec::new();
    for number in 0..20 {
        let mut raw = rig.raw().await;
        raw.write(&handshake(&format!("/c{number}"), &[])).await;
        clients.push(raw);
    }
    for raw in &mut clients {
        assert_eq!(raw.answer().await.status, 101);
        assert!(rig.api.open_connections() <= 2, "{}", rig.api.open_connections());
    }
    drop(clients);
    rig.finish().await;
}

async fn messages_over_the_limit(binary: Binary) {
    let double = |request: &Request| match request.method.as_str() {
        "POST" => Answer::new(200, request.text().repeat(2)),
        _ => silent(request),
    };
    let rig = binary.rig("--max-message 1KiB", double).await;
    let mut client = rig.connect("a").await;
    client.send_text(&"x".repeat(512)).await;
    client.expect_text(&"x".repeat(1024)).await;
    client.send_text(&"x".repeat(513)).await;
    assert!(client.is_quiet().await, "an answer over the limit is not cut, it is a failure");
    assert_eq!(rig.push("a", &"x".repeat(1024)).await.status, 200);
    client.expect_text(&"x".repeat(1024)).await;
    assert_eq!(rig.push("a", &"x".repeat(1025)).await.status, 413);
    client.send_text(&"x".repeat(1025)).await;
    assert_eq!(client.expect_close().await.0, 1009);
    drop(client);
    assert!(rig.gateway.metrics().await.sum("requests_failed") >= 1.0);
    rig.finish().await;
}

async fn endless_answers_are_failures(binary: Binary) {
    let endless = |request: &Request| match request.text().as_str() {
        "endless" => Answer::endless(),
        _ => echo(request),
    };
    let rig = binary.rig("--max-message 64KiB", endless).await;
    let mut client = rig.connect("a").await;
    client.send_text("endless").await;
    client.send_text("next").await;
    client.expect_text("next").await;
    client.close(1000, "").await;
    rig.finish().await;
}
