//! The gateway as an API server sees it: push and kick are plain HTTP requests.

use std::net::SocketAddr;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{Method, Request};
use ureq::{Agent, AsSendBody};

/// How long a push or kick may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What a ClientId or a reason may have unescaped in a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where push and kick go.
#[derive(Debug)]
pub(super) struct Gateway {
    control: SocketAddr,
    /// What `Authorization: Bearer` has to carry, if anything.
    token: Option<String>,
    agent: Agent,
}

/// What the gateway answered; 502 stands for no answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Gateway {
    pub(super) fn new(control: SocketAddr, token: Option<String>) -> Gateway {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT));
        Gateway { control, token, agent: config.build().into() }
    }

    /// Sends `body` to `client` as one message.
    pub(super) fn push(&self, client: &str, body: &[u8], binary: bool) -> Said {
        let kind = if binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        self.send(Method::POST, &escape(client), kind, body)
    }

    /// Closes the connection of `client`.
    pub(super) fn kick(&self, client: &str, code: &str, reason: &str) -> Said {
        let target = format!("{}?code={}&reason={}", escape(client), escape(code), escape(reason));
        self.send(Method::DELETE, &target, "", ())
    }

    fn send(&self, method: Method, target: &str, kind: &str, body: impl AsSendBody) -> Said {
        let mut request = Request::builder().method(method).uri(format!("http://{}/{target}", self.control));
        if !kind.is_empty() {
            request = request.header("Content-Type", kind);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let said = request.body(body).map_err(Into::into).and_then(|request| self.agent.run(request)).and_then(
            |mut response| Ok(Said { status: response.status().as_u16(), text: response.body_mut().read_to_string()? }),
        );
        said.unwrap_or_else(|error| Said {
            status: 502,
            text: format!("the gateway at {} did not answer: {error}", self.control),
        })
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
