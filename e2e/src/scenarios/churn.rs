//! Crowds that come and go at random, and the laws.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::api::{Api, Request};
use crate::rig::{Binary, words};
use crate::traffic::{Places, Town, visit};

super::scenarios!["churn": two_thousand_clients, few_ids_many_clients, a_gateway_that_stalls];

/// How long the crowd is there.
const DURATION: Duration = Duration::from_secs(10);

/// Lets `visitors` come and go, then checks everything.
async fn crowd(binary: Binary, visitors: u32, ids: u32, pause: Duration, stall: Option<Duration>, seed: u64) {
    println!("seed {seed}");
    let town = Arc::new(Town::default());
    let api = Api::start({
        let town = town.clone();
        move |request: &Request| town.answer(request)
    });
    api.forget();
    let close = if stall.is_some() { "500ms" } else { "5s" };
    let flags = format!("--pong-timeout 500ms --handshake-timeout 30s --api-timeout 60s --close-timeout {close}");
    let rig = binary.rig_with(&words(&flags), api, "/").await;
    let (public, control) = (rig.gateway.public, rig.gateway.control);
    let places = Places { public, control, ids, pause };
    let visits = (0..visitors).map(|index| {
        let (town, places) = (town.clone(), places.clone());
        tokio::spawn(async move { visit(&town, &places, seed ^ u64::from(index) << 20).await })
    });
    let visits: Vec<_> = visits.collect();
    let end = Instant::now() + DURATION;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(400)).await;
        if let Some(stall) = stall {
            rig.gateway.freeze();
            tokio::time::sleep(stall).await;
            rig.gateway.thaw();
        }
    }
    town.closing.store(true, Ordering::Relaxed);
    for visit in visits {
        visit.await.expect("a visitor panicked");
    }
    let complaints = town.complaints();
    assert!(complaints.is_empty(), "seed {seed}: {complaints:#?}");
    let let_in = town.visits.load(Ordering::Relaxed);
    assert!(let_in >= u64::from(ids.min(visitors)) / 2, "only {let_in} visits: the crowd did not come");
    assert!(town.heard.load(Ordering::Relaxed) > 0, "the crowd did not talk");
    rig.finish().await;
}

async fn two_thousand_clients(binary: Binary) {
    crowd(binary, 2000, 4000, Duration::from_secs(4), None, 20_260_801).await;
}

async fn few_ids_many_clients(binary: Binary) {
    crowd(binary, 100, 10, Duration::from_millis(400), None, 20_260_802).await;
}

async fn a_gateway_that_stalls(binary: Binary) {
    // As on a machine that is paused or overloaded: longer than the pong and the close timeout.
    crowd(binary, 800, 80, Duration::from_millis(100), Some(Duration::from_millis(900)), 20_260_803).await;
}
