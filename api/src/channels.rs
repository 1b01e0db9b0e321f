//! Which HTTP/2 connection serves which call, and which calls wait for one.
//!
//! A channel is one connection to the API with a task of its own (`channel.rs`).

use std::collections::VecDeque;

use bytes::Bytes;
use http::Request;
use slab::Slab;
use ws2http_core::{CallId, Timestamp};
use ws2http_driver::KEEP_IDLE;

use crate::streams::{Ended, MOST_STREAMS, Room, StreamKey, Streams};

/// Names a channel of its worker. Used again only after its task has ended.
pub(crate) type ChannelId = usize;

/// For how long no connection is opened beside others after one could not be opened.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

struct Channel<T> {
    /// It ends when this is dropped.
    _task: Option<T>,
    /// `None` while the connection is being opened, and when it is of no more use.
    streams: Option<Streams>,
    /// It takes no more calls: those under way are its last ones.
    leaving: bool,
    /// It stands in [`Channels::roomy`].
    roomy: bool,
    /// When it is closed unless another call comes; `None` while there are calls.
    idle_until: Option<Timestamp>,
}

#[derive(Clone, Copy)]
enum Place {
    Waiting,
    On(ChannelId, StreamKey),
}

/// The HTTP/2 connections of one worker, with their tasks.
pub struct Channels<T> {
    channels: Slab<Channel<T>>,
    /// Channels that may have room; the last one is used first, so that superfluous ones stay idle.
    roomy: Vec<ChannelId>,
    /// How many are being opened.
    opening: usize,
    /// How many calls a connection serves at once, as far as is known.
    most: usize,
    /// Calls that no channel has room for, in order.
    waiting: VecDeque<(CallId, Request<Bytes>)>,
    /// Where each call is, by the call's slot.
    calls: Vec<Option<(CallId, Place)>>,
    idle: usize,
    max_idle: usize,
    /// When to look for idle channels to close; perhaps too early, never too late.
    sweep: Option<Timestamp>,
    /// When this was told the time.
    now: Timestamp,
    /// When a connection could not be opened.
    failed: Option<Timestamp>,
}

impl<T> Channels<T> {
    /// None yet; idle ones are kept up to so many.
    pub fn new(max_idle: usize) -> Self {
        Channels {
            channels: Slab::new(),
            roomy: Vec::new(),
            opening: 0,
            most: MOST_STREAMS,
            waiting: VecDeque::new(),
            calls: Vec::new(),
            idle: 0,
            max_idle,
            sweep: None,
            now: Timestamp::ZERO,
            failed: None,
        }
    }

    /// Gives a call to a channel that has room, or has it wait for one.
    pub(crate) fn place(&mut self, call: CallId, request: Request<Bytes>) {
        match self.find_room() {
            Some(id) => self.begin(id, call, request),
            None => {
                self.note(call, Place::Waiting);
                self.waiting.push_back((call, request));
            }
        }
    }

    fn find_room(&mut self) -> Option<ChannelId> {
        while let Some(&id) = self.roomy.last() {
            let channel = &mut self.channels[id];
            let room = channel.streams.as_mut().map_or(Room::Gone, Streams::room);
            if room == Room::Free && !channel.leaving {
                return Some(id);
            }
            channel.leaving |= room == Room::Gone;
            channel.roomy = false;
            self.roomy.pop();
        }
        None
    }

    fn begin(&mut self, id: ChannelId, call: CallId, request: Request<Bytes>) {
        let channel = &mut self.channels[id];
        let Some(streams) = &mut channel.streams else { return };
        let key = streams.send(call, request);
        self.idle -= usize::from(channel.idle_until.take().is_some());
        self.note(call, Place::On(id, key));
    }

    fn note(&mut self, call: CallId, place: Place) {
        let slot = call.slot as usize;
        if slot >= self.calls.len() {
            self.calls.resize(slot + 1, None);
        }
        self.calls[slot] = Some((call, place));
    }

    fn forget(&mut self, call: CallId) -> Option<Place> {
        let noted = self.calls.get_mut(call.slot as usize)?.take_if(|(noted, _)| *noted == call);
        noted.map(|(_, place)| place)
    }

    /// Some call waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many more connections the waiting calls need.
    pub(crate) fn missing(&mut self, now: Timestamp) -> usize {
        self.failed.take_if(|failed| *failed + PAUSE <= now);
        let coming = self.opening.saturating_mul(self.most);
        if self.failed.is_some() && self.serves() {
            0
        } else {
            self.waiting.len().saturating_sub(coming).div_ceil(self.most)
        }
    }

    /// Some connection is open and takes calls.
    fn serves(&self) -> bool {
        self.channels.iter().any(|(_, channel)| channel.streams.is_some() && !channel.leaving)
    }

    /// A place for a new channel.
    pub(crate) fn open(&mut self) -> ChannelId {
        self.opening += 1;
        let none = Channel { _task: None, streams: None, leaving: false, roomy: false, idle_until: None };
        self.channels.insert(none)
    }

    /// Names the task of a new channel.
    pub(crate) fn started(&mut self, id: ChannelId, task: T) {
        self.channels[id]._task = Some(task);
    }

    /// A new channel's connection is open: it takes the calls that wait.
    pub(crate) fn opened(&mut self, id: ChannelId, streams: Streams, now: Timestamp) {
        self.now = now;
        self.opening -= 1;
        self.failed = None;
        self.channels[id].streams = Some(streams);
        self.freed(id);
    }

