//! Section 3: what it takes to connect, and what the API is asked.

use std::time::{Duration, Instant};

use crate::api::{Answer, Api, Request, Then, echo};
use crate::frame::{Frame, TEXT};
use crate::raw::handshake;
use crate::rig::{Binary, words};
use crate::wait::Gate;

super::scenarios!["connect":
    open_talk_close, query_goes_along_on_the_get_only, api_below_a_path, end_to_end_headers_go_along,
    hop_by_hop_headers_do_not, forwarded_for_is_appended, gateway_headers_cannot_be_forged,
    api_header_is_on_every_call, white_space_around_ok, early_frames_wait, early_frames_are_bounded, subprotocol_picked_by_the_api,
    subprotocol_picked_by_flag, subprotocol_nobody_offered, set_cookie_goes_to_the_client,
    headers_beyond_ascii_go_along, answer_headers_beyond_ascii, answer_headers_in_latin_1,
    slow_answer_in_time, connection_ids_are_unique, handshake_in_small_pieces, header_names_in_any_case,
];

async fn open_talk_close(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    assert_eq!(rig.api.seen().len(), 1, "the API is asked once, before the 101");
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!((get.target.as_str(), get.body.len()), ("/a", 0));
    assert_eq!(get.header("host"), Some(rig.api.address.to_string().as_str()));
    client.send_text("hello").await;
    client.expect_text("hello").await;
    client.close(1000, "bye").await;
    assert_eq!(rig.api.disconnect("a").await, (1000, "bye".into()));
    rig.finish().await;
}

async fn query_goes_along_on_the_get_only(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a?x=1&y=%20%3f&&z").await;
    client.send_text("m").await;
    client.expect_text("m").await;
    drop(client);
    assert_eq!(rig.api.request("GET", "a", 0).await.target, "/a?x=1&y=%20%3f&&z");
    assert_eq!(rig.api.request("POST", "a", 0).await.target, "/a");
    assert_eq!(rig.api.request("DELETE", "a", 0).await.target, "/a");
    rig.finish().await;
}

async fn api_below_a_path(binary: Binary) {
    let rig = binary.rig_with(&[], Api::start(echo), "/wsoverhttp/v1/").await;
    let mut client = rig.connect("a?q").await;
    client.send_text("m").await;
    client.expect_text("m").await;
    drop(client);
    assert_eq!(rig.api.request("GET", "a", 0).await.target, "/wsoverhttp/v1/a?q");
    assert_eq!(rig.api.request("DELETE", "a", 0).await.target, "/wsoverhttp/v1/a");
    rig.finish().await;
}

