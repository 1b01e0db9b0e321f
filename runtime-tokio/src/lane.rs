//! A lane's task: one connection to the API that serves one call after the other.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::task::spawn_local;
use ws2http_core::{CallError, CallId, Event};

use crate::exchange::Link;
use crate::lanes::{KEEP_IDLE, LaneId, Order};
use crate::net::Net;
use crate::shard::{Shard, SharedShard};

impl<N: Net> Shard<N> {
    /// Has a call made, by an idle lane if one may be used, else by a new one.
    pub(crate) fn call(&mut self, id: CallId, request: Request<Bytes>, fresh: bool) {
        let order = (id, request);
        let order = if fresh { Some(order) } else { self.lanes.give_idle(order) };
        if let Some(order) = order {
            let lane = self.lanes.open(id);
            let task = spawn_local(run(self.shared(), lane, order));
            self.lanes.started(lane, task.abort_handle());
        }
    }

    /// Tells the gateway how a call ended. A lane that is put by for `keep` may find its next
    /// order at once; it ends if it is not, and then this gives false.
    fn call_ended(
        &mut self,
        lane: LaneId,
        call: CallId,
        result: Result<Response<Bytes>, CallError>,
        keep: Option<Duration>,
    ) -> bool {
        self.read_clock();
        self.lanes.forget(call);
        let stays = keep.is_some_and(|keep| self.lanes.put_by(lane, self.now + keep));
        if !stays {
            self.lanes.ended(lane);
        }
        self.handle(Event::Reply(call, result));
        self.run_actions();
        stays
    }

    /// An idle lane's connection was closed by the API.
    fn lane_lost(&mut self, lane: LaneId) {
        if let Some((call, _)) = self.lanes.ended(lane) {
            self.read_clock();
            self.lanes.forget(call);
            self.handle(Event::Reply(call, Err(CallError::Unsent)));
            self.run_actions();
        }
    }
}

async fn run<N: Net>(shard: SharedShard<N>, lane: LaneId, first: Order) {
    let (api, limit) = {
        let shard = shard.borrow();
        (shard.api.clone(), shard.config.max_message)
    };
    let (mut call, mut request) = first;
    let mut link = match api.connect().await {
        Ok(stream) => Link::open(stream).await,
        Err(error) => Err(error),
    };
    // Before the first answer, the API cannot have closed a connection that it had kept.
    let mut used = false;
    loop {
        let result = match &mut link {
            Ok(link) => link.exchange(request, limit).await,
            Err(error) => Err(CallError::Connect(error.clone())),
        };
        let keep = match (&link, &result) {
            (Ok(link), Ok(response)) if link.is_reusable() => keep_alive(response.headers()),
            _ => None,
        };
        let result = match result {
            Err(CallError::Unsent) if !used => {
                Err(CallError::Connect("the API closed the connection before the request was sent".to_owned()))
            }
            other => other,
        };
        used = true;
        if !shard.borrow_mut().call_ended(lane, call, result, keep) {
            return;
        }
        let Ok(link) = &mut link else {
            return;
        };
        match next_order(&shard, lane, link).await {
            Some(order) => (call, request) = order,
            None => return shard.borrow_mut().lane_lost(lane),
        }
    }
}

/// Waits for an order; `None` if the connection ends first.
async fn next_order<N: Net>(shard: &SharedShard<N>, lane: LaneId, link: &mut Link<N::Stream>) -> Option<Order> {
    poll_fn(|cx| {
        if let Some(order) = shard.borrow_mut().lanes.take_order(lane) {
            return Poll::Ready(Some(order));
        }
        if link.poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        shard.borrow_mut().lanes.wait(lane, cx.waker());
        Poll::Pending
    })
    .await
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
