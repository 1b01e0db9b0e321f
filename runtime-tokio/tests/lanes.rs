//! Which connections to the API calls go by, seen from the API.

mod world;

use std::time::Duration;

use tokio::time::Instant;
use world::{World, run};

/// Nobody opens another connection: whatever was to be opened is open when this is asked.
macro_rules! no_more_connections {
    ($world:expr) => {
        tokio::select! {
            biased;
            more = $world.api.accept() => panic!("one more connection: {more:?}"),
            () = std::future::ready(()) => {}
        }
    };
}

#[test]
fn calls_one_after_the_other_share_a_connection() {
    run(async {
        let world = World::start(|_| {}).await;
        let (mut client, mut api) = world.connect("alice").await;
        for text in ["one", "two", "three"] {
            client.send(text).await;
            assert_eq!(api.request().await, ("POST /alice".to_owned(), text.to_owned()));
            api.answer(&text.to_uppercase()).await;
            client.receive_text(&text.to_uppercase()).await;
        }
        no_more_connections!(world);
    });
}

#[test]
fn a_connection_that_the_api_closed_is_not_used() {
    run(async {
        let world = World::start(|_| {}).await;
        let (mut client, api) = world.connect("alice").await;
        drop(api);
        client.send("hello").await;
        let mut api = world.api_connection().await;
        assert_eq!(api.request().await.1, "hello");
        // So is one that is closed with the answer.
        api.answer_with("Connection: close\r\n", "hi").await;
        client.receive_text("hi").await;
        client.send("again").await;
        assert_eq!(world.api_connection().await.request().await.1, "again");
    });
}

#[test]
fn a_call_that_is_given_up_closes_its_connection() {
    run(async {
        let world = World::start(|config| config.api_timeout = Duration::from_secs(1)).await;
        let (mut client, mut api) = world.connect("alice").await;
        client.send("no answer").await;
        assert_eq!(api.request().await.1, "no answer");
        api.closed().await;
        client.send("next").await;
        let mut api = world.api_connection().await;
        assert_eq!(api.request().await.1, "next");
        api.answer("yes").await;
        client.receive_text("yes").await;
    });
}

#[test]
fn an_answer_over_the_limit_closes_its_connection() {
    run(async {
        let world = World::start(|config| config.max_message = 10).await;
        let (mut client, mut api) = world.connect("alice").await;
        client.send("more").await;
        assert_eq!(api.request().await.1, "more");
        api.answer("eleven byte").await;
        api.closed().await;
        client.send("less").await;
        let mut api = world.api_connection().await;
        assert_eq!(api.request().await.1, "less");
        api.answer("ten bytes.").await;
        client.receive_text("ten bytes.").await;
    });
}

#[test]
fn idle_connections_are_closed_before_the_api_closes_them() {
    run(async {
        let world = World::start(|_| {}).await;
        let (mut client, mut api) = world.connect("alice").await;
        client.send("hello").await;
        api.request().await;
        let answered = Instant::now();
        api.answer_with("Keep-Alive: timeout=1, max=5\r\n", "").await;
        api.closed().await;
        let idle = answered.elapsed();
        assert!(idle >= Duration::from_millis(400), "{idle:?}");
        assert!(idle < Duration::from_secs(10), "{idle:?}: of its own accord only after 15 s");
    });
}

#[test]
fn only_so_many_idle_connections_are_kept() {
    run(async {
        // One for each of the three workers.
        let world = World::start(|config| config.max_idle_api_connections = 3).await;
        let mut apis = Vec::new();
        let mut clients = Vec::new();
        for id in 0..8 {
            clients.push(world.ask(&id.to_string()).await);
            apis.push(world.api_connection().await);
        }
        for api in &mut apis {
            api.request().await;
            api.answer("ok").await;
        }
        for client in &mut clients {
            client.accepted().await;
        }
        let mut closed = 0;
        let mut open = Vec::new();
        for mut api in apis {
            match tokio::time::timeout(Duration::from_secs(1), api.closed()).await {
                Ok(()) => closed += 1,
                Err(_) => open.push(api),
            }
        }
        assert!((1..=3).contains(&open.len()), "{} of 8 are open", open.len());
        assert_eq!(closed + open.len(), 8);
    });
}

#[test]
fn a_drain_sends_everybody_away_and_ends_all_workers() {
    run(async {
        let world = World::start(|config| config.drain = Duration::from_millis(50)).await;
        let (mut client, mut api) = world.connect("alice").await;
        world.drain.start();
        let (first, payload) = client.receive().await;
        assert_eq!((first, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
        drop(client);
        assert_eq!(api.request().await.0, "DELETE /alice");
        api.answer("ok").await;
        for worker in world.workers {
            worker.await.expect("it ends in order");
        }
        tokio::net::TcpStream::connect(world.gateway).await.expect_err("nobody listens any more");
    });
}
