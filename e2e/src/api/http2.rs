//! One connection of the API server over HTTP/2: the same script, for many requests at once.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::answer::{Answer, Content, Framing, Then};
use super::law::Outcome;
use super::request::Request;
use super::{Pass, Shared};

/// What a connection over HTTP/2 begins with, as far as it tells it from HTTP/1.1.
pub(super) const PREFACE: &[u8; 4] = b"PRI ";

/// How connections over HTTP/2 are served; what is not set is as the library has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http2 {
    /// Requests at once on one connection.
    pub streams: Option<u32>,
    /// What may be sent before this side has read it, on a stream and on a connection, in bytes.
    pub window: Option<u32>,
    /// So many of the next requests are refused (`REFUSED_STREAM`) without being looked at.
    pub refuse: u32,
}

pub(super) async fn serve(stream: TcpStream, number: usize, shared: Arc<Shared>, mut close_idle: watch::Receiver<u64>) {
    let settings = *shared.http2.lock().unwrap();
    let mut builder = h2::server::Builder::new();
    settings.streams.map(|streams| builder.max_concurrent_streams(streams));
    settings.window.map(|window| builder.initial_window_size(window).initial_connection_window_size(window));
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        // Who is told of an end of the API at once may not even begin.
        return;
    };
    let (leave, mut leaving) = mpsc::unbounded_channel();
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = leaving.recv() => connection.graceful_shutdown(),
            Some(()) = calls.next() => {}
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => calls.push(call(request, respond, number, shared.clone(), leave.clone())),
                Some(Err(error)) if error.is_library() => {
                    return shared.fault(format!("the gateway sent no HTTP/2: {error}"));
                }
                Some(Err(_)) | None => return,
            },
            _ = close_idle.changed(), if calls.is_empty() => return,
        }
    }
}

async fn call(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    number: usize,
    shared: Arc<Shared>,
    leave: mpsc::UnboundedSender<()>,
) {
    if shared.refuses() {
        return respond.send_reset(Reason::REFUSED_STREAM);
    }
    let Some(request) = read(request, number, &shared).await else { return };
    let pass = shared.begin(request);
    let answer = shared.decide(&pass.request);
    let leaves = matches!(answer.then, Then::Close | Then::HalfClose) && !matches!(answer.content, Content::Nothing);
    play(respond, answer, pass).await;
    if leaves {
        // The connection has ended if nobody is there.
        let _ = leave.send(());
    }
}

/// The whole request; `None` if it breaks off.
async fn read(request: http::Request<RecvStream>, connection: usize, shared: &Shared) -> Option<Request> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.ok()?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len()).ok()?;
    }
    let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let method = head.method.to_string();
    let mut request = Request { order: 0, connection, method, target, headers: headers.collect(), body };
    if let Some(host) = request.header("host") {
        shared.fault(format!("the gateway sent a call by HTTP/2 with Host {host:?}"));
    }
    let length = request.header("content-length").map(str::to_owned);
    if length.is_some_and(|length| length != request.body.len().to_string()) {
        shared.fault("the gateway sent a Content-Length that is not the body's".to_owned());
    }
    // Scripts ask for what HTTP/1.1 calls it.
    request.headers.push(("host".into(), authority));
    Some(request)
}

/// Plays the answer.
async fn play(mut respond: SendResponse<Bytes>, mut answer: Answer, pass: Pass) {
    let before = answer.before.take();
    // A head is one frame: it comes as late as the last of its bytes would.
    let head = answer.drip.map(|pause| pause * answer.encode().len() as u32);
    let before = async {
        if let Some(head) = head {
            tokio::time::sleep(head).await;
        }
        if let Some(before) = before {
            before.await;
        }
    };
    tokio::select! {
        biased;
        () = before => {}
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return pass.end(Outcome::Abandoned),
    }
    if poll_fn(|cx| respond.poll_reset(cx)).now_or_never().is_some() {
        return pass.end(Outcome::Abandoned);
    }
    let outcome = answer.outcome();
    match (&answer.content, answer.then) {
        (Content::Nothing, Then::Hang) => {
            // Its end is what is waited for, however it comes.
            let _ = poll_fn(|cx| respond.poll_reset(cx)).await;
            pass.end(Outcome::Abandoned);
        }
        // Bytes of HTTP/1.1 cannot be said here: an answer that is not HTTP is a broken one.
        (Content::Nothing | Content::Raw(_), _) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            pass.end(outcome);
        }
        (Content::Http { .. } | Content::Endless, then) => match write(&mut respond, &answer).await {
            None => pass.end(Outcome::Abandoned),
            Some(mut stream) => {
                pass.end(outcome);
                match then {
                    Then::KeepAlive | Then::Close | Then::HalfClose => {}
                    Then::Reset => stream.send_reset(Reason::INTERNAL_ERROR),
                    Then::Hang => drop(poll_fn(|cx| stream.poll_reset(cx)).await),
                }
            }
        },
    }
}

/// Writes an answer; `None` if the gateway has given it up.
async fn write(respond: &mut SendResponse<Bytes>, answer: &Answer) -> Option<SendStream<Bytes>> {
    let whole = matches!(answer.then, Then::KeepAlive | Then::Close | Then::HalfClose);
    let mut head = http::Response::builder();
    let Content::Http { status, headers, body, framing } = &answer.content else {
        let mut stream = respond.send_response(head.body(()).expect("a head"), false).ok()?;
        loop {
            send(&mut stream, Bytes::from_static(&[b'x'; 0x4000])).await?;
        }
    };
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection")) {
        head = head.header(name, value);
    }
    if *framing == Framing::Length && *status != 204 {
        head = head.header("content-length", body.len());
    }
    let head = head.status(*status).body(()).expect("a script's answer is HTTP");
    let mut stream = respond.send_response(head, whole && body.is_empty()).ok()?;
    let piece = match (answer.drip, framing) {
        (Some(_), _) => 1,
        (None, Framing::Chunked(size)) => *size,
        (None, Framing::Length | Framing::UntilClose) => body.len().max(1),
    };
    for piece in body.chunks(piece) {
        if let Some(pause) = answer.drip {
            tokio::time::sleep(pause).await;
        }
        send(&mut stream, Bytes::copy_from_slice(piece)).await?;
    }
    if whole && !body.is_empty() {
        stream.send_data(Bytes::new(), true).ok()?;
    }
    Some(stream)
}

/// Sends as fast as the other side reads.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        stream.send_data(data.split_to(room.min(data.len())), false).ok()?;
    }
    Some(())
}
