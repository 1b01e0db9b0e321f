//! A lane: one connection to the API that serves one call after the other.
//!
//! As with clients' sockets, the connection stands in the worker's table: a call is written to it
//! at once, by whoever brought it about. The task is what the connection's reactor wakes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use tokio::task::spawn_local;
use ws2http_core::{Answer, CallError, CallId};
use ws2http_driver::{Shard, SharedShard, keep_alive};

use crate::lanes::LaneId;
use crate::net::Net;
use crate::runtime::Tokio;
use ws2http_api::Link;

/// Calls that one lane's task may end before the other tasks have their turn.
const ROUNDS: usize = 16;

/// The shard of a worker on tokio.
type TokioShard<N> = Shard<Tokio<N>>;

/// Has a call made, by an idle lane if one may be used, else by a new one.
pub(crate) fn call<N: Net>(shard: &mut TokioShard<N>, id: CallId, request: Request<Bytes>, fresh: bool) {
    while let Some(lane) = if fresh { None } else { shard.runtime.lanes.take_idle() } {
        if is_usable(&mut shard.runtime, lane) {
            shard.runtime.lanes.begin(lane, id);
            return send(shard, lane, request);
        }
        shard.runtime.lanes.close(lane);
    }
    let lane = shard.runtime.lanes.open(id);
    let task = spawn_local(run(shard.shared(), lane, request));
    shard.runtime.lanes.started(lane, task.abort_handle());
}

/// Whether the API, as far as is known here, has not closed an idle lane's connection.
fn is_usable<N: Net>(tokio: &mut Tokio<N>, lane: LaneId) -> bool {
    let link = tokio.lanes.link(lane);
    link.is_some_and(|(link, waker)| !link.has_ended(&mut tokio.input, &mut Context::from_waker(waker)))
}

fn send<N: Net>(shard: &mut TokioShard<N>, lane: LaneId, request: Request<Bytes>) {
    let limit = shard.config().max_message;
    let Tokio { lanes, output, .. } = &mut shard.runtime;
    if let Some((link, waker)) = lanes.link(lane) {
        link.send(request, limit, output, &mut Context::from_waker(waker));
    }
}

/// A lane's task.
async fn run<N: Net>(shard: SharedShard<Tokio<N>>, lane: LaneId, first: Request<Bytes>) {
    let api = Rc::clone(&shard.borrow().runtime.api);
    match api.connect().await {
        Ok(stream) => {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            opened(&mut shard.borrow_mut(), lane, Link::new(stream), first, &waker);
            poll_fn(|cx| poll(&mut shard.borrow_mut(), lane, cx)).await;
        }
        Err(error) => call_ended(&mut shard.borrow_mut(), lane, Err(CallError::Connect(error))),
    }
}

fn opened<N: Net>(
    shard: &mut TokioShard<N>,
    lane: LaneId,
    link: Link<N::Stream>,
    first: Request<Bytes>,
    waker: &Waker,
) {
    shard.runtime.lanes.connected(lane, link);
    shard.runtime.lanes.wake_by(lane, waker);
    send(shard, lane, first);
}

/// Moves a lane on. Ready when its task is of no more use.
fn poll<N: Net>(shard: &mut TokioShard<N>, lane: LaneId, cx: &mut Context<'_>) -> Poll<()> {
    shard.runtime.lanes.wake_by(lane, cx.waker());
    for _ in 0..ROUNDS {
        let Tokio { lanes, input, .. } = &mut shard.runtime;
        let Some((link, _)) = lanes.link(lane) else {
            return Poll::Ready(());
        };
        if link.is_idle() {
            if link.has_ended(input, cx) {
                lanes.lost(lane);
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        match link.poll_answer(input, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(answer) => call_ended(shard, lane, answer),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Tells the gateway how a call ended. Its lane is put by, or closed.
fn call_ended<N: Net>(shard: &mut TokioShard<N>, lane: LaneId, answer: Result<Answer, CallError>) {
    let now = shard.read_clock();
    let lanes = &mut shard.runtime.lanes;
    let Some((call, first)) = lanes.finish(lane) else {
        return;
    };
    let keep = answer.as_ref().ok().filter(|answer| answer.keep_alive);
    let keep = keep.and_then(|answer| keep_alive(answer.response.headers()));
    if !keep.is_some_and(|keep| lanes.put_by(lane, now + keep)) {
        lanes.close(lane);
    }
    let result = match answer {
        // The API cannot have closed a connection that it had kept.
        Err(CallError::Unsent) if first => {
            Err(CallError::Connect("the API closed the connection before the request was sent".to_owned()))
        }
        answer => answer.map(|answer| answer.response),
    };
    shard.reply(call, result);
}
