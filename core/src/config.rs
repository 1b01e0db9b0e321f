//! Everything about the gateway that its operator decides. All limits are named here.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::{ApiAddress, OriginPattern};

/// A text that does not show when a [`Config`] is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The settings of one gateway process, shared by its shards (contract, section 10).
///
/// `Config::new` gives the defaults of the contract; the fields are free to set before the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API server is.
    pub api: ApiAddress,
    /// Headers set on every call to the API; a client's own of these names are removed.
    pub api_headers: Vec<(HeaderName, HeaderValue)>,
    /// The API is called by HTTP/2, with prior knowledge: many calls share a connection.
    pub api_http2: bool,
    /// A separate control listener exists: the public one answers control requests with 404.
    pub control_listener: bool,
    /// What `Authorization: Bearer` must carry for push, kick and `HEAD`; `None` asks for nothing.
    pub control_token: Option<Secret>,
    /// Origins that may connect; empty lets all in, also clients that send none.
    pub origins: Vec<OriginPattern>,
    /// Subprotocols the gateway picks from by itself when the API names none.
    pub subprotocols: Vec<String>,
    /// Tell refusals inside the WebSocket, where browsers can read them (contract, section 3.6).
    pub refuse_in_band: bool,
    /// What a second connect with a connected id does.
    pub on_duplicate: OnDuplicate,
    /// What a failed message call does to the client.
    pub on_api_failure: OnApiFailure,
    /// Message calls of one client that may be under way at once; 1 keeps their order.
    pub calls_per_client: u32,
    /// Largest message, push or API answer, in bytes.
    pub max_message: usize,
    /// Clients (connecting, open or ending) of the whole process; one more is answered 503.
    pub max_connections: usize,
    /// Sockets of the whole process, be they clients' or not; one more is closed unread. What is left of its
    /// descriptors is for calls to the API.
    pub max_sockets: usize,
    /// Calls to the API under way at once in the whole process, each on a connection of its own
    /// (with [`Config::api_http2`], on a stream of its own).
    pub max_api_connections: usize,
    /// Calls of each shard that go out at once. While so many are under way, the next one waits for the end
    /// of one of them, for 20 ms at most: few connections that turn around quickly cost less than many.
    /// Whoever waited in vain makes it one more. Without meaning with [`Config::api_http2`].
    pub prompt_calls: usize,
    /// Idle kept-alive connections to the API in the whole process.
    pub max_idle_api_connections: usize,
    /// Bytes that may wait for one client to read them; each frame counts 64 more than it is long, as that
    /// is what holds it in memory. One message is always let in.
    pub send_queue: usize,
    /// Messages of one client that may wait for the API.
    pub receive_queue_messages: u32,
    /// Bytes of messages of one client that may wait for the API (one message is always let in).
    pub receive_queue_bytes: usize,
    /// How long one call to the API may take.
    pub api_timeout: Duration,
    /// How long a request head may take, a body may make no progress, a reconnect may wait.
    pub handshake_timeout: Duration,
    /// How long a kept-alive control connection may be idle.
    pub keep_alive_timeout: Duration,
    /// A client quiet for so long is pinged; `None` never pings.
    pub ping_interval: Option<Duration>,
    /// How long a pong may take.
    pub pong_timeout: Duration,
    /// How long a client's queue may make no progress.
    pub send_timeout: Duration,
    /// How long the closing handshake may take.
    pub close_timeout: Duration,
    /// How long a `DELETE` is repeated.
    pub disconnect_retry: Duration,
    /// Over how long a drain spreads its closes.
    pub drain: Duration,
    /// Test only: a deliberate bug that is switched on.
    #[cfg(feature = "canaries")]
    pub canary: Option<crate::Canary>,
    /// Name of the runtime, for the build information in the metrics.
    pub runtime: &'static str,
}

impl Config {
    /// The contract's defaults, for the API at `api`.
    pub fn new(api: ApiAddress) -> Self {
        Config {
            api,
            api_headers: Vec::new(),
            api_http2: false,
            control_listener: false,
            control_token: None,
            origins: Vec::new(),
            subprotocols: Vec::new(),
            refuse_in_band: false,
            on_duplicate: OnDuplicate::Challenge,
            on_api_failure: OnApiFailure::Keep,
            calls_per_client: 1,
            max_message: 1 << 20,
            max_connections: 1_000_000,
            max_sockets: usize::MAX,
            max_api_connections: 10_000,
            prompt_calls: 64,
            max_idle_api_connections: 1_000,
            send_queue: 1 << 20,
            receive_queue_messages: 64,
            receive_queue_bytes: 1 << 20,
            api_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            disconnect_retry: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            #[cfg(feature = "canaries")]
            canary: None,
            runtime: "none",
        }
    }
}

/// What a second connect with a connected id does (contract, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Ping the old connection; the new one wins only if the old one is dead.
    Challenge,
    /// Refuse the new one with 409.
    Reject,
    /// Authorise the new one, then close the old one.
    Replace,
}

/// What a failed message call does to the client (contract, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnApiFailure {
    /// The connection stays.
    Keep,
    /// The connection is closed with 1011.
    Close,
}
