//! The API of a world: lets everybody in, echoes messages, and does so as well or as badly as it is told to.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use tokio::time::sleep;

use super::stage::Stage;
use crate::driver::http::Handler;
use crate::model::{ApiAnswer, ApiEnding, ApiId, ApiRequest, DIAL_HEADER, SocketId};

/// How the API does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It answers within so many milliseconds.
    Prompt(u64),
    /// It answers after from so many to so many milliseconds.
    Slow(u64, u64),
    /// It reads requests and never answers.
    Silent,
    /// So many in a hundred requests are answered with 500 or broken off.
    Failing(u8),
}

/// The API server.
pub(crate) struct Api {
    stage: Rc<Stage>,
    rng: RefCell<fastrand::Rng>,
    pub(crate) mood: Cell<Mood>,
    /// It is going down: what is given up now was not given up by the gateway.
    pub(crate) dying: Cell<bool>,
}

impl Api {
    pub(crate) fn new(stage: Rc<Stage>) -> Rc<Api> {
        let rng = RefCell::new(stage.plan.rng(b'a', 0));
        Rc::new(Api { stage, rng, mood: Cell::new(Mood::Prompt(10)), dying: Cell::new(false) })
    }

    /// Waits for as long as an answer takes; says whether it is to be one.
    async fn work(&self) -> bool {
        let (least, most, failing) = match self.mood.get() {
            Mood::Prompt(most) => (0, most, 0),
            Mood::Slow(least, most) => (least, most, 0),
            Mood::Silent => return pending().await,
            Mood::Failing(percent) => (0, 10, percent),
        };
        let (delay, fails) = {
            let mut rng = self.rng.borrow_mut();
            (rng.u64(least..=most), rng.u8(0..100) < failing)
        };
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        !fails
    }

    fn decide(&self, request: &ApiRequest, works: bool) -> Option<ApiAnswer> {
        let answer = |status, body| ApiAnswer { status, binary: false, protocol: None, body };
        let mut rng = self.rng.borrow_mut();
        if !works {
            self.stage.count("failures of the API");
            return rng.bool().then(|| answer(500, Bytes::from_static(b"sorry")));
        }
        Some(match request.method {
            Method::GET => answer(200, Bytes::from_static(b"ok")),
            Method::POST if is_last(&request.body) || rng.u8(0..10) > 0 => ApiAnswer {
                binary: request.content_type.as_deref() == Some("application/octet-stream"),
                ..answer(200, [b"re ", &request.body[..]].concat().into())
            },
            _ => answer(204, Bytes::new()),
        })
    }
}

/// A message that asks for an answer in any case.
pub(crate) const LAST: &[u8] = b"last ";

fn is_last(body: &[u8]) -> bool {
    body.starts_with(LAST)
}

impl Handler for Api {
    async fn answer(self: Rc<Self>, peer: SocketAddr, request: Request<Bytes>) -> io::Result<Response<Full<Bytes>>> {
        let stage = &self.stage;
        let Some(gateway) = (0..).map_while(|index| gateway_of(stage, peer, index)).find(|(_, is)| *is) else {
            return Err(io::Error::other("not from a gateway"));
        };
        let process = stage.process(gateway.0);
        if stage.is_over(process) {
            stage.count("requests of gateways that are gone");
            return Err(io::Error::other("the gateway is gone"));
        }
        let request = told(request);
        let arrived = stage.now();
        if let Some(what) = ending(&request) {
            stage.count(what);
        }
        let id = stage.api_request(process, request.clone());
        let flight = Flight { api: &self, id };
        let works = self.work().await;
        let Some(answer) = self.decide(&request, works) else {
            stage.api_ended(flight.id, ApiEnding::Broken);
            return Err(io::Error::other("broken off"));
        };
        stage.api_ended(flight.id, ApiEnding::Answered(answer.clone()));
        if stage.now().since(arrived) >= stage.plan.config.api_timeout {
            stage.count("answers that come too late");
        }
        let mut response = Response::builder().status(answer.status);
        if answer.binary {
            response = response.header(header::CONTENT_TYPE, "application/octet-stream");
        }
        response.body(Full::new(answer.body)).map_err(io::Error::other)
    }
}

/// Whether the gateway of this number is at the other end; `None` if there is no such gateway.
fn gateway_of(stage: &Stage, peer: SocketAddr, index: usize) -> Option<(usize, bool)> {
    (index < stage.plan.gateways).then(|| (index, turmoil::lookup(super::gateway_name(index)) == peer.ip()))
}

/// A request under way. If it is dropped before its answer, nobody waits for that any more.
struct Flight<'a> {
    api: &'a Api,
    id: ApiId,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let (ending, what) = match self.api.dying.get() {
            true => (ApiEnding::Broken, "calls that ended with the API"),
            false => (ApiEnding::Abandoned, "calls that the gateway gave up"),
        };
        if self.api.stage.api_ended(self.id, ending) {
            self.api.stage.count(what);
        }
    }
}

/// What a DELETE tells, where a scenario wants to know.
fn ending(request: &ApiRequest) -> Option<&'static str> {
    if request.method != Method::DELETE {
        return None;
    }
    match &request.body[..] {
        b"send timeout" => Some("DELETEs for a send timeout"),
        b"ping timeout" => Some("DELETEs for a ping timeout"),
        b"replaced" => Some("DELETEs for a replacement"),
        b"shutting down" => Some("DELETEs for a drain"),
        _ => None,
    }
}

/// A request as the models are told of it.
fn told(request: Request<Bytes>) -> ApiRequest {
    let (head, body) = request.into_parts();
    let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    ApiRequest {
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        connection: field("x-connection-id").unwrap_or_default(),
        dial: field(DIAL_HEADER).and_then(|dial| dial.parse().ok()).map(SocketId),
        close_code: field("x-close-code").and_then(|code| code.parse().ok()),
        content_type: field("content-type"),
        method: head.method,
        body,
    }
}
