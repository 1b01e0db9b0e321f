//! The driver of tier 1: what a shard of the gateway is told, and what it asks for.

use std::collections::VecDeque;
use std::time::Duration;

use ws2http_core::{Action, ConnId, Event, Gateway, HandOff, Out, ProcessStats, Report, SocketEnd, Timestamp};

use super::Feature;
use super::pipe::{PipeId, Place};
use super::world::{Step, World};
use crate::model::{Holdings, Observation};

/// One shard and its timer.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) gateway: Gateway,
    /// For when the timer is set.
    alarm: Option<Timestamp>,
    /// It stands still.
    pub(super) stalled_until: Timestamp,
    /// Something has been done since it was last looked at.
    touched: bool,
}

impl Shard {
    pub(super) fn new(gateway: Gateway) -> Self {
        Shard { gateway, alarm: None, stalled_until: Timestamp::ZERO, touched: false }
    }
}

impl World {
    /// Tells a shard what happened, and does what it asks for, in order.
    pub(super) fn tell(&mut self, shard: usize, event: Event<'_>) {
        self.note(|| format!("s{shard} {}", describe(&event)));
        let mut out = Out::new();
        self.shards[shard].gateway.handle(self.now, event, &mut out);
        self.carry_out(shard, out);
    }

    pub(super) fn carry_out(&mut self, shard: usize, out: Out) {
        let mut actions: VecDeque<Action> = out.actions.into();
        while let Some(action) = actions.pop_front() {
            self.note(|| format!("s{shard} -> {}", describe_action(&action)));
            let more = self.do_action(shard, action);
            actions.extend(more.actions);
        }
        self.shards[shard].touched = true;
        self.set_alarm(shard);
    }

