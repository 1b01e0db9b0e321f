//! Section 4: what of the API's answers to messages reaches the client.

use std::time::Duration;

use crate::api::{Answer, Framing, Request, Then, echo};
use crate::client::Heard;
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["answers":
    empty_answers_send_nothing, answers_in_every_framing, answer_types, failures_stay_silent, failure_can_close, answer_too_large_is_a_failure, answer_not_utf8_is_a_failure, timeout_is_a_failure, answers_reach_only_the_sender, no_answer_after_reconnect,
];

async fn empty_answers_send_nothing(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "204" => Answer::empty(),
        "empty" => Answer::new(200, ""),
        "chunked" => Answer::new(200, "").framed(Framing::Chunked(1)),
        "closed" => Answer::new(200, "").framed(Framing::UntilClose).header("Connection", "close"),
        "binary" => Answer::binary(""),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for text in ["204", "empty", "chunked", "closed", "binary", "end"] {
        client.send_text(text).await;
    }
    client.expect_text("end").await;
    drop(client);
    rig.finish().await;
}

async fn answers_in_every_framing(binary: Binary) {
    let rig = binary.rig("", |request: &Request| {
        let answer = if request.method == "POST" { Answer::new(200, "answer") } else { Answer::ok() };
        match request.text().as_str() {
            "chunked" => answer.framed(Framing::Chunked(1)),
            "until close" => answer.framed(Framing::UntilClose),
            "closing" => answer.closing(),
            "closed" => answer.then(Then::Close),
            "half closed" => answer.then(Then::HalfClose),
            "dripping" => answer.dripping(Duration::from_millis(1)),
            "1.0" => Answer::raw("HTTP/1.0 200 OK\r\n\r\nanswer", Then::Close),
            "no reason" => Answer::raw("HTTP/1.1 200\r\nContent-Length: 6\r\n\r\nanswer", Then::Close),
            "continue" => Answer::raw(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer",
                Then::Close,
            ),
            "trailers" => Answer::raw(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nanswer\r\n0\r\nX-T: 1\r\n\r\n",
                Then::Close,
            ),
            _ => answer,
        }
    });
    let rig = rig.await;
    let idle = rig.gateway.idle_descriptors().await;
    let mut client = rig.connect("a").await;
    let framings = [
        "plain", "chunked", "until close", "closing", "closed", "half closed", "dripping", "1.0", "no reason", "continue",
        "trailers", "plain",
    ];
    for framing in framings {
        client.send_text(framing).await;
        assert_eq!(client.next().await, Heard::Text("answer".into()), "{framing}");
        if !["plain", "chunked", "dripping"].contains(&framing) {
            rig.no_api_connections(idle + 1).await;
        }
    }
    drop(client);
    rig.finish().await;
}

