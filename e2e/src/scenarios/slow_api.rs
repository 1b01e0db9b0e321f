//! Thousands of calls under way at once: an API that takes its time, or does not answer at all.

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::api::{Answer, Law, Request, echo};
use crate::frame::{Frame, TEXT};
use crate::metrics::Metrics;
use crate::raw::Raw;
use crate::rig::{Binary, Rig};
use crate::wait::until;

super::scenarios!["slow_api": five_thousand_calls_at_once];

const CALLS: usize = 5000;

/// How many connects, or messages that must not time out, are under way at once.
const AT_ONCE: usize = 250;

/// What one call under way, its connection and its client's message may take, in bytes. A call costs
/// its connection's buffers; what grows with the square or does not come to an end shows here.
const MEMORY_OF_A_CALL: u64 = 64 * 1024;

type Clients = Vec<(String, Raw)>;

async fn connect_all(rig: &Rig) -> Clients {
    let ids: Vec<String> = (0..CALLS).map(|index| format!("c{index}")).collect();
    let mut clients = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let opened = ids.iter().map(async |id| (id.clone(), rig.open(id).await));
        clients.extend(join_all(opened).await);
    }
    clients
}

async fn send_all(clients: &mut [(String, Raw)], kind: &str) {
    for (id, raw) in clients {
        raw.send(&Frame::new(TEXT, format!("{kind} {id}"))).await;
    }
}

async fn expect_all(clients: &mut [(String, Raw)], kind: &str) {
    for (id, raw) in clients {
        raw.expect(TEXT, format!("{kind} {id}")).await;
    }
}

/// Every client sends one more message; then each of its `messages` must have been seen once.
async fn finish(rig: Rig, mut clients: Clients, messages: usize) {
    for some in clients.chunks_mut(AT_ONCE) {
        send_all(some, "after").await;
        expect_all(some, "after").await;
    }
    let posts = rig.api.seen().into_iter().filter(|seen| seen.request.method == "POST");
    let mut seen: Vec<String> = posts.map(|seen| seen.request.text()).collect();
    assert_eq!(seen.len(), messages * CALLS, "none lost");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), messages * CALLS, "none repeated");
    drop(clients);
    rig.finish().await;
}

/// One after the other: this process has the clients' and the API's descriptors.
async fn five_thousand_calls_at_once(binary: Binary) {
    all_wait(&binary).await;
    all_time_out(&binary).await;
}

async fn all_wait(binary: &Binary) {
    let (open, gate) = watch::channel(false);
    let script = move |request: &Request| {
        let mut gate = gate.clone();
        match request.text().starts_with("held") {
            true => echo(request).after(async move { drop(gate.wait_for(|open| *open).await) }),
            false => echo(request),
        }
    };
    let rig = binary.rig("--api-timeout 120s --ping-interval 0", script).await;
    let mut clients = connect_all(&rig).await;
    let memory = rig.gateway.rss();
    send_all(&mut clients, "held").await;
    until("all calls to be under way at once", || rig.api.law(Law::in_flight) == CALLS).await;
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("ws2http_api_calls_in_flight"), CALLS as f64);
    let grown = rig.gateway.rss().saturating_sub(memory) / CALLS as u64;
    assert!(grown <= MEMORY_OF_A_CALL, "a call under way takes {grown} bytes");
    open.send(true).expect("the script listens");
    expect_all(&mut clients, "held").await;
    finish(rig, clients, 2).await;
}

async fn all_time_out(binary: &Binary) {
    let rig = binary.rig("--api-timeout 5s --ping-interval 0", |request: &Request| {
        if request.text().starts_with("lost") { Answer::hang() } else { echo(request) }
    });
    let rig = rig.await;
    let mut clients = connect_all(&rig).await;
    send_all(&mut clients, "lost").await;
    let timed_out = |metrics: &Metrics| metrics.sum("requests_failed") == CALLS as f64;
    rig.gateway.metrics_until("all calls to time out", timed_out).await;
    until("their connections to be closed", || rig.api.law(Law::in_flight) == 0).await;
    finish(rig, clients, 2).await;
}
