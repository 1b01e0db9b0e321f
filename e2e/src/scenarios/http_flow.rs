//! Section 9: one request after another, and in its own time.

use std::time::{Duration, Instant};

use crate::api::echo;
use crate::client::Client;
use crate::http::encode;
use crate::raw::{Raw, handshake};
use crate::rig::{Binary, Rig};

use super::http_strict::rig_with_victim;

super::scenarios!["http_flow":
    pipelining, pipelined_handshake, keep_alive_and_close, http_1_0, expect_continue, expect_something_else, slow_head, slow_body, body_with_progress, idle_connections, half_closed_requests, empty_lines_before_a_request, absolute_targets,
];

async fn pipelining(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    let requests = [
        encode("POST", "/a", &[], Some(b"one")),
        encode("POST", "/nobody", &[], Some(b"two")),
        encode("HEAD", "/a", &[], None),
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n".to_vec(),
        encode("GET", "/-/healthy", &[], None),
        encode("POST", "/a", &[], Some(b"four")),
    ];
    raw.write(&requests.concat()).await;
    let methods = ["POST", "POST", "HEAD", "POST", "GET", "POST"];
    let mut statuses = Vec::new();
    for method in methods {
        statuses.push(raw.answer_to(method).await.status);
    }
    assert_eq!(statuses, [200, 404, 200, 200, 200, 200], "answers in the order of the requests");
    for text in ["one", "three", "four"] {
        client.expect_text(text).await;
    }
    let many: Vec<u8> = (0..300).flat_map(|number| {
        encode("POST", "/a", &[], Some(format!("n{number}").as_bytes()))
    }).collect();
    raw.write(&many).await;
    for number in 0..300 {
        assert_eq!(raw.answer_to("POST").await.status, 200);
        client.expect_text(&format!("n{number}")).await;
    }
    drop(client);
    rig.finish().await;
}

async fn pipelined_handshake(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    let frame = crate::frame::Frame::new(crate::frame::TEXT, "m").encode();
    raw.write(&[encode("HEAD", "/a", &[], None), handshake("/b", &[]), frame].concat()).await;
    assert_eq!(raw.answer_to("HEAD").await.status, 200);
    assert_eq!(raw.answer().await.status, 101, "a handshake may follow a request");
    raw.expect(crate::frame::TEXT, "m").await;
    drop((raw, client));
    rig.finish().await;
}

async fn keep_alive_and_close(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    for _ in 0..3 {
        raw.write(&encode("POST", "/a", &[], Some(b"x"))).await;
        assert!(!raw.answer().await.closes());
        client.expect_text("x").await;
    }
    raw.write(&encode("POST", "/a", &[("Connection", "close")], Some(b"x"))).await;
    assert!(raw.answer().await.closes(), "the answer says that it is the last");
    raw.expect_end().await;
    drop(client);
    rig.finish().await;
}

async fn http_1_0(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx").await;
    assert_eq!(raw.answer().await.status, 200, "Host is not needed in 1.0");
    raw.expect_end().await;
    client.expect_text("x").await;
    client = rig_again(&rig, client).await;
    let mut raw = rig.raw().await;
    raw.write(b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("transfer-encoding"), None, "1.0 knows no chunks");
    drop(client);
    rig.finish().await;
}

async fn rig_again(rig: &Rig, mut client: Client) -> Client {
    assert_eq!(rig.push("a", "alive").await.status, 200);
    client.expect_text("alive").await;
    client
}

async fn expect_continue(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    let head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    raw.write(head).await;
    assert_eq!(raw.answer().await.status, 100);
    raw.write(b"hello").await;
    assert_eq!(raw.answer().await.status, 200);
    client.expect_text("hello").await;
    raw.write(&[head.as_slice(), b"again"].concat()).await;
    let mut answer = raw.answer().await;
    if answer.status == 100 {
        answer = raw.answer().await;
    }
    assert_eq!(answer.status, 200, "a client that does not wait is fine too");
    client.expect_text("again").await;
    let mut raw = rig.raw().await;
    let large = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n";
    raw.write(large.as_bytes()).await;
    assert_eq!(raw.answer().await.status, 413, "refused before the body is sent");
    drop(client);
    rig.finish().await;
}