    /// A new channel's connection cannot be opened. Returns the calls that shall not wait any longer:
    /// none if another connection may serve them.
    pub(crate) fn not_opened(&mut self, id: ChannelId, now: Timestamp) -> Vec<CallId> {
        self.now = now;
        self.failed = Some(now);
        self.opening -= 1;
        self.channels.remove(id);
        if self.opening > 0 || self.serves() {
            return Vec::new();
        }
        let calls: Vec<_> = self.waiting.drain(..).map(|(call, _)| call).collect();
        for call in &calls {
            self.forget(*call);
        }
        calls
    }

    /// A channel's connection has ended; [`Channels::next_ended`] has its calls.
    pub(crate) fn cut_off(&mut self, id: ChannelId, how: String) {
        let channel = &mut self.channels[id];
        channel.leaving = true;
        if let Some(streams) = &mut channel.streams {
            streams.cut_off(how);
        }
    }

    /// The next call of a channel that has ended. Another call takes its place.
    pub(crate) fn next_ended(&mut self, id: ChannelId, now: Timestamp) -> Option<(CallId, Ended)> {
        self.now = now;
        let (call, ended) = self.channels[id].streams.as_mut()?.next_ended()?;
        self.forget(call);
        self.freed(id);
        Some((call, ended))
    }

    /// Gives a call up.
    pub fn cancel(&mut self, call: CallId) {
        match self.forget(call) {
            None => {}
            Some(Place::Waiting) => {
                // Those that are given up have mostly waited longest.
                let at = self.waiting.iter().position(|(waiting, _)| *waiting == call);
                at.and_then(|at| self.waiting.remove(at));
            }
            Some(Place::On(id, key)) => {
                let channel = &mut self.channels[id];
                // An API that has vanished would let the calls after this one time out as well.
                channel.leaving |= channel.streams.as_mut().is_some_and(|streams| streams.cancel(key));
                self.freed(id);
            }
        }
    }

    /// A channel has, or may have, room. Without any call it is idle, or closed.
    fn freed(&mut self, id: ChannelId) {
        self.fill(id);
        let channel = &mut self.channels[id];
        if !channel.streams.as_ref().is_some_and(Streams::is_empty) {
            return;
        }
        if channel.leaving || self.idle >= self.max_idle {
            return self.close(id);
        }
        let until = self.now + KEEP_IDLE;
        self.idle += usize::from(channel.idle_until.replace(until).is_none());
        self.sweep = Some(self.sweep.map_or(until, |sweep| sweep.min(until)));
    }

    /// A channel may have room, because a call has ended or the API takes more of them now: those that
    /// wait take it, or the next ones will.
    pub(crate) fn fill(&mut self, id: ChannelId) {
        let channel = &mut self.channels[id];
        if let Some(streams) = channel.streams.as_ref().filter(|_| !channel.leaving) {
            self.most = streams.most().max(1);
            if !std::mem::replace(&mut channel.roomy, true) {
                self.roomy.push(id);
            }
        }
        while !self.waiting.is_empty()
            && let Some(id) = self.find_room()
            && let Some((call, request)) = self.waiting.pop_front()
        {
            self.begin(id, call, request);
        }
    }

    /// Lets go of a channel without calls. Its task says good-bye to the API, and ends.
    fn close(&mut self, id: ChannelId) {
        let channel = &mut self.channels[id];
        channel.leaving = true;
        channel.streams = None;
        self.idle -= usize::from(channel.idle_until.take().is_some());
    }

    /// A channel's task ends.
    pub(crate) fn remove(&mut self, id: ChannelId) {
        self.close(id);
        self.channels.remove(id);
        self.roomy.retain(|roomy| *roomy != id);
    }

    /// When [`crate::expire`] is to be called.
    pub fn deadline(&self) -> Option<Timestamp> {
        let pause = self.failed.filter(|_| self.has_waiting()).map(|failed| failed + PAUSE);
        self.sweep.into_iter().chain(pause).min()
    }

    /// Closes the connections that have been idle for too long.
    pub(crate) fn close_expired(&mut self, now: Timestamp) {
        if self.sweep.is_none_or(|sweep| now < sweep) {
            return;
        }
        let idle = self.channels.iter().filter_map(|(id, channel)| channel.idle_until.map(|until| (id, until)));
        let (expired, later): (Vec<_>, Vec<_>) = idle.partition(|(_, until)| *until <= now);
        for (id, _) in expired {
            self.close(id);
        }
        self.sweep = later.into_iter().map(|(_, until)| until).min();
    }

    /// Closes all connections.
    pub fn clear(&mut self) {
        self.channels.clear();
        self.roomy.clear();
        self.waiting.clear();
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use h2::client::Builder;

    use super::*;

    #[tokio::test]
    async fn calls_that_wait_have_a_connection_opened_after_the_pause() {
        let (stream, _api) = tokio::io::duplex(1000);
        let opened = Builder::new().initial_max_send_streams(1).handshake(stream).await;
        let (send, _connection) = opened.expect("nothing is asked for");
        let at = |millis| Timestamp::ZERO + std::time::Duration::from_millis(millis);
        let mut channels = Channels::<()>::new(10);
        let first = channels.open();
        channels.opened(first, Streams::new(send, Default::default(), 100), at(0));
        for slot in 0..2 {
            let request = Request::get("http://api.test/id").body(Bytes::new()).expect("a valid request");
            channels.place(CallId { slot, generation: 0 }, request);
        }
        assert_eq!(channels.missing(at(0)), 1);
        let second = channels.open();
        assert!(channels.not_opened(second, at(10)).is_empty());
        assert_eq!(channels.missing(at(1009)), 0);
        assert!(channels.deadline().is_some_and(|deadline| deadline <= at(1010)), "{:?}", channels.deadline());
        assert_eq!(channels.missing(at(1010)), 1);
    }
}
