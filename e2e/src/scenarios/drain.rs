//! Section 8: the orderly end.

use std::time::{Duration, Instant};

use crate::api::{Answer, Request, echo, silent};
use crate::client::{Client, Heard};
use crate::rig::Binary;

super::scenarios!["drain":
    sigterm_sends_all_away_and_exits_with_0,
    sigint_does_the_same,
    a_thousand_clients_are_spread_over_the_drain,
    calls_under_way_finish,
    a_second_signal_ends_at_once_with_1,
    an_api_that_is_down_does_not_hold_it_up,
];

async fn sigterm_sends_all_away_and_exits_with_0(binary: Binary) {
    let mut rig = binary.rig("--drain 1s --threads 2", silent).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(rig.connect(&format!("c{number}")).await);
    }
    assert_eq!(rig.control("GET", "/-/ready", &[], None).await.status, 200);
    rig.gateway.sigterm();
    crate::wait::within("readiness to go off", async {
        while rig.control("GET", "/-/ready", &[], None).await.status != 503 {}
    })
    .await;
    assert_eq!(rig.refusal("late", &[]).await.status, 503);
    assert!(rig.api.seen_of("late").is_empty());
    for client in clients {
        farewell(client).await;
    }
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    rig.api.settled().await;
    for number in 0..20 {
        assert_eq!(rig.api.disconnect(&format!("c{number}")).await.0, 1001);
    }
}

/// Waits for the close frame, answers it, and waits for the end.
async fn farewell(mut client: Client) {
    assert_eq!(client.expect_close().await.0, 1001);
    while client.next().await != Heard::Gone {}
}

async fn sigint_does_the_same(binary: Binary) {
    let mut rig = binary.rig("--drain 0", silent).await;
    let client = rig.connect("a").await;
    rig.gateway.sigint();
    farewell(client).await;
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    rig.api.settled().await;
}

async fn a_thousand_clients_are_spread_over_the_drain(binary: Binary) {
    let mut rig = binary.rig("--drain 2s --threads 2", echo).await;
    let mut clients = Vec::new();
    for number in 0..1000 {
        clients.push(rig.connect(&format!("c{number}")).await);
    }
    rig.gateway.sigterm();
    let start = Instant::now();
    let farewells: Vec<_> = clients
        .into_iter()
        .map(|client| {
            tokio::spawn(async move {
                farewell(client).await;
                start.elapsed()
            })
        })
        .collect();
    let mut ends = Vec::new();
    for end in farewells {
        ends.push(end.await.expect("a farewell"));
    }
    ends.sort_unstable();
    // Spread, not in one go: a quarter of them at least half a second apart from another quarter.
    assert!(ends[750] - ends[250] > Duration::from_millis(500), "{:?} to {:?}", ends[250], ends[750]);
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    rig.api.settled().await;
}

async fn calls_under_way_finish(binary: Binary) {
    let slow = |request: &Request| match request.method.as_str() {
        "POST" => Answer::new(200, "done").delayed(Duration::from_millis(700)),
        _ => silent(request),
    };
    let mut rig = binary.rig("--drain 100ms", slow).await;
    let mut client = rig.connect("a").await;
    client.send_text("slow").await;
    rig.api.request("POST", "a", 0).await;
    rig.gateway.sigterm();
    assert_eq!(client.expect_close().await.0, 1001);
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    rig.api.settled().await;
    assert_eq!(rig.api.messages_of("a"), ["slow"]);
}

async fn a_second_signal_ends_at_once_with_1(binary: Binary) {
    let mut rig = binary.rig("--drain 60s", silent).await;
    let mut client = rig.connect("a").await;
    rig.gateway.sigterm();
    crate::wait::within("readiness to go off", async {
        while rig.control("GET", "/-/ready", &[], None).await.status != 503 {}
    })
    .await;
    assert!(client.is_quiet().await);
    rig.gateway.sigterm();
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(1));
}

async fn an_api_that_is_down_does_not_hold_it_up(binary: Binary) {
    let mut rig = binary.rig("--drain 200ms --close-timeout 500ms", silent).await;
    let client = rig.connect("a").await;
    rig.api.stop().await;
    let start = Instant::now();
    rig.gateway.sigterm();
    farewell(client).await;
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(rig.gateway.log().iter().any(|line| line.contains("given up")), "the lost DELETE is logged");
}
