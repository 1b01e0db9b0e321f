//! Section 10: limits, each of them hit.

use std::time::Duration;

use crate::api::{Answer, Request, echo, silent};
use crate::raw::{Raw, handshake};
use crate::rig::Binary;

super::scenarios!["limits":
    one_connection_too_many_is_503,
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
