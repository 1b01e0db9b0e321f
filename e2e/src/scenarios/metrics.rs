//! Section 11: the metrics, their names, and that they tell the truth.

use crate::api::{Answer, Request, echo};
use crate::client::Client;
use crate::http;
use crate::metrics::{Metrics, name_of};
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["metrics":
    format, names_of_the_seed, connections_are_counted, requests_are_counted, refusals_are_counted, messages_are_counted,
    pushes_are_counted, closes_are_counted, durations_are_a_histogram, calls_under_way_show, disconnects_show, health,
];

async fn format(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let answer = http::get(rig.gateway.control, "/metrics").await;
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{kind}");
    let metrics = Metrics::parse(&answer.text()).expect("the text format");
    for series in metrics.series.keys() {
        let name = name_of(series);
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let declared = |name: &str| metrics.types.contains_key(name) && metrics.helps.contains_key(name);
        let known = declared(name) || base.is_some_and(declared);
        assert!(known, "{series} has no TYPE or HELP");
    }
    let root = http::get(rig.gateway.control, "/").await;
    let root = Metrics::parse(&root.text()).expect("the text format at / too");
    assert_eq!(root.types, metrics.types);
    rig.finish().await;
}

async fn names_of_the_seed(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let metrics = rig.gateway.metrics().await;
    let counters = [
        "connections_opened",
        "connections_closed",
        "requests_started",
        "requests_failed",
        "requests_succeeded",
    ];
    for name in counters {
        assert_eq!(metrics.types.get(name).map(String::as_str), Some("counter"), "{name}");
        assert_eq!(metrics.series.get(name), Some(&0.0), "{name}");
    }
    let kind = |name: &str| metrics.types.get(name).map(String::as_str);
    assert_eq!(kind("active_connections"), Some("gauge"));
    let prefixed = [
        ("ws2http_refusals_total", "counter"),
        ("ws2http_messages_received_total", "counter"),
        ("ws2http_messages_sent_total", "counter"),
        ("ws2http_message_bytes_received_total", "counter"),
        ("ws2http_message_bytes_sent_total", "counter"),
        ("ws2http_pushes_total", "counter"),
        ("ws2http_closes_total", "counter"),
        ("ws2http_api_call_duration_seconds", "histogram"),
        ("ws2http_api_calls_in_flight", "gauge"),
        ("ws2http_api_calls_waiting", "gauge"),
        ("ws2http_disconnects_pending", "gauge"),
        ("ws2http_disconnects_repeated_total", "counter"),
        ("ws2http_disconnects_lost_total", "counter"),
        ("ws2http_messages_lost_total", "counter"),
        ("ws2http_build_info", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_start_time_seconds", "gauge"),
    ];
    for (name, expected) in prefixed {
        assert_eq!(kind(name), Some(expected), "{name}");
    }
    assert_eq!(metrics.sum("ws2http_build_info"), 1.0);
    let (told, seen) = (metrics.sum("process_resident_memory_bytes"), rig.gateway.rss() as f64);
    assert!((told / seen - 1.0).abs() < 0.5, "resident: {told} told, {seen} seen");
    let (told, seen) = (metrics.sum("process_open_fds"), rig.gateway.descriptors() as f64);
    assert!((told - seen).abs() <= 8.0, "descriptors: {told} told, {seen} seen");
    rig.finish().await;
}

async fn connections_are_counted(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut clients = Vec::new();
    for index in 0..5 {
        clients.push(rig.connect(&format!("c{index}")).await);
    }
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("connections_opened"), 5.0);
    assert_eq!(metrics.sum("active_connections"), 5.0);
    clients.truncate(2);
    rig.gateway.metrics_until("three to close", |now| now.sum("connections_closed") == 3.0).await;
    assert_eq!(rig.gateway.metrics().await.sum("active_connections"), 2.0);
    rig.api.script(|_: &Request| Answer::new(403, "no"));
    rig.refusal("x", &[]).await;
    assert_eq!(rig.gateway.metrics().await.sum("connections_opened"), 5.0, "a refused one never opened");
    rig.api.script(echo);
    drop(clients);
    rig.finish().await;
}

