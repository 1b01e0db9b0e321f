//! Section 4: which connections calls go by, and when a call is repeated.

use std::time::Duration;

use futures_util::future::join_all;

use crate::api::{Answer, Api, Request, Then, echo, silent};
use crate::gateway::Gateway;
use crate::rig::{Binary, Rig, words};
use crate::wait::{Gate, until};

super::scenarios!["api_connections":
    messages_share_a_connection, a_given_up_call_closes_its_connection, a_broken_off_answer_closes_its_connection,
    closed_before_the_api_closes_them, only_so_many_are_kept, none_are_kept, a_call_that_was_seen_is_not_repeated,
    a_connect_that_was_seen_is_not_repeated, nothing_is_added_to_a_call, an_api_by_name,
];

/// The API's connections by which a client's messages came.
fn connections_of(rig: &Rig, client: &str) -> Vec<usize> {
    let messages = rig.api.seen_of(client).into_iter().filter(|seen| seen.request.method == "POST");
    messages.map(|seen| seen.request.connection).collect()
}

async fn messages_share_a_connection(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for text in ["one", "two", "three", "four"] {
        client.send_text(text).await;
        client.expect_text(text).await;
    }
    let mut connections = connections_of(&rig, "a");
    connections.dedup();
    assert_eq!(connections.len(), 1, "{connections:?}");
    drop(client);
    rig.finish().await;
}

