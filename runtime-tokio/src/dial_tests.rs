//! How the API is reached, on a network of two addresses and on tokio's time.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;
use ws2http_api::Api;
use ws2http_core::{ApiAddress, Config};

use super::Tokio;
use crate::net::Net;

/// A host with two addresses, of which the first one does not connect.
enum TwoAddresses {}

thread_local! {
    static TRIED: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

const MINUTE: Duration = Duration::from_secs(60);

/// Nobody listens there.
const CLOSED: u16 = 1;
/// Whoever is there says nothing.
const SILENT: u16 = 2;

impl Net for TwoAddresses {
    type Listener = ();
    type Stream = DuplexStream;
    type Parcel = DuplexStream;

    async fn accept((): &()) -> io::Result<(DuplexStream, IpAddr)> {
        pending().await
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let first = match host {
            "nowhere" => return Err(io::Error::other("no such name")),
            "empty" => return Ok(Vec::new()),
            "silent" => SILENT,
            _ => CLOSED,
        };
        Ok([first, port].map(|port| (Ipv4Addr::LOCALHOST, port).into()).to_vec())
    }

    async fn connect(address: SocketAddr) -> io::Result<DuplexStream> {
        TRIED.with_borrow_mut(|tried| tried.push(address.port()));
        match address.port() {
            CLOSED => Err(io::ErrorKind::ConnectionRefused.into()),
            SILENT => pending().await,
            _ => Ok(duplex(1).0),
        }
    }

    fn pack(stream: DuplexStream) -> io::Result<DuplexStream> {
        Ok(stream)
    }

    fn unpack(parcel: DuplexStream) -> io::Result<DuplexStream> {
        Ok(parcel)
    }
}

fn api(url: &str, timeout: Duration) -> Api<Tokio<TwoAddresses>> {
    let config = Config::new(ApiAddress::parse(url).expect("an address"));
    Api::new(&Config { api_timeout: timeout, ..config }, None)
}

async fn failure(url: &str) -> String {
    api(url, MINUTE).connect().await.err().expect("nobody is there")
}

#[tokio::test(start_paused = true)]
async fn every_address_is_tried_and_the_one_that_works_comes_first_then() {
    for (host, first) in [("closed", CLOSED), ("silent", SILENT)] {
        let api = api(&format!("http://{host}:8000/"), MINUTE);
        for _ in 0..3 {
            assert!(api.connect().await.is_ok());
            // The addresses are asked for again.
            sleep(Duration::from_secs(6)).await;
        }
        assert_eq!(TRIED.take(), [first, 8000, 8000, 8000]);
        // It may be back.
        sleep(MINUTE).await;
        assert!(api.connect().await.is_ok());
        assert_eq!(TRIED.take(), [first, 8000]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_that_waits_lives_to_see_the_second_address_tried() {
    let timeout = Duration::from_secs(3);
    let api = api("http://silent:8000/", timeout);
    let opened = tokio::time::timeout(timeout, api.connect()).await;
    assert!(opened.expect("in time").is_ok());
    assert_eq!(TRIED.take(), [SILENT, 8000]);
}

#[tokio::test]
async fn failures_say_what_was_tried() {
    let text = failure("http://closed:1/").await;
    assert_eq!(text.matches("127.0.0.1:1: connection refused").count(), 2, "{text}");
    assert_eq!(failure("http://nowhere/").await, "cannot resolve nowhere: no such name");
    assert_eq!(failure("http://empty/").await, "empty has no address");
}
