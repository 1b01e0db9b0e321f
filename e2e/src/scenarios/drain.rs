//! Section 8: going down without leaving anybody behind.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::api::{Answer, Licence, Request, echo};
use crate::client::{Client, Heard};
use crate::frame::Frame;
use crate::http;
use crate::raw::Raw;
use crate::rig::{Binary, Rig};
use crate::wait::{Gate, until};

super::scenarios!["drain":
    everybody_is_sent_away, ctrl_c_does_the_same, with_nobody_there, readiness_goes_off, no_new_connects,
    closes_are_spread, calls_under_way_finish, connects_under_way, deletes_are_repeated, deletes_are_given_up_at_the_end,
    second_signal_ends_at_once, second_signal_of_the_other_kind, clients_that_do_not_answer, a_thousand_clients,
];

async fn exits_with(rig: &mut Rig, code: i32) {
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(code));
}

async fn everybody_is_sent_away(binary: Binary) {
    let mut rig = binary.rig("--drain 200ms", echo).await;
    let mut clients = Vec::new();
    for index in 0..10 {
        clients.push(rig.connect(&format!("c{index}")).await);
    }
    rig.gateway.sigterm();
    for client in &mut clients {
        assert_eq!(client.expect_close().await.0, 1001);
        assert_eq!(client.next().await, Heard::Gone);
    }
    exits_with(&mut rig, 0).await;
    for index in 0..10 {
        assert_eq!(rig.api.disconnect(&format!("c{index}")).await.0, 1001);
    }
    rig.api.settled().await;
}

async fn ctrl_c_does_the_same(binary: Binary) {
    let mut rig = binary.rig("--drain 0s", echo).await;
    let mut client = rig.connect("a").await;
    rig.gateway.sigint();
    assert_eq!(client.expect_close().await.0, 1001);
    assert_eq!(client.next().await, Heard::Gone);
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
}

async fn with_nobody_there(binary: Binary) {
    let mut rig = binary.rig("--drain 60s", echo).await;
    let kept = Raw::connect(rig.gateway.public).await;
    let start = Instant::now();
    rig.gateway.sigterm();
    exits_with(&mut rig, 0).await;
    assert!(start.elapsed() < Duration::from_secs(10), "nothing to wait for, not even idle sockets");
    drop(kept);
}

