//! Section 10: limits towards the API, and how flags are written.

use std::time::Duration;

use futures_util::future::join_all;

use crate::api::{Answer, Api, Request, echo};
use crate::client::Heard;
use crate::rig::{Binary, words};
use crate::wait::{Gate, until};

super::scenarios!["limits":
    api_connections_at_once, idle_api_connections, api_connections_are_reused, waiting_connects_time_out,
    many_clients_through_few_connections, sizes_and_durations, flags_from_the_environment, many_threads,
];

async fn api_connections_at_once(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--max-api-connections 3", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let ids: Vec<String> = (0..10).map(|index| format!("c{index}")).collect();
    let mut clients = Vec::new();
    for id in &ids {
        clients.push(rig.connect(id).await);
    }
    for client in &mut clients {
        client.send_text("m").await;
    }
    let calls = || rig.api.seen().iter().filter(|seen| seen.request.method == "POST").count();
    until("calls", || calls() > 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(calls() <= 3, "{} calls at once", calls());
    assert!(rig.api.open_connections() <= 3, "{} connections", rig.api.open_connections());
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("ws2http_api_calls_in_flight"), calls() as f64);
    assert!(metrics.sum("ws2http_api_calls_waiting") >= 7.0, "the others wait");
    gate.open();
    for client in &mut clients {
        client.expect_text("m").await;
    }
    drop(clients);
    rig.finish().await;
}

async fn idle_api_connections(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--max-idle-api-connections 2", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let ids: Vec<String> = (0..20).map(|index| format!("c{index}")).collect();
    let mut clients = join_all(ids.iter().map(|id| rig.connect(id))).await;
    for client in &mut clients {
        client.send_text("m").await;
    }
    let calls = || rig.api.seen().iter().filter(|seen| seen.request.method == "POST").count();
    until("20 calls at once", || calls() == 20).await;
    assert_eq!(rig.api.open_connections(), 20);
    gate.open();
    for client in &mut clients {
        client.expect_text("m").await;
    }
    // The contract leaves open how many may idle per thread; it is a limit of the process.
    until("idle connections to be closed", || rig.api.open_connections() <= 2).await;
    drop(clients);
    rig.finish().await;
}

async fn api_connections_are_reused(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for number in 0..50 {
        client.send_text(&number.to_string()).await;
        client.expect_text(&number.to_string()).await;
    }
    assert!(rig.api.connections() <= 2, "{} connections for calls one after another", rig.api.connections());
    drop(client);
    rig.finish().await;
}

async fn waiting_connects_time_out(binary: Binary) {
    // One connection to the API, and that hangs: the next connect must not wait for ever.
    let rig = binary.rig("--max-api-connections 1 --threads 1 --api-timeout 2s", |request: &Request| {
        if request.client() == "stuck" { Answer::hang() } else { echo(request) }
    });
    let rig = rig.await;
    let (stuck, other) = tokio::join!(rig.attempt("stuck", &[]), async {
        rig.api.request("GET", "stuck", 0).await;
        rig.attempt("a", &[]).await
    });
    assert_eq!(stuck.err().map(|refusal| refusal.status), Some(504));
    if let Err(refusal) = &other {
        assert!([503, 504].contains(&refusal.status), "{refusal:?}");
    }
    drop(other);
    drop(rig.connect("b").await);
    rig.finish().await;
}

async fn many_clients_through_few_connections(binary: Binary) {
    let rig = binary.rig("--max-api-connections 2", |request: &Request| {
        echo(request).delayed(Duration::from_millis(1))
    });
    let rig = rig.await;
    let ids: Vec<String> = (0..50).map(|index| format!("c{index}")).collect();
    join_all(ids.iter().map(async |id| {
        let mut client = rig.connect(id).await;
        for number in 0..5 {
            client.send_text(&format!("{id} {number}")).await;
        }
        for number in 0..5 {
            client.expect_text(&format!("{id} {number}")).await;
        }
        client.close(1000, "").await;
    }))
    .await;
    rig.finish().await;
}

async fn sizes_and_durations(binary: Binary) {
    let rig = binary.rig_with(&words("--max-message 1KiB --drain 0s --api-timeout 2m"), Api::start(echo), "/").await;
    let mut client = rig.connect("a").await;
    assert_eq!(rig.push("a", &"x".repeat(1024)).await.status, 200);
    assert_eq!(rig.push("a", &"x".repeat(1025)).await.status, 413);
    assert_eq!(client.next().await, Heard::Text("x".repeat(1024)));
    drop(client);
    rig.finish().await;
}

async fn flags_from_the_environment(binary: Binary) {
    let api = Api::start(echo);
    let env = [
        ("WS2HTTP_API".to_owned(), format!("http://{}/env/", api.address)),
        ("WS2HTTP_MAX_MESSAGE".to_owned(), "10".to_owned()),
        ("WS2HTTP_ON_DUPLICATE".to_owned(), "reject".to_owned()),
    ];
    let flags = words("--max-message 20");
    let gateway = crate::gateway::Gateway::start(binary.path(), &flags, &env).await;
    let rig = crate::rig::Rig { gateway, api };
    let client = rig.connect("a").await;
    assert_eq!(rig.api.request("GET", "a", 0).await.path(), "/env/a");
    assert_eq!(rig.refusal("a", &[]).await.status, 409);
    assert_eq!(rig.push("a", &"x".repeat(20)).await.status, 200, "the flag wins");
    assert_eq!(rig.push("a", &"x".repeat(21)).await.status, 413);
    drop(client);
    rig.finish().await;
}

async fn many_threads(binary: Binary) {
    for threads in [1, 5] {
        let rig = binary.rig(&format!("--threads {threads}"), echo).await;
        let ids: Vec<String> = (0..40).map(|index| format!("c{index}")).collect();
        let mut clients = join_all(ids.iter().map(|id| rig.connect(id))).await;
        // One control connection, so that most of these clients live on another thread than it.
        let mut raw = rig.raw().await;
        for (id, client) in ids.iter().zip(&mut clients) {
            raw.write(&crate::http::encode("POST", &format!("/{id}"), &[], Some(id.as_bytes()))).await;
            assert_eq!(raw.answer_to("POST").await.status, 200);
            client.expect_text(id).await;
            client.send_text("m").await;
            client.expect_text("m").await;
        }
        let pipelined: Vec<u8> = ids
            .iter()
            .flat_map(|id| crate::http::encode("HEAD", &format!("/{id}"), &[], None))
            .collect();
        raw.write(&pipelined).await;
        for id in &ids {
            let answer = raw.answer_to("HEAD").await;
            let get = rig.api.request("GET", id, 0).await;
            assert_eq!(answer.header("x-connection-id"), Some(get.connection_id()), "answers in order");
        }
        let metrics = rig.gateway.metrics().await;
        assert_eq!(metrics.sum("active_connections"), 40.0, "summed over all threads");
        assert_eq!(metrics.sum("ws2http_messages_received_total"), 40.0);
        drop(clients);
        rig.finish().await;
    }
}
