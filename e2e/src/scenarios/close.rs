//! Section 6: every end, told to the API exactly once and last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::api::{Answer, Licence, Request, echo};
use crate::client::Heard;
use crate::frame::{CLOSE, Frame, TEXT};
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["close":
    client_closes, client_closes_without_a_code, client_leaves, client_resets, frame_is_answered_after_the_delete,
    frame_is_answered_at_the_latest, kicked_client_never_answers, kicked_client_goes_on_talking, both_close_at_once,
    delete_comes_after_calls_under_way, delete_is_repeated_after_5xx, delete_is_repeated_after_failures,
    delete_is_repeated_while_the_api_is_down, delete_is_given_up, delete_with_4xx_is_done,
    reconnect_waits_for_the_delete, reconnect_does_not_wait_for_ever, nothing_after_the_close_frame,
    half_closing_client, messages_before_the_close_arrive,
];

async fn client_closes(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for (id, code, reason) in
        [("a", 1000, "done"), ("b", 1001, ""), ("c", 3999, "grüße"), ("d", 4999, &"x".repeat(123))]
    {
        rig.connect(id).await.close(code, reason).await;
        assert_eq!(rig.api.disconnect(id).await, (code, reason.to_owned()));
    }
    let delete = rig.api.request("DELETE", "a", 0).await;
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!(delete.connection_id(), get.connection_id());
    rig.finish().await;
}

async fn client_closes_without_a_code(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(CLOSE, "")).await;
    assert_eq!(raw.expect_close().await.0, 1005, "answered in kind");
    raw.expect_end().await;
    assert_eq!(rig.api.disconnect("a").await.0, 1005);
    rig.finish().await;
}

async fn client_leaves(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.half_close().await;
    assert_eq!(rig.api.disconnect("a").await, (1006, "EOF".into()));
    raw.expect_end().await;
    drop(rig.open("b").await);
    assert_eq!(rig.api.disconnect("b").await, (1006, "EOF".into()));
    rig.finish().await;
}

async fn client_resets(binary: Binary) {
    let rig = binary.rig("", echo).await;
    rig.open("a").await.reset();
    assert_eq!(rig.api.disconnect("a").await, (1006, "connection reset".into()));
    rig.finish().await;
}

async fn frame_is_answered_after_the_delete(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::close(1000, "bye")).await;
    rig.api.request("DELETE", "a", 0).await;
    assert!(raw.is_quiet().await, "no answer before the API's");
    gate.open();
    assert_eq!(raw.expect_close().await.0, 1000);
    raw.expect_end().await;
    rig.finish().await;
}

async fn frame_is_answered_at_the_latest(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--close-timeout 500ms", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut raw = rig.open("a").await;
    let start = Instant::now();
    raw.send(&Frame::close(1000, "bye")).await;
    assert_eq!(raw.expect_close().await.0, 1000);
    assert!(start.elapsed() >= Duration::from_millis(450), "after {:?}", start.elapsed());
    raw.expect_end().await;
    gate.open();
    rig.finish().await;
}

async fn kicked_client_never_answers(binary: Binary) {
    let rig = binary.rig("--close-timeout 500ms", echo).await;
    let mut raw = rig.open("a").await;
    assert_eq!(rig.kick("a", "?code=4000&reason=out").await.status, 200);
    assert_eq!(raw.expect_close().await, (4000, "out".into()));
    raw.end().await;
    assert_eq!(rig.api.disconnect("a").await.0, 4000);
    rig.finish().await;
}

async fn kicked_client_goes_on_talking(binary: Binary) {
    let rig = binary.rig("--close-timeout 500ms", echo).await;
    let mut raw = rig.open("a").await;
    assert_eq!(rig.kick("a", "?code=4000").await.status, 200);
    for _ in 0..20 {
        raw.write_anyway(&Frame::new(TEXT, "too late").encode()).await;
    }
    assert_eq!(raw.expect_close().await.0, 4000);
    raw.end().await;
    rig.finish().await;
}

async fn both_close_at_once(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for round in 0..20 {
        let id = format!("a{round}");
        let mut client = rig.connect(&id).await;
        let (kick, ()) = tokio::join!(rig.kick(&id, "?code=4000"), client.send_close(1000, "mine"));
        let (code, _) = client.expect_close().await;
        assert_eq!(client.next().await, Heard::Gone);
        assert!([200, 404].contains(&kick.status), "{kick:?}");
        let (told, _) = rig.api.disconnect(&id).await;
        assert!([1000, 4000].contains(&told) && [1000, 4000].contains(&code), "{told} {code}");
    }
    rig.finish().await;
}

async fn delete_comes_after_calls_under_way(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--calls-per-client 3", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    rig.api.licence(Licence { calls_per_client: 3, ..Licence::default() });
    let mut client = rig.connect("a").await;
    for text in ["1", "2", "3", "4"] {
        client.send_text(text).await;
    }
    rig.api.request("POST", "a", 2).await;
    client.send_close(1000, "").await;
    assert!(client.is_quiet().await);
    let none = rig.api.seen().iter().all(|seen| seen.request.method != "DELETE");
    assert!(none, "the DELETE is the last request of its connection");
    gate.open();
    rig.api.disconnect("a").await;
    assert_eq!(rig.api.messages_of("a").len(), 4, "what came before the close frame is delivered");
    drop(client);
    rig.finish().await;
}

/// An API whose first `failures` DELETEs get `fault`.
fn failing(failures: usize, fault: fn() -> Answer) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    let failed = Arc::new(AtomicUsize::new(0));
    move |request| match request.method.as_str() {
        "DELETE" if failed.fetch_add(1, Ordering::Relaxed) < failures => fault(),
        _ => echo(request),
    }
}

