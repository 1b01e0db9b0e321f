//! What all hosts of a world share: the clock, the models that watch, the trace, the counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use tokio::sync::Notify;
use ws2http_core::Timestamp;

use super::Plan;
use crate::model::{ApiEnding, ApiId, ApiRequest, ControlId, ControlRequest, Cut, Dial, Model, Observation, SocketId};
use crate::scenario::Outcome;

/// One process of a gateway, from its start to its end; a restart makes another one.
pub(crate) type ProcessId = usize;

/// What the clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Whatever they like.
    Busy,
    /// Be connected, and get an answer to one more message.
    Last,
    /// Close, and stay away.
    Leave,
}

struct Process {
    gateway: usize,
    model: Model,
    /// Killed, or drained.
    over: bool,
}

struct Place {
    process: ProcessId,
    host: usize,
}

struct Flight {
    process: ProcessId,
    arrived: Timestamp,
}

#[derive(Default)]
struct Books {
    processes: Vec<Process>,
    /// The process of each gateway that was started last.
    current: BTreeMap<usize, ProcessId>,
    /// Sockets of clients that have not ended.
    sockets: BTreeMap<SocketId, Place>,
    /// Requests at the API that have not ended.
    flights: BTreeMap<ApiId, Flight>,
    ids: [u32; 3],
    trace: Option<String>,
    counts: BTreeMap<&'static str, u64>,
    events: u64,
}

/// The shared state of one world.
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    millis: Cell<u64>,
    pub(crate) phase: Cell<Phase>,
    /// How often the network of each host of clients was cut.
    cuts: RefCell<Vec<u32>>,
    /// Wakes all clients, who then end their sockets and come back.
    pub(crate) storm: Notify,
    /// Gateways that the load balancer gives clients to.
    pub(crate) ring: RefCell<Vec<usize>>,
    books: RefCell<Books>,
}

impl Stage {
    pub(crate) fn new(plan: Plan, trace: bool) -> Rc<Stage> {
        let books = Books { trace: trace.then(String::new), ..Books::default() };
        Rc::new(Stage {
            cuts: RefCell::new(vec![0; plan.hosts]),
            plan,
            millis: Cell::new(0),
            phase: Cell::new(Phase::Busy),
            storm: Notify::new(),
            ring: RefCell::default(),
            books: RefCell::new(books),
        })
    }

    /// The next simulated millisecond begins.
    pub(crate) fn tick(&self) {
        self.millis.set(self.millis.get() + 1);
    }

