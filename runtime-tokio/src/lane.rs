//! A lane: one connection to the API that serves one call after the other.
//!
//! As with clients' sockets, the connection stands in the worker's table: a call is written to it
//! at once, by whoever brought it about. The task is what the connection's reactor wakes.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::task::spawn_local;
use ws2http_core::{Answer, CallError, CallId, Event};

use crate::exchange::Link;
use crate::lanes::{KEEP_IDLE, LaneId};
use crate::net::Net;
use crate::shard::{Shard, SharedShard};

/// Calls that one lane's task may end before the other tasks have their turn.
const ROUNDS: usize = 16;

impl<N: Net> Shard<N> {
    /// Has a call made, by an idle lane if one may be used, else by a new one.
    pub(crate) fn call(&mut self, id: CallId, request: Request<Bytes>, fresh: bool) {
        while let Some(lane) = if fresh { None } else { self.lanes.take_idle() } {
            if self.is_usable(lane) {
                self.lanes.begin(lane, id);
                return self.send(lane, request);
            }
            self.lanes.close(lane);
        }
        let lane = self.lanes.open(id);
        let task = spawn_local(run(self.shared(), lane, request));
        self.lanes.started(lane, task.abort_handle());
    }

    /// Whether the API, as far as is known here, has not closed an idle lane's connection.
    fn is_usable(&mut self, lane: LaneId) -> bool {
        let link = self.lanes.link(lane);
        link.is_some_and(|(link, waker)| !link.has_ended(&mut self.input, &mut Context::from_waker(waker)))
    }

    fn lane_opened(&mut self, lane: LaneId, link: Link<N::Stream>, first: Request<Bytes>, waker: &Waker) {
        self.lanes.connected(lane, link);
        self.lanes.wake_by(lane, waker);
        self.send(lane, first);
    }

    fn send(&mut self, lane: LaneId, request: Request<Bytes>) {
        if let Some((link, waker)) = self.lanes.link(lane) {
            let limit = self.config.max_message;
            link.send(request, limit, &mut self.output, &mut Context::from_waker(waker));
        }
    }

    /// Moves a lane on. Ready when its task is of no more use.
    fn poll_lane(&mut self, lane: LaneId, cx: &mut Context<'_>) -> Poll<()> {
        self.lanes.wake_by(lane, cx.waker());
        for _ in 0..ROUNDS {
            let Some((link, _)) = self.lanes.link(lane) else {
                return Poll::Ready(());
            };
            if link.is_idle() {
                if link.has_ended(&mut self.input, cx) {
                    self.lanes.lost(lane);
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            match link.poll_answer(&mut self.input, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(answer) => self.call_ended(lane, answer),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the gateway how a call ended. Its lane is put by, or closed.
    fn call_ended(&mut self, lane: LaneId, answer: Result<Answer, CallError>) {
        self.read_clock();
        let Some((call, first)) = self.lanes.finish(lane) else {
            return;
        };
        let keep = answer.as_ref().ok().filter(|answer| answer.keep_alive);
        let keep = keep.and_then(|answer| keep_alive(answer.response.headers()));
        if !keep.is_some_and(|keep| self.lanes.put_by(lane, self.now + keep)) {
            self.lanes.close(lane);
        }
        let result = match answer {
            // The API cannot have closed a connection that it had kept.
            Err(CallError::Unsent) if first => {
                Err(CallError::Connect("the API closed the connection before the request was sent".to_owned()))
            }
            answer => answer.map(|answer| answer.response),
        };
        self.handle(Event::Reply(call, result));
        self.run_actions();
    }
}

async fn run<N: Net>(shard: SharedShard<N>, lane: LaneId, first: Request<Bytes>) {
    let api = shard.borrow().api.clone();
    match api.connect().await {
        Ok(stream) => {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            shard.borrow_mut().lane_opened(lane, Link::new(stream), first, &waker);
            poll_fn(|cx| shard.borrow_mut().poll_lane(lane, cx)).await;
        }
        Err(error) => shard.borrow_mut().call_ended(lane, Err(CallError::Connect(error))),
    }
}

/// For how long the connection of an answer may be kept: a little less than the API says that it
/// keeps it (`Keep-Alive: timeout=N`, seconds), so that no call meets its end.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let told = headers
        .get_all("keep-alive")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|parameter| {
            let (name, seconds) = parameter.split_once('=')?;
            let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
            is_timeout.then(|| seconds.trim().trim_matches('"').parse::<u32>().ok())?
        });
    let keep = match told {
        None => KEEP_IDLE,
        Some(seconds) => {
            let told = Duration::from_secs(seconds.into());
            told.saturating_sub(Duration::from_secs(1).min(told / 2)).min(KEEP_IDLE)
        }
    };
    (!keep.is_zero()).then_some(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("keep-alive", http::HeaderValue::from_static(value));
        keep_alive(&headers)
    }

    #[test]
    fn a_lane_is_given_up_before_the_api_gives_it_up() {
        assert_eq!(keep_alive(&HeaderMap::new()), Some(Duration::from_secs(15)));
        assert_eq!(keep("timeout=5, max=100"), Some(Duration::from_secs(4)));
        assert_eq!(keep("max=100, Timeout = \"3\""), Some(Duration::from_secs(2)));
        assert_eq!(keep("timeout=1"), Some(Duration::from_millis(500)));
        assert_eq!(keep("timeout=0"), None);
        assert_eq!(keep("timeout=600"), Some(Duration::from_secs(15)));
        assert_eq!(keep("timeout=soon"), Some(Duration::from_secs(15)));
    }
}
