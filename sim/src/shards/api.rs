//! The API server: what it does with a call, and what becomes of the call on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use ws2http_core::{CallError, CallId};

use super::Feature;
use super::world::{Phase, Step, World};
use crate::model::{ApiAnswer, ApiEnding, ApiId, ApiRequest, DIAL_HEADER, Missed, MissedCall, Observation, SocketId};

/// The API, and the way to it.
#[derive(Debug, Default)]
pub(super) struct Api {
    /// Calls that the gateway has begun and that have not ended for it.
    calls: BTreeMap<(usize, CallId), Call>,
    requests: BTreeMap<ApiId, Arrived>,
    next: u32,
    /// Connections are refused.
    down: bool,
    /// The latest connections of each ClientId, for `If-Match`.
    pub(super) connections: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Call {
    request: ApiRequest,
    stage: Stage,
    /// How often it was begun.
    begun: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// On its way to the API.
    Going,
    /// At the API.
    There(ApiId),
    /// Its end is on the way back.
    Back,
    /// Given back unsent: the gateway will send it again, or not.
    Unsent,
}

#[derive(Debug)]
struct Arrived {
    call: Option<(usize, CallId)>,
    ending: Ending,
}

/// What the API is going to do.
#[derive(Clone, Debug)]
enum Ending {
    Answer(ApiAnswer),
    Break,
    Garbage,
    Hang,
}

impl World {
    /// The gateway begins a call.
    pub(super) fn call(&mut self, shard: usize, id: CallId, request: Request<Bytes>, fresh: bool) {
        let request = parse(&request);
        let key = (shard, id);
        let before = self.api.calls.get(&key).map(|call| (call.stage, call.begun));
        if before.is_some_and(|(stage, _)| stage != Stage::Unsent) {
            self.faults.push(format!("shard {shard} begins the call {id} twice"));
        }
        let begun = before.map_or(0, |(_, begun)| begun) + 1;
        let time = self.api_time();
        if self.chance(Feature::ApiUnsent, if fresh { 20 } else { 15 }) {
            self.api.calls.insert(key, Call { request, stage: Stage::Unsent, begun });
            self.after(time, Step::Reply(shard, id, Err(CallError::Unsent)));
        } else {
            self.api.calls.insert(key, Call { request, stage: Stage::Going, begun });
            self.after(time, Step::ApiArrive(shard, id));
        }
    }

    fn api_time(&mut self) -> Duration {
        self.draw.time(self.plan.api_latency.0, self.plan.api_latency.1)
    }

    /// The gateway gives a call up.
    pub(super) fn cancel_call(&mut self, shard: usize, id: CallId) {
        self.count("calls given up");
        let Some(call) = self.api.calls.remove(&(shard, id)) else {
            self.faults.push(format!("shard {shard} gives up the call {id}, which is not under way"));
            return;
        };
        match call.stage {
            Stage::Going | Stage::Unsent => self.missed(call.request, Missed::GivenUp),
            Stage::There(api) => {
                let time = self.api_time();
                self.after(time, Step::ApiNotice(api));
            }
            Stage::Back => {}
        }
        if self.chance(Feature::LateAnswers, 50) {
            // A driver's late word about a call that is no more.
            let time = self.draw.time(Duration::ZERO, Duration::from_millis(300));
            let late = Response::new(Bytes::from_static(b"late"));
            self.after(time, Step::Reply(shard, id, Ok(late)));
        }
    }

    fn missed(&mut self, request: ApiRequest, why: Missed) {
        self.see(Observation::ApiMissed(MissedCall { request, why }));
    }

    /// A call reaches the API, or finds nobody there.
    pub(super) fn api_arrive(&mut self, shard: usize, id: CallId) {
        let down = self.api.down;
        let Some(call) = self.api.calls.get_mut(&(shard, id)).filter(|call| call.stage == Stage::Going) else { return };
        let request = call.request.clone();
        if down {
            call.stage = Stage::Back;
            self.missed(request, Missed::Refused);
            let time = self.api_time();
            let error = CallError::Connect("connection refused".to_owned());
            return self.after(time, Step::Reply(shard, id, Err(error)));
        }
        let api = ApiId(self.api.next);
        self.api.next += 1;
        call.stage = Stage::There(api);
        let client = percent_decode(&request.path);
        if request.method == Method::GET {
            self.api.connections.entry(client.clone()).or_default().push(request.connection.clone());
        } else if request.method == Method::POST {
            self.got_on();
        }
        self.see(Observation::ApiRequest(api, request.clone()));
        let ending = self.decide(api, &request);
        let hangs = matches!(ending, Ending::Hang);
        self.api.requests.insert(api, Arrived { call: Some((shard, id)), ending });
        if hangs {
            return;
        }
        let inside = request.method != Method::DELETE && self.chance(Feature::PushInside, 40);
        if inside {
            return self.push_from_handler(api, &client);
        }
        let time = self.service_time();
        self.after(time, Step::ApiAct(api));
    }

