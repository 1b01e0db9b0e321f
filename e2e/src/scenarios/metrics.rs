//! Section 11: metrics.

use std::time::Duration;

use crate::api::{Answer, Request, echo};
use crate::rig::Binary;

super::scenarios!["metrics":
    the_page_is_in_the_format_and_complete,
    the_figures_tell_what_happened,
    all_shards_are_counted,
];

const FAMILIES: [&str; 25] = [
    "connections_opened",
    "connections_closed",
    "requests_started",
    "requests_failed",
    "requests_succeeded",
    "active_connections",
    "ws2http_refusals_total",
    "ws2http_messages_received_total",
    "ws2http_messages_sent_total",
    "ws2http_message_bytes_received_total",
    "ws2http_message_bytes_sent_total",
    "ws2http_pushes_total",
    "ws2http_api_call_duration_seconds",
    "ws2http_api_calls_in_flight",
    "ws2http_api_calls_waiting",
    "ws2http_disconnects_pending",
    "ws2http_disconnects_repeated_total",
    "ws2http_disconnects_lost_total",
    "ws2http_closes_total",
    "ws2http_build_info",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
];

async fn the_page_is_in_the_format_and_complete(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for target in ["/", "/metrics"] {
        let answer = rig.control("GET", target, &[], None).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    }
    let metrics = rig.gateway.metrics().await;
    for family in FAMILIES {
        assert!(metrics.types.contains_key(family), "no TYPE for {family}");
        assert!(metrics.helps.contains_key(family), "no HELP for {family}");
    }
    for counter in &FAMILIES[..5] {
        assert_eq!(metrics.types[*counter], "counter", "{counter}");
    }
    assert_eq!(metrics.types["active_connections"], "gauge");
    assert_eq!(metrics.types["ws2http_api_call_duration_seconds"], "histogram");
    assert!(metrics.sum("process_resident_memory_bytes") > 1e6);
    assert!(metrics.sum("process_open_fds") > 3.0);
    rig.finish().await;
}

async fn the_figures_tell_what_happened(binary: Binary) {
    let script = |request: &Request| match (request.method.as_str(), request.client(), request.text().as_str()) {
        ("GET", "refused", _) => Answer::new(403, "no"),
        ("GET", "broken", _) => Answer::new(500, ""),
        ("POST", _, "fail") => Answer::new(500, "secret"),
        ("POST", _, "hang") => Answer::hang(),
        _ => echo(request),
    };
    let rig = binary.rig("--api-timeout 500ms", script).await;
    rig.refusal("refused", &[]).await;
    rig.refusal("broken", &[]).await;
    let mut client = rig.connect("a").await;
    client.send_text("four").await;
    client.expect_text("four").await;
    client.send_text("fail").await;
    client.send_text("hang").await;
    client.send_binary(b"12").await;
    client.expect_binary(b"12").await;
    rig.push("a", "pushed").await;
    rig.push("nobody", "pushed").await;
    client.expect_text("pushed").await;
    client.close(4001, "").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let metrics = rig.gateway.metrics().await;
    for (name, label, value) in [
        ("connections_opened", "", 1.0),
        ("connections_closed", "", 1.0),
        ("active_connections", "", 0.0),
        // Three GETs, four POSTs, one DELETE.
        ("requests_started", "", 8.0),
        ("requests_failed", "", 3.0),
        ("requests_succeeded", "", 5.0),
        ("ws2http_refusals_total", "api_refused", 1.0),
        ("ws2http_refusals_total", "api_failed", 1.0),
        ("ws2http_messages_received_total", "text", 3.0),
        ("ws2http_messages_received_total", "binary", 1.0),
        ("ws2http_message_bytes_received_total", "", 14.0),
        ("ws2http_message_bytes_sent_total", "", 12.0),
        ("ws2http_pushes_total", "\"ok\"", 1.0),
        ("ws2http_pushes_total", "not_found", 1.0),
        ("ws2http_closes_total", "other", 1.0),
        ("ws2http_api_call_duration_seconds_count", "POST", 4.0),
        ("ws2http_api_call_duration_seconds_count", "DELETE", 1.0),
    ] {
        assert_eq!(metrics.sum_with(name, label), value, "{name} {label}");
    }
    rig.finish().await;
}

async fn all_shards_are_counted(binary: Binary) {
    let rig = binary.rig("--threads 4", echo).await;
    let mut clients = Vec::new();
    for number in 0..40 {
        clients.push(rig.connect(&format!("c{number}")).await);
    }
    for _ in 0..10 {
        // Each scrape may be served by another shard.
        assert_eq!(rig.gateway.metrics().await.sum("active_connections"), 40.0);
    }
    drop(clients);
    rig.finish().await;
}