async fn answer_types(binary: Binary) {
    let rig = binary.rig("", |request: &Request| {
        let body = if request.method == "POST" { "x" } else { "ok" };
        Answer::new(200, body).header("Content-Type", &request.text())
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    let cases = [
        ("application/octet-stream", true),
        ("Application/Octet-Stream; charset=binary", true),
        ("text/html", false),
        ("application/json", false),
        ("application/octet-stream-not", false),
    ];
    for (content_type, binary) in cases {
        client.send_text(content_type).await;
        let expected = if binary { Heard::Binary(b"x".to_vec()) } else { Heard::Text("x".into()) };
        assert_eq!(client.next().await, expected, "{content_type}");
    }
    drop(client);
    rig.finish().await;
}

async fn failures_stay_silent(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "400" => Answer::new(400, "bad"),
        "404" => Answer::new(404, "bad"),
        "302" => Answer::new(302, "bad"),
        "500" => Answer::new(500, "bad"),
        "garbage" => Answer::raw("bad\r\n\r\nbad", Then::Close),
        "reset" => Answer::reset(),
        "closed" => Answer::close(),
        "cut short" => Answer::new(200, "bad").framed(Framing::UntilClose).then(Then::Reset),
        "cut off" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nbad", Then::Close),
        "cut chunk" => {
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nba", Then::Close)
        }
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    let failing = ["400", "404", "302", "500", "garbage", "reset", "closed", "cut short", "cut off", "cut chunk"];
    for text in failing {
        client.send_text(text).await;
    }
    client.send_text("end").await;
    client.expect_text("end").await;
    assert_eq!(rig.api.messages_of("a").len(), failing.len() + 1, "none is repeated, none skipped");
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("requests_failed"), failing.len() as f64);
    drop(client);
    rig.finish().await;
}

async fn failure_can_close(binary: Binary) {
    let rig = binary.rig("--on-api-failure close", |request: &Request| match request.method.as_str() {
        "POST" if request.text() == "bad" => Answer::new(500, "secret"),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("good").await;
    client.expect_text("good").await;
    client.send_text("bad").await;
    let (code, reason) = client.expect_close().await;
    assert_eq!(code, 1011);
    assert!(!reason.contains("secret"), "nothing of a failure goes to the client");
    assert_eq!(client.next().await, Heard::Gone);
    assert_eq!(rig.api.disconnect("a").await.0, 1011);
    rig.finish().await;
}

async fn answer_too_large_is_a_failure(binary: Binary) {
    let rig = binary.rig("--max-message 1000", |request: &Request| match request.text().as_str() {
        "fits" => Answer::new(200, "x".repeat(1000)),
        "length" => Answer::new(200, "x".repeat(1001)),
        "chunked" => Answer::new(200, "x".repeat(1001)).framed(Framing::Chunked(100)),
        "until close" => Answer::new(200, "x".repeat(1001)).framed(Framing::UntilClose),
        "endless" => Answer::endless(),
        "lie" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx", Then::Hang),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for text in ["length", "chunked", "until close", "endless", "lie", "fits"] {
        client.send_text(text).await;
    }
    client.expect_text(&"x".repeat(1000)).await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 5.0);
    drop(client);
    rig.finish().await;
}

async fn answer_not_utf8_is_a_failure(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "text" => Answer::new(200, b"\xff\xfe"),
        "binary" => Answer::binary(b"\xff\xfe"),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("text").await;
    client.send_text("binary").await;
    client.expect_binary(b"\xff\xfe").await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 1.0);
    drop(client);
    rig.finish().await;
}

async fn timeout_is_a_failure(binary: Binary) {
    let rig = binary.rig("--api-timeout 2s", |request: &Request| match request.text().as_str() {
        "hang" => Answer::hang(),
        "drip" => Answer::new(200, "too slow").dripping(Duration::from_millis(50)),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for text in ["hang", "drip", "end"] {
        client.send_text(text).await;
    }
    client.expect_text("end").await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 2.0);
    assert_eq!(rig.api.messages_of("a"), ["hang", "drip", "end"], "a call that timed out is not repeated");
    drop(client);
    rig.finish().await;
}

async fn answers_reach_only_the_sender(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut clients = Vec::new();
    for index in 0..20 {
        clients.push(rig.connect(&format!("c{index}")).await);
    }
    for (index, client) in clients.iter_mut().enumerate() {
        client.send_text(&format!("of {index}")).await;
    }
    for (index, client) in clients.iter_mut().enumerate() {
        client.expect_text(&format!("of {index}")).await;
    }
    for client in &mut clients[..3] {
        assert!(client.is_quiet().await);
    }
    drop(clients);
    rig.finish().await;
}

async fn no_answer_after_reconnect(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.text().as_str() {
        "slow" => echo(request).after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut first = rig.connect("a").await;
    first.send_text("slow").await;
    rig.api.request("POST", "a", 0).await;
    first.reset();
    let open = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let seen = rig.api.seen_of("a").len();
        assert_eq!(seen, 2, "no DELETE and no second GET before the call has ended");
        gate.open();
    };
    let (mut second, ()) = tokio::join!(rig.connect("a"), open);
    second.send_text("new").await;
    second.expect_text("new").await;
    drop(second);
    rig.finish().await;
}

