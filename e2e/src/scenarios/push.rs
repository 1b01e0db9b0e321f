//! Sections 1 and 5: push, kick, HEAD, health, and who may.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::api::{Answer, Request, echo, silent};
use crate::frame::TEXT;
use crate::rig::{Binary, words};

super::scenarios!["push":
    pushes_reach_their_client_in_order,
    pushes_are_text_or_binary,
    unknown_and_closing_clients_are_404,
    a_push_while_the_api_decides_is_delivered_first,
    a_push_from_inside_the_get_handler_does_not_deadlock,
    if_match_fences_pushes_and_kicks,
    kicks_carry_code_and_reason,
    head_tells_whether_a_client_is_connected,
    answers_to_pushes_are_ordinary_messages,
    tokens_guard_control_requests,
    a_control_listener_takes_them_off_the_public_one,
    health_and_wrong_requests,
];

async fn pushes_reach_their_client_in_order(binary: Binary) {
    let rig = binary.rig("--threads 2", silent).await;
    let mut clients = Vec::new();
    for number in 0..8 {
        clients.push(rig.connect(&format!("c{number}")).await);
    }
    for round in 0..10 {
        for number in 0..8 {
            let answer = rig.push(&format!("c{number}"), &format!("{number}:{round}")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for round in 0..10 {
            client.expect_text(&format!("{number}:{round}")).await;
        }
    }
    drop(clients);
    rig.finish().await;
}

async fn pushes_are_text_or_binary(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.connect("a").await;
    let octets = [("Content-Type", "application/octet-stream")];
    assert_eq!(rig.control("POST", "/a", &octets, Some(b"\xff\0")).await.status, 200);
    client.expect_binary(b"\xff\0").await;
    assert_eq!(rig.control("POST", "/a", &[("Content-Type", "text/html")], Some("é".as_bytes())).await.status, 200);
    client.expect_text("é").await;
    assert_eq!(rig.push("a", "").await.status, 200);
    client.expect_text("").await;
    assert_eq!(rig.control("POST", "/a", &[], Some(b"\xff")).await.status, 400);
    assert!(client.is_quiet().await);
    client.close(1000, "").await;
    rig.finish().await;
}

async fn unknown_and_closing_clients_are_404(binary: Binary) {
    let release = Arc::new(Notify::new());
    let held = release.clone();
    let script = move |request: &Request| match request.method.as_str() {
        "DELETE" => {
            let held = held.clone();
            Answer::ok().after(async move { held.notified().await })
        }
        _ => silent(request),
    };
    let rig = binary.rig("", script).await;
    let answer = rig.push("nobody", "x").await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "not found"));
    let mut client = rig.connect("a").await;
    client.send_close(1000, "").await;
    rig.api.request("DELETE", "a", 0).await;
    assert_eq!(rig.push("a", "late").await.status, 404);
    assert_eq!(rig.kick("a", "").await.status, 404);
    assert_eq!(rig.connected("a").await, None);
    release.notify_one();
    assert_eq!(client.expect_close().await.0, 1000);
    drop(client);
    rig.finish().await;
}

async fn a_push_while_the_api_decides_is_delivered_first(binary: Binary) {
    let release = Arc::new(Notify::new());
    let held = release.clone();
    let script = move |request: &Request| match request.method.as_str() {
        "GET" => {
            let held = held.clone();
            Answer::ok().after(async move { held.notified().await })
        }
        _ => echo(request),
    };
    let rig = binary.rig("", script).await;
    let mut raw = rig.raw().await;
    raw.write(&crate::raw::handshake("/a", &[])).await;
    rig.api.request("GET", "a", 0).await;
    for text in ["one", "two"] {
        let answer = rig.push("a", text).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, "queued"));
    }
    assert!(raw.is_quiet().await);
    release.notify_one();
    assert_eq!(raw.answer().await.status, 101);
    raw.expect(TEXT, "one").await;
    raw.expect(TEXT, "two").await;
    drop(raw);
    rig.finish().await;
}

async fn a_push_from_inside_the_get_handler_does_not_deadlock(binary: Binary) {
    // The API answers the GET only after its own push has been answered.
    let gateway: Arc<std::sync::OnceLock<std::net::SocketAddr>> = Arc::default();
    let known = gateway.clone();
    let script = move |request: &Request| match (request.method.as_str(), known.get().copied()) {
        ("GET", Some(gateway)) => {
            let target = format!("/{}", request.client());
            Answer::ok().after(async move {
                let answer = crate::http::request(gateway, "POST", &target, &[], Some(b"welcome")).await;
                assert_eq!(answer.status, 202);
            })
        }
        _ => silent(request),
    };
    let rig = binary.rig("", script).await;
    gateway.set(rig.gateway.control).expect("set once");
    let mut client = rig.connect("a").await;
    client.expect_text("welcome").await;
    client.close(1000, "").await;
    rig.finish().await;
}

