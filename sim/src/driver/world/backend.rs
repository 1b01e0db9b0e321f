//! Those who push, kick and ask: the application behind the API, and whoever reads the metrics.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::plan::pause;
use super::stage::{Phase, ProcessId, Stage};
use crate::driver::gateway::PORT;
use crate::driver::http::Control;
use crate::model::{ControlAnswer, ControlRequest, Observation, Operation, Payload};

/// How long an answer to a control request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everybody who sends control requests.
pub(crate) struct Backend {
    pub(crate) stage: Rc<Stage>,
    /// The metrics of each gateway are to be read, or none.
    pub(crate) scrapes: Cell<bool>,
    /// What is left in all gateways, as read last; `None` while something could not be read.
    pub(crate) left: Cell<Option<u64>>,
}

impl Backend {
    pub(crate) fn new(stage: Rc<Stage>) -> Rc<Backend> {
        Rc::new(Backend { stage, scrapes: Cell::new(false), left: Cell::new(None) })
    }

    /// The host's software.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        for index in 0..self.stage.plan.pushers {
            let stage = Rc::clone(&self.stage);
            let rng = stage.plan.rng(b'p', index.into());
            spawn_local(Pusher { stage, rng, controls: BTreeMap::new() }.run());
        }
        loop {
            sleep(Duration::from_millis(200)).await;
            if self.scrapes.get() {
                self.left.set(self.scrape().await);
            }
        }
    }

    /// Reads all metrics; gives what is left under way in all gateways.
    async fn scrape(&self) -> Option<u64> {
        let mut left = 0;
        for process in self.stage.running() {
            let gateway = super::gateway_name(self.stage.gateway(process));
            let mut control = Control::open(&gateway, PORT).await.ok()?;
            let request = request(Method::GET, "/metrics".to_owned(), None, Bytes::new());
            let page = timeout(PATIENCE, control.send(request)).await.ok()?.ok()?;
            let samples = samples(&String::from_utf8_lossy(page.body()));
            let gauges = ["active_connections", "calls_in_flight", "calls_waiting", "disconnects_pending"];
            left += samples
                .iter()
                .filter(|(name, _)| gauges.iter().any(|gauge| name.ends_with(gauge)))
                .map(|(_, n)| n)
                .sum::<u64>();
            self.stage.tell(process, Observation::Metrics(samples));
        }
        Some(left)
    }
}

/// What somebody wants of a gateway.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Push,
    Kick,
    Head,
}

/// One who sends control requests one after the other.
struct Pusher {
    stage: Rc<Stage>,
    rng: fastrand::Rng,
    controls: BTreeMap<ProcessId, Control>,
}

impl Pusher {
    async fn run(mut self) {
        while self.stage.phase.get() == Phase::Busy {
            let longest = self.stage.plan.push_pause;
            sleep(pause(&mut self.rng, longest)).await;
            if self.stage.phase.get() == Phase::Busy {
                self.act().await;
            }
        }
        self.controls.clear();
        self.stage.count("pushers that have ended");
        pending().await
    }

    /// Asks the gateway that should have the client, and the others if it is not there.
    async fn act(&mut self) {
        let plan = &self.stage.plan;
        let astray = self.rng.u8(0..100) < plan.astray;
        let number = self.rng.u32(..plan.clients.max(1));
        let client = if astray { format!("nobody-{number}") } else { super::client_name(number) };
        let wish = match self.rng.u8(0..100) {
            die if die < plan.kicks => Wish::Kick,
            die if die < plan.kicks + 5 => Wish::Head,
            _ => Wish::Push,
        };
        for (turn, gateway) in self.stage.homes(&client).into_iter().enumerate() {
            let process = self.stage.process(gateway);
            if self.stage.is_over(process) {
                continue;
            }
            match self.ask(process, gateway, &client, wish).await {
                Some(404) => {}
                Some(200) if turn > 0 => return self.stage.count("clients found on another gateway"),
                _ => return,
            }
        }
    }

    fn payload(&mut self) -> Payload {
        let mut body = format!("push {} ", self.stage.next_control()).into_bytes();
        let size = self.rng.usize(..=self.stage.plan.push_size);
        body.resize(body.len().max(size), b'.');
        Payload { text: self.rng.bool(), body: body.into() }
    }

    async fn ask(&mut self, process: ProcessId, gateway: usize, client: &str, wish: Wish) -> Option<u16> {
        let mut control = match self.controls.remove(&process) {
            Some(control) => control,
            None => match Control::open(&super::gateway_name(gateway), PORT).await {
                Ok(control) => control,
                Err(_) => {
                    self.stage.count("control connections refused");
                    return None;
                }
            },
        };
        // Named by its number, which is its own from here on.
        let operation = match wish {
            Wish::Push => Operation::Push(self.payload()),
            Wish::Kick => Operation::Kick(4000, "enough".to_owned()),
            Wish::Head => Operation::Head,
        };
        let asked = ControlRequest { client: client.to_owned(), only: None, operation: operation.clone(), bad: None };
        let id = self.stage.control(process, asked);
        let answer = timeout(PATIENCE, control.send(control_request(client, &operation))).await;
        let Ok(Ok(answer)) = answer else {
            self.stage.count("control requests without an answer");
            self.stage.tell(process, Observation::ControlLost(id));
            return None;
        };
        self.controls.insert(process, control);
        self.stage.count(match (answer.status().as_u16(), &operation) {
            (200, Operation::Push(_)) => "pushes answered 200",
            (202, Operation::Push(_)) => "pushes answered 202",
            (404, Operation::Push(_)) => "pushes answered 404",
            (503, Operation::Push(_)) => "pushes answered 503",
            (200, Operation::Kick(..)) => "kicks answered 200",
            (200, Operation::Head) => "HEAD answered 200",
            _ => "control requests answered otherwise",
        });
        self.stage.tell(process, Observation::ControlAnswered(id, told(&answer)));
        Some(answer.status().as_u16())
    }
}

fn request(method: Method, target: String, content: Option<&str>, body: Bytes) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(target).header(header::HOST, "gateway");
    if let Some(content) = content {
        request = request.header(header::CONTENT_TYPE, content);
    }
    request.body(body).expect("a plain request")
}

fn control_request(client: &str, operation: &Operation) -> Request<Bytes> {
    match operation {
        Operation::Push(payload) => {
            let content = (!payload.text).then_some("application/octet-stream");
            request(Method::POST, format!("/{client}"), content, payload.body.clone())
        }
        Operation::Kick(code, reason) => {
            request(Method::DELETE, format!("/{client}?code={code}&reason={reason}"), None, Bytes::new())
        }
        Operation::Head => request(Method::HEAD, format!("/{client}"), None, Bytes::new()),
    }
}

fn told(answer: &Response<Bytes>) -> ControlAnswer {
    let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    ControlAnswer {
        status: answer.status().as_u16(),
        connection: field("x-connection-id"),
        retry_after: field("retry-after").is_some(),
    }
}

fn samples(page: &str) -> Vec<(String, u64)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}
