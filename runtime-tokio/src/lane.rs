//! A lane's task: one connection to the API that serves one call after the other.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::task::spawn_local;
use ws2http_core::{CallError, CallId};
use ws2http_driver::{Shard, SharedShard, keep_alive};

use crate::exchange::Link;
use crate::lanes::{LaneId, Order};
use crate::net::Net;
use crate::runtime::Tokio;

/// The shard of a worker on tokio.
type TokioShard<N> = Shard<Tokio<N>>;

/// Has a call made, by an idle lane if one may be used, else by a new one.
pub(crate) fn call<N: Net>(shard: &mut TokioShard<N>, id: CallId, request: Request<Bytes>, fresh: bool) {
    let order = (id, request);
    let order = if fresh { Some(order) } else { shard.runtime.lanes.give_idle(order) };
    if let Some(order) = order {
        let lane = shard.runtime.lanes.open(id);
        let task = spawn_local(run(shard.shared(), lane, order));
        shard.runtime.lanes.started(lane, task.abort_handle());
    }
}

/// Tells the gateway how a call ended. A lane that is put by for `keep` may find its next order at
/// once; it ends if it is not, and then this gives false.
fn call_ended<N: Net>(
    shard: &mut TokioShard<N>,
    lane: LaneId,
    call: CallId,
    result: Result<Response<Bytes>, CallError>,
    keep: Option<Duration>,
) -> bool {
    let now = shard.read_clock();
    let lanes = &mut shard.runtime.lanes;
    lanes.forget(call);
    let stays = keep.is_some_and(|keep| lanes.put_by(lane, now + keep));
    if !stays {
        lanes.ended(lane);
    }
    shard.reply(call, result);
    stays
}

/// An idle lane's connection was closed by the API.
fn lane_lost<N: Net>(shard: &mut TokioShard<N>, lane: LaneId) {
    if let Some((call, _)) = shard.runtime.lanes.ended(lane) {
        shard.read_clock();
        shard.runtime.lanes.forget(call);
        shard.reply(call, Err(CallError::Unsent));
    }
}

async fn run<N: Net>(shard: SharedShard<Tokio<N>>, lane: LaneId, first: Order) {
    let (api, limit) = {
        let shard = shard.borrow();
        (Rc::clone(&shard.runtime.api), shard.config().max_message)
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
        if !call_ended(&mut shard.borrow_mut(), lane, call, result, keep) {
            return;
        }
        let Ok(link) = &mut link else {
            return;
        };
        match next_order(&shard, lane, link).await {
            Some(order) => (call, request) = order,
            None => return lane_lost(&mut shard.borrow_mut(), lane),
        }
    }
}

/// Waits for an order; `None` if the connection ends first.
async fn next_order<N: Net>(shard: &SharedShard<Tokio<N>>, lane: LaneId, link: &mut Link<N::Stream>) -> Option<Order> {
    poll_fn(|cx| {
        if let Some(order) = shard.borrow_mut().runtime.lanes.take_order(lane) {
            return Poll::Ready(Some(order));
        }
        if link.poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        shard.borrow_mut().runtime.lanes.wait(lane, cx.waker());
        Poll::Pending
    })
    .await
}