async fn delete_is_repeated_after_5xx(binary: Binary) {
    let rig = binary.rig("", failing(3, || Answer::new(503, "later"))).await;
    let start = Instant::now();
    rig.connect("a").await.close(1000, "why").await;
    let first = rig.api.request("DELETE", "a", 0).await;
    let last = rig.api.request("DELETE", "a", 3).await;
    assert!(start.elapsed() > Duration::from_millis(100), "repeats back off");
    assert_eq!(first.connection_id(), last.connection_id());
    assert_eq!((last.header("x-close-code"), last.text().as_str()), (Some("1000"), "why"));
    rig.api.settled().await;
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("ws2http_disconnects_repeated_total"), 3.0);
    assert_eq!(metrics.sum("ws2http_disconnects_lost_total"), 0.0);
    rig.finish().await;
}

async fn delete_is_repeated_after_failures(binary: Binary) {
    let faults: [fn() -> Answer; 4] = [Answer::close, Answer::reset, Answer::hang, || {
        Answer::raw("nonsense\r\n\r\n", crate::api::Then::Close)
    }];
    for fault in faults {
        let rig = binary.rig("--api-timeout 2s", failing(2, fault)).await;
        drop(rig.connect("a").await);
        rig.api.request("DELETE", "a", 2).await;
        rig.finish().await;
    }
}

async fn delete_is_repeated_while_the_api_is_down(binary: Binary) {
    let mut rig = binary.rig("", echo).await;
    let clients = [rig.connect("a").await, rig.connect("b").await];
    rig.api.stop().await;
    drop(clients);
    rig.gateway
        .metrics_until("repeats", |now| now.sum("ws2http_disconnects_repeated_total") >= 2.0)
        .await;
    assert_eq!(rig.gateway.metrics().await.sum("ws2http_disconnects_pending"), 2.0);
    rig.api.resume();
    rig.api.disconnect("a").await;
    rig.api.disconnect("b").await;
    rig.finish().await;
}

async fn delete_is_given_up(binary: Binary) {
    let rig = binary.rig("--disconnect-retry 1s", failing(usize::MAX, || Answer::new(500, "no"))).await;
    rig.api.licence(Licence { lost_disconnects: true, ..Licence::default() });
    drop(rig.connect("a").await);
    rig.gateway.metrics_until("a loss", |now| now.sum("ws2http_disconnects_lost_total") == 1.0).await;
    let attempts = rig.api.seen_of("a").len() - 1;
    assert!(attempts > 1, "it was repeated");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.api.seen_of("a").len() - 1, attempts, "given up is given up");
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("ws2http_disconnects_pending"), 0.0);
    let told = rig.gateway.log().iter().any(|line| line.contains("WARN") || line.contains("ERROR"));
    assert!(told, "a loss is logged: {:?}", rig.gateway.log());
    rig.api.script(echo);
    drop(rig.connect("a").await);
    rig.api.lawful();
}

async fn delete_with_4xx_is_done(binary: Binary) {
    let rig = binary.rig("", failing(usize::MAX, || Answer::new(404, "who?"))).await;
    rig.connect("a").await.close(1000, "").await;
    drop(rig.connect("a").await);
    rig.api.settled().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(rig.api.seen_of("a").len(), 4, "a 4xx is an answer and not repeated");
    rig.finish().await;
}

async fn reconnect_waits_for_the_delete(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    drop(rig.connect("a").await);
    rig.api.request("DELETE", "a", 0).await;
    let open = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(rig.api.seen_of("a").len(), 2, "no second GET before the DELETE is answered");
        gate.open();
    };
    let (client, ()) = tokio::join!(rig.connect("a"), open);
    drop(client);
    rig.finish().await;
}

async fn reconnect_does_not_wait_for_ever(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--handshake-timeout 600ms", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    drop(rig.connect("a").await);
    rig.api.request("DELETE", "a", 0).await;
    let start = Instant::now();
    let answer = rig.refusal("a", &[]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(start.elapsed() >= Duration::from_millis(550), "after {:?}", start.elapsed());
    assert_eq!(rig.api.seen_of("a").len(), 2, "the API was not asked");
    gate.open();
    rig.finish().await;
}

async fn nothing_after_the_close_frame(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let frames = [Frame::new(TEXT, "before"), Frame::close(1000, ""), Frame::new(TEXT, "after")];
    raw.write(&frames.map(|frame| frame.encode()).concat()).await;
    rig.api.disconnect("a").await;
    assert_eq!(rig.api.messages_of("a"), ["before"]);
    drop(raw);
    rig.finish().await;
}

async fn half_closing_client(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::close(1000, "half")).await;
    raw.half_close().await;
    assert_eq!(rig.api.disconnect("a").await, (1000, "half".into()));
    assert_eq!(raw.expect_close().await.0, 1000, "it still reads");
    raw.expect_end().await;
    rig.finish().await;
}

async fn messages_before_the_close_arrive(binary: Binary) {
    let rig = binary.rig("", |request: &Request| {
        echo(request).delayed(Duration::from_millis(if request.method == "POST" { 5 } else { 0 }))
    });
    let rig = rig.await;
    let numbers: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let mut raw = rig.open("a").await;
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|text| Frame::new(TEXT, text).encode()).collect();
    bytes.extend(Frame::close(1000, "").encode());
    raw.write(&bytes).await;
    rig.api.disconnect("a").await;
    assert_eq!(rig.api.messages_of("a"), numbers);
    drop(raw);
    let mut raw = rig.open("b").await;
    bytes.truncate(bytes.len() - 8);
    raw.write(&bytes).await;
    raw.half_close().await;
    assert_eq!(rig.api.disconnect("b").await.0, 1006);
    assert_eq!(rig.api.messages_of("b"), numbers, "also when no close frame follows");
    rig.finish().await;
}