async fn requests_are_counted(binary: Binary) {
    let rig = binary.rig("--api-timeout 2s --max-message 1000", |request: &Request| {
        match (request.method.as_str(), request.text().as_str(), request.query()) {
            ("GET", _, Some(status)) => Answer::new(status.parse().unwrap_or(200), "refused"),
            ("POST", "hang", _) => Answer::hang(),
            ("POST", "404", _) => Answer::new(404, ""),
            ("POST", "large", _) => Answer::new(200, "x".repeat(1001)),
            ("POST", "not utf-8", _) => Answer::new(200, b"\xff"),
            _ => echo(request),
        }
    });
    let rig = rig.await;
    // A refused connect, 2xx or 4xx, is a call that succeeded; 3xx and 5xx failed.
    for (query, failed) in [("no", 0.0), ("403", 0.0), ("302", 1.0), ("500", 2.0)] {
        rig.refusal(&format!("a?{query}"), &[]).await;
        let metrics = rig.gateway.metrics().await;
        assert_eq!(metrics.sum("requests_failed"), failed, "{query}");
    }
    let mut client = rig.connect("a").await;
    for text in ["hang", "404", "large", "not utf-8", "fine"] {
        client.send_text(text).await;
    }
    client.expect_text("fine").await;
    client.close(1000, "").await;
    rig.api.settled().await;
    let metrics = rig.gateway.metrics_until("the DELETE", |now| now.sum("requests_started") == 11.0).await;
    assert_eq!(metrics.sum("requests_failed"), 6.0);
    let metrics = rig.gateway.metrics_until("its answer", |now| now.sum("requests_succeeded") == 5.0).await;
    assert_eq!(metrics.sum("requests_started"), rig.api.seen().len() as f64);
    rig.finish().await;
}

async fn refusals_are_counted(binary: Binary) {
    let rig = binary.rig("--origin https://a.example --on-duplicate reject", echo).await;
    let total = async || rig.gateway.metrics().await.sum("ws2http_refusals_total");
    assert_eq!(total().await, 0.0);
    rig.refusal("a", &[]).await;
    assert_eq!(total().await, 1.0, "a wrong origin");
    http::get(rig.gateway.public, "/a").await;
    assert_eq!(total().await, 2.0, "no handshake");
    http::request(rig.gateway.public, "POST", "/%ff", &[], Some(b"x")).await;
    assert_eq!(total().await, 3.0, "a bad id");
    let origin = [("Origin", "https://a.example")];
    let client = rig.attempt("a", &origin).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    rig.refusal("a", &origin).await;
    assert_eq!(total().await, 4.0, "a duplicate");
    let metrics = rig.gateway.metrics().await;
    let reasons = metrics.series.iter().filter(|(series, value)| {
        name_of(series) == "ws2http_refusals_total" && **value > 0.0
    });
    assert_eq!(reasons.count(), 4, "each by its reason: {:?}", metrics.series);
    drop(client);
    rig.finish().await;
}

async fn messages_are_counted(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    client.send_text("12345").await;
    client.expect_text("12345").await;
    client.send_binary(b"123").await;
    client.expect_binary(b"123").await;
    assert_eq!(rig.push("a", "1234567").await.status, 200);
    client.expect_text("1234567").await;
    let metrics = rig.gateway.metrics().await;
    assert_eq!(metrics.sum("ws2http_messages_received_total"), 2.0);
    assert_eq!(metrics.sum("ws2http_messages_sent_total"), 3.0);
    assert_eq!(metrics.sum("ws2http_message_bytes_received_total"), 8.0);
    assert_eq!(metrics.sum("ws2http_message_bytes_sent_total"), 15.0);
    assert_eq!(metrics.sum_with("ws2http_messages_received_total", "binary"), 1.0);
    assert_eq!(metrics.sum_with("ws2http_messages_sent_total", "text"), 2.0);
    drop(client);
    rig.finish().await;
}

async fn pushes_are_counted(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let client = rig.connect("a").await;
    rig.push("a", "x").await;
    rig.push("a", "x").await;
    rig.push("nobody", "x").await;
    rig.control("POST", "/a", &[("If-Match", "\"other\"")], Some(b"x")).await;
    let metrics = rig.gateway.metrics().await;
    let by_result = |result: &str| metrics.sum_with("ws2http_pushes_total", &format!("\"{result}\""));
    assert_eq!(by_result("ok"), 2.0);
    assert_eq!(by_result("not_found"), 1.0);
    assert_eq!(metrics.sum("ws2http_pushes_total"), 4.0);
    drop(client);
    rig.finish().await;
}

