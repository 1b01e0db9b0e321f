//! Everything that one worker's tasks share: its gateway, and how the gateway's actions are run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ws2http_core::{
    Action, CallError, CallId, Config, ConnId, Event, Gateway, HandOff, Out, Peer, ProcessStats, Report, RouteMessage,
    ShardId, SocketEnd, Surface, Timestamp,
};

use crate::clock::Clock;
use crate::post::{Letter, Post};
use crate::runtime::Runtime;
use crate::sockets::Sockets;

/// Room for what one read brings in. No connection has a buffer of its own.
const INPUT: usize = 16 * 1024;

/// What the process around the workers does for them.
#[derive(Clone)]
pub struct Hooks {
    /// Puts into the log what an operator should read there.
    pub report: Arc<dyn Fn(Report) + Send + Sync>,
    /// Reads the figures of the process.
    pub observe: fn() -> ProcessStats,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// A worker's tasks all run on its thread, and none waits while it holds this.
pub type SharedShard<R> = Rc<RefCell<Shard<R>>>;

/// One shard at work: its gateway, its sockets, and the actions that are to be run.
pub struct Shard<R: Runtime> {
    /// What the runtime keeps for this shard.
    pub runtime: R,
    me: Weak<RefCell<Shard<R>>>,
    id: ShardId,
    config: Arc<Config>,
    pub(crate) gateway: Gateway,
    clock: Clock,
    /// When the event that is being handled happened.
    pub(crate) now: Timestamp,
    pub(crate) out: Out,
    /// Actions that are not run yet, in the gateway's order.
    queue: VecDeque<Action>,
    pub(crate) sockets: Sockets<R::Stream>,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    post: Post<R::Parcel>,
    hooks: Hooks,
    drained: bool,
    /// The worker is to end.
    pub(crate) finished: bool,
    /// When the worker's timer goes off, and how to have it look at the deadlines again.
    pub(crate) alarm: Option<Timestamp>,
    pub(crate) alarm_waker: Waker,
}

/// What a shard is made of.
pub(crate) struct ShardParts<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) id: ShardId,
    pub(crate) config: Arc<Config>,
    pub(crate) gateway: Gateway,
    pub(crate) clock: Clock,
    pub(crate) post: Post<R::Parcel>,
    pub(crate) hooks: Hooks,
}

impl<R: Runtime> Shard<R> {
    pub(crate) fn new(parts: ShardParts<R>) -> SharedShard<R> {
        let ShardParts { runtime, id, config, gateway, clock, post, hooks } = parts;
        Rc::new_cyclic(|me| {
            RefCell::new(Shard {
                runtime,
                me: me.clone(),
                id,
                config,
                gateway,
                clock,
                now: clock.timestamp(R::now()),
                out: Out::new(),
                queue: VecDeque::new(),
                sockets: Sockets::new(),
                input: vec![0; INPUT].into_boxed_slice(),
                output: Vec::new(),
                post,
                hooks,
                drained: false,
                finished: false,
                alarm: None,
                alarm_waker: Waker::noop().clone(),
            })
        })
    }

    /// Takes in a socket that a listener accepted.
    pub(crate) fn accept(&mut self, stream: R::Stream, address: IpAddr, surface: Surface) {
        self.read_clock();
        let id = self.gateway.accept(self.now, Peer { address, surface }, &mut self.out);
        self.sockets.insert(id, stream);
        self.run_actions();
        self.set_alarm();
    }

    /// Takes in what another worker, or the operator, sent.
    pub(crate) fn open_letter(&mut self, letter: Letter<R::Parcel>) {
        self.read_clock();
        match letter {
            Letter::Socket(parcel, handoff) => self.adopt(parcel.and_then(R::unpack), *handoff),
            Letter::Message(message) => self.handle(Event::Routed(message)),
            Letter::Drain => self.handle(Event::Drain),
            Letter::Finish => self.finished = true,
        }
        self.run_actions();
        self.set_alarm();
    }

    fn adopt(&mut self, stream: std::io::Result<R::Stream>, handoff: HandOff) {
        let id = self.gateway.adopt(self.now, handoff, &mut self.out);
        match stream {
            Ok(stream) => self.sockets.insert(id, stream),
            Err(error) => {
                tracing::warn!("a socket was lost on its way to its shard: {error}");
                self.handle(Event::SocketEnded(id, SocketEnd::Failed));
            }
        }
    }

