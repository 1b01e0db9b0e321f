//! A gateway and the API behind it, ready for a scenario.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::{Answer, Api, Request};
use crate::client::Client;
use crate::gateway::Gateway;
use crate::http;
use crate::raw::Raw;
use crate::wait::{found_by, until};

/// The gateway binary under test.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    /// It calls the API by HTTP/2.
    http2: bool,
}

impl Binary {
    /// The binary at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Binary {
        Binary { path: path.into(), http2: false }
    }

    /// The same, calling the API by HTTP/2.
    pub fn over_http2(&self) -> Binary {
        Binary { http2: true, ..self.clone() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The flags that have it call the API at `url`.
    pub fn flags(&self, url: &str) -> Vec<String> {
        let http2 = self.http2.then(|| "--api-http2".to_owned());
        ["--api".to_owned(), url.to_owned()].into_iter().chain(http2).collect()
    }

    /// A gateway with these flags (separated by spaces) in front of an API with this script.
    ///
    /// # Panics
    /// When the gateway does not start.
    pub async fn rig(&self, flags: &str, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Rig {
        self.rig_with(&words(flags), Api::start(script), "/").await
    }

    /// A gateway with these flags in front of `api`, called under the path `base`.
    ///
    /// # Panics
    /// When the gateway does not start.
    pub async fn rig_with(&self, flags: &[String], api: Api, base: &str) -> Rig {
        let flags = [self.flags(&format!("http://{}{base}", api.address)), flags.to_vec()].concat();
        let gateway = Gateway::start(&self.path, &flags, &[]).await;
        Rig { gateway, api }
    }
}

/// The words of a command line without quoting.
pub fn words(flags: &str) -> Vec<String> {
    flags.split_whitespace().map(str::to_owned).collect()
}

/// A gateway and its API. The gateway goes first when dropped.
pub struct Rig {
    /// The gateway.
    pub gateway: Gateway,
    /// The API server behind it.
    pub api: Api,
}

impl Rig {
    /// Connects a client.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self, id: &str) -> Client {
        Client::connect(self.gateway.public, &format!("/{id}")).await
    }

    /// Connects a client with more headers.
    ///
    /// # Errors
    /// The gateway's refusal.
    ///
    /// # Panics
    /// When there is no proper answer.
    pub async fn attempt(&self, id: &str, headers: &[(&str, &str)]) -> Result<Client, http::Answer> {
        Client::attempt(self.gateway.public, &format!("/{id}"), headers).await
    }

    /// The refusal of a connect.
    ///
    /// # Panics
    /// When it is not refused.
    pub async fn refusal(&self, id: &str, headers: &[(&str, &str)]) -> http::Answer {
        match self.attempt(id, headers).await {
            Ok(_) => panic!("{id} should have been refused"),
            Err(answer) => answer,
        }
    }

    /// Connects a client that writes its own frames.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(&self, id: &str) -> Raw {
        Raw::open(self.gateway.public, &format!("/{id}")).await
    }

    /// A bare connection to the public listener.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.gateway.public).await
    }

    /// A control request.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn control(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> http::Answer {
        let bearer = self.gateway.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = headers.to_vec();
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        http::request(self.gateway.control, method, target, &headers, body).await
    }

    /// Pushes a text.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn push(&self, id: &str, text: &str) -> http::Answer {
        self.control("POST", &format!("/{id}"), &[], Some(text.as_bytes())).await
    }

    /// Kicks; `query` is empty or begins with a question mark.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn kick(&self, id: &str, query: &str) -> http::Answer {
        self.control("DELETE", &format!("/{id}{query}"), &[], None).await
    }

    /// Asks whether a client is connected: the connection id, if it is.
    ///
    /// # Panics
    /// When the answer is neither 200 with an id nor 404.
    pub async fn connected(&self, id: &str) -> Option<String> {
        let answer = self.control("HEAD", &format!("/{id}"), &[], None).await;
        match (answer.status, answer.header("x-connection-id")) {
            (200, Some(connection)) => Some(connection.to_owned()),
            (404, None) => None,
            _ => panic!("HEAD /{id}: {answer:?}"),
        }
    }

    /// Waits until no connection to the API is left and the gateway could notice: either it has no more
    /// than `others` descriptors, or a second has passed, for which some HTTP clients take a connection
    /// for alive that they have just used. What is sent before may meet a dead one.
    ///
    /// # Panics
    /// When that does not come about.
    pub async fn no_api_connections(&self, others: usize) {
        until("the connections to the API to end", || self.api.open_connections() == 0).await;
        let noticed = || (self.gateway.descriptors() <= others).then_some(());
        // Whether it was noticed or the time was up makes no difference.
        let _ = found_by(Duration::from_millis(1200), noticed).await;
    }

    /// Ends a scenario whose clients have all gone: everything settles, the laws were kept, and
    /// the gateway's own figures agree.
    ///
    /// # Panics
    /// When not.
    pub async fn finish(self) {
        self.api.settled().await;
        let settled = |metrics: &crate::metrics::Metrics| {
            metrics.sum("active_connections") == 0.0
                && metrics.sum("connections_opened") == metrics.sum("connections_closed")
                && metrics.sum("requests_started") == metrics.sum("requests_succeeded") + metrics.sum("requests_failed")
        };
        self.gateway.metrics_until("the gateway's figures to settle", settled).await;
        // Long enough for a call too many to show.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.api.settled().await;
    }
}