async fn closes_are_counted(binary: Binary) {
    let rig = binary.rig("", echo).await;
    rig.connect("a").await.close(1000, "").await;
    rig.connect("b").await.close(4321, "").await;
    rig.connect("c").await.reset();
    rig.api.settled().await;
    let metrics = rig.gateway.metrics_until("three closes", |now| now.sum("ws2http_closes_total") == 3.0).await;
    assert_eq!(metrics.sum_with("ws2http_closes_total", "code=\"1000\""), 1.0);
    assert_eq!(metrics.sum_with("ws2http_closes_total", "code=\"1006\""), 1.0);
    let codes = metrics.series.keys().filter(|series| name_of(series) == "ws2http_closes_total").count();
    assert!(codes < 40, "clients must not be able to make up labels: {codes}");
    rig.finish().await;
}

async fn durations_are_a_histogram(binary: Binary) {
    let rig = binary.rig("", |request: &Request| {
        echo(request).delayed(std::time::Duration::from_millis(if request.method == "POST" { 120 } else { 0 }))
    });
    let rig = rig.await;
    let mut client = rig.connect("a").await;
    client.send_text("m").await;
    client.expect_text("m").await;
    let metrics = rig.gateway.metrics().await;
    const NAME: &str = "ws2http_api_call_duration_seconds";
    let of = |suffix: &str, label: &str| metrics.sum_with(&format!("{NAME}{suffix}"), label);
    assert_eq!(of("_count", "\"POST\""), 1.0);
    assert_eq!(of("_count", "\"GET\""), 1.0);
    let sum = of("_sum", "\"POST\"");
    assert!((0.12..5.0).contains(&sum), "{sum}");
    let infinite = metrics.series.iter().find(|(series, _)| {
        name_of(series) == format!("{NAME}_bucket") && series.contains("POST") && series.contains("+Inf")
    });
    assert_eq!(infinite.map(|(_, count)| *count), Some(1.0));
    let fast = metrics.series.iter().filter(|(series, _)| {
        name_of(series) == format!("{NAME}_bucket") && series.contains("POST") && series.contains("le=\"0.1\"")
    });
    assert_eq!(fast.map(|(_, count)| *count).sum::<f64>(), 0.0, "120 ms is not below 100 ms");
    drop(client);
    rig.finish().await;
}

async fn calls_under_way_show(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "POST" => echo(request).after(held.opened()),
        _ => Answer::ok(),
    });
    let rig = rig.await;
    let mut client: Client = rig.connect("a").await;
    client.send_text("1").await;
    client.send_text("2").await;
    rig.api.request("POST", "a", 0).await;
    let one_waits = |now: &Metrics| {
        now.sum("ws2http_api_calls_in_flight") == 1.0 && now.sum("ws2http_api_calls_waiting") == 1.0
    };
    rig.gateway.metrics_until("one call under way, one waiting", one_waits).await;
    gate.open();
    client.expect_text("1").await;
    client.expect_text("2").await;
    let idle = |now: &Metrics| {
        now.sum("ws2http_api_calls_in_flight") == 0.0 && now.sum("ws2http_api_calls_waiting") == 0.0
    };
    rig.gateway.metrics_until("none", idle).await;
    drop(client);
    rig.finish().await;
}

async fn disconnects_show(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    drop(rig.connect("a").await);
    let pending = |count: f64| move |now: &Metrics| now.sum("ws2http_disconnects_pending") == count;
    rig.gateway.metrics_until("a pending disconnect", pending(1.0)).await;
    gate.open();
    rig.gateway.metrics_until("no pending disconnect", pending(0.0)).await;
    rig.finish().await;
}

async fn health(binary: Binary) {
    let rig = binary.rig("", |_: &Request| Answer::hang()).await;
    for target in ["/-/healthy", "/-/ready"] {
        assert_eq!(http::get(rig.gateway.control, target).await.status, 200, "{target}");
        let head = http::request(rig.gateway.control, "HEAD", target, &[], None).await;
        assert!([200, 404, 405].contains(&head.status), "HEAD {target}: {head:?}");
    }
    assert_eq!(http::get(rig.gateway.control, "/-/unknown").await.status, 404);
    assert_eq!(rig.api.seen().len(), 0, "health is the gateway's own");
    rig.finish().await;
}
