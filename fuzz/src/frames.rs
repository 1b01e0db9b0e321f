//! WebSocket bytes of an open connection, to the whole gateway and to tungstenite.

use bytes::Bytes;
use http::{Method, Request, Response};
use tungstenite::{Error, Message};
use ws2http_core::CallError;

use crate::client::{Frame, handshake};
use crate::play::{Scene, ways};
use crate::reference;
use crate::written::read;

/// Small, so that a fuzzer gets there.
const MAX_MESSAGE: usize = 1000;

/// Takes the bytes for what a client sends after its handshake. However they are cut, the API gets the
/// same messages, the client the same pongs and the same close frame, and it gets its answers in order.
/// Messages, pings and closes are those that tungstenite reads; what it refuses is refused, with the same code.
///
/// # Panics
///
/// If any of this does not hold.
pub fn frames(data: &[u8]) {
    let [whole, bytewise, pieces] = ways(data).map(play);
    assert_eq!(whole, bytewise, "whole, and in single bytes");
    assert_eq!(whole, pieces, "whole, and in pieces");
    compare(data, &whole);
}

/// All that can be seen from outside, bar the answers to messages.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    messages: Vec<Message>,
    pongs: Vec<Vec<u8>>,
    /// Our close frame.
    close: Option<(u16, String)>,
    /// What the API was told at the end.
    ended: (u16, String),
}

fn play(pieces: Vec<&[u8]>) -> Seen {
    let change = |config: &mut ws2http_core::Config| {
        config.max_message = MAX_MESSAGE;
        config.receive_queue_messages = 4;
    };
    let mut scene = Scene::new(change, echo);
    scene.send(handshake("a", "").as_bytes());
    pieces.into_iter().for_each(|piece| scene.send(piece));
    scene.end();
    let (answers, frames) = read(scene.sock());
    assert_eq!((answers.len(), answers[0].status), (1, 101));
    let (messages, ended) = calls(&scene.calls);
    let (mut pongs, mut echoes, mut close) = (Vec::new(), Vec::new(), None);
    for frame in frames {
        assert_eq!(close, None, "a frame after our close frame");
        match frame {
            Frame::Text(text) => echoes.push(Message::text(text)),
            Frame::Binary(bytes) => echoes.push(Message::binary(bytes)),
            Frame::Pong(payload) => pongs.push(payload),
            Frame::Close(code, reason) => close = Some((code, reason)),
            Frame::Ping => panic!("nobody was quiet"),
        }
    }
    check_echoes(&echoes, &messages, close.as_ref());
    Seen { messages, pongs, close, ended }
}

/// The API sends each message back.
fn echo(request: &Request<Bytes>) -> Result<Response<Bytes>, CallError> {
    let body = if request.method() == Method::GET { "ok".into() } else { request.body().clone() };
    let kind = request.headers().get("content-type").cloned();
    let mut response = Response::new(body);
    kind.into_iter().for_each(|kind| drop(response.headers_mut().insert("content-type", kind)));
    Ok(response)
}

/// The messages that reached the API, and its DELETE.
fn calls(calls: &[Request<Bytes>]) -> (Vec<Message>, (u16, String)) {
    let [connect, messages @ .., delete] = calls else { panic!("no DELETE") };
    assert_eq!((connect.method(), delete.method()), (&Method::GET, &Method::DELETE));
    let message = |call: &Request<Bytes>| {
        assert_eq!(call.method(), Method::POST);
        let binary = call.headers()["content-type"] == "application/octet-stream";
        let text = || String::from_utf8(call.body().to_vec()).expect("a text message is UTF-8");
        if binary { Message::binary(call.body().clone()) } else { Message::text(text()) }
    };
    let code = delete.headers()["x-close-code"].to_str().ok().and_then(|code| code.parse().ok());
    let reason = String::from_utf8(delete.body().to_vec()).expect("a reason is UTF-8");
    (messages.iter().map(message).collect(), (code.expect("a code"), reason))
}

/// Answers come back in order; all of them, unless the connection was closed on a fault.
fn check_echoes(echoes: &[Message], messages: &[Message], close: Option<&(u16, String)>) {
    let expected: Vec<&Message> = messages.iter().filter(|message| !message.is_empty()).collect();
    assert!(echoes.len() <= expected.len() && echoes.iter().eq(expected[..echoes.len()].iter().copied()));
    let faulty = close.is_some_and(|(_, reason)| !reason.is_empty());
    assert!(faulty || echoes.len() == expected.len(), "an answer is missing");
}

fn compare(data: &[u8], seen: &Seen) {
    let (read, refused) = reference::read(data, MAX_MESSAGE);
    let mut messages = Vec::new();
    let mut pings = Vec::new();
    let mut close = None;
    for message in read {
        match message {
            Message::Text(_) | Message::Binary(_) => messages.push(message),
            Message::Ping(payload) => pings.push(payload.to_vec()),
            Message::Close(frame) => {
                let parts = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                close = Some(parts.unwrap_or((1005, String::new())));
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    assert_eq!((&seen.messages, &seen.pongs), (&messages, &pings), "what tungstenite reads");
    let fault = seen.close.as_ref().filter(|(_, reason)| !reason.is_empty());
    match (fault, close, refused) {
        // tungstenite looks at a code only when it answers.
        (Some((1002, reason)), Some(_), None) if reason == "invalid close code" => {}
        (Some(fault), None, Some(error)) => {
            assert_eq!(fault, &seen.ended);
            // A head, or a close frame, may be wrong in two ways.
            let either = (fault.0, code(&error)) == (1002, 1009) || fault.1 == "invalid close code";
            assert!(fault.0 == code(&error) || either, "{fault:?}: {error}");
        }
        // What cannot become right is refused before all of its frame is here.
        (Some(fault), None, None) => assert_eq!((fault, ends_in_a_frame(data)), (&seen.ended, true)),
        // tungstenite does not know this code; IANA does.
        (None, Some((1002, _)), None) if seen.ended.0 == 1014 => {
            assert_eq!(seen.close, Some((1014, String::new())), "our answer");
        }
        (None, Some(close), None) => {
            assert_eq!(seen.close, Some((close.0, String::new())), "our answer");
            assert_eq!(seen.ended, close);
        }
        (None, None, None) => assert_eq!((&seen.close, &seen.ended), (&None, &(1006, "EOF".to_owned()))),
        (fault, close, refused) => panic!("{fault:?}, but tungstenite: {close:?}, {refused:?}"),
    }
}

fn code(error: &Error) -> u16 {
    match error {
        Error::Utf8(_) => 1007,
        Error::Capacity(_) => 1009,
        _ => 1002,
    }
}

/// Whether the last frame is not all here.
fn ends_in_a_frame(mut data: &[u8]) -> bool {
    while !data.is_empty() {
        match frame_length(data).and_then(|length| data.get(length..)) {
            Some(rest) => data = rest,
            None => return true,
        }
    }
    false
}

/// How long the first frame is, if enough of it is here to say.
fn frame_length(data: &[u8]) -> Option<usize> {
    let (head, rest) = data.split_first_chunk::<2>()?;
    let (extended, payload) = match head[1] & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
        length => (0, u64::from(length)),
    };
    let mask = if head[1] & 0x80 == 0 { 0 } else { 4 };
    usize::try_from(payload).ok()?.checked_add(2 + extended + mask)
}