async fn expect_something_else(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: a miracle\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 417);
    drop(client);
    rig.finish().await;
}

async fn slow_head(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 600ms", echo).await;
    let start = Instant::now();
    let mut raw = rig.raw().await;
    let bytes = handshake("/a", &[]);
    let drip = async {
        for byte in &bytes[..bytes.len() - 4] {
            raw.write_anyway(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if start.elapsed() > Duration::from_secs(2) {
                break;
            }
        }
        raw.answer().await
    };
    let answer = drip.await;
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(start.elapsed() >= Duration::from_millis(550), "after {:?}", start.elapsed());
    let start = Instant::now();
    let mut silent = rig.raw().await;
    silent.write(b"POST /a HT").await;
    assert_eq!(silent.answer().await.status, 408);
    assert!(start.elapsed() >= Duration::from_millis(550), "after {:?}", start.elapsed());
    silent.expect_end().await;
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn slow_body(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 600ms", echo).await;
    let mut client = rig.connect("a").await;
    let mut raw = rig.raw().await;
    let start = Instant::now();
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel").await;
    assert_eq!(raw.answer().await.status, 408);
    raw.expect_end().await;
    assert!(start.elapsed() >= Duration::from_millis(550), "after {:?}", start.elapsed());
    assert!(client.is_quiet().await, "half a push is none");
    drop(client);
    rig.finish().await;
}

async fn body_with_progress(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 2s", echo).await;
    let mut client = rig.connect("a").await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        raw.write(b"x").await;
    }
    assert_eq!(raw.answer().await.status, 200, "slower than the timeout, but never stuck");
    client.expect_text("xxxxxx").await;
    drop(client);
    rig.finish().await;
}

async fn idle_connections(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 500ms", echo).await;
    let mut fresh = rig.raw().await;
    let end = fresh.end();
    let mut used = rig.raw().await;
    used.write(&encode("GET", "/-/healthy", &[], None)).await;
    assert_eq!(used.answer().await.status, 200);
    // A connection that never asks anything goes with the handshake timeout; a kept-alive one stays.
    end.await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    used.write(&encode("GET", "/-/healthy", &[], None)).await;
    assert_eq!(used.answer().await.status, 200, "kept alive beyond the handshake timeout");
    rig.finish().await;
}

async fn half_closed_requests(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    raw.write(&encode("POST", "/a", &[], Some(b"x"))).await;
    raw.half_close().await;
    assert_eq!(raw.answer().await.status, 200, "the sender still reads");
    raw.expect_end().await;
    client.expect_text("x").await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel").await;
    raw.half_close().await;
    raw.end().await;
    assert!(client.is_quiet().await, "half a push is none");
    drop(client);
    rig.finish().await;
}

async fn empty_lines_before_a_request(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let mut raw = rig.raw().await;
    // RFC 9112, section 2.2: a server should ignore at least one empty line before the request line.
    raw.write(&[b"\r\n".to_vec(), encode("HEAD", "/a", &[], None)].concat()).await;
    assert_eq!(raw.answer_to("HEAD").await.status, 200);
    drop(client);
    rig.finish().await;
}

async fn absolute_targets(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let mut raw = Raw::connect(rig.gateway.public).await;
    raw.write(&encode("HEAD", "http://gateway/a", &[], None)).await;
    let status = raw.answer_to("HEAD").await.status;
    assert!([200, 400].contains(&status), "accepted (RFC 9112, section 3.2.2) or refused: {status}");
    let mut raw = Raw::connect(rig.gateway.public).await;
    raw.write(&encode("OPTIONS", "*", &[], None)).await;
    let status = raw.answer().await.status;
    assert!((400..600).contains(&status), "{status}");
    assert_eq!(rig.api.seen().len(), 1);
    drop(client);
    rig.finish().await;
}
