//! Sections 1 and 5: kicks, HEAD, and who may control.

use crate::api::{Answer, Request, echo};
use crate::client::{Client, Heard};
use crate::http;
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["control":
    kick_default, kick_with_code_and_reason, kick_codes_that_must_not_be_sent, kick_unknown, kick_one_connection_only, kick_while_deciding, head_tells, control_token, control_listener, other_methods,
];

async fn kicked(client: &mut Client) -> (u16, String) {
    let close = client.expect_close().await;
    assert_eq!(client.next().await, Heard::Gone);
    close
}

async fn kick_default(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let answer = rig.kick("a", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(kicked(&mut client).await.0, 1000);
    assert_eq!(rig.api.disconnect("a").await.0, 1000);
    assert_eq!(rig.kick("a", "").await.status, 404);
    rig.finish().await;
}

async fn kick_with_code_and_reason(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let cases = [
        ("?code=4001&reason=bye%20now", (4001, "bye now")),
        ("?reason=f%C3%BCr+dich&code=3000", (3000, "für dich")),
        ("?code=1008", (1008, "")),
        ("?reason=why", (1000, "why")),
    ];
    for (query, expected) in cases {
        let mut client = rig.connect("a").await;
        assert_eq!(rig.kick("a", query).await.status, 200, "{query}");
        let expected = (expected.0, expected.1.to_owned());
        assert_eq!(kicked(&mut client).await, expected, "{query}");
        rig.api.settled().await;
        let delete = rig.api.seen_of("a").pop().unwrap().request;
        assert_eq!(delete.header("x-close-code"), Some(expected.0.to_string().as_str()));
        assert_eq!(delete.text(), expected.1, "{query}");
    }
    rig.finish().await;
}

async fn kick_codes_that_must_not_be_sent(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let long = format!("?reason={}", "x".repeat(124));
    for query in [
        "?code=0", "?code=999", "?code=1004", "?code=1005", "?code=1006", "?code=1015", "?code=2999", "?code=5000",
        "?code=65536", "?code=-1", "?code=x", "?code=", "?reason=%ff", &long,
    ] {
        let answer = rig.kick("a", query).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    assert!(client.is_quiet().await, "still connected");
    drop(client);
    rig.finish().await;
}

async fn kick_unknown(binary: Binary) {
    let rig = binary.rig("", echo).await;
    assert_eq!(rig.kick("nobody", "?code=4000").await.status, 404);
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn kick_one_connection_only(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let id = rig.connected("a").await.expect("connected");
    let kick = async |only: &str| rig.control("DELETE", "/a", &[("If-Match", only)], None).await.status;
    assert_eq!(kick("\"another\"").await, 412);
    assert!(client.is_quiet().await);
    assert_eq!(kick(&format!("\"{id}\"")).await, 200);
    assert_eq!(kicked(&mut client).await.0, 1000);
    rig.finish().await;
}

async fn kick_while_deciding(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let kick = async {
        rig.api.request("GET", "a", 0).await;
        let status = rig.kick("a", "?code=4000").await.status;
        gate.open();
        status
    };
    let (client, status) = tokio::join!(rig.attempt("a", &[]), kick);
    assert!([200, 404].contains(&status), "{status}");
    if status == 200 {
        // Whatever the client gets, it does not stay.
        if let Ok(mut client) = client {
            assert_eq!(client.expect_close().await.0, 4000);
        }
        rig.api.disconnect("a").await;
    } else {
        drop(client);
    }
    rig.finish().await;
}

async fn head_tells(binary: Binary) {
    let rig = binary.rig("", echo).await;
    assert_eq!(rig.connected("a").await, None);
    let client = rig.connect("a").await;
    let id = rig.api.request("GET", "a", 0).await.connection_id().to_owned();
    assert_eq!(rig.connected("a").await, Some(id));
    let mut raw = rig.raw().await;
    let two = [http::encode("HEAD", "/a", &[], None), http::encode("GET", "/-/healthy", &[], None)];
    raw.write(&two.concat()).await;
    assert_eq!(raw.answer_to("HEAD").await.status, 200);
    assert_eq!(raw.answer().await.status, 200, "HEAD has no body, so the next answer follows");
    client.close(1000, "").await;
    assert_eq!(rig.connected("a").await, None);
    rig.finish().await;
}

async fn control_token(binary: Binary) {
    let mut rig = binary.rig("--control-token s3cret", echo).await;
    let mut client = rig.connect("a").await;
    let wrong: [&[(&str, &str)]; 7] = [
        &[],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", "Bearer s3cre")],
        &[("Authorization", "Bearer s3crett")],
        &[("Authorization", "Basic s3cret")],
        &[("Authorization", "s3cret")],
        &[("Authorization", "Bearer ")],
    ];
    for headers in wrong {
        for (method, body) in [("POST", Some(&b"x"[..])), ("DELETE", None), ("HEAD", None)] {
            let answer = http::request(rig.gateway.control, method, "/a", headers, body).await;
            assert_eq!(answer.status, 401, "{method} {headers:?}");
            assert!(answer.header("www-authenticate").is_some(), "RFC 9110 asks for it: {answer:?}");
            let unknown = http::request(rig.gateway.control, method, "/nobody", headers, body).await;
            assert_eq!(unknown.status, 401, "who may not ask learns nothing");
        }
    }
    assert!(client.is_quiet().await);
    assert_eq!(http::get(rig.gateway.control, "/metrics").await.status, 200, "no token for metrics");
    assert_eq!(http::get(rig.gateway.control, "/-/healthy").await.status, 200);
    rig.gateway.token = Some("s3cret".into());
    assert!(rig.connected("a").await.is_some());
    assert_eq!(rig.push("a", "x").await.status, 200);
    client.expect_text("x").await;
    assert_eq!(rig.kick("a", "").await.status, 200);
    kicked(&mut client).await;
    rig.finish().await;
}

async fn control_listener(binary: Binary) {
    let rig = binary.rig("--control-listen 127.0.0.1:0", echo).await;
    assert_ne!(rig.gateway.public, rig.gateway.control);
    let mut client = rig.connect("a").await;
    let requests = [
        ("POST", "/a", Some(&b"x"[..])),
        ("DELETE", "/a", None),
        ("HEAD", "/a", None),
        ("GET", "/", None),
        ("GET", "/metrics", None),
        ("GET", "/-/healthy", None),
        ("GET", "/-/ready", None),
    ];
    for (method, target, body) in requests {
        let answer = http::request(rig.gateway.public, method, target, &[], body).await;
        assert_eq!(answer.status, 404, "{method} {target} on the public listener: {answer:?}");
    }
    assert!(client.is_quiet().await);
    for target in ["/", "/metrics", "/-/healthy", "/-/ready"] {
        assert_eq!(http::get(rig.gateway.control, target).await.status, 200, "{target}");
    }
    assert!(rig.connected("a").await.is_some());
    assert_eq!(rig.push("a", "x").await.status, 200);
    client.expect_text("x").await;
    let refused = Client::attempt(rig.gateway.control, "/b", &[]).await;
    assert!(refused.is_err(), "clients do not connect by the control listener");
    assert_eq!(rig.api.seen_of("b").len(), 0);
    drop(client);
    rig.finish().await;
}

async fn other_methods(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "FOO"] {
        let status = http::request(rig.gateway.control, method, "/a", &[], None).await.status;
        assert!([405, 501].contains(&status), "{method}: {status}");
    }
    let status = http::request(rig.gateway.control, "POST", "/metrics", &[], Some(b"x")).await.status;
    assert!((400..500).contains(&status), "POST /metrics: {status}");
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

