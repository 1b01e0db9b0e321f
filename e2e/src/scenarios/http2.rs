//! Calls by HTTP/2: many on one connection, and what may happen to that.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::{Answer, Api, Http2, Outcome, Request, Then, echo};
use crate::client::Client;
use crate::frames_http2::{CANCEL, INTERNAL_ERROR, Listener, NO_ERROR, PROTOCOL_ERROR};
use crate::gateway::Gateway;
use crate::rig::{Binary, Rig, words};
use crate::wait::{Gate, until};

super::scenarios!["http2":
    many_calls_share_a_connection, few_streams_and_many_calls, refused_calls_are_repeated, resets_are_failures,
    an_orderly_end_lets_calls_finish, calls_beyond_the_last_stream_are_repeated, an_end_with_an_error,
    cut_with_calls_under_way, slow_calls_time_out_alone, a_silent_connection_is_left, large_bodies_and_small_windows,
    half_an_answer_holds_nobody_up, more_streams_are_used_at_once, wrong_answers_fail_each_for_itself,
    a_connection_that_failed_is_tried_again, answers_over_the_limit, a_server_without_http2,
];

/// A gateway with one thread in front of an API played by hand.
async fn by_hand(binary: &Binary, flags: &str) -> (Listener, Gateway) {
    let listener = Listener::start().await;
    let api = format!("http://{}/", listener.address());
    let flags = [words("--api-http2 --threads 1 --api"), vec![api], words(flags)].concat();
    let gateway = Gateway::start(binary.path(), &flags, &[]).await;
    (listener, gateway)
}

async fn clients(rig: &Rig, count: usize) -> Vec<Client> {
    let ids: Vec<String> = (0..count).map(|index| format!("c{index}")).collect();
    join_all(ids.iter().map(|id| rig.connect(id))).await
}

async fn many_calls_share_a_connection(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--threads 1", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let mut clients = clients(&rig, 50).await;
    for (index, client) in clients.iter_mut().enumerate() {
        client.send_text(&index.to_string()).await;
    }
    rig.api.requests(100).await;
    assert_eq!(rig.api.connections(), 1, "50 calls at once");
    gate.open();
    for (index, client) in clients.iter_mut().enumerate() {
        client.expect_text(&index.to_string()).await;
    }
    drop(clients);
    rig.finish().await;
}

async fn few_streams_and_many_calls(binary: Binary) {
    let api = Api::stopped(|request: &Request| echo(request).delayed(Duration::from_millis(2)));
    api.http2(Http2 { streams: Some(2), ..Http2::default() });
    let mut rig = binary.rig_with(&words("--threads 1 --max-api-connections 20"), api, "/").await;
    rig.api.resume();
    let mut clients = clients(&rig, 60).await;
    for number in 0..5 {
        for client in &mut clients {
            client.send_text(&number.to_string()).await;
        }
    }
    for number in 0..5 {
        for client in &mut clients {
            client.expect_text(&number.to_string()).await;
        }
    }
    let connections = rig.api.open_connections();
    assert!((2..=11).contains(&connections), "{connections} connections for 20 calls at once, two on each");
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 0.0);
    drop(clients);
    rig.finish().await;
}

async fn refused_calls_are_repeated(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    rig.api.http2(Http2 { refuse: 2, ..Http2::default() });
    client.send_text("refused at first").await;
    client.expect_text("refused at first").await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 0.0);
    drop(client);
    rig.finish().await;
}

async fn resets_are_failures(binary: Binary) {
    let rig = binary.rig("--threads 1", |request: &Request| match request.text().as_str() {
        "reset" => Answer::reset(),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("reset").await;
    client.send_text("after").await;
    client.expect_text("after").await;
    assert_eq!(rig.api.messages_of("a"), ["reset", "after"], "a call that the API saw is not repeated");
    assert_eq!(rig.api.connections(), 1, "the connection is as good as before");
    drop(client);
    rig.finish().await;
}

async fn an_orderly_end_lets_calls_finish(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--threads 1", move |request: &Request| match request.text().as_str() {
        "slow" => echo(request).after(held.opened()),
        "last" => echo(request).closing(),
        _ => echo(request),
    });
    let rig = rig.await;
    let (mut slow, mut client) = (rig.connect("slow").await, rig.connect("a").await);
    slow.send_text("slow").await;
    rig.api.request("POST", "slow", 0).await;
    client.send_text("last").await;
    client.expect_text("last").await;
    for number in 0..20 {
        client.send_text(&number.to_string()).await;
        client.expect_text(&number.to_string()).await;
    }
    assert_eq!(rig.api.connections(), 2);
    gate.open();
    slow.expect_text("slow").await;
    until("the connection to end with its last call", || rig.api.open_connections() == 1).await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 0.0);
    drop((slow, client));
    rig.finish().await;
}

