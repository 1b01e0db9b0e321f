//! The API server: its addresses, connections to it, with or without TLS.

use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use ws2http_core::Config;
use ws2http_driver::Runtime;

use crate::addresses::Troubled;
use crate::stream::ApiStream;
use crate::tls::Tls;

/// How long one address of the API may take to answer before the next one is tried; also for TLS and
/// HTTP/2.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// For how long the addresses of the API are not asked for again.
const ADDRESSES_LIVE: Duration = Duration::from_secs(5);

/// For how long a failure to find them is told again.
const FAILURE_LIVES: Duration = Duration::from_secs(1);

/// A runtime that reaches the API by byte streams.
pub trait Dial: Runtime {
    /// A connection to an address, without TLS. Small messages leave at once (`TCP_NODELAY`).
    type Socket: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The addresses of a host, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// When the name cannot be resolved.
    fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    fn dial(address: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>>;
}

/// The API server as one worker sees it.
pub struct Api<R> {
    host: String,
    port: u16,
    tls: Option<Tls>,
    /// How long a call may take.
    timeout: Duration,
    /// Locked while it is being filled, so that a burst of connections asks the resolver once.
    addresses: Mutex<Option<Resolved>>,
    troubled: Troubled,
    runtime: PhantomData<fn() -> R>,
}

struct Resolved {
    at: Instant,
    result: Result<Rc<[SocketAddr]>, String>,
}

impl<R: Dial> Api<R> {
    /// The API that the settings name.
    pub fn new(config: &Config, tls: Option<Tls>) -> Self {
        Api {
            host: config.api.host().to_owned(),
            port: config.api.port(),
            tls,
            timeout: config.api_timeout,
            addresses: Mutex::new(None),
            troubled: Troubled::default(),
            runtime: PhantomData,
        }
    }

    /// Opens a connection, within a reasonable time.
    ///
    /// # Errors
    ///
    /// What was tried, and how it failed.
    pub async fn connect(&self) -> Result<ApiStream<R::Socket>, String> {
        let socket = self.connect_any().await?;
        let Some(tls) = &self.tls else {
            return Ok(ApiStream::Plain(socket));
        };
        let handshake = in_time::<R, _>(PATIENCE, tls.connect(socket)).await;
        handshake.unwrap_or_else(|| Err(format!("TLS with {}: no answer in {PATIENCE:?}", self.host)))
    }

    /// Tries one address after the other.
    async fn connect_any(&self) -> Result<R::Socket, String> {
        let addresses = self.addresses().await?;
        // The call that waits for the connection shall live to see the last of them tried.
        let share = self.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let patience = PATIENCE.min(share);
        let mut failures = Vec::new();
        for address in self.troubled.last(&addresses, R::now()) {
            let failure = match in_time::<R, _>(patience, R::dial(address)).await {
                Some(Ok(socket)) => {
                    self.troubled.forget(address);
                    return Ok(socket);
                }
                Some(Err(error)) => error.to_string(),
                None => format!("no answer in {patience:?}"),
            };
            self.troubled.note(address, R::now());
            failures.push(format!("{address}: {failure}"));
        }
        Err(failures.join("; "))
    }

    async fn addresses(&self) -> Result<Rc<[SocketAddr]>, String> {
        let mut cache = self.addresses.lock().await;
        let now = R::now();
        if let Some(Resolved { at, result }) = &*cache {
            let lives = if result.is_ok() { ADDRESSES_LIVE } else { FAILURE_LIVES };
            if now < *at + lives {
                return result.clone();
            }
        }
        let result = match R::resolve(&self.host, self.port).await {
            Ok(addresses) if addresses.is_empty() => Err(format!("{} has no address", self.host)),
            Ok(addresses) => Ok(addresses.into()),
            Err(error) => Err(format!("cannot resolve {}: {error}", self.host)),
        };
        *cache = Some(Resolved { at: R::now(), result: result.clone() });
        result
    }
}

/// What a future brings within this time.
pub(crate) async fn in_time<R: Runtime, T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = pin!(R::sleep_until(R::now() + time));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
