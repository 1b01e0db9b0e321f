//! Section 5 and 3.5: pushes, kicks and HEAD.

use std::sync::{Arc, Mutex};

use crate::api::{Answer, Request, echo, silent};
use crate::client::{Client, Heard};
use crate::frame::{BINARY, Frame, TEXT};
use crate::http;
use crate::rig::{Binary, words};
use crate::wait::Gate;

super::scenarios!["push":
    text_binary_and_empty, unknown_client, not_utf8, too_large, in_order, answer_is_an_ordinary_message,
    to_one_connection_only, from_inside_the_get_handler, while_deciding_comes_first,
    while_deciding_dropped_on_refusal, while_deciding_is_bounded, while_closing_is_404, kick_default,
    kick_with_code_and_reason, kick_codes_that_must_not_be_sent, kick_unknown, kick_one_connection_only,
    kick_while_deciding, head_tells, control_token, control_listener, other_methods, chunked_body,
];

async fn text_binary_and_empty(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let answer = rig.push("a", "grüße").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    client.expect_text("grüße").await;
    let push = async |content_type: &str, body: &[u8]| {
        let headers = [("Content-Type", content_type)];
        assert_eq!(rig.control("POST", "/a", &headers, Some(body)).await.status, 200);
    };
    push("application/octet-stream", b"\xff\0").await;
    client.expect_binary(b"\xff\0").await;
    push("Application/Octet-Stream;x=y", b"b").await;
    client.expect_binary(b"b").await;
    push("application/json", b"{}").await;
    client.expect_text("{}").await;
    assert_eq!(rig.push("a", "").await.status, 200);
    client.expect_text("").await;
    push("application/octet-stream", b"").await;
    client.expect_binary(b"").await;
    let none = http::request(rig.gateway.control, "POST", "/a", &[], None).await;
    assert_eq!(none.status, 200, "no body at all is an empty message: {none:?}");
    client.expect_text("").await;
    drop(client);
    rig.finish().await;
}

async fn unknown_client(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let answer = rig.push("nobody", "x").await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "not found"));
    rig.connect("a").await.close(1000, "").await;
    assert_eq!(rig.push("a", "x").await.status, 404, "it has gone");
    assert_eq!(rig.api.messages_of("nobody").len(), 0);
    rig.finish().await;
}

async fn not_utf8(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for body in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"ok\xc0\xaf"] {
        assert_eq!(rig.control("POST", "/a", &[], Some(body)).await.status, 400, "{body:?}");
    }
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn too_large(binary: Binary) {
    let rig = binary.rig("--max-message 1000", echo).await;
    let mut client = rig.connect("a").await;
    assert_eq!(rig.push("a", &"x".repeat(1000)).await.status, 200);
    client.expect_text(&"x".repeat(1000)).await;
    let mut raw = rig.raw().await;
    raw.write_anyway(&http::encode("POST", "/a", &[], Some(&[b'x'; 1001]))).await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 413, "refused by its length alone");
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = [b"200\r\n".as_slice(), &[b'x'; 0x200], b"\r\n"].concat();
    raw.write_anyway(&chunk).await;
    raw.write_anyway(&chunk).await;
    assert_eq!(raw.answer().await.status, 413, "refused as soon as it is too large");
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn in_order(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    for number in 0..100 {
        assert_eq!(rig.push("a", &number.to_string()).await.status, 200);
    }
    for number in 0..100 {
        client.expect_text(&number.to_string()).await;
    }
    drop(client);
    rig.finish().await;
}

async fn answer_is_an_ordinary_message(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.connect("a").await;
    assert_eq!(rig.push("a", "question").await.status, 200);
    client.expect_text("question").await;
    client.send_text("answer").await;
    assert_eq!(rig.api.request("POST", "a", 0).await.text(), "answer");
    drop(client);
    rig.finish().await;
}

