//! Section 4: messages to the API, in order, and its answers back.

use std::sync::Mutex;
use std::time::Duration;

use crate::api::{Answer, Framing, Licence, Request, Then, echo, silent};
use crate::client::Heard;
use crate::rig::Binary;
use crate::wait::{Gate, until};

super::scenarios!["messages":
    text_and_binary, unwrapped, large_both_ways, order_with_a_jittery_api, one_call_at_a_time,
    several_calls_per_client, clients_do_not_wait_for_each_other, empty_answers_send_nothing,
    answers_in_every_framing, answer_types, failures_stay_silent, failure_can_close,
    answer_too_large_is_a_failure, answer_not_utf8_is_a_failure, timeout_is_a_failure,
    answers_reach_only_the_sender, no_answer_after_reconnect, idle_connection_closed_by_the_api,
    seen_calls_are_not_repeated, full_queue_stops_reading, full_queue_by_bytes, pings_while_a_call_hangs,
];

async fn text_and_binary(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    client.send_text("grüße €𝄞").await;
    client.expect_text("grüße €𝄞").await;
    client.send_binary(&[0, 255, 13, 10]).await;
    client.expect_binary(&[0, 255, 13, 10]).await;
    drop(client);
    let text = rig.api.request("POST", "a", 0).await;
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    let binary = rig.api.request("POST", "a", 1).await;
    assert_eq!(binary.header("content-type"), Some("application/octet-stream"));
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!(text.connection_id(), get.connection_id());
    rig.finish().await;
}

async fn unwrapped(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.connect("a").await;
    let messages = ["", " ", "ok", "{\"a\":1}", "a=b&c=d", "line\r\nline\0"];
    for message in messages {
        client.send_text(message).await;
    }
    rig.api.request("POST", "a", messages.len() - 1).await;
    assert_eq!(rig.api.messages_of("a"), messages);
    assert_eq!(rig.api.request("POST", "a", 0).await.header("content-length"), Some("0"));
    drop(client);
    rig.finish().await;
}

async fn large_both_ways(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for length in [125, 126, 65_535, 65_536, 1 << 20] {
        let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
        client.send_binary(&bytes).await;
        client.expect_binary(&bytes).await;
        let text = "é".repeat(length / 2);
        client.send_text(&text).await;
        client.expect_text(&text).await;
    }
    drop(client);
    rig.finish().await;
}

/// Echoes, each time after another delay.
fn jittery(request: &Request) -> Answer {
    if request.method != "POST" {
        return Answer::ok();
    }
    let delay = request.order * 7919 % 6;
    echo(request).delayed(Duration::from_millis(delay))
}

async fn order_with_a_jittery_api(binary: Binary) {
    let rig = binary.rig("", jittery).await;
    let mut client = rig.connect("a").await;
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for number in &numbers {
        client.send_text(number).await;
    }
    for number in &numbers {
        client.expect_text(number).await;
    }
    assert_eq!(rig.api.messages_of("a"), numbers);
    drop(client);
    rig.finish().await;
}

async fn one_call_at_a_time(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for text in ["1", "2", "3"] {
        client.send_text(text).await;
    }
    assert!(client.is_quiet().await);
    assert_eq!(rig.api.messages_of("a"), ["1"], "one call per client at a time");
    gate.open();
    for text in ["1", "2", "3"] {
        client.expect_text(text).await;
    }
    drop(client);
    rig.finish().await;
}

async fn several_calls_per_client(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--calls-per-client 8", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    rig.api.licence(Licence { calls_per_client: 8, ..Licence::default() });
    let mut client = rig.connect("a").await;
    let mut expected: Vec<String> = (10..30).map(|number| number.to_string()).collect();
    for text in &expected {
        client.send_text(text).await;
    }
    rig.api.request("POST", "a", 7).await;
    assert!(client.is_quiet().await);
    assert_eq!(rig.api.messages_of("a").len(), 8, "no more than 8 at once");
    gate.open();
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        match client.next().await {
            Heard::Text(text) => heard.push(text),
            other => panic!("{other:?}"),
        }
    }
    heard.sort();
    expected.sort();
    assert_eq!(heard, expected, "each answered once");
    drop(client);
    rig.finish().await;
}