async fn calls_beyond_the_last_stream_are_repeated(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    a.send_text("seen").await;
    let (seen, _) = api.request().await;
    b.send_text("not looked at").await;
    let (_, body) = api.request().await;
    assert_eq!(body, "not looked at");
    api.go_away(seen, NO_ERROR).await;
    let mut other = listener.connection().await;
    let (again, body) = other.request().await;
    assert_eq!(body, "not looked at");
    other.answer(again, "B").await;
    b.expect_text("B").await;
    api.answer(seen, "A").await;
    a.expect_text("A").await;
    assert_eq!(gateway.metrics().await.sum("requests_failed"), 0.0);
}

/// Two clients whose calls go by the connection that is returned.
async fn two_clients(listener: &Listener, gateway: &Gateway) -> (crate::frames_http2::Connection, Client, Client) {
    let connect = async { (Client::connect(gateway.public, "/a").await, Client::connect(gateway.public, "/b").await) };
    let api = async {
        let mut api = listener.connection().await;
        for _ in 0..2 {
            let (stream, _) = api.request().await;
            api.answer(stream, "ok").await;
        }
        api
    };
    let ((a, b), api) = tokio::join!(connect, api);
    (api, a, b)
}

async fn an_end_with_an_error(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    a.send_text("seen").await;
    let (seen, _) = api.request().await;
    api.go_away(seen, INTERNAL_ERROR).await;
    drop(api);
    gateway.metrics_until("the failure", |now| now.sum("requests_failed") == 1.0).await;
    // What the API may have looked at is not repeated: the next call is another one.
    b.send_text("next").await;
    let mut api = listener.connection().await;
    let (stream, body) = api.request().await;
    assert_eq!(body, "next");
    api.answer(stream, "B").await;
    b.expect_text("B").await;
}

