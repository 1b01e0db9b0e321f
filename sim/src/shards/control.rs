//! Those who push, kick, ask and scrape.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ws2http_core::{Surface, Timestamp};

use super::client::escape;
use super::codec::{Answer, take_answer};
use super::pipe::{Owner, PipeId};
use super::world::{Phase, Step, World};
use super::{Feature, plan};
use crate::model::{ApiId, ControlAnswer, ControlId, ControlRequest, Cut, Observation, Operation, Payload};

/// A connection for control requests.
#[derive(Debug)]
pub(super) struct ControlConn {
    pipe: PipeId,
    surface: Surface,
    pending: VecDeque<Asked>,
    received: Vec<u8>,
    over: bool,
    /// It closes when it has its answers.
    once: bool,
}

/// What an answer is awaited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Control(ControlId, bool),
    Metrics(Timestamp),
    Health(Timestamp),
}

impl World {
    /// Somebody sends a few control requests.
    pub(super) fn operate(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        if self.chance(Feature::Junk, 15) {
            self.make_noise();
        }
        let pipelined = self.chance(Feature::Pipelining, 40);
        let conn = self.some_conn(pipelined);
        for _ in 0..if pipelined { self.draw.between(2, 6) } else { 1 } {
            self.ask_something(conn);
        }
        if pipelined && self.draw.percent(10) && !self.controls[conn].over {
            // It does not wait for the answers.
            let how = *self.draw.pick(&[Cut::Eof, Cut::Reset]);
            let pipe = self.controls[conn].pipe;
            self.hang_up(pipe, how);
            if self.pipes[pipe].client_gone {
                self.conn_over(conn);
            }
        }
        let time = self.draw.time(Duration::from_micros(100), 2 * self.plan.think);
        self.after(time, Step::Operate);
    }

    fn some_conn(&mut self, pipelined: bool) -> usize {
        let kept = self.controls.iter().rposition(|conn| !conn.over && !conn.once);
        match kept {
            Some(conn) if self.draw.percent(70) => conn,
            _ => {
                let private = self.plan.config.control_listener && !self.chance(Feature::BadControl, 10);
                let surface = if private { Surface::Control } else { Surface::Public };
                let once = !pipelined && self.draw.percent(50);
                self.new_conn(surface, once)
            }
        }
    }

    fn new_conn(&mut self, surface: Surface, once: bool) -> usize {
        let pipe = self.connect(Owner::Control(self.controls.len()), surface);
        let (pending, received) = (VecDeque::new(), Vec::new());
        self.controls.push(ControlConn { pipe, surface, pending, received, over: false, once });
        self.controls.len() - 1
    }

    fn ask_something(&mut self, conn: usize) {
        let weight = |feature: Feature, weight: u64| if self.has(feature) { weight } else { 0 };
        let deeds = [
            (weight(Feature::Push, 60), Feature::Push),
            (weight(Feature::Kick, 4), Feature::Kick),
            (weight(Feature::Head, 15), Feature::Head),
            (weight(Feature::Scrape, 5), Feature::Scrape),
        ];
        if deeds.iter().all(|(weight, _)| *weight == 0) {
            return;
        }
        let deed = self.draw.weighted(&deeds);
        self.count(deed.word());
        let stranger = u64::from(self.draw.percent(10));
        let index = self.draw.below(self.plan.ids + stranger);
        let client = self.client_name(index);
        match deed {
            Feature::Push => {
                let payload = self.push_payload();
                self.ask(conn, client, Operation::Push(payload));
            }
            Feature::Kick => {
                let code = *self.draw.pick(&[1000, 4000, 1012, 1008]);
                let reason = if self.draw.percent(50) { "kicked out".to_owned() } else { String::new() };
                self.ask(conn, client, Operation::Kick(code, reason));
            }
            Feature::Head => drop(self.ask(conn, client, Operation::Head)),
            // There is nothing of that there. Without any request, it would be closed for its slowness.
            _ if self.controls[conn].surface == Surface::Public && self.plan.config.control_listener => {
                self.hang_up_control(conn);
            }
            _ => {
                let (path, asked) = *self.draw.pick(&[
                    ("/metrics", Asked::Metrics(self.now)),
                    ("/", Asked::Metrics(self.now)),
                    ("/-/ready", Asked::Health(self.now)),
                    ("/-/healthy", Asked::Health(self.now)),
                ]);
                self.send_request(conn, asked, format!("GET {path} HTTP/1.1\r\nHost: g\r\n\r\n").into_bytes());
            }
        }
    }

