//! Connections to the API server: its addresses, and TLS.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use ws2http_api::{ApiStream, CONNECT_TIMEOUT, Tls};
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
        for (tried, &address) in addresses.iter().enumerate() {
            match timeout(CONNECT_TIMEOUT, N::connect(address)).await {
                Ok(Ok(stream)) => {
                    if tried > 0 {
                        self.prefer(address).await;
                    }
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

    /// Has later connections try first what worked, not what is down.
    async fn prefer(&self, address: SocketAddr) {
        if let Some(Resolved { result: Ok(addresses), .. }) = &mut *self.addresses.lock().await {
            let others = addresses.iter().copied().filter(|other| *other != address);
            *addresses = std::iter::once(address).chain(others).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::Tcp;

    /// A host with two addresses, of which the first one refuses.
    enum TwoAddresses {}

    thread_local! {
        static TRIED: std::cell::RefCell<Vec<u16>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    /// Listens nowhere: nothing is bound there, and the system gives it to nobody.
    const CLOSED: u16 = 1;

    impl Net for TwoAddresses {
        type Listener = TcpListener;
        type Stream = TcpStream;
        type Parcel = std::net::TcpStream;

        async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, IpAddr)> {
            Tcp::accept(listener).await
        }

        async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            match host {
                "nowhere" => Err(io::Error::other("no such name")),
                "empty" => Ok(Vec::new()),
                _ => Ok([CLOSED, port].map(|port| (Ipv4Addr::LOCALHOST, port).into()).to_vec()),
            }
        }

        async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
            TRIED.with_borrow_mut(|tried| tried.push(address.port()));
            Tcp::connect(address).await
        }

        fn pack(stream: TcpStream) -> io::Result<std::net::TcpStream> {
            Tcp::pack(stream)
        }

        fn unpack(parcel: std::net::TcpStream) -> io::Result<TcpStream> {
            Tcp::unpack(parcel)
        }
    }

    fn api(url: &str) -> Api<TwoAddresses> {
        Api::new(&ApiAddress::parse(url).expect("an address"), None)
    }

    async fn failure(url: &str) -> String {
        api(url).connect().await.err().expect("nobody is there")
    }

    #[tokio::test]
    async fn every_address_is_tried_and_the_one_that_works_comes_first_then() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let api = api(&format!("http://two:{port}/"));
        for _ in 0..2 {
            assert!(api.connect().await.is_ok());
        }
        assert_eq!(TRIED.take(), [CLOSED, port, port]);
    }

    #[tokio::test]
    async fn failures_say_what_was_tried() {
        let text = failure("http://two:1/").await;
        assert_eq!(text.matches("127.0.0.1:1: Connection refused").count(), 2, "{text}");
        assert_eq!(failure("http://nowhere/").await, "cannot resolve nowhere: no such name");
        assert_eq!(failure("http://empty/").await, "empty has no address");
    }
}
