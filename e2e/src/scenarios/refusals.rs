//! Section 3: connects that are refused, by the gateway or by the API, and how.

use std::time::{Duration, Instant};

use crate::api::{Answer, Api, Request, Then, echo};
use crate::gateway::Gateway;
use crate::http::{self, encode};
use crate::raw::{KEY, Raw, handshake};
use crate::rig::{Binary, Rig, words};

super::scenarios!["refusals":
    bad_handshakes, other_versions, no_handshake, origins, capacity, idle_sockets_leave_calls_their_descriptors, another_body_is_403,
    api_4xx_goes_to_the_client, api_3xx_is_502, api_failures_are_502, api_down_is_502, api_silence_is_504,
    in_band, in_band_reason_is_cut_at_a_character, in_band_of_the_gateway, in_band_not_for_bad_requests,
];

/// Makes an answer, again and again.
type Make = fn() -> Answer;

/// Refuses every connect with these.
fn refusing(status: u16, body: &'static str) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    move |_| Answer::new(status, body)
}

async fn bad_handshakes(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let with = |name: &str, value: &'static str| {
        good.map(|(each, old)| (each, if each == name { value } else { old })).to_vec()
    };
    let without = |name: &str| good.into_iter().filter(|(each, _)| *each != name).collect::<Vec<_>>();
    let twice = |name: &str| {
        let again = good.into_iter().filter(|(each, _)| *each == name);
        good.into_iter().chain(again).collect::<Vec<_>>()
    };
    let cases = [
        ("no key", without("Sec-WebSocket-Key"), &[400][..]),
        ("empty key", with("Sec-WebSocket-Key", ""), &[400]),
        ("key of 15 bytes", with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA"), &[400]),
        ("key of 17 bytes", with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), &[400]),
        ("key not base64", with("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="), &[400]),
        ("two keys", twice("Sec-WebSocket-Key"), &[400]),
        ("no version", without("Sec-WebSocket-Version"), &[400, 426]),
        ("no upgrade", without("Upgrade"), &[400, 426]),
        ("another upgrade", with("Upgrade", "h2c"), &[400, 426]),
        ("no connection", without("Connection"), &[400, 426]),
        ("another connection", with("Connection", "keep-alive"), &[400, 426]),
    ];
    for (name, headers, statuses) in cases {
        let answer = http::request(rig.gateway.public, "GET", "/a", &headers, None).await;
        assert!(statuses.contains(&answer.status), "{name}: {answer:?}");
        assert!(!answer.text().is_empty(), "{name}: a refusal says what is wrong");
    }
    let mut raw = rig.raw().await;
    let old = String::from_utf8(handshake("/a", &[])).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    raw.write(old.as_bytes()).await;
    let status = raw.answer().await.status;
    assert!([400, 426, 505].contains(&status), "a handshake by HTTP/1.0: {status}");
    assert_eq!(rig.api.seen().len(), 0, "a bad handshake never reaches the API");
    rig.finish().await;
}

