//! A lane: one connection to the API that serves one call after the other.
//!
//! As with clients' sockets, the connections stand in the worker's table: a call is written at once,
//! by whoever brought it about, and one task takes the answers of all.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use tokio::task::coop::unconstrained;
use tokio::task::spawn_local;
use ws2http_core::{Answer, CallError, CallId};
use ws2http_driver::{Shard, SharedShard, keep_alive};

use crate::lanes::LaneId;
use crate::net::Net;
use crate::runtime::Tokio;
use ws2http_api::Link;

/// Lanes that are looked at before the other tasks have their turn.
const LANES_IN_A_TURN: usize = 128;

/// The shard of a worker on tokio.
type TokioShard<N> = Shard<Tokio<N>>;

/// Has a call made, by an idle lane if one may be used, else by a new one.
pub(crate) fn call<N: Net>(shard: &mut TokioShard<N>, id: CallId, request: Request<Bytes>, fresh: bool) {
    let now = shard.now();
    while let Some(lane) = if fresh { None } else { shard.runtime.lanes.take_idle(now) } {
        if is_usable(&mut shard.runtime, lane) {
            shard.runtime.lanes.begin(lane, id);
            return send(shard, lane, request);
        }
        shard.runtime.lanes.close(lane);
    }
    if shard.runtime.lanes.task.is_none() {
        let task = spawn_local(unconstrained(run(shard.shared())));
        shard.runtime.lanes.task = Some(task.abort_handle());
    }
    let lane = shard.runtime.lanes.open(id);
    let task = spawn_local(open(shard.shared(), lane, request));
    shard.runtime.lanes.started(lane, task.abort_handle());
}

/// Whether the API, as far as is known here, has not closed an idle lane's connection.
fn is_usable<N: Net>(tokio: &mut Tokio<N>, lane: LaneId) -> bool {
    let link = tokio.lanes.link(lane);
    link.is_some_and(|(link, mut cx)| !link.has_ended(&mut tokio.input, &mut cx))
}

fn send<N: Net>(shard: &mut TokioShard<N>, lane: LaneId, request: Request<Bytes>) {
    let limit = shard.config().max_message;
    let Tokio { lanes, output, .. } = &mut shard.runtime;
    if let Some((link, mut cx)) = lanes.link(lane) {
        link.send(request, limit, output, &mut cx);
    }
}

/// Opens a lane's connection for its first call.
async fn open<N: Net>(shard: SharedShard<Tokio<N>>, lane: LaneId, first: Request<Bytes>) {
    let api = Rc::clone(&shard.borrow().runtime.api);
    let opened = api.connect().await;
    let shard = &mut *shard.borrow_mut();
    match opened {
        Ok(stream) => {
            shard.runtime.lanes.connected(lane, Link::new(stream));
            send(shard, lane, first);
            poll_lane(shard, lane);
        }
        Err(error) => call_ended(shard, lane, Err(CallError::Connect(error))),
    }
}

/// The task of all lanes.
async fn run<N: Net>(shard: SharedShard<Tokio<N>>) {
    poll_fn(|cx| {
        poll_lanes(&mut shard.borrow_mut(), cx);
        Poll::Pending
    })
    .await
}

fn poll_lanes<N: Net>(shard: &mut TokioShard<N>, cx: &mut Context<'_>) {
    shard.runtime.lanes.ready.look(cx.waker());
    for _ in 0..LANES_IN_A_TURN {
        let Some(lane) = shard.runtime.lanes.ready.next_due() else { return };
        poll_lane(shard, lane);
    }
    if shard.runtime.lanes.ready.has_due() {
        cx.waker().wake_by_ref();
    }
}

/// Takes a lane's answer, as far as it has come in.
fn poll_lane<N: Net>(shard: &mut TokioShard<N>, lane: LaneId) {
    let Tokio { lanes, input, .. } = &mut shard.runtime;
    let Some((link, mut cx)) = lanes.link(lane) else { return };
    if link.is_idle() {
        if link.has_ended(input, &mut cx) {
            lanes.lost(lane);
        }
    } else if let Poll::Ready(answer) = link.poll_answer(input, &mut cx) {
        // The lane that is kept has been asked for its end: it is looked at again when something comes in.
        call_ended(shard, lane, answer);
    }
}

/// Tells the gateway how a call ended. Its lane is put by, or closed.
fn call_ended<N: Net>(shard: &mut TokioShard<N>, lane: LaneId, answer: Result<Answer, CallError>) {
    let now = shard.read_clock();
    let lanes = &mut shard.runtime.lanes;
    let Some(call) = lanes.finish(lane) else { return };
    let keep = answer.as_ref().ok().filter(|answer| answer.keep_alive);
    let keep = keep.and_then(|answer| keep_alive(answer.response.headers()));
    if !keep.is_some_and(|keep| lanes.put_by(lane, now + keep)) {
        lanes.close(lane);
    }
    shard.reply(call, answer.map(|answer| answer.response));
}