async fn if_match_fences_pushes_and_kicks(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let client = rig.connect("a").await;
    let old = rig.connected("a").await.expect("connected");
    assert_eq!(rig.api.request("GET", "a", 0).await.connection_id(), old);
    client.close(1000, "").await;
    let mut client = rig.connect("a").await;
    let new = rig.connected("a").await.expect("connected");
    assert_ne!(old, new);
    let quoted = |id: &str| format!("\"{id}\"");
    for (method, id, status) in [("POST", &old, 412), ("DELETE", &old, 412), ("POST", &new, 200), ("DELETE", &new, 200)] {
        let answer = rig.control(method, "/a", &[("If-Match", &quoted(id))], Some(b"")).await;
        assert_eq!(answer.status, status, "{method} {id}");
    }
    client.expect_text("").await;
    assert_eq!(client.expect_close().await.0, 1000);
    drop(client);
    rig.finish().await;
}

async fn kicks_carry_code_and_reason(binary: Binary) {
    let rig = binary.rig("", silent).await;
    for (id, query, code, reason) in
        [("plain", "", 1000, ""), ("code", "?code=4003", 4003, ""), ("both", "?code=4003&reason=see+you%21%C3%A9", 4003, "see you!é")]
    {
        let mut client = rig.connect(id).await;
        assert_eq!(rig.kick(id, query).await.status, 200);
        assert_eq!(client.expect_close().await, (code, reason.to_owned()));
        assert_eq!(rig.api.disconnect(id).await, (code, reason.to_owned()));
    }
    assert_eq!(rig.kick("nobody", "").await.status, 404);
    let mut client = rig.connect("stays").await;
    let long = format!("?reason={}", "x".repeat(124));
    for query in ["?code=1005", "?code=1006", "?code=0", "?code=70000", "?code=x", "?reason=%ff", &long] {
        assert_eq!(rig.kick("stays", query).await.status, 400, "{query}");
    }
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn head_tells_whether_a_client_is_connected(binary: Binary) {
    let rig = binary.rig("", silent).await;
    assert_eq!(rig.connected("a").await, None);
    let client = rig.connect("a").await;
    let id = rig.connected("a").await.expect("connected");
    assert_eq!(rig.api.request("GET", "a", 0).await.connection_id(), id);
    client.close(1000, "").await;
    assert_eq!(rig.connected("a").await, None);
    rig.finish().await;
}

async fn answers_to_pushes_are_ordinary_messages(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.connect("a").await;
    assert_eq!(rig.push("a", "how are you?").await.status, 200);
    client.expect_text("how are you?").await;
    client.send_text("fine").await;
    assert_eq!(rig.api.request("POST", "a", 0).await.text(), "fine");
    client.close(1000, "").await;
    rig.finish().await;
}

async fn tokens_guard_control_requests(binary: Binary) {
    let rig = binary.rig("--control-token s3cret", silent).await;
    let mut client = rig.connect("a").await;
    for method in ["POST", "DELETE", "HEAD"] {
        for headers in [&[][..], &[("Authorization", "Bearer wrong")], &[("Authorization", "Basic s3cret")]] {
            let answer = crate::http::request(rig.gateway.control, method, "/a", headers, None).await;
            assert_eq!(answer.status, 401, "{method} {headers:?}");
        }
    }
    assert!(client.is_quiet().await);
    let headers = [("Authorization", "Bearer s3cret")];
    assert_eq!(crate::http::request(rig.gateway.control, "POST", "/a", &headers, Some(b"hi")).await.status, 200);
    client.expect_text("hi").await;
    assert!(!rig.gateway.log().concat().contains("s3cret"));
    client.close(1000, "").await;
    rig.api.settled().await;
}

async fn a_control_listener_takes_them_off_the_public_one(binary: Binary) {
    let rig = binary.rig("--control-listen 127.0.0.1:0", silent).await;
    assert_ne!(rig.gateway.public, rig.gateway.control);
    let client = rig.connect("a").await;
    for (method, target) in
        [("POST", "/a"), ("HEAD", "/a"), ("DELETE", "/b"), ("GET", "/"), ("GET", "/metrics"), ("GET", "/-/healthy"), ("GET", "/-/ready")]
    {
        let answer = crate::http::request(rig.gateway.public, method, target, &[], None).await;
        assert_eq!(answer.status, 404, "{method} {target}");
        let answer = crate::http::request(rig.gateway.control, method, target, &[], None).await;
        assert_eq!(answer.status, if target == "/b" { 404 } else { 200 }, "{method} {target}");
    }
    let mut raw = crate::raw::Raw::connect(rig.gateway.control).await;
    raw.write(&crate::raw::handshake("/b", &[])).await;
    assert_eq!(raw.answer().await.status, 404);
    client.reset();
    rig.finish().await;
}

async fn health_and_wrong_requests(binary: Binary) {
    let rig = binary.rig_with(&words("--threads 2"), crate::api::Api::start(silent), "/base/").await;
    for (method, target, status) in [
        ("GET", "/-/healthy", 200),
        ("GET", "/-/ready", 200),
        ("GET", "/-/else", 404),
        ("GET", "/a", 426),
        ("GET", "/a/b", 404),
        ("POST", "/a/b", 404),
        ("POST", "/-", 400),
        ("POST", "/%2e%2e", 400),
        ("PUT", "/a", 405),
        ("OPTIONS", "/a", 405),
    ] {
        let answer = rig.control(method, target, &[], None).await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
    assert!(rig.api.seen().is_empty());
    rig.finish().await;
}