async fn end_to_end_headers_go_along(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let headers = [
        ("Cookie", "session=1; theme=dark"),
        ("Authorization", "Bearer abc"),
        ("Origin", "https://app.example"),
        ("Sec-WebSocket-Protocol", "v1.chat, v2.chat"),
        ("X-Custom", "one"),
        ("X-Custom", "two"),
        ("User-Agent", "e2e"),
    ];
    drop(rig.attempt("a", &headers).await.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let get = rig.api.request("GET", "a", 0).await;
    for (name, value) in headers {
        let values = get.all(&name.to_ascii_lowercase());
        assert!(values.contains(&value), "{name} should be {value:?}: {values:?}");
    }
    rig.finish().await;
}

async fn hop_by_hop_headers_do_not(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let headers = [
        ("Connection", "X-Hop"),
        ("X-Hop", "secret"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    drop(rig.attempt("a", &headers).await.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let get = rig.api.request("GET", "a", 0).await;
    let own = ["upgrade", "sec-websocket-key", "sec-websocket-version"];
    let dropped = ["x-hop", "keep-alive", "proxy-connection", "te", "sec-websocket-extensions"];
    for name in own.iter().chain(&dropped) {
        assert_eq!(get.header(name), None, "{name} must not reach the API");
    }
    let connection = get.header("connection").unwrap_or("keep-alive").to_ascii_lowercase();
    assert!(!connection.contains("upgrade") && !connection.contains("x-hop"), "{connection}");
    rig.finish().await;
}

async fn forwarded_for_is_appended(binary: Binary) {
    let rig = binary.rig("", echo).await;
    drop(rig.connect("a").await);
    let header = [("X-Forwarded-For", "192.0.2.7")];
    drop(rig.attempt("b", &header).await.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(rig.api.request("GET", "a", 0).await.all("x-forwarded-for"), ["127.0.0.1"]);
    let forwarded = rig.api.request("GET", "b", 0).await.all("x-forwarded-for").join(", ");
    assert_eq!(forwarded, "192.0.2.7, 127.0.0.1");
    rig.finish().await;
}

async fn gateway_headers_cannot_be_forged(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let forged = [("X-Connection-Id", "forged"), ("X-Close-Code", "1000"), ("x-connection-id", "again")];
    drop(rig.attempt("a", &forged).await.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!(get.header("x-close-code"), None);
    let ids = get.all("x-connection-id");
    assert!(ids.len() == 1 && !["forged", "again"].contains(&ids[0]), "{ids:?}");
    rig.finish().await;
}

async fn api_header_is_on_every_call(binary: Binary) {
    let flags = ["--api-header", "X-Key: s3cret word", "--api-header", "X-Other: 2"].map(str::to_owned);
    let rig = binary.rig_with(&flags, Api::start(echo), "/").await;
    let forged = [("X-Key", "forged"), ("x-key", "twice")];
    let client = rig.attempt("a", &forged).await;
    let mut client = client.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    client.send_text("m").await;
    client.expect_text("m").await;
    drop(client);
    for method in ["GET", "POST", "DELETE"] {
        let request = rig.api.request(method, "a", 0).await;
        assert_eq!(request.all("x-key"), ["s3cret word"], "{method}");
        assert_eq!(request.all("x-other"), ["2"], "{method}");
    }
    rig.finish().await;
}

async fn white_space_around_ok(binary: Binary) {
    for (status, body) in [(200, " \t ok\r\n"), (201, "ok\n"), (202, "\nok")] {
        let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
            "GET" => Answer::new(status, body),
            _ => Answer::ok(),
        });
        let rig = rig.await;
        drop(rig.connect("a").await);
        rig.finish().await;
    }
}

async fn early_frames_wait(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    let mut raw = rig.raw().await;
    let mut bytes = handshake("/a", &[]);
    bytes.extend(Frame::new(TEXT, "first").encode());
    bytes.extend(&Frame::new(TEXT, "second").encode()[..4]);
    raw.write(&bytes).await;
    rig.api.request("GET", "a", 0).await;
    raw.write(&Frame::new(TEXT, "second").encode()[4..]).await;
    assert!(raw.is_quiet().await, "nothing before the API has decided");
    assert_eq!(rig.api.messages_of("a").len(), 0, "no message before the API has decided");
    gate.open();
    assert_eq!(raw.answer().await.status, 101);
    raw.expect(TEXT, "first").await;
    raw.expect(TEXT, "second").await;
    drop(raw);
    rig.finish().await;
}

async fn early_frames_are_bounded(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().after(held.opened()),
        _ => Answer::empty(),
    });
    let rig = rig.await;
    let before = rig.gateway.rss();
    let mut raws = Vec::new();
    for index in 0..5 {
        let mut raw = rig.raw().await;
        raw.write(&handshake(&format!("/c{index}"), &[])).await;
        rig.api.request("GET", &format!("c{index}"), 0).await;
        raws.push(raw);
    }
    let frames = Frame::new(TEXT, "x".repeat(100_000)).encode().repeat(200);
    let flood = futures_util::future::join_all(raws.iter_mut().map(|raw| raw.write_anyway(&frames)));
    let flooded = tokio::time::timeout(Duration::from_secs(1), flood).await;
    assert!(flooded.is_err(), "the gateway took 100 MB before the API has decided");
    let grown = rig.gateway.rss().saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes for clients that are not let in yet");
    gate.open();
    for raw in &mut raws {
        assert_eq!(raw.answer().await.status, 101);
    }
    drop(raws);
    rig.finish().await;
}

async fn subprotocol_picked_by_the_api(binary: Binary) {
    let rig = binary.rig("--subprotocols v1.chat", |request: &Request| {
        let picks = request.method == "GET";
        if picks { Answer::ok().header("Sec-WebSocket-Protocol", "v2.chat") } else { Answer::ok() }
    });
    let rig = rig.await;
    let offer = [("Sec-WebSocket-Protocol", "v1.chat, v2.chat")];
    let client = rig.attempt("a", &offer).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(client.accepted.all("sec-websocket-protocol"), ["v2.chat"]);
    drop(client);
    rig.finish().await;
}

async fn subprotocol_picked_by_flag(binary: Binary) {
    let rig = binary.rig("--subprotocols v3.chat,v2.chat", echo).await;
    let picked = async |offer: &str| {
        let headers = [("Sec-WebSocket-Protocol", offer)];
        let client = rig.attempt("a", &headers).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        client.accepted.header("sec-websocket-protocol").map(str::to_owned)
    };
    assert_eq!(picked("v1.chat, v2.chat, v3.chat").await.as_deref(), Some("v2.chat"));
    assert_eq!(picked("v1.chat").await, None);
    drop(rig.connect("b").await);
    rig.finish().await;
}

async fn subprotocol_nobody_offered(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().header("Sec-WebSocket-Protocol", "v9"),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    assert_eq!(rig.refusal("a", &[("Sec-WebSocket-Protocol", "v1")]).await.status, 502);
    assert_eq!(rig.refusal("b", &[]).await.status, 502);
    // The API believes that it let them in, so it must hear that they are gone.
    rig.api.disconnect("a").await;
    rig.api.disconnect("b").await;
    rig.finish().await;
}

async fn set_cookie_goes_to_the_client(binary: Binary) {
    let rig = binary.rig("", |_: &Request| {
        Answer::ok().header("Set-Cookie", "a=1; Path=/").header("Set-Cookie", "b=2; HttpOnly")
    });
    let rig = rig.await;
    let client = rig.connect("a").await;
    assert_eq!(client.accepted.all("set-cookie"), ["a=1; Path=/", "b=2; HttpOnly"]);
    drop(client);
    rig.finish().await;
}

async fn headers_beyond_ascii_go_along(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let client = rig.attempt("a", &[("X-Name", "Zoë"), ("Cookie", "n=ü")]).await;
    drop(client.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!((get.header("x-name"), get.header("cookie")), (Some("Zoë"), Some("n=ü")));
    rig.finish().await;
}

async fn answer_headers_beyond_ascii(binary: Binary) {
    let rig = binary.rig("", |request: &Request| echo(request).header("Set-Cookie", "n=ü")).await;
    let mut client = rig.connect("a").await;
    assert_eq!(client.accepted.all("set-cookie"), ["n=ü"]);
    client.send_text("hello").await;
    client.expect_text("hello").await;
    drop(client);
    rig.finish().await;
}

async fn answer_headers_in_latin_1(binary: Binary) {
    let rig = binary.rig("", |request: &Request| match request.method.as_str() {
        "GET" => Answer::raw(b"HTTP/1.1 200 OK\r\nSet-Cookie: n=\xfc\r\nContent-Length: 2\r\n\r\nok", Then::Close),
        _ => echo(request),
    });
    let rig = rig.await;
    let client = rig.connect("a").await;
    assert_eq!(client.accepted.all("set-cookie"), ["n=\u{fffd}"], "as it was: this side cannot read it");
    drop(client);
    rig.api.disconnect("a").await;
}

async fn slow_answer_in_time(binary: Binary) {
    let rig = binary.rig_with(&words("--api-timeout 60s"), Api::start(echo), "/").await;
    rig.api.script(|request: &Request| match request.method.as_str() {
        "GET" => Answer::ok().dripping(Duration::from_millis(4)),
        _ => Answer::ok(),
    });
    let start = Instant::now();
    drop(rig.connect("a").await);
    assert!(start.elapsed() > Duration::from_millis(200), "the API did drip");
    rig.finish().await;
}

async fn connection_ids_are_unique(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for _ in 0..3 {
        rig.connect("a").await.close(1000, "").await;
        drop(rig.connect("b").await);
    }
    rig.api.settled().await;
    let gets = rig.api.seen().into_iter().filter(|seen| seen.request.method == "GET");
    let mut ids: Vec<_> = gets.map(|seen| seen.request.connection_id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "every connection has an id of its own");
    // Another process: its ids differ too.
    let other = binary.rig("", echo).await;
    drop(other.connect("a").await);
    let id = other.api.request("GET", "a", 0).await.connection_id().to_owned();
    assert!(!ids.contains(&id), "ids are unique over restarts");
    other.finish().await;
    rig.finish().await;
}

async fn handshake_in_small_pieces(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.raw().await;
    raw.write_slowly(&handshake("/a", &[])).await;
    assert_eq!(raw.answer().await.status, 101);
    raw.write_slowly(&Frame::new(TEXT, "piece by piece").encode()).await;
    raw.expect(TEXT, "piece by piece").await;
    drop(raw);
    rig.finish().await;
}

async fn header_names_in_any_case(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.raw().await;
    let head = "GET /a HTTP/1.1\r\nhost: x\r\nUPGRADE: WebSocket\r\nconnection: keep-alive,\tUPGRADE\r\n\
        sec-websocket-KEY:dGhlIHNhbXBsZSBub25jZQ==\r\nSEC-websocket-version: 13 \r\n\r\n";
    raw.write(head.as_bytes()).await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 101, "{answer:?}");
    drop(raw);
    rig.finish().await;
}