    fn service_time(&mut self) -> Duration {
        let timeout = self.plan.config.api_timeout;
        if self.chance(Feature::LateAnswers, 3) {
            return self.draw.time(timeout.mul_f32(0.9), timeout.mul_f32(1.1));
        }
        self.draw.time(self.plan.service.0, self.plan.service.1.min(timeout / 4))
    }

    fn decide(&mut self, api: ApiId, request: &ApiRequest) -> Ending {
        if self.chance(Feature::ApiHangs, 2) {
            return Ending::Hang;
        }
        if self.chance(Feature::ApiBreaks, 5) {
            return if self.draw.percent(30) { Ending::Garbage } else { Ending::Break };
        }
        let mut answer = ApiAnswer { status: 200, binary: false, protocol: None, body: Bytes::new() };
        if self.chance(Feature::ApiErrors, 10) {
            answer.status = *self.draw.pick(&[500, 502, 503, 404, 302, 418]);
            answer.body = format!("failure {}", api.0).into();
        } else if request.method == Method::GET {
            self.decide_connect(api, request, &mut answer);
        } else if request.method == Method::POST && self.has(Feature::Replies) && self.draw.percent(70) {
            self.decide_reply(api, &mut answer);
        } else if self.draw.percent(30) {
            answer.status = 204;
        }
        Ending::Answer(answer)
    }

    fn decide_connect(&mut self, api: ApiId, request: &ApiRequest, answer: &mut ApiAnswer) {
        if self.chance(Feature::ApiRefuses, 15) {
            answer.status = *self.draw.pick(&[200, 401, 403, 404, 409, 429]);
            answer.body = format!("you may not {}", api.0).into();
            return;
        }
        answer.status = if self.draw.percent(10) { 201 } else { 200 };
        let words: [&[u8]; 3] = [b"ok", b"ok", b" ok\r\n"];
        let word = *self.draw.pick(&words);
        answer.body = Bytes::from_static(word);
        let socket = request.dial.and_then(|dial| self.clients.iter().find(|client| client.socket == dial));
        if let Some(offered) = socket.map(|client| client.offered.clone()).filter(|offered| !offered.is_empty()) {
            answer.protocol = match self.draw.below(4) {
                0 => None,
                1 if self.phase == Phase::Faults => Some("unheard-of".to_owned()),
                _ => Some(self.draw.pick(&offered).clone()),
            };
        }
    }

    fn decide_reply(&mut self, api: ApiId, answer: &mut ApiAnswer) {
        let limit = self.plan.config.max_message as u64;
        if self.chance(Feature::ApiBadBodies, 10) {
            answer.body = match self.draw.below(2) {
                0 => Bytes::from_static(b"not \xff UTF-8"),
                _ => vec![b'x'; limit as usize + 1].into(),
            };
            return;
        }
        answer.binary = self.draw.percent(30);
        let size = self.draw.below(self.plan.size).min(limit);
        let mut body = format!("r{}.", api.0).into_bytes();
        body.resize(body.len().max(size as usize), b'r');
        body.truncate(limit as usize);
        answer.body = body.into();
    }

    /// The API answers, or breaks off.
    pub(super) fn api_act(&mut self, api: ApiId) {
        let Some(Arrived { call, ending }) = self.api.requests.remove(&api) else { return };
        let (seen, result) = match ending {
            Ending::Hang => return,
            Ending::Break => {
                (ApiEnding::Broken, Err(CallError::Broken("the connection was closed before the answer".to_owned())))
            }
            Ending::Garbage => (ApiEnding::Broken, Err(CallError::Malformed("no HTTP".to_owned()))),
            Ending::Answer(answer) => {
                let result = self.response(&answer);
                (ApiEnding::Answered(answer), result)
            }
        };
        self.end_request(api, call, seen, result);
    }

