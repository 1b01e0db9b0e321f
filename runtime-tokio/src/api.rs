//! Connections to the API server: its addresses, and TLS.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use ws2http_api::{ApiStream, CONNECT_TIMEOUT, Reachable, Tls};
use ws2http_core::ApiAddress;

use crate::net::Net;

/// For how long the addresses of the API are not asked for again.
const ADDRESSES_LIVE: Duration = Duration::from_secs(5);

/// For how long a failure to find them is told again.
const FAILURE_LIVES: Duration = Duration::from_secs(1);

/// The API server as one worker sees it.
pub(crate) struct Api<N> {
    host: String,
    port: u16,
    tls: Option<Tls>,
    /// Locked while it is being filled, so that a burst of lanes asks the resolver once.
    addresses: Mutex<Option<Resolved>>,
    reachable: Reachable,
    net: PhantomData<fn() -> N>,
}

struct Resolved {
    at: Instant,
    result: Result<Rc<[SocketAddr]>, String>,
}

impl Resolved {
    fn is_current(&self) -> bool {
        let lives = if self.result.is_ok() { ADDRESSES_LIVE } else { FAILURE_LIVES };
        self.at.elapsed() < lives
    }
}

impl<N: Net> Api<N> {
    pub(crate) fn new(address: &ApiAddress, tls: Option<Tls>) -> Self {
        Api {
            host: address.host().to_owned(),
            port: address.port(),
            tls,
            addresses: Mutex::new(None),
            reachable: Reachable::default(),
            net: PhantomData,
        }
    }

    /// Opens a connection; an error says what was tried.
    pub(crate) async fn connect(&self) -> Result<ApiStream<N::Stream>, String> {
        let stream = self.connect_any().await?;
        let Some(tls) = &self.tls else {
            return Ok(ApiStream::Plain(stream));
        };
        let handshake = timeout(CONNECT_TIMEOUT, tls.connect(stream)).await;
        handshake.unwrap_or_else(|_| Err(format!("TLS with {}: no answer in {CONNECT_TIMEOUT:?}", self.host)))
    }

    /// Tries one address after the other.
    async fn connect_any(&self) -> Result<N::Stream, String> {
        let addresses = self.addresses().await?;
        let mut failures = Vec::new();
        for (tried, address) in self.reachable.first(&addresses).into_iter().enumerate() {
            match timeout(CONNECT_TIMEOUT, N::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.reachable.connected(tried, address);
                    return Ok(stream);
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no answer in {CONNECT_TIMEOUT:?}")),
            }
        }
        Err(failures.join("; "))
    }

    async fn addresses(&self) -> Result<Rc<[SocketAddr]>, String> {
        let mut cache = self.addresses.lock().await;
        if let Some(resolved) = cache.as_ref().filter(|resolved| resolved.is_current()) {
            return resolved.result.clone();
        }
        let result = match N::resolve(&self.host, self.port).await {
            Ok(addresses) if addresses.is_empty() => Err(format!("{} has no address", self.host)),
            Ok(addresses) => Ok(addresses.into()),
            Err(error) => Err(format!("cannot resolve {}: {error}", self.host)),
        };
        *cache = Some(Resolved { at: Instant::now(), result: result.clone() });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::io;
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A host with two addresses, of which the first one does not connect.
    enum TwoAddresses {}

    thread_local! {
        static TRIED: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
    }

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

    fn api(url: &str) -> Api<TwoAddresses> {
        Api::new(&ApiAddress::parse(url).expect("an address"), None)
    }

    async fn failure(url: &str) -> String {
        api(url).connect().await.err().expect("nobody is there")
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_tried_and_the_one_that_works_comes_first_then() {
        for (host, first) in [("closed", CLOSED), ("silent", SILENT)] {
            let api = api(&format!("http://{host}:8000/"));
            for _ in 0..3 {
                assert!(api.connect().await.is_ok());
                // The addresses are asked for again.
                tokio::time::sleep(ADDRESSES_LIVE).await;
            }
            assert_eq!(TRIED.take(), [first, 8000, 8000, 8000]);
        }
    }

    #[tokio::test]
    async fn failures_say_what_was_tried() {
        let text = failure("http://closed:1/").await;
        assert_eq!(text.matches("127.0.0.1:1: connection refused").count(), 2, "{text}");
        assert_eq!(failure("http://nowhere/").await, "cannot resolve nowhere: no such name");
        assert_eq!(failure("http://empty/").await, "empty has no address");
    }
}