    /// Tells the gateway something. [`Shard::run_actions`] has to follow.
    pub(crate) fn handle(&mut self, event: Event<'_>) {
        self.gateway.handle(self.now, event, &mut self.out);
    }

    /// Tells the gateway how a call ended, and runs what comes of it.
    pub fn reply(&mut self, call: CallId, result: Result<Response<Bytes>, CallError>) {
        self.handle(Event::Reply(call, result));
        self.run_actions();
        self.set_alarm();
    }

    /// How long it takes until the gateway gives a call up, for HTTP clients that keep the time themselves.
    pub fn time_left(&self, call: CallId) -> Duration {
        self.gateway.call_deadline(call).map_or(Duration::ZERO, |deadline| deadline.since(self.now))
    }

    /// The gateway's settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// When the clock was read last.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Reads the clock, for what is handled until it is read again. Whoever brings news does it.
    pub fn read_clock(&mut self) -> Timestamp {
        self.now = self.clock.timestamp(R::now());
        self.now
    }

    /// A second owner of this, for a task.
    pub fn shared(&self) -> SharedShard<R> {
        // It is borrowed from its owner right now.
        self.me.upgrade().expect("somebody holds the shard while it runs")
    }

    /// Runs what the gateway asks for, and what comes of it, until it asks for nothing more.
    /// [`Shard::set_alarm`] has to follow at the end of the turn.
    pub(crate) fn run_actions(&mut self) {
        loop {
            self.queue.extend(self.out.actions.drain(..));
            match self.queue.pop_front() {
                Some(action) => self.run(action),
                None => break,
            }
        }
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn run(&mut self, action: Action) {
        match action {
            Action::Transmit(conn) => self.write(conn),
            Action::Resume(conn) => {
                if let Some(socket) = self.sockets.get(conn) {
                    socket.waker.wake_by_ref();
                }
            }
            Action::Shutdown(conn) => {
                if let Some(socket) = self.sockets.get(conn) {
                    socket.half_close = true;
                    self.half_close(conn);
                }
            }
            Action::Close(conn) => drop(self.sockets.remove(conn)),
            Action::Call { id, request, fresh } => R::call(self, id, request, fresh),
            Action::CancelCall(call) => self.runtime.cancel(call),
            Action::HandOff(conn, shard, handoff) => self.hand_off(conn, shard, handoff),
            Action::Route(shard, message) => self.route(shard, message),
            Action::Observe(conn) => {
                let figures = (self.hooks.observe)();
                self.handle(Event::Observed(conn, figures));
            }
            Action::Report(report) => (self.hooks.report)(report),
            Action::Drained => {
                if !self.drained {
                    self.drained = true;
                    self.post.worker_drained();
                }
            }
        }
    }

    fn hand_off(&mut self, conn: ConnId, shard: ShardId, handoff: Box<HandOff>) {
        if let Some(stream) = self.sockets.remove(conn) {
            self.post.send(shard, Letter::Socket(R::pack(stream), handoff));
        }
    }

    fn route(&mut self, shard: ShardId, message: RouteMessage) {
        if shard == self.id {
            self.handle(Event::Routed(message));
        } else {
            self.post.send(shard, Letter::Message(message));
        }
    }

    /// When something is to be done though nothing happens.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let gateway = self.gateway.poll_timeout().map(|(deadline, _reason)| deadline);
        gateway.into_iter().chain(self.runtime.deadline()).min()
    }

    /// Sees to it that the timer is not too late. One that is set too early is left alone: looking at the
    /// clock once too often is cheaper.
    pub fn set_alarm(&mut self) {
        if let Some(deadline) = self.deadline()
            && self.alarm.is_none_or(|alarm| deadline < alarm)
        {
            self.alarm_waker.wake_by_ref();
        }
    }

    /// Does what is due.
    pub(crate) fn expire(&mut self) {
        R::expire(self, self.now);
        if self.gateway.poll_timeout().is_some_and(|(deadline, _)| deadline <= self.now) {
            self.handle(Event::Timeout);
        }
        self.run_actions();
        self.set_alarm();
    }

    /// Closes everything, at the worker's end.
    pub(crate) fn close(&mut self) {
        self.sockets.clear();
        self.runtime.close();
    }
}