    fn response(&mut self, answer: &ApiAnswer) -> Result<Response<Bytes>, CallError> {
        if answer.body.len() > self.plan.config.max_message && self.draw.percent(50) {
            // A driver stops reading; one that does not is not wrong either.
            return Err(CallError::TooLarge(
                answer.status.try_into().unwrap_or_else(|_| unreachable!("these are statuses")),
            ));
        }
        let mut response = Response::new(answer.body.clone());
        *response.status_mut() = answer.status.try_into().unwrap_or_else(|_| unreachable!("these are statuses"));
        let kind = if answer.binary { "application/octet-stream" } else { "text/plain" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(value) = answer.protocol.as_ref().and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        Ok(response)
    }

    fn end_request(
        &mut self,
        api: ApiId,
        call: Option<(usize, CallId)>,
        seen: ApiEnding,
        result: Result<Response<Bytes>, CallError>,
    ) {
        self.see(Observation::ApiEnded(api, seen));
        let Some(key) = call else { return };
        let under_way = self.api.calls.get_mut(&key).filter(|call| call.stage == Stage::There(api));
        if let Some(call) = under_way {
            call.stage = Stage::Back;
            let time = self.api_time();
            self.after(time, Step::Reply(key.0, key.1, result));
        }
    }

    /// The end of a call reaches the gateway.
    pub(super) fn reply(&mut self, shard: usize, id: CallId, result: Result<Response<Bytes>, CallError>) {
        let begun = self.api.calls.get(&(shard, id)).map_or(0, |call| call.begun);
        match self.api.calls.get(&(shard, id)).map(|call| call.stage) {
            Some(Stage::Back) => drop(self.api.calls.remove(&(shard, id))),
            // It is sent again, if at all, before anything else: see below.
            Some(Stage::Unsent) => {}
            // Given up meanwhile: a driver is silent then, a late one is not.
            None if self.has(Feature::LateAnswers) => {}
            None | Some(Stage::Going | Stage::There(_)) => return,
        }
        let unsent = matches!(result, Err(CallError::Unsent));
        self.tell(shard, ws2http_core::Event::Reply(id, result));
        let over = self.api.calls.get(&(shard, id)).is_some_and(|call| call.begun == begun);
        if unsent
            && over
            && let Some(call) = self.api.calls.remove(&(shard, id))
        {
            self.missed(call.request, Missed::Refused);
        }
    }

    /// The API sees that the gateway has closed the connection.
    pub(super) fn api_notice(&mut self, api: ApiId) {
        if self.api.requests.remove(&api).is_some() {
            self.see(Observation::ApiEnded(api, ApiEnding::Abandoned));
        }
    }

    /// The API dies, with all that it was at; or comes back.
    pub(super) fn api_down(&mut self, down: bool) {
        if down {
            self.count("api-down");
        }
        self.note(|| format!("the API is {}", if down { "gone" } else { "back" }));
        self.api.down = down;
        if !down {
            return;
        }
        let all: Vec<ApiId> = self.api.requests.keys().copied().collect();
        for api in all {
            let Some(Arrived { call, .. }) = self.api.requests.remove(&api) else { continue };
            let error = CallError::Broken("the API died".to_owned());
            self.end_request(api, call, ApiEnding::Broken, Err(error));
        }
    }

    pub(super) fn calls_under_way(&self) -> usize {
        self.api.calls.len()
    }
}

/// What the API sees of a call.
fn parse(request: &Request<Bytes>) -> ApiRequest {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = request.uri().path();
    ApiRequest {
        method: request.method().clone(),
        path: path.strip_prefix("/base").unwrap_or(path).to_owned(),
        query: request.uri().query().map(str::to_owned),
        connection: text("x-connection-id").unwrap_or_default(),
        dial: text(DIAL_HEADER).and_then(|dial| dial.parse().ok()).map(SocketId),
        close_code: text("x-close-code").and_then(|code| code.parse().ok()),
        content_type: text("content-type"),
        body: request.body().clone(),
    }
}

/// The ClientId that a path means.
fn percent_decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.trim_start_matches('/').bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or_default() as u8;
        bytes.push(if byte == b'%' { digit() << 4 | digit() } else { byte });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
