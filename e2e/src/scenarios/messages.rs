//! Section 4: messages to the API, in order, and its answers back.

use std::sync::Mutex;
use std::time::Duration;

use crate::api::{Answer, Licence, Request, echo, silent};
use crate::client::Heard;
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["messages":
    text_and_binary, unwrapped, large_both_ways, order_with_a_jittery_api, one_call_at_a_time, several_calls_per_client, clients_do_not_wait_for_each_other, idle_connection_closed_by_the_api, seen_calls_are_not_repeated, full_queue_stops_reading, full_queue_by_bytes, pings_while_a_call_hangs,
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

async fn idle_connection_closed_by_the_api(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let idle = rig.gateway.idle_descriptors().await;
    let mut client = rig.connect("a").await;
    for round in 0..20 {
        if round % 2 == 0 {
            rig.api.close_idle();
            rig.no_api_connections(idle + 1).await;
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