    fn push_payload(&mut self) -> Payload {
        let body = self.push_body(self.next_control);
        Payload { text: !self.draw.percent(30), body }
    }

    /// Asks for one thing, perhaps in a way that must be refused.
    fn ask(&mut self, conn: usize, client: String, operation: Operation) -> ControlId {
        let id = ControlId(self.next_control);
        self.next_control += 1;
        let only = self.some_connection(&client);
        let mut request = ControlRequest { client, only, operation, bad: None };
        let public = self.controls[conn].surface == Surface::Public;
        let mut token = plan::token(&self.plan.config).map(str::to_owned);
        if self.plan.config.control_listener && public {
            request.bad = Some(404);
        } else if self.chance(Feature::BadControl, 15) {
            self.spoil(&mut request, &mut token);
        }
        let bytes = self.write_request(&request, token.as_deref());
        let head = request.operation == Operation::Head;
        self.see(Observation::ControlAsked(id, request));
        self.send_request(conn, Asked::Control(id, head), bytes);
        id
    }

    /// A connection id for `If-Match`: the latest of this client, an older one, or one of nobody.
    fn some_connection(&mut self, client: &str) -> Option<String> {
        if !self.draw.percent(20) {
            return None;
        }
        let known = self.api.connections.get(client).cloned().unwrap_or_default();
        match known.last() {
            Some(last) if self.draw.percent(60) => Some(last.clone()),
            Some(_) => Some(self.draw.pick(&known).clone()),
            None => Some("nobody".to_owned()),
        }
    }

    fn spoil(&mut self, request: &mut ControlRequest, token: &mut Option<String>) {
        let limit = self.plan.config.max_message;
        match (&mut request.operation, self.draw.below(3)) {
            (_, 0) if token.is_some() => {
                *token = Some("wrong".to_owned());
                request.bad = Some(401);
            }
            (Operation::Push(payload), 1) => {
                *payload = Payload { text: true, body: Bytes::from_static(b"no \xff UTF-8") };
                request.bad = Some(400);
            }
            (Operation::Push(payload), _) if limit < 10_000 => {
                payload.body = vec![b'x'; limit + 1].into();
                request.bad = Some(413);
            }
            (Operation::Kick(code, _), _) => {
                *code = 1005;
                request.bad = Some(400);
            }
            (Operation::Push(_) | Operation::Head, _) => {}
        }
    }

    fn write_request(&mut self, request: &ControlRequest, token: Option<&str>) -> Vec<u8> {
        let path = escape(&request.client, self.draw.percent(30));
        let (method, query, payload) = match &request.operation {
            Operation::Push(payload) => ("POST", String::new(), Some(payload)),
            Operation::Kick(1000, reason) if reason.is_empty() => ("DELETE", String::new(), None),
            Operation::Kick(code, reason) => ("DELETE", format!("?code={code}&reason={}", escape(reason, false)), None),
            Operation::Head => ("HEAD", String::new(), None),
        };
        let mut head = format!("{method} /{path}{query} HTTP/1.1\r\nHost: g\r\n");
        if let Some(token) = token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        if let Some(only) = &request.only {
            head += &format!("If-Match: \"{only}\"\r\n");
        }
        let Some(payload) = payload else { return (head + "\r\n").into_bytes() };
        if !payload.text {
            head += "Content-Type: application/octet-stream\r\n";
        }
        if self.draw.percent(10) {
            head += "Expect: 100-continue\r\n";
        }
        let body = &payload.body;
        let mut bytes = head.into_bytes();
        if self.draw.percent(30) {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(1 + body.len() / 3) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
            bytes.extend(body);
        }
        bytes
    }

    fn send_request(&mut self, conn: usize, asked: Asked, bytes: Vec<u8>) {
        if self.controls[conn].over {
            if let Asked::Control(id, _) = asked {
                self.see(Observation::ControlLost(id));
            }
            return;
        }
        self.controls[conn].pending.push_back(asked);
        let pipe = self.controls[conn].pipe;
        self.send_up(pipe, bytes);
    }