async fn to_one_connection_only(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let id = rig.api.request("GET", "a", 0).await.connection_id().to_owned();
    let push = async |only: &str| rig.control("POST", "/a", &[("If-Match", only)], Some(b"x")).await.status;
    assert_eq!(push(&format!("\"{id}\"")).await, 200);
    client.expect_text("x").await;
    assert_eq!(push("\"another\"").await, 412);
    client.close(1000, "").await;
    let mut client = rig.connect("a").await;
    assert_eq!(push(&format!("\"{id}\"")).await, 412, "the connection of before");
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn from_inside_the_get_handler(binary: Binary) {
    let control = Arc::new(Mutex::new(None));
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let rig = binary.rig("", {
        let (control, statuses) = (control.clone(), statuses.clone());
        move |request: &Request| {
            if request.method != "GET" {
                return echo(request);
            }
            let (control, statuses) = (control.lock().unwrap().unwrap(), statuses.clone());
            Answer::ok().after(async move {
                for text in ["one", "two"] {
                    let answer = http::request(control, "POST", "/a", &[], Some(text.as_bytes())).await;
                    statuses.lock().unwrap().push((answer.status, answer.text()));
                }
            })
        }
    });
    let rig = rig.await;
    *control.lock().unwrap() = Some(rig.gateway.control);
    let mut client = rig.connect("a").await;
    client.expect_text("one").await;
    client.expect_text("two").await;
    let queued = (202, "queued".to_owned());
    assert_eq!(*statuses.lock().unwrap(), [queued.clone(), queued]);
    drop(client);
    rig.finish().await;
}

async fn while_deciding_comes_first(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut raw = rig.raw().await;
    let early = Frame::new(TEXT, "early").encode();
    raw.write(&[crate::raw::handshake("/a", &[]), early].concat()).await;
    rig.api.request("GET", "a", 0).await;
    assert_eq!(rig.push("a", "pushed").await.status, 202);
    let headers = [("Content-Type", "application/octet-stream")];
    assert_eq!(rig.control("POST", "/a", &headers, Some(b"bytes")).await.status, 202);
    assert_eq!(rig.connected("a").await, None, "not connected yet");
    gate.open();
    assert_eq!(raw.answer().await.status, 101);
    raw.expect(TEXT, "pushed").await;
    raw.expect(BINARY, "bytes").await;
    raw.expect(TEXT, "early").await;
    drop(raw);
    rig.finish().await;
}

async fn while_deciding_dropped_on_refusal(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::new(403, "no").after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let refused = rig.refusal("a", &[]);
    let push = async {
        rig.api.request("GET", "a", 0).await;
        assert_eq!(rig.push("a", "for nobody").await.status, 202);
        gate.open();
    };
    assert_eq!(tokio::join!(refused, push).0.status, 403);
    rig.api.script(echo);
    let mut client = rig.connect("a").await;
    assert!(client.is_quiet().await, "a later connection does not get it");
    drop(client);
    rig.finish().await;
}

async fn while_deciding_is_bounded(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--send-queue 10KiB", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let text = "x".repeat(1000);
    let queued = async {
        rig.api.request("GET", "a", 0).await;
        let mut queued = 0;
        let full = loop {
            let answer = rig.push("a", &text).await;
            if answer.status != 202 {
                break answer;
            }
            queued += 1;
            assert!(queued <= 11, "more than the queue holds");
        };
        assert_eq!(full.status, 503, "{full:?}");
        assert!(full.header("retry-after").is_some(), "{full:?}");
        gate.open();
        queued
    };
    let (mut client, queued) = tokio::join!(rig.connect("a"), queued);
    assert!(queued >= 5, "{queued}");
    for _ in 0..queued {
        client.expect_text(&text).await;
    }
    drop(client);
    rig.finish().await;
}

async fn while_closing_is_404(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_close(1000, "").await;
    rig.api.request("DELETE", "a", 0).await;
    assert_eq!(rig.push("a", "x").await.status, 404);
    assert_eq!(rig.kick("a", "").await.status, 404);
    assert_eq!(rig.connected("a").await, None);
    gate.open();
    assert_eq!(client.expect_close().await.0, 1000);
    rig.finish().await;
}

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

async fn chunked_body(binary: Binary) {
    let rig = binary.rig_with(&words("--max-message 100"), crate::api::Api::start(echo), "/").await;
    let mut client = rig.connect("a").await;
    let mut raw = rig.raw().await;
    let chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;name=value\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\nTrailer: x\r\n\r\n";
    raw.write_slowly(chunked.as_bytes()).await;
    assert_eq!(raw.answer().await.status, 200);
    client.expect_text("hello world").await;
    raw.write(&http::encode("POST", "/a", &[], Some(b"and again"))).await;
    assert_eq!(raw.answer().await.status, 200, "the connection is kept");
    client.expect_text("and again").await;
    drop(client);
    rig.finish().await;
}
