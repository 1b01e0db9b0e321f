//! One call to the API, by isahc.

use std::error::Error;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_io::AsyncRead;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Request, Response, StatusCode, Version};
use isahc::AsyncBody;
use isahc::error::ErrorKind;
use smol::future::poll_fn;
use ws2http_api::Api;
use ws2http_core::{CallError, CallId, Timestamp};
use ws2http_driver::{Shard, SharedShard, keep_alive};

use crate::client::{Http, Kind};
use crate::own;
use crate::request;
use crate::runtime::Smol;

/// Room for an answer whose length is not known.
const SOME: usize = 1024;

/// Has a call made by a task of its own.
pub(crate) fn call(shard: &mut Shard<Smol>, id: CallId, request: Request<Bytes>, fresh: bool) {
    if request::is_beyond_isahc(&request) {
        let task = shard.runtime.executor.spawn(run_own(shard.shared(), id, request));
        return shard.runtime.started(id, None, task);
    }
    let kind = request::kind(&request, fresh);
    let timeout = shard.time_left(id);
    let now = shard.read_clock();
    let client = shard.runtime.clients.enter(kind, now);
    let task = shard.runtime.executor.spawn(run(shard.shared(), id, kind, client, request, timeout));
    shard.runtime.started(id, Some(kind), task);
}

async fn run(
    shard: SharedShard<Smol>,
    id: CallId,
    kind: Kind,
    client: Result<Rc<Http>, CallError>,
    request: Request<Bytes>,
    timeout: Duration,
) {
    let limit = shard.borrow().config().max_message;
    let api = Rc::clone(&shard.borrow().runtime.api);
    let result = match client {
        Ok(http) => exchange(&http, &api, request, kind, timeout, limit).await,
        Err(error) => Err(error),
    };
    let mut shard = shard.borrow_mut();
    let now = shard.read_clock();
    match &result {
        Ok(response) => shard.runtime.clients.keep(keep_alive(response.headers()), now),
        Err(CallError::Broken(_)) if kind == Kind::Kept => shard.runtime.clients.distrust(now),
        Err(_) => {}
    }
    reply(&mut shard, id, now, result);
}

/// The same without isahc.
async fn run_own(shard: SharedShard<Smol>, id: CallId, request: Request<Bytes>) {
    let api = Rc::clone(&shard.borrow().runtime.api);
    let limit = shard.borrow().config().max_message;
    let result = own::exchange(&api, request, limit).await;
    let mut shard = shard.borrow_mut();
    let now = shard.read_clock();
    reply(&mut shard, id, now, result);
}

fn reply(shard: &mut Shard<Smol>, id: CallId, now: Timestamp, result: Result<Response<Bytes>, CallError>) {
    // This is the task; it has not quite ended.
    if let Some(task) = shard.runtime.ended(id, Some(now)) {
        task.detach();
    }
    shard.reply(id, result);
}

/// Sends a request and collects its answer, of at most `limit` bytes.
async fn exchange(
    http: &Http,
    api: &Api<Smol>,
    request: Request<Bytes>,
    kind: Kind,
    timeout: Duration,
    limit: usize,
) -> Result<Response<Bytes>, CallError> {
    let started = Instant::now();
    let request = request::to_isahc(request, kind, timeout).map_err(CallError::Connect)?;
    let result = match http.client().send_async(request).await {
        Ok(response) => collect(response, limit).await,
        Err(error) if error.kind() == ErrorKind::BadServerCertificate => Err(not_trusted(api, &error).await),
        Err(error) => Err(failure(&error)),
    };
    // libcurl drops what is less than a millisecond.
    let whole = Duration::from_millis(timeout.as_millis().try_into().unwrap_or(u64::MAX));
    if result.is_err() && started.elapsed() >= whole {
        // It was the timeout, which the gateway has noticed, or will: it knows what that means.
        pending::<()>().await;
    }
    result
}

/// What is wrong with the API's certificate: isahc does not pass on what libcurl says. Looking once more
/// tells it.
async fn not_trusted(api: &Api<Smol>, error: &isahc::Error) -> CallError {
    CallError::Connect(match api.connect().await {
        Err(why) => why,
        Ok(_) => describe(error),
    })
}

async fn collect(response: Response<AsyncBody>, limit: usize) -> Result<Response<Bytes>, CallError> {
    let (mut head, mut body) = response.into_parts();
    let announced = body.len().unwrap_or(0);
    if announced > limit as u64 {
        return Err(CallError::TooLarge(head.status));
    }
    // One byte more than there may be, to see its end.
    let mut bytes = vec![0; if announced == 0 { SOME } else { announced as usize + 1 }];
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
        let read = poll_fn(|cx| Pin::new(&mut body).poll_read(cx, &mut bytes[filled..])).await;
        match read.map_err(|error| failure(&error.into()))? {
            0 => break,
            count => filled += count,
        }
        if filled > limit {
            return Err(CallError::TooLarge(head.status));
        }
    }
    if filled == 0 && has_no_end(&head) {
        return Err(CallError::Broken("closed in the middle of the answer".to_owned()));
    }
    bytes.truncate(filled);
    // isahc's own notes on the request.
    head.extensions.clear();
    Ok(Response::from_parts(head, bytes.into()))
}

/// Whether nothing marks the end of the body but the end of the connection, which was not announced. With
/// no body at all, that is a head that broke off: libcurl takes it for whole.
fn has_no_end(head: &Parts) -> bool {
    let marks = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];
    head.version == Version::HTTP_11
        && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && !marks.iter().any(|name| head.headers.contains_key(name))
}

/// What an error says about the call. It is never [`CallError::Unsent`]: where libcurl knows that nothing
/// was sent, it takes another connection by itself, and whatever fails later may have been seen.
fn failure(error: &isahc::Error) -> CallError {
    let text = describe(error);
    match error.kind() {
        // Of connecting: the other one is the call's own, which is left to the gateway.
        ErrorKind::Timeout
        | ErrorKind::NameResolution
        | ErrorKind::ConnectionFailed
        | ErrorKind::BadServerCertificate
        | ErrorKind::InvalidTlsConfiguration
        | ErrorKind::TlsEngine
        | ErrorKind::InvalidRequest => CallError::Connect(text),
        _ if is_malformed(error) => CallError::Malformed(text),
        _ => CallError::Broken(text),
    }
}

/// `CURLE_WEIRD_SERVER_REPLY`, which the curl crate knows by its old name only.
const WEIRD_SERVER_REPLY: u32 = 8;

/// Whether it is the answer that is wrong, and not the connection.
fn is_malformed(error: &isahc::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<curl::Error>());
    cause.is_some_and(|cause| {
        // isahc refuses a head by refusing to write it.
        cause.is_write_error()
            || cause.is_unsupported_protocol()
            || cause.is_bad_content_encoding()
            || cause.code() == WEIRD_SERVER_REPLY
    })
}

/// An error with what is behind it.
pub(crate) fn describe(error: &isahc::Error) -> String {
    let text = error.to_string();
    match error.source() {
        Some(cause) if !text.contains(&cause.to_string()) => format!("{text}: {cause}"),
        _ => text,
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