/// A gateway that drains for long, held up by the DELETE of a client.
async fn draining(binary: Binary, gate: &Gate) -> (Rig, Client) {
    let held = gate.clone();
    let rig = binary.rig("--drain 100ms --close-timeout 10s", move |request: &Request| {
        let answer = echo(request);
        if request.method == "DELETE" { answer.after(held.opened()) } else { answer }
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    rig.gateway.sigterm();
    assert_eq!(client.expect_close().await.0, 1001);
    rig.api.request("DELETE", "a", 0).await;
    (rig, client)
}

async fn readiness_goes_off(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--drain 5s", move |request: &Request| {
        if request.method == "DELETE" { Answer::ok().after(held.opened()) } else { Answer::ok() }
    });
    let mut rig = rig.await;
    assert_eq!(http::get(rig.gateway.control, "/-/ready").await.status, 200);
    let client = rig.connect("a").await;
    // An open control connection shows what a listener that may be closed already would not.
    let mut probe = Raw::connect(rig.gateway.control).await;
    let ready = http::encode("GET", "/-/ready", &[], None);
    let healthy = http::encode("GET", "/-/healthy", &[], None);
    probe.write(&ready).await;
    assert_eq!(probe.answer().await.status, 200);
    rig.gateway.sigterm();
    let mut status = 200;
    for _ in 0..500 {
        probe.write(&ready).await;
        let answer = probe.answer().await;
        status = answer.status;
        if answer.closes() {
            probe = Raw::connect(rig.gateway.control).await;
        }
        if status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(status, 503, "not ready while draining");
    probe.write(&healthy).await;
    assert_eq!(probe.answer().await.status, 200, "healthy all the same");
    gate.open();
    drop(client);
    exits_with(&mut rig, 0).await;
}

async fn no_new_connects(binary: Binary) {
    let gate = Gate::new();
    let (mut rig, client) = draining(binary, &gate).await;
    let answer = rig.refusal("b", &[]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(rig.api.seen_of("b").len(), 0);
    assert_eq!(rig.push("a", "x").await.status, 404, "it is closing");
    gate.open();
    drop(client);
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
}

async fn closes_are_spread(binary: Binary) {
    // So long that a machine that stands still for a second does not make it look like one go.
    let mut rig = binary.rig("--drain 4s", echo).await;
    let mut clients = Vec::new();
    for index in 0..40 {
        clients.push(rig.connect(&format!("c{index}")).await);
    }
    let start = Instant::now();
    rig.gateway.sigterm();
    let times = join_all(clients.iter_mut().map(async |client| {
        assert_eq!(client.expect_close().await.0, 1001);
        start.elapsed()
    }));
    let mut times = times.await;
    times.sort();
    let (first, last) = (times[0], times[39]);
    assert!(last - first > Duration::from_secs(2), "spread over --drain, not within {:?}", last - first);
    assert!(last < Duration::from_secs(10), "the last after {last:?}");
    assert!(times[30] - times[10] > Duration::from_millis(400), "not all in one go: {times:?}");
    drop(clients);
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
}

async fn calls_under_way_finish(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--drain 100ms", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let mut rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("one").await;
    client.send_text("two").await;
    rig.api.request("POST", "a", 0).await;
    rig.gateway.sigterm();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(rig.gateway.is_running(), "a call is under way");
    gate.open();
    exits_with(&mut rig, 0).await;
    let ended = rig.api.seen_of("a").into_iter().filter(|seen| seen.request.method == "POST");
    let outcomes: Vec<_> = ended.map(|seen| seen.ended.expect("it has ended").1).collect();
    let answered = crate::api::Outcome::Answered { status: 200, ok: false };
    assert!(outcomes.iter().all(|outcome| *outcome == answered), "{outcomes:?}");
    rig.api.settled().await;
}

async fn connects_under_way(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--drain 100ms", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let mut rig = rig.await;
    let end = async {
        rig.api.request("GET", "a", 0).await;
        rig.gateway.sigterm();
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    };
    let (client, ()) = tokio::join!(rig.attempt("a", &[]), end);
    match client {
        Ok(mut client) => assert_eq!(client.expect_close().await.0, 1001),
        Err(refusal) => assert_eq!(refusal.status, 503, "{refusal:?}"),
    }
    exits_with(&mut rig, 0).await;
    // Let in or not by the gateway: the API said ok, so it must hear of the end.
    rig.api.settled().await;
    rig.api.disconnect("a").await;
}

async fn deletes_are_repeated(binary: Binary) {
    let mut rig = binary.rig("--drain 10s", echo).await;
    let client = rig.connect("a").await;
    rig.api.stop().await;
    rig.gateway.sigterm();
    drop(client);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(rig.gateway.is_running(), "a DELETE is not delivered yet");
    rig.api.resume();
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
}

async fn deletes_are_given_up_at_the_end(binary: Binary) {
    let mut rig = binary.rig("--drain 1s --close-timeout 500ms --api-timeout 500ms", echo).await;
    rig.api.licence(Licence { lost_disconnects: true, ..Licence::default() });
    let client = rig.connect("a").await;
    rig.api.stop().await;
    rig.gateway.sigterm();
    drop(client);
    exits_with(&mut rig, 0).await;
    let told = rig.gateway.log().iter().any(|line| line.contains("WARN") || line.contains("ERROR"));
    assert!(told, "a lost DELETE is logged: {:?}", rig.gateway.log());
}

async fn second_signal_ends_at_once(binary: Binary) {
    let gate = Gate::new();
    let (mut rig, client) = draining(binary, &gate).await;
    rig.gateway.sigterm();
    exits_with(&mut rig, 1).await;
    drop(client);
}

async fn second_signal_of_the_other_kind(binary: Binary) {
    let gate = Gate::new();
    let (mut rig, client) = draining(binary, &gate).await;
    rig.gateway.sigint();
    exits_with(&mut rig, 1).await;
    drop(client);
}

async fn clients_that_do_not_answer(binary: Binary) {
    let mut rig = binary.rig("--drain 200ms --close-timeout 500ms", echo).await;
    let mut rude = rig.open("rude").await;
    let mut stuck = Raw::connect_narrow(rig.gateway.public).await;
    stuck.shake_hands("/stuck").await;
    for _ in 0..100 {
        if rig.push("stuck", &"x".repeat(100_000)).await.status != 200 {
            break;
        }
    }
    let half = rig.open("half").await;
    let mut half_frame = half;
    half_frame.write(&Frame::new(1, "half a frame").encode()[..5]).await;
    rig.gateway.sigterm();
    assert_eq!(rude.expect_close().await.0, 1001);
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
    drop((stuck, half_frame));
}

async fn a_thousand_clients(binary: Binary) {
    const COUNT: usize = 1000;
    let mut rig = binary.rig("--drain 2s", echo).await;
    let mut clients = Vec::new();
    for batch in 0..COUNT / 50 {
        let ids: Vec<_> = (0..50).map(|index| format!("c{}", batch * 50 + index)).collect();
        clients.extend(join_all(ids.iter().map(|id| rig.connect(id))).await);
    }
    rig.gateway.sigterm();
    let closes = join_all(clients.iter_mut().map(Client::expect_close)).await;
    assert!(closes.iter().all(|(code, _)| *code == 1001), "{closes:?}");
    drop(clients);
    exits_with(&mut rig, 0).await;
    rig.api.settled().await;
    let deletes = || rig.api.seen().iter().filter(|seen| seen.request.method == "DELETE").count();
    until("all DELETEs", || deletes() == COUNT).await;
}