    /// The API pushes from inside a handler, and answers when it has its answer.
    pub(super) fn push_from_handler(&mut self, api: ApiId, client: &str) {
        let surface = if self.plan.config.control_listener { Surface::Control } else { Surface::Public };
        let conn = self.new_conn(surface, true);
        let payload = self.push_payload();
        self.pushing.insert(ControlId(self.next_control), api);
        self.ask(conn, client.to_owned(), Operation::Push(payload));
    }

    fn settled_push(&mut self, id: ControlId) {
        if let Some(api) = self.pushing.remove(&id) {
            let time = self.draw.time(self.plan.service.0, self.plan.service.1 / 4);
            self.after(time, Step::ApiAct(api));
        }
    }

    /// Bytes have come, or the end.
    pub(super) fn control_got(&mut self, conn: usize, bytes: Vec<u8>, end: bool) {
        self.controls[conn].received.extend(bytes);
        loop {
            let state = &mut self.controls[conn];
            let Some(asked) = state.pending.front().copied() else { break };
            let head = matches!(asked, Asked::Control(_, true));
            match take_answer(&mut state.received, head) {
                Ok(Some(answer)) if answer.status == 100 => {}
                Ok(Some(answer)) => {
                    state.pending.pop_front();
                    self.answered(conn, asked, &answer);
                }
                Ok(None) => break,
                Err(text) => {
                    self.faults.push(format!("a control connection got {text}"));
                    return;
                }
            }
        }
        if end || (self.controls[conn].once && self.controls[conn].pending.is_empty()) {
            self.hang_up_control(conn);
        }
    }

    fn answered(&mut self, conn: usize, asked: Asked, answer: &Answer) {
        match asked {
            Asked::Control(id, _) => {
                let seen = ControlAnswer {
                    status: answer.status,
                    connection: answer.header("x-connection-id").map(str::to_owned),
                    retry_after: answer.header("retry-after").is_some(),
                };
                if answer.status == 202 {
                    self.count("pushes queued");
                }
                if answer.status == 503 {
                    self.count("pushes refused for want of room");
                }
                self.see(Observation::ControlAnswered(id, seen));
                self.settled_push(id);
            }
            // A request that comes in slowly is given up (section 9).
            Asked::Metrics(since) | Asked::Health(since) if answer.status == 408 && self.too_slow(since) => {}
            Asked::Metrics(_) if answer.status == 200 => self.see(Observation::Metrics(samples(&answer.body))),
            Asked::Health(_) if [200, 503].contains(&answer.status) => {}
            Asked::Metrics(_) | Asked::Health(_) => {
                self.faults.push(format!("a question for metrics or health was answered {}", answer.status));
            }
        }
        if answer.closes() {
            self.hang_up_control(conn);
        }
    }

    fn too_slow(&self, since: Timestamp) -> bool {
        self.now.since(since) >= self.plan.config.handshake_timeout
    }

    fn hang_up_control(&mut self, conn: usize) {
        if self.controls[conn].over {
            return;
        }
        let pipe = self.controls[conn].pipe;
        self.hang_up(pipe, Cut::Eof);
        self.pipes[pipe].client_gone = true;
        self.conn_over(conn);
    }

    fn conn_over(&mut self, conn: usize) {
        self.controls[conn].over = true;
        for asked in std::mem::take(&mut self.controls[conn].pending) {
            if let Asked::Control(id, _) = asked {
                self.see(Observation::ControlLost(id));
                self.settled_push(id);
            }
        }
    }

    /// All control connections are closed.
    pub(super) fn controls_leave(&mut self) {
        (0..self.controls.len()).for_each(|conn| self.hang_up_control(conn));
    }

    /// The last look at the counters.
    pub(super) fn last_scrape(&mut self) {
        let surface = if self.plan.config.control_listener { Surface::Control } else { Surface::Public };
        let conn = self.new_conn(surface, true);
        self.send_request(conn, Asked::Metrics(self.now), b"GET /metrics HTTP/1.1\r\nHost: g\r\n\r\n".to_vec());
    }
}

/// The whole numbers of a page of metrics, by name and labels.
fn samples(page: &[u8]) -> Vec<(String, u64)> {
    let text = String::from_utf8_lossy(page);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}