async fn other_versions(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for version in ["8", "14", "0", "x"] {
        let headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", version),
        ];
        let answer = http::request(rig.gateway.public, "GET", "/a", &headers, None).await;
        assert_eq!(answer.status, 426, "version {version}: {answer:?}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn no_handshake(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let answer = http::get(rig.gateway.public, "/a?x").await;
    assert_eq!(answer.status, 426, "{answer:?}");
    // RFC 9110, section 15.5.22: a 426 must name the protocol.
    assert_eq!(answer.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn origins(binary: Binary) {
    let rig = binary.rig("--origin https://app.example --origin https://*.wild.example:8443", echo).await;
    let refused = [
        None,
        Some("https://evil.example"),
        Some("http://app.example"),
        Some("https://app.example:444"),
        Some("https://app.example.evil.example"),
        Some("https://wild.example"),
        Some("https://evilwild.example:8443"),
        Some("null"),
    ];
    for origin in refused {
        let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        let answer = rig.refusal("a", &headers).await;
        assert_eq!(answer.status, 403, "{origin:?}: {answer:?}");
    }
    assert_eq!(rig.api.seen().len(), 0, "a wrong origin never reaches the API");
    for (id, origin) in [("a", "https://app.example"), ("b", "https://x.wild.example:8443")] {
        let client = rig.attempt(id, &[("Origin", origin)]).await;
        drop(client.unwrap_or_else(|refusal| panic!("{origin}: {refusal:?}")));
    }
    rig.finish().await;
}

async fn capacity(binary: Binary) {
    let rig = binary.rig("--max-connections 2", echo).await;
    let first = rig.connect("a").await;
    let second = rig.connect("b").await;
    let answer = rig.refusal("c", &[]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{answer:?}");
    assert_eq!(rig.api.seen_of("c").len(), 0, "the API is not asked");
    first.close(1000, "").await;
    rig.gateway.metrics_until("a place to be free", |now| now.sum("active_connections") == 1.0).await;
    drop(rig.connect("c").await);
    drop(second);
    rig.finish().await;
}

/// However many sockets come that never ask for anything.
async fn idle_sockets_leave_calls_their_descriptors(binary: Binary) {
    let api = Api::start(echo);
    let mut flags = binary.flags(&format!("http://{}/", api.address));
    flags.extend(words("--handshake-timeout 60s --max-idle-api-connections 0 --control-listen 127.0.0.1:0"));
    let gateway = Gateway::start_limited(binary.path(), &flags, 300).await;
    let rig = Rig { gateway, api };
    let mut client = rig.connect("a").await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(rig.raw().await);
    }
    rig.gateway.metrics_until("sockets to be refused", |now| now.sum("ws2http_refusals_total") > 0.0).await;
    client.send_text("still served").await;
    client.expect_text("still served").await;
    drop((idle, client));
    rig.finish().await;
}

async fn another_body_is_403(binary: Binary) {
    let bodies = ["go away", "", "OK", "ok ok", "ok\0", "okay", "kein Zutritt für dich"];
    let rig = binary.rig("", echo).await;
    for body in bodies {
        rig.api.script(refusing(200, body));
        let answer = rig.refusal("a", &[]).await;
        assert_eq!(answer.status, 403, "{body:?}: {answer:?}");
        assert_eq!(answer.body, body.as_bytes(), "the error message goes to the client");
    }
    rig.api.script(|_: &Request| Answer::empty());
    assert_eq!(rig.refusal("a", &[]).await.status, 403);
    assert!(rig.api.seen().iter().all(|seen| seen.request.method == "GET"), "no DELETE of a refused one");
    rig.finish().await;
}

async fn api_4xx_goes_to_the_client(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for status in [400, 401, 403, 404, 410, 418, 429, 499] {
        rig.api.script(move |_: &Request| Answer::new(status, format!("because of {status}")));
        let answer = rig.refusal("a", &[]).await;
        assert_eq!((answer.status, answer.text()), (status, format!("because of {status}")));
    }
    rig.api.script(refusing(401, "ok"));
    assert_eq!(rig.refusal("a", &[]).await.status, 401, "ok counts with 2xx only");
    assert!(rig.api.seen().iter().all(|seen| seen.request.method == "GET"), "no DELETE of a refused one");
    rig.finish().await;
}

async fn api_3xx_is_502(binary: Binary) {
    let rig = binary.rig("", |_: &Request| Answer::new(302, "ok").header("Location", "/b")).await;
    assert_eq!(rig.refusal("a", &[]).await.status, 502);
    assert_eq!(rig.api.seen().len(), 1, "a redirection is not followed");
    rig.finish().await;
}

async fn api_failures_are_502(binary: Binary) {
    let rig = binary.rig("--api-timeout 10s", echo).await;
    let cases: [(&str, Make); 8] = [
        ("500", || Answer::new(500, "ok")),
        ("503", || Answer::new(503, "ok")),
        ("garbage", || Answer::raw("ok\r\n\r\nok", Then::Close)),
        ("closed", Answer::close),
        ("reset", Answer::reset),
        ("half closed", || Answer::raw("", Then::HalfClose)),
        ("cut off", || Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", Then::Close)),
        ("endless", Answer::endless),
    ];
    for (name, answer) in cases {
        rig.api.script(move |_: &Request| answer());
        let answer = rig.refusal("a", &[]).await;
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        assert!(!answer.text().is_empty(), "{name}: a refusal says what is wrong");
    }
    let methods: Vec<_> = rig.api.seen().into_iter().map(|seen| seen.request.method.clone()).collect();
    assert_eq!(methods, ["GET"; 8], "each asked once, none told of an end");
    rig.finish().await;
}

async fn api_down_is_502(binary: Binary) {
    let mut rig = binary.rig_with(&[], Api::stopped(echo), "/").await;
    assert_eq!(rig.refusal("a", &[]).await.status, 502);
    rig.api.resume();
    drop(rig.connect("a").await);
    rig.finish().await;
}

async fn api_silence_is_504(binary: Binary) {
    let rig = binary.rig("--api-timeout 500ms", |_: &Request| Answer::hang()).await;
    let start = Instant::now();
    assert_eq!(rig.refusal("a", &[]).await.status, 504);
    assert!(start.elapsed() >= Duration::from_millis(450), "after {:?}", start.elapsed());
    assert!(rig.api.seen().iter().all(|seen| seen.request.method == "GET"), "no DELETE");
    rig.finish().await;
}

/// Connects, which must succeed, and is closed at once.
async fn closed_at_once(raw: &mut Raw) -> (u16, String) {
    raw.shake_hands("/a").await;
    let close = raw.expect_close().await;
    raw.send(&crate::frame::Frame::close(close.0, "")).await;
    raw.expect_end().await;
    close
}

async fn in_band(binary: Binary) {
    let rig = binary.rig("--refuse-in-band --api-timeout 2s", echo).await;
    let cases: [(Make, u16, &str); 5] = [
        (|| Answer::new(200, "go away"), 1008, "go away"),
        (|| Answer::new(401, "who are you?"), 1008, "who are you?"),
        (|| Answer::new(500, "oops"), 1011, ""),
        (|| Answer::new(301, "moved"), 1011, ""),
        (Answer::hang, 1011, ""),
    ];
    for (answer, code, reason) in cases {
        rig.api.script(move |_: &Request| answer());
        let close = closed_at_once(&mut rig.raw().await).await;
        assert_eq!(close.0, code, "{close:?}");
        assert!(close.1.contains(reason) && !close.1.is_empty(), "{close:?}");
    }
    let only_gets = rig.api.seen().iter().all(|seen| seen.request.method == "GET");
    assert!(only_gets, "the API sees no difference");
    rig.finish().await;
}

async fn in_band_reason_is_cut_at_a_character(binary: Binary) {
    let rig = binary.rig("--refuse-in-band", |_: &Request| Answer::new(403, "x".to_owned() + &"é".repeat(100)));
    let rig = rig.await;
    let (_, reason) = closed_at_once(&mut rig.raw().await).await;
    assert_eq!(reason, "x".to_owned() + &"é".repeat(61), "123 bytes, no half character");
    rig.api.script(|_: &Request| Answer::new(403, "é".repeat(100)));
    let (_, reason) = closed_at_once(&mut rig.raw().await).await;
    assert_eq!(reason, "é".repeat(61), "122 bytes, no half character");
    rig.finish().await;
}

async fn in_band_of_the_gateway(binary: Binary) {
    let flags = words("--refuse-in-band --max-connections 1 --origin https://a.example --on-duplicate reject");
    let rig = binary.rig_with(&flags, Api::start(echo), "/").await;
    assert_eq!(closed_at_once(&mut rig.raw().await).await.0, 1008, "the origin");
    let origin = [("Origin", "https://a.example")];
    let first = rig.attempt("a", &origin).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let mut second = rig.attempt("b", &origin).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(second.expect_close().await.0, 1013, "capacity");
    drop((first, second));
    rig.finish().await;

    let rig = binary.rig("--refuse-in-band --on-duplicate reject", echo).await;
    let first = rig.connect("a").await;
    assert_eq!(closed_at_once(&mut rig.raw().await).await.0, 1008, "a duplicate");
    assert_eq!(rig.api.seen().len(), 1);
    drop(first);
    rig.finish().await;
}

async fn in_band_not_for_bad_requests(binary: Binary) {
    let rig = binary.rig("--refuse-in-band", echo).await;
    assert_eq!(http::get(rig.gateway.public, "/a").await.status, 426);
    let mut raw = rig.raw().await;
    raw.write(&encode("GET", "/a%ff", &[], None)).await;
    assert_eq!(raw.answer().await.status, 400);
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}