    fn do_action(&mut self, shard: usize, action: Action) -> Out {
        let pipe = |world: &World, conn: ConnId| world.places.get(&(shard, conn)).copied();
        let mut more = Out::new();
        match action {
            Action::Transmit(conn) => {
                if let Some(pipe) = pipe(self, conn) {
                    self.transmit(shard, conn, pipe, &mut more);
                }
            }
            Action::Resume(conn) => {
                if let Some(pipe) = pipe(self, conn) {
                    self.pipes[pipe].interested = true;
                    self.plan_read(pipe);
                }
            }
            Action::Shutdown(conn) => {
                if let Some(pipe) = pipe(self, conn) {
                    self.send_fin(pipe);
                }
            }
            Action::Close(conn) => {
                if let Some(pipe) = self.places.remove(&(shard, conn)) {
                    self.gateway_closes(pipe);
                    self.plan_stale(shard, conn);
                }
            }
            Action::Call { id, request, fresh } => self.call(shard, id, request, fresh),
            Action::CancelCall(id) => self.cancel_call(shard, id),
            Action::HandOff(conn, to, handoff) => self.hand_off(shard, conn, usize::from(to.0), handoff),
            Action::Route(to, message) => {
                let time = self.draw.time(self.plan.shard_latency.0, self.plan.shard_latency.1);
                self.after(time, Step::Routed(usize::from(to.0), message));
            }
            Action::Observe(conn) => {
                let event = Event::Observed(conn, ProcessStats::default());
                self.shards[shard].gateway.handle(self.now, event, &mut more);
            }
            Action::Report(report) => self.report(report),
            Action::Drained => {
                self.drained += 1;
                if self.drained == self.shards.len() {
                    self.see(Observation::Drained);
                }
            }
        }
        more
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::CallFailed { .. } => self.count("reports of failed calls"),
            Report::DisconnectLost { connection, .. } => {
                self.count("disconnects lost");
                self.see(Observation::DisconnectLost(connection));
            }
            Report::MessagesLost { .. } => self.count("reports of messages lost"),
        }
    }

    pub(super) fn accept(&mut self, pipe: PipeId) {
        let Place::Accepting(shard) = self.pipes[pipe].place else { return };
        let peer = self.pipes[pipe].peer;
        let mut out = Out::new();
        let conn = self.shards[shard].gateway.accept(self.now, peer, &mut out);
        self.note(|| format!("s{shard} accept {conn} (pipe {pipe})"));
        self.placed(shard, conn, pipe, out);
    }

    pub(super) fn adopt(&mut self, shard: usize, pipe: PipeId, handoff: HandOff) {
        let mut out = Out::new();
        let conn = self.shards[shard].gateway.adopt(self.now, handoff, &mut out);
        self.note(|| format!("s{shard} adopt {conn} (pipe {pipe})"));
        self.placed(shard, conn, pipe, out);
    }

    fn placed(&mut self, shard: usize, conn: ConnId, pipe: PipeId, out: Out) {
        self.places.insert((shard, conn), pipe);
        self.pipes[pipe].place = Place::At(shard, conn);
        self.pipes[pipe].interested = true;
        self.carry_out(shard, out);
        self.plan_read(pipe);
    }

    fn hand_off(&mut self, shard: usize, conn: ConnId, to: usize, handoff: Box<HandOff>) {
        self.count("hand-offs");
        let Some(pipe) = self.places.remove(&(shard, conn)) else { return };
        self.pipes[pipe].place = Place::Moving;
        let time = self.draw.time(self.plan.shard_latency.0, self.plan.shard_latency.1);
        self.after(time, Step::Adopt(to, pipe, handoff));
        self.plan_stale(shard, conn);
    }

    /// Like the driver's: a timer that is set too early is left alone.
    fn set_alarm(&mut self, shard: usize) {
        let Some((due, _)) = self.shards[shard].gateway.poll_timeout() else { return };
        if self.shards[shard].alarm.is_some_and(|alarm| alarm <= due) {
            return;
        }
        self.shards[shard].alarm = Some(due);
        let late = match self.has(Feature::LateWakes) {
            true => self.draw.time(Duration::ZERO, self.plan.lateness),
            false => Duration::ZERO,
        };
        self.queue.push(due.max(self.now) + late, Step::Wake(shard));
        if self.chance(Feature::EarlyWakes, 10) {
            let time = self.draw.time(Duration::ZERO, due.since(self.now));
            self.after(time, Step::WakeEarly(shard));
        }
    }

    pub(super) fn wake(&mut self, shard: usize) {
        self.shards[shard].alarm = None;
        let due = self.shards[shard].gateway.poll_timeout().is_some_and(|(due, _)| due <= self.now);
        if due {
            self.tell(shard, Event::Timeout);
            let again = self.shards[shard].gateway.poll_timeout().filter(|(due, _)| *due <= self.now);
            if let Some((due, reason)) = again {
                let text = format!("shard {shard} wants to be woken at {due} for {reason:?}, which has passed");
                self.faults.push(text);
            }
        }
        self.set_alarm(shard);
    }

    pub(super) fn stall(&mut self, shard: usize, time: Duration) {
        self.count("stalls");
        self.note(|| format!("s{shard} stands still for {time:?}"));
        let until = &mut self.shards[shard].stalled_until;
        *until = (*until).max(self.now + time);
    }

    fn plan_stale(&mut self, shard: usize, conn: ConnId) {
        if self.chance(Feature::StaleEvents, 40) {
            let time = self.draw.time(Duration::ZERO, Duration::from_millis(50));
            let which = self.draw.below(4) as u8;
            self.after(time, Step::Stale(shard, conn, which));
        }
    }

    pub(super) fn stale(&mut self, shard: usize, conn: ConnId, which: u8) {
        let mut noise = *b"\x81\x80\0\0\0\0GET / HTTP/1.1\r\n\r\n";
        let event = match which {
            0 => Event::Received(conn, &mut noise),
            1 => Event::Sent(conn, 10),
            2 => Event::SocketEnded(conn, SocketEnd::Eof),
            _ => Event::SocketEnded(conn, SocketEnd::Reset),
        };
        self.tell(shard, event);
    }

    /// Holds what each shard that did something holds against the limits.
    pub(super) fn look_inside(&mut self) {
        for shard in 0..self.shards.len() {
            if std::mem::take(&mut self.shards[shard].touched) {
                let holdings = self.holdings(shard);
                self.model.observe(self.now, Observation::Holdings(holdings));
            }
        }
    }

    pub(super) fn holdings(&self, shard: usize) -> Holdings {
        let gateway = &self.shards[shard].gateway;
        let held = gateway.holdings();
        Holdings {
            shard: shard as u16,
            sockets: held.sockets as u64,
            sessions: held.sessions as u64,
            calls_in_flight: held.calls_in_flight as u64,
            calls_waiting: held.calls_waiting as u64,
            messages: held.messages as u64,
            chunks: held.chunks as u64,
            send_bytes: held.send_bytes as u64,
            most_messages: held.most_messages as u64,
            most_message_bytes: held.most_message_bytes as u64,
            most_send_bytes: held.most_send_bytes as u64,
            timer: gateway.poll_timeout().is_some(),
        }
    }
}

fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Received(conn, bytes) => format!("received {} bytes from {conn}", bytes.len()),
        Event::Sent(conn, count) => format!("sent {count} to {conn}"),
        Event::Reply(call, Ok(response)) => format!("reply to {call}: {} {:?}", response.status(), response.body()),
        Event::SocketEnded(..)
        | Event::Reply(..)
        | Event::Routed(_)
        | Event::Observed(..)
        | Event::Timeout
        | Event::Drain => format!("{event:?}"),
    }
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::Call { id, request, fresh } => {
            let fresh = if *fresh { " (fresh)" } else { "" };
            format!("call {id}{fresh}: {} {} {:?}", request.method(), request.uri(), request.body())
        }
        Action::HandOff(conn, to, _) => format!("hand off {conn} to {to}"),
        Action::Route(..)
        | Action::Transmit(_)
        | Action::Resume(_)
        | Action::Shutdown(_)
        | Action::Close(_)
        | Action::CancelCall(_)
        | Action::Observe(_)
        | Action::Report(_)
        | Action::Drained => format!("{action:?}"),
    }
}