async fn clients_do_not_wait_for_each_other(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match (request.method.as_str(), request.client()) {
        ("POST", "stuck") => echo(request).after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut stuck = rig.connect("stuck").await;
    let mut free = rig.connect("free").await;
    stuck.send_text("s").await;
    rig.api.request("POST", "stuck", 0).await;
    free.send_text("f").await;
    free.expect_text("f").await;
    gate.open();
    stuck.expect_text("s").await;
    drop((stuck, free));
    rig.finish().await;
}

async fn empty_answers_send_nothing(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "204" => Answer::empty(),
        "empty" => Answer::new(200, ""),
        "chunked" => Answer::new(200, "").framed(Framing::Chunked(1)),
        "closed" => Answer::new(200, "").framed(Framing::UntilClose),
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
    let mut client = rig.connect("a").await;
    let framings = [
        "plain", "chunked", "until close", "closing", "closed", "half closed", "dripping", "1.0", "no reason", "continue",
        "trailers", "plain",
    ];
    for framing in framings {
        client.send_text(framing).await;
        assert_eq!(client.next().await, Heard::Text("answer".into()), "{framing}");
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
        "cut off" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nbad", Then::Close),
        "cut chunk" => {
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nba", Then::Close)
        }
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    let failing = ["400", "404", "302", "500", "garbage", "reset", "closed", "cut off", "cut chunk"];
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
    let rig = binary.rig("--api-timeout 500ms", |request: &Request| match request.text().as_str() {
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

async fn idle_connection_closed_by_the_api(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for round in 0..20 {
        if round % 2 == 0 {
            rig.api.close_idle();
            until("idle connections to close", || rig.api.open_connections() == 0).await;
        }
        let text = format!("round {round}");
        client.send_text(&text).await;
        client.expect_text(&text).await;
    }
    assert_eq!(rig.api.messages_of("a").len(), 20, "each message once");
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 0.0);
    drop(client);
    rig.finish().await;
}

async fn seen_calls_are_not_repeated(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.text().as_str() {
        "closed" => Answer::close(),
        "reset" => Answer::reset(),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    // The first message leaves a kept-alive connection for the second to break on.
    for text in ["one", "closed", "two", "reset", "three"] {
        client.send_text(text).await;
    }
    for text in ["one", "two", "three"] {
        client.expect_text(text).await;
    }
    assert_eq!(rig.api.messages_of("a"), ["one", "closed", "two", "reset", "three"]);
    drop(client);
    rig.finish().await;
}

/// Fills the queue of a client whose first call hangs, then checks that the gateway stopped reading,
/// that pushes still work, and that everything arrives in order once the API goes on.
async fn full_queue(binary: Binary, flags: &str, size: usize, most_read: usize) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig(flags, move |request: &Request| match request.method.as_str() {
        "POST" => Answer::empty().after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    let sent = Mutex::new(0);
    let write = async {
        loop {
            let number = *sent.lock().unwrap();
            client.send_text(&format!("{number:08}{}", "x".repeat(size))).await;
            *sent.lock().unwrap() += 1;
        }
    };
    // The sockets in between take some megabytes before the client is stuck.
    let stuck = async {
        let mut before = usize::MAX;
        while before != *sent.lock().unwrap() {
            before = *sent.lock().unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! { () = write => unreachable!("it writes for ever"), () = stuck => {} }
    let received = rig.gateway.metrics().await.sum("ws2http_messages_received_total");
    assert!(received <= most_read as f64, "{received} messages were read in spite of the full queue");
    assert_eq!(rig.push("a", "pushed").await.status, 200);
    client.expect_text("pushed").await;
    gate.open();
    let sent = *sent.lock().unwrap();
    rig.api.request("POST", "a", sent - 1).await;
    for (number, message) in rig.api.messages_of("a").iter().take(sent).enumerate() {
        assert_eq!(message[..8], format!("{number:08}"), "messages in order");
    }
    drop(client);
    rig.finish().await;
}

async fn full_queue_stops_reading(binary: Binary) {
    full_queue(binary, "--receive-queue 4", 30_000, 8).await;
}

async fn full_queue_by_bytes(binary: Binary) {
    full_queue(binary, "--receive-queue-bytes 100KiB --receive-queue 10000", 30_000, 8).await;
}

async fn pings_while_a_call_hangs(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let mut raw = rig.open("a").await;
    raw.send(&crate::frame::Frame::new(crate::frame::TEXT, "m")).await;
    rig.api.request("POST", "a", 0).await;
    raw.send(&crate::frame::Frame::new(crate::frame::PING, "are you there?")).await;
    raw.expect(crate::frame::PONG, "are you there?").await;
    assert_eq!(rig.push("a", "p").await.status, 200);
    raw.expect(crate::frame::TEXT, "p").await;
    gate.open();
    raw.expect(crate::frame::TEXT, "m").await;
    drop(raw);
    rig.finish().await;
}