async fn cut_with_calls_under_way(binary: Binary) {
    let rig = binary.rig("--threads 1", |request: &Request| match request.text().as_str() {
        "hang" => Answer::hang(),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut clients = clients(&rig, 20).await;
    for client in &mut clients {
        client.send_text("hang").await;
    }
    rig.api.requests(40).await;
    rig.api.cut();
    rig.gateway.metrics_until("the failures", |now| now.sum("requests_failed") == 20.0).await;
    for client in &mut clients {
        client.send_text("after").await;
        client.expect_text("after").await;
    }
    assert_eq!(rig.api.messages_of("c7"), ["hang", "after"], "a call that the API saw is not repeated");
    drop(clients);
    rig.finish().await;
}

async fn slow_calls_time_out_alone(binary: Binary) {
    // Long enough that only what hangs takes so long, also where the machine stands still for a moment.
    let rig = binary.rig("--threads 1 --api-timeout 3s", |request: &Request| match request.text().as_str() {
        "hang" => Answer::hang(),
        _ => echo(request),
    });
    let rig = rig.await;
    let (mut slow, mut other) = (rig.connect("slow").await, rig.connect("other").await);
    slow.send_text("hang").await;
    rig.api.request("POST", "slow", 0).await;
    let ended = || rig.api.seen_of("slow").iter().find(|seen| seen.request.text() == "hang").and_then(|seen| seen.ended);
    for number in 0.. {
        other.send_text(&number.to_string()).await;
        other.expect_text(&number.to_string()).await;
        if ended().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ended().map(|(_, outcome)| outcome), Some(Outcome::Abandoned), "its stream is reset");
    slow.send_text("after").await;
    slow.expect_text("after").await;
    assert_eq!(rig.api.connections(), 1, "one call's slowness is not the connection's");
    drop((slow, other));
    rig.finish().await;
}

async fn a_silent_connection_is_left(binary: Binary) {
    // As if the API's machine had lost power: nothing says so, nothing comes any more.
    let (listener, gateway) = by_hand(&binary, "--api-timeout 500ms").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    a.send_text("lost").await;
    let (stream, _) = api.request().await;
    assert_eq!(api.given_up(stream).await, CANCEL);
    b.send_text("next").await;
    let mut other = listener.connection().await;
    let (stream, body) = other.request().await;
    assert_eq!(body, "next");
    other.answer(stream, "B").await;
    b.expect_text("B").await;
}

async fn more_streams_are_used_at_once(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    api.allow_streams(1).await;
    a.send_text("slow").await;
    let (slow, _) = api.request().await;
    b.send_text("next").await;
    // Another connection is opened for it, which does not get on.
    let _other = listener.bare().await;
    api.allow_streams(2).await;
    let (next, body) = api.request().await;
    assert_eq!(body, "next");
    api.answer(next, "B").await;
    b.expect_text("B").await;
    api.answer(slow, "A").await;
    a.expect_text("A").await;
}

async fn wrong_answers_fail_each_for_itself(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    b.send_text("slow").await;
    let (slow, _) = api.request().await;
    // More than the library takes by itself on one connection.
    for number in 0..1100 {
        a.send_text(&number.to_string()).await;
        let (stream, body) = api.request().await;
        assert_eq!(body, number.to_string());
        api.answer_wrongly(stream).await;
        assert_eq!(api.given_up(stream).await, PROTOCOL_ERROR);
    }
    api.answer(slow, "B").await;
    b.expect_text("B").await;
    assert_eq!(gateway.metrics().await.sum("requests_failed"), 1100.0);
}

async fn large_bodies_and_small_windows(binary: Binary) {
    let api = Api::stopped(echo);
    api.http2(Http2 { window: Some(100_000), ..Http2::default() });
    let mut rig = binary.rig_with(&words("--threads 1"), api, "/").await;
    rig.api.resume();
    let ids: Vec<String> = (0..5).map(|index| format!("c{index}")).collect();
    join_all(ids.iter().map(async |id| {
        let mut client = rig.connect(id).await;
        for round in 0..3 {
            let text = format!("{id} {round} ").repeat((1 << 20) / 8 - 100);
            client.send_text(&text).await;
            client.expect_text(&text).await;
        }
        client.close(1000, "").await;
    }))
    .await;
    rig.finish().await;
}

async fn a_connection_that_failed_is_tried_again(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    let (mut api, mut a, mut b) = two_clients(&listener, &gateway).await;
    api.allow_streams(1).await;
    a.send_text("slow").await;
    let (slow, _) = api.request().await;
    b.send_text("quick").await;
    drop(listener.bare().await);
    let failed = tokio::time::Instant::now();
    // Though nothing happens on the first one.
    let mut other = listener.connection().await;
    assert!(failed.elapsed() < Duration::from_secs(5), "{:?}", failed.elapsed());
    let (quick, body) = other.request().await;
    assert_eq!(body, "quick");
    other.answer(quick, "B").await;
    b.expect_text("B").await;
    api.answer(slow, "A").await;
    a.expect_text("A").await;
}

async fn half_an_answer_holds_nobody_up(binary: Binary) {
    // Two of these are more than the API may send before the gateway has read.
    let large = "x".repeat(600_000);
    let body = large.clone();
    let rig = binary.rig("--threads 1 --api-timeout 3s", move |request: &Request| match request.text().as_str() {
        "half" => Answer::new(200, &body).then(Then::Hang),
        "whole" => Answer::new(200, &body),
        _ => echo(request),
    });
    let rig = rig.await;
    let (mut half, mut whole) = (rig.connect("half").await, rig.connect("whole").await);
    half.send_text("half").await;
    until("the half answer", || rig.api.seen_of("half").iter().any(|seen| seen.request.method == "POST" && seen.ended.is_some())).await;
    whole.send_text("whole").await;
    whole.expect_text(&large).await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 0.0, "not by giving the half answer up");
    drop((half, whole));
    rig.finish().await;
}

async fn answers_over_the_limit(binary: Binary) {
    let rig = binary.rig("--threads 1 --max-message 1000", |request: &Request| match request.text().as_str() {
        "announced" => Answer::new(200, "x".repeat(1001)),
        "not announced" => Answer::new(200, "x".repeat(1001)).framed(crate::api::Framing::Chunked(100)),
        "endless" => Answer::endless(),
        "fits" => Answer::new(200, "x".repeat(1000)),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for text in ["announced", "not announced", "endless"] {
        client.send_text(text).await;
    }
    client.send_text("fits").await;
    client.expect_text(&"x".repeat(1000)).await;
    assert_eq!(rig.gateway.metrics().await.sum("requests_failed"), 3.0);
    assert_eq!(rig.api.connections(), 1, "an answer too large is the end of its stream alone");
    drop(client);
    rig.finish().await;
}

async fn a_server_without_http2(binary: Binary) {
    let (listener, gateway) = by_hand(&binary, "").await;
    for answer in ["HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n", ""] {
        let refusal = async { Client::attempt(gateway.public, "/a", &[]).await.err().map(|refusal| refusal.status) };
        let api = async {
            let mut stream = listener.bare().await;
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.expect("the preface");
            stream.write_all(answer.as_bytes()).await.expect("the gateway reads");
            // What the gateway still sends is taken, so that the answer is not lost to a reset.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (status, ()) = tokio::join!(refusal, api);
        assert_eq!(status, Some(502));
        let said = || gateway.log().iter().any(|line| line.contains("which --api-http2 needs"));
        until("the log to say what is wrong", said).await;
    }
}
