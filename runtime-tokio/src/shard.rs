//! Everything that one worker's tasks share: its gateway, and how the gateway's actions are run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use tokio::task::spawn_local;
use ws2http_core::{
    Action, Config, ConnId, Event, Gateway, HandOff, Out, Peer, RouteMessage, ShardId, SocketEnd, Surface, Timestamp,
};

use crate::api::Api;
use crate::clock::Clock;
use crate::connection::ConnectionTask;
use crate::lanes::Lanes;
use crate::net::Net;
use crate::post::{Letter, Post};
use crate::sockets::Sockets;
use crate::worker::Hooks;

/// Room for what one read brings in. No connection has a buffer of its own.
const INPUT: usize = 16 * 1024;

/// A worker's tasks all run on its thread, and none waits while it holds this.
pub(crate) type SharedShard<N> = Rc<RefCell<Shard<N>>>;

pub(crate) struct Shard<N: Net> {
    me: Weak<RefCell<Shard<N>>>,
    id: ShardId,
    pub(crate) config: Arc<Config>,
    pub(crate) gateway: Gateway,
    clock: Clock,
    /// When the event that is being handled happened.
    pub(crate) now: Timestamp,
    pub(crate) out: Out,
    /// Actions that are not run yet, in the gateway's order.
    queue: VecDeque<Action>,
    pub(crate) sockets: Sockets<N::Stream>,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    pub(crate) lanes: Lanes,
    pub(crate) api: Rc<Api<N>>,
    post: Post<N>,
    hooks: Hooks,
    drained: bool,
    /// The worker is to end.
    pub(crate) finished: bool,
    /// When the worker's timer goes off, and how to have it look at the deadlines again.
    pub(crate) alarm: Option<Timestamp>,
    pub(crate) alarm_waker: Waker,
}

/// What a shard is made of.
pub(crate) struct ShardParts<N: Net> {
    pub(crate) id: ShardId,
    pub(crate) config: Arc<Config>,
    pub(crate) gateway: Gateway,
    pub(crate) clock: Clock,
    pub(crate) lanes: Lanes,
    pub(crate) api: Api<N>,
    pub(crate) post: Post<N>,
    pub(crate) hooks: Hooks,
}

impl<N: Net> Shard<N> {
    pub(crate) fn new(parts: ShardParts<N>) -> SharedShard<N> {
        let ShardParts { id, config, gateway, clock, lanes, api, post, hooks } = parts;
        Rc::new_cyclic(|me| {
            RefCell::new(Shard {
                me: me.clone(),
                id,
                config,
                gateway,
                clock,
                now: clock.now(),
                out: Out::new(),
                queue: VecDeque::new(),
                sockets: Sockets::new(),
                input: vec![0; INPUT].into_boxed_slice(),
                output: Vec::new(),
                lanes,
                api: Rc::new(api),
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
    pub(crate) fn accept(&mut self, stream: N::Stream, address: IpAddr, surface: Surface) {
        self.read_clock();
        let id = self.gateway.accept(self.now, Peer { address, surface }, &mut self.out);
        self.start(id, stream);
        self.run_actions();
    }

    /// Takes in what another worker, or the operator, sent.
    pub(crate) fn open_letter(&mut self, letter: Letter<N>) {
        self.read_clock();
        match letter {
            Letter::Socket(parcel, handoff) => self.adopt(parcel.and_then(N::unpack), *handoff),
            Letter::Message(message) => self.handle(Event::Routed(message)),
            Letter::Drain => self.handle(Event::Drain),
            Letter::Finish => self.finished = true,
        }
        self.run_actions();
    }

    fn adopt(&mut self, stream: std::io::Result<N::Stream>, handoff: HandOff) {
        let id = self.gateway.adopt(self.now, handoff, &mut self.out);
        match stream {
            Ok(stream) => self.start(id, stream),
            Err(error) => {
                tracing::warn!("a socket was lost on its way to its shard: {error}");
                self.handle(Event::SocketEnded(id, SocketEnd::Failed));
            }
        }
    }

    fn start(&mut self, id: ConnId, stream: N::Stream) {
        self.sockets.insert(id, stream);
        spawn_local(ConnectionTask { shard: self.shared(), id });
    }

    /// Tells the gateway something. [`Shard::run_actions`] has to follow.
    pub(crate) fn handle(&mut self, event: Event<'_>) {
        self.gateway.handle(self.now, event, &mut self.out);
    }

    /// Reads the clock, for what is handled until it is read again.
    pub(crate) fn read_clock(&mut self) {
        self.now = self.clock.now();
    }

    /// A second owner of this, for a task.
    pub(crate) fn shared(&self) -> SharedShard<N> {
        // It is borrowed from its owner right now.
        self.me.upgrade().expect("somebody holds the shard while it runs")
    }

    /// Runs what the gateway asks for, and what comes of it, until it asks for nothing more.
    pub(crate) fn run_actions(&mut self) {
        loop {
            self.queue.extend(self.out.actions.drain(..));
            match self.queue.pop_front() {
                Some(action) => self.run(action),
                None => break,
            }
        }
        self.set_alarm();
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn run(&mut self, action: Action) {
        match action {
            Action::Transmit(conn) => self.write(conn),
            Action::Resume(conn) => {
                if let Some(socket) = self.sockets.get(conn) {
                    socket.wake();
                }
            }
            Action::Shutdown(conn) => {
                if let Some(socket) = self.sockets.get(conn) {
                    socket.half_close = true;
                    self.half_close(conn);
                }
            }
            Action::Close(conn) => drop(self.sockets.remove(conn)),
            Action::Call { id, request, fresh } => self.call(id, request, fresh),
            Action::CancelCall(call) => self.lanes.cancel(call),
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
            self.post.send(shard, Letter::Socket(N::pack(stream), handoff));
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
        gateway.into_iter().chain(self.lanes.deadline()).min()
    }

    /// A timer that is set too early is left alone: looking at the clock once too often is cheaper.
    fn set_alarm(&mut self) {
        if let Some(deadline) = self.deadline()
            && self.alarm.is_none_or(|alarm| deadline < alarm)
        {
            self.alarm_waker.wake_by_ref();
        }
    }

    /// Does what is due.
    pub(crate) fn expire(&mut self) {
        self.lanes.close_expired(self.now);
        if self.gateway.poll_timeout().is_some_and(|(deadline, _)| deadline <= self.now) {
            self.handle(Event::Timeout);
        }
        self.run_actions();
    }

    /// Closes everything, at the worker's end.
    pub(crate) fn close(&mut self) {
        self.sockets.clear();
        self.lanes.clear();
    }
}