async fn a_given_up_call_closes_its_connection(binary: Binary) {
    let rig = binary.rig("--api-timeout 300ms", |request: &Request| match request.text().as_str() {
        "hang" => Answer::hang(),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    for _ in 0..3 {
        client.send_text("hang").await;
        client.send_text("answer").await;
        client.expect_text("answer").await;
    }
    let open = || rig.api.seen_of("a").iter().filter(|seen| seen.ended.is_none()).count();
    until("the connections of calls given up to close", || open() == 0).await;
    let connections = connections_of(&rig, "a");
    for pair in connections.chunks(2) {
        assert_ne!(pair[0], pair[1], "nothing follows a call that was given up: {connections:?}");
    }
    drop(client);
    rig.finish().await;
}

async fn a_broken_off_answer_closes_its_connection(binary: Binary) {
    let rig = binary.rig("--max-message 10", |request: &Request| match request.text().as_str() {
        "endless" => Answer::endless(),
        "less" => Answer::new(200, "ten bytes."),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("endless").await;
    client.send_text("less").await;
    client.expect_text("ten bytes.").await;
    let connections = connections_of(&rig, "a");
    assert_ne!(connections[0], connections[1]);
    drop(client);
    rig.finish().await;
}

async fn closed_before_the_api_closes_them(binary: Binary) {
    let rig = binary.rig("", |request: &Request| echo(request).header("Keep-Alive", "timeout=3, max=5")).await;
    let mut client = rig.connect("a").await;
    client.send_text("hello").await;
    client.expect_text("hello").await;
    let start = tokio::time::Instant::now();
    assert_eq!(rig.api.open_connections().max(1), 1, "one is kept");
    until("the idle connection to close", || rig.api.open_connections() == 0).await;
    let idle = start.elapsed();
    assert!(idle < Duration::from_secs(10), "{idle:?}: of its own accord the gateway closes them after 15 s");
    client.send_text("again").await;
    client.expect_text("again").await;
    drop(client);
    rig.finish().await;
}

/// Has so many calls under way at once, and lets them end.
async fn burst(rig: &Rig, calls: usize) {
    let gate = Gate::new();
    let opened = gate.clone();
    rig.api.script(move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(opened.opened()),
        _ => Answer::ok(),
    });
    let ids: Vec<String> = (0..calls).map(|index| format!("c{index}")).collect();
    let mut clients = join_all(ids.iter().map(|id| rig.connect(id))).await;
    for client in &mut clients {
        client.send_text("m").await;
    }
    for id in &ids {
        rig.api.request("POST", id, 0).await;
    }
    assert!(rig.api.open_connections() >= calls);
    gate.open();
    for client in &mut clients {
        client.expect_text("m").await;
    }
}

async fn only_so_many_are_kept(binary: Binary) {
    let rig = binary.rig("--max-idle-api-connections 4 --threads 2", silent).await;
    burst(&rig, 40).await;
    until("all but four to close", || rig.api.open_connections() <= 4).await;
    rig.finish().await;
}

async fn none_are_kept(binary: Binary) {
    let rig = binary.rig("--max-idle-api-connections 0", silent).await;
    burst(&rig, 10).await;
    until("all to close", || rig.api.open_connections() == 0).await;
    rig.finish().await;
}

/// An API that ends a kept connection instead of answering. It saw the request: nothing may tell the
/// gateway that it did not.
async fn a_call_that_was_seen_is_not_repeated(binary: Binary) {
    for answer in [Answer::close, Answer::reset, || Answer::raw("", Then::HalfClose)] {
        let rig = binary.rig("", echo).await;
        let mut client = rig.connect("a").await;
        let large = "x".repeat(200_000);
        for text in ["short", "", &large] {
            rig.api.script(echo);
            client.send_text("warm").await;
            client.expect_text("warm").await;
            rig.api.script(move |request: &Request| if request.method == "POST" { answer() } else { echo(request) });
            let failed = rig.gateway.metrics().await.sum("requests_failed");
            client.send_text(text).await;
            let failing = |now: &crate::metrics::Metrics| now.sum("requests_failed") == failed + 1.0;
            rig.gateway.metrics_until("the call to fail", failing).await;
            tokio::time::sleep(crate::wait::QUIET).await;
            let count = rig.api.messages_of("a").iter().filter(|seen| *seen == text).count();
            assert_eq!(count, 1, "a message of {} bytes", text.len());
        }
        drop(client);
        rig.finish().await;
    }
}

async fn a_connect_that_was_seen_is_not_repeated(binary: Binary) {
    for answer in [Answer::close, Answer::reset] {
        let rig = binary.rig("", echo).await;
        let mut client = rig.connect("a").await;
        client.send_text("warm").await;
        client.expect_text("warm").await;
        rig.api.script(move |request: &Request| if request.client() == "b" { answer() } else { echo(request) });
        assert_eq!(rig.refusal("b", &[]).await.status, 502);
        assert_eq!(rig.api.seen_of("b").len(), 1);
        drop(client);
        rig.finish().await;
    }
}

async fn nothing_is_added_to_a_call(binary: Binary) {
    let api = Api::start(|request: &Request| {
        let cookie = ("Set-Cookie", "gateway=no; Path=/");
        let moved = Answer::new(200, &request.body).header(cookie.0, cookie.1);
        if request.method == "POST" { moved } else { Answer::ok().header(cookie.0, cookie.1) }
    });
    // Nobody listens there.
    let proxies = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let env = proxies.map(|name| (name.to_owned(), "http://127.0.0.1:1".to_owned()));
    let flags = words(&format!("--api http://{}/", api.address));
    let gateway = Gateway::start(binary.path(), &flags, &env).await;
    let rig = Rig { gateway, api };
    let mut client = rig.connect("a").await;
    for text in ["x", "", &"y".repeat(100_000)] {
        client.send_text(text).await;
        if !text.is_empty() {
            client.expect_text(text).await;
        }
    }
    client.close(1000, "").await;
    rig.api.request("DELETE", "a", 0).await;
    // Some HTTP clients cannot do without these; they say nothing.
    let harmless = [("accept", "*/*"), ("user-agent", ""), ("connection", "close")];
    let meant = ["host", "content-type", "content-length", "x-connection-id", "x-close-code", "x-forwarded-for"];
    for seen in rig.api.seen_of("a") {
        for (name, value) in &seen.request.headers {
            let expected = meant.contains(&name.as_str()) || harmless.contains(&(name.as_str(), value.as_str()));
            assert!(expected, "{name}: {value:?} in {:?}", seen.request);
        }
        assert_eq!(seen.request.all("content-length").len(), usize::from(seen.request.method != "GET"));
    }
    rig.finish().await;
}

async fn an_api_by_name(binary: Binary) {
    // The name stands for ::1 and 127.0.0.1, of which the API has the second.
    let api = Api::start(echo);
    let flags = words(&format!("--api http://localhost:{}/", api.address.port()));
    let gateway = Gateway::start(binary.path(), &flags, &[]).await;
    let rig = Rig { gateway, api };
    let mut client = rig.connect("a").await;
    client.send_text("hello").await;
    client.expect_text("hello").await;
    drop(client);
    rig.finish().await;
}