    /// Simulated time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.millis.get() * 1000)
    }

    /// Counts something.
    pub(crate) fn count(&self, what: &'static str) {
        *self.books.borrow_mut().counts.entry(what).or_default() += 1;
    }

    /// How often something was counted.
    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.books.borrow().counts.get(what).copied().unwrap_or_default()
    }

    /// All that was counted.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.books.borrow().counts.clone()
    }

    /// A gateway is started, and a model with it.
    pub(crate) fn started(&self, gateway: usize) {
        let mut books = self.books.borrow_mut();
        let process = books.processes.len();
        books.processes.push(Process { gateway, model: Model::new(self.plan.model_settings()), over: false });
        books.current.insert(gateway, process);
    }

    /// The process of a gateway that was started last.
    pub(crate) fn process(&self, gateway: usize) -> ProcessId {
        self.books.borrow().current[&gateway]
    }

    /// The gateway that this is a process of.
    pub(crate) fn gateway(&self, process: ProcessId) -> usize {
        self.books.borrow().processes[process].gateway
    }

    pub(crate) fn is_over(&self, process: ProcessId) -> bool {
        self.books.borrow().processes[process].over
    }

    /// Nothing is expected of this process any more.
    pub(crate) fn over(&self, process: ProcessId) {
        self.books.borrow_mut().processes[process].over = true;
    }

    /// All processes that have not ended.
    pub(crate) fn running(&self) -> Vec<ProcessId> {
        let books = self.books.borrow();
        (0..books.processes.len()).filter(|process| !books.processes[*process].over).collect()
    }

    /// Tells the model of this process what was seen.
    pub(crate) fn tell(&self, process: ProcessId, observation: Observation) {
        let now = self.now();
        let mut books = self.books.borrow_mut();
        let Books { processes, trace, events, .. } = &mut *books;
        *events += 1;
        let watched = &mut processes[process];
        if let Some(trace) = trace {
            // Writing to a String cannot fail.
            let _ = writeln!(trace, "{now} gateway {} ({process}): {observation:?}", watched.gateway);
        }
        watched.model.observe(now, observation);
    }

    /// Writes something into the trace.
    pub(crate) fn note(&self, what: &str) {
        let now = self.now();
        if let Some(trace) = &mut self.books.borrow_mut().trace {
            // Writing to a String cannot fail.
            let _ = writeln!(trace, "{now} {what}");
        }
    }

    /// A client on this host begins a connect.
    pub(crate) fn dial(&self, process: ProcessId, host: usize, dial: Dial) -> SocketId {
        let socket = SocketId(self.id(0));
        self.books.borrow_mut().sockets.insert(socket, Place { process, host });
        self.tell(process, Observation::Dialled(socket, dial));
        socket
    }

    /// A client has done with its socket.
    pub(crate) fn hang_up(&self, socket: SocketId) {
        self.books.borrow_mut().sockets.remove(&socket);
    }

    /// Cuts all sockets of a host: nothing of what is on its way will arrive.
    pub(crate) fn cut(&self, host: usize) -> u64 {
        self.cuts.borrow_mut()[host] += 1;
        let cut = self.sockets(Some(host));
        for (socket, process) in &cut {
            self.tell(*process, Observation::Cut(*socket, Cut::Vanished));
        }
        cut.len() as u64
    }

    /// All sockets that have not ended, of all hosts or of one.
    pub(crate) fn sockets(&self, host: Option<usize>) -> Vec<(SocketId, ProcessId)> {
        let books = self.books.borrow();
        let places = books.sockets.iter().filter(|(_, place)| host.is_none_or(|host| place.host == host));
        places.map(|(id, place)| (*id, place.process)).collect()
    }

    /// How often the network of a host was cut.
    pub(crate) fn cuts(&self, host: usize) -> u32 {
        self.cuts.borrow()[host]
    }

    /// A request has reached the API.
    pub(crate) fn api_request(&self, process: ProcessId, request: ApiRequest) -> ApiId {
        let id = ApiId(self.id(1));
        let flight = Flight { process, arrived: self.now() };
        self.books.borrow_mut().flights.insert(id, flight);
        self.tell(process, Observation::ApiRequest(id, request));
        id
    }

    /// A request has ended; told once, whoever sees it first.
    pub(crate) fn api_ended(&self, id: ApiId, ending: ApiEnding) -> bool {
        let Some(flight) = self.books.borrow_mut().flights.remove(&id) else { return false };
        self.tell(flight.process, Observation::ApiEnded(id, ending));
        true
    }

    /// How many requests are at the API.
    pub(crate) fn flights(&self) -> usize {
        self.books.borrow().flights.len()
    }

    /// Nobody waits any more for requests that arrived before.
    pub(crate) fn end_flights_before(&self, time: Timestamp) {
        self.end_flights(|flight| flight.arrived < time);
    }

    /// Requests of a process that is gone are of no use to anybody.
    pub(crate) fn end_flights_of(&self, process: ProcessId) {
        self.end_flights(|flight| flight.process == process);
    }

    fn end_flights(&self, which: impl Fn(&Flight) -> bool) {
        let books = self.books.borrow();
        let flights: Vec<_> = books.flights.iter().filter(|(_, flight)| which(flight)).map(|(id, _)| *id).collect();
        drop(books);
        for id in flights {
            self.api_ended(id, ApiEnding::Abandoned);
        }
    }

    /// A control request is sent.
    pub(crate) fn control(&self, process: ProcessId, request: ControlRequest) -> ControlId {
        let id = ControlId(self.id(2));
        self.tell(process, Observation::ControlAsked(id, request));
        id
    }

    /// The next control request, to name a push by before it is sent.
    pub(crate) fn next_control(&self) -> u32 {
        self.books.borrow().ids[2]
    }

    fn id(&self, kind: usize) -> u32 {
        let ids = &mut self.books.borrow_mut().ids;
        ids[kind] += 1;
        ids[kind] - 1
    }

    /// Ends all models, and hands over what they found.
    pub(crate) fn finish(&self, outcome: &mut Outcome) {
        let now = self.now();
        let mut books = self.books.borrow_mut();
        for process in &mut books.processes {
            process.model.finish(now);
            outcome.violations.extend_from_slice(process.model.violations());
            for (law, checks) in process.model.checks() {
                *outcome.checks.entry(*law).or_default() += checks;
            }
        }
        outcome.violations.sort_by_key(|violation| violation.at);
        books.counts.insert("simulated milliseconds", self.millis.get());
        outcome.counts.clone_from(&books.counts);
        outcome.events = books.events;
        outcome.trace = books.trace.take().unwrap_or_default();
    }

    /// Where the load balancer sends this client: of the gateways in the ring the one that its hash likes best, then the
    /// next best, and so on.
    pub(crate) fn homes(&self, client: &str) -> Vec<usize> {
        let mut ring = self.ring.borrow().clone();
        ring.sort_by_key(|gateway| std::cmp::Reverse(liking(client, *gateway)));
        ring
    }
}

/// Rendezvous hashing: a gateway more or less moves only its own share of clients.
fn liking(client: &str, gateway: usize) -> u64 {
    let start = 0xCBF2_9CE4_8422_2325 ^ (gateway as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = client.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 8
}
