//! An API that misbehaves below HTTP, and comes back.

use std::time::Duration;

use crate::api::{Accept, Answer, Licence, Request, Then, echo};
use crate::rig::Binary;
use crate::wait::until;

super::scenarios!["api_faults":
    closes_before_reading, resets_before_reading, restarts_between_calls, restarts_during_calls,
    answers_before_the_request_is_read, answers_nobody_asked_for, closing_after_each_answer, flapping,
];

/// Connections that come to nothing: connects are 502, messages fail, DELETEs are repeated.
async fn useless_connections(binary: Binary, accept: Accept) {
    let rig = binary.rig("--api-timeout 5s", echo).await;
    let mut client = rig.connect("a").await;
    rig.api.close_idle();
    until("idle connections to close", || rig.api.open_connections() == 0).await;
    rig.api.accept(accept);
    assert_eq!(rig.refusal("b", &[]).await.status, 502);
    client.send_text("lost or late").await;
    rig.gateway.metrics_until("the failure", |now| now.sum("requests_failed") >= 2.0).await;
    drop(client);
    rig.gateway.metrics_until("repeats", |now| now.sum("ws2http_disconnects_repeated_total") >= 1.0).await;
    rig.api.accept(Accept::Serve);
    rig.api.disconnect("a").await;
    drop(rig.connect("a").await);
    rig.finish().await;
}

async fn closes_before_reading(binary: Binary) {
    useless_connections(binary, Accept::Close).await;
}

async fn resets_before_reading(binary: Binary) {
    useless_connections(binary, Accept::Reset).await;
}

async fn restarts_between_calls(binary: Binary) {
    let mut rig = binary.rig("", echo).await;
    let idle = rig.gateway.idle_descriptors().await;
    let mut client = rig.connect("a").await;
    for round in 0..5 {
        let text = format!("round {round}");
        client.send_text(&text).await;
        client.expect_text(&text).await;
        rig.api.stop().await;
        rig.no_api_connections(idle + 1).await;
        rig.api.resume();
    }
    client.close(1000, "").await;
    assert_eq!(rig.api.messages_of("a").len(), 5);
    rig.finish().await;
}

async fn restarts_during_calls(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "hang" => Answer::hang(),
        _ => echo(request),
    });
    let mut rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("hang").await;
    rig.api.request("POST", "a", 0).await;
    rig.api.stop().await;
    rig.api.resume();
    client.send_text("after").await;
    client.expect_text("after").await;
    assert_eq!(rig.api.messages_of("a"), ["hang", "after"], "a call that the API saw is not repeated");
    drop(client);
    rig.finish().await;
}

async fn answers_before_the_request_is_read(binary: Binary) {
    let rig = binary.rig("", |request: &Request| {
        let large = request.body.len() > 1000;
        if large { Answer::new(413, "too large for me").closing() } else { echo(request) }
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text(&"x".repeat(500_000)).await;
    client.send_text("small").await;
    client.expect_text("small").await;
    drop(client);
    rig.finish().await;
}

async fn answers_nobody_asked_for(binary: Binary) {
    // Two answers to one request: the second must not be taken for the answer to another.
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "double" => Answer::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond",
            Then::KeepAlive,
        ),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    let mut other = rig.connect("b").await;
    client.send_text("double").await;
    client.expect_text("first").await;
    for number in 0..5 {
        let text = format!("own {number}");
        other.send_text(&text).await;
        other.expect_text(&text).await;
        client.send_text(&text).await;
        client.expect_text(&text).await;
    }
    drop((client, other));
    rig.finish().await;
}

async fn closing_after_each_answer(binary: Binary) {
    for answer in [|answer: Answer| answer.closing(), |answer: Answer| answer.then(Then::Close)] {
        let rig = binary.rig("", move |request: &Request| answer(echo(request))).await;
        let idle = rig.gateway.idle_descriptors().await;
        let mut client = rig.connect("a").await;
        for number in 0..10 {
            rig.no_api_connections(idle + 1).await;
            client.send_text(&number.to_string()).await;
            client.expect_text(&number.to_string()).await;
        }
        rig.no_api_connections(idle + 1).await;
        client.close(1000, "").await;
        assert_eq!(rig.api.messages_of("a").len(), 10, "each message once");
        rig.finish().await;
    }
}

async fn flapping(binary: Binary) {
    let mut rig = binary.rig("--api-timeout 2s", echo).await;
    rig.api.licence(Licence::default());
    let ids: Vec<String> = (0..40).map(|index| format!("c{index}")).collect();
    let mut clients = Vec::new();
    for id in &ids {
        clients.push(rig.connect(id).await);
    }
    for _ in 0..5 {
        for client in &mut clients {
            client.send_text("m").await;
        }
        rig.api.stop().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.api.resume();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.api.stop().await;
    drop(clients);
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.api.resume();
    for id in &ids {
        rig.api.disconnect(id).await;
    }
    rig.finish().await;
}
