//! Requests as a client sends them, to the whole gateway.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ws2http_core::CallError;

use crate::client::Frame;
use crate::play::{Scene, ways};
use crate::written::{Answer, read};

/// Takes the bytes for all that a client sends on one socket. However they are cut, the same answers come
/// and the API is asked the same; nothing but well-formed answers (and frames behind a 101) comes out; the
/// API sees a connect, then messages if it let the client in, then one `DELETE`; nothing is left over.
///
/// # Panics
///
/// If any of this does not hold.
pub fn request(data: &[u8]) {
    let [whole, bytewise, pieces] = ways(data).map(play);
    assert_eq!(whole, bytewise, "whole, and in single bytes");
    assert_eq!(whole, pieces, "whole, and in pieces");
}

/// All that can be seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    answers: Vec<Answer>,
    frames: Vec<Frame>,
    calls: Vec<String>,
}

fn play(pieces: Vec<&[u8]>) -> Seen {
    let mut scene = Scene::new(|config| config.max_message = 1000, api);
    pieces.into_iter().for_each(|piece| scene.send(piece));
    scene.end();
    let (mut answers, frames) = read(scene.sock());
    // Whether a body is waited for depends on whether it is there already.
    answers.retain(|answer| answer.status != 100);
    check_course(&scene.calls, answers.last().is_some_and(|answer| answer.status == 101));
    let calls = scene.calls.iter().map(|call| format!("{call:?}")).collect();
    Seen { answers, frames, calls }
}

/// What the API says depends on the first letter of the ClientId.
fn api(request: &Request<Bytes>) -> Result<Response<Bytes>, CallError> {
    let response = Response::builder();
    let id = request.uri().path().rsplit('/').next().unwrap_or_default();
    let answer = match id.as_bytes().first() {
        _ if request.method() != Method::GET => response.body(Bytes::new()),
        Some(b'n') => response.status(404).header("set-cookie", "a=b").body("nobody".into()),
        Some(b'e') => response.status(500).body("oops".into()),
        Some(b't') => return Err(CallError::TooLarge(StatusCode::OK)),
        Some(b'r') => response.body("refused: \r\n\r\nHTTP".into()),
        Some(b'p') => response.header("sec-websocket-protocol", "v1").body("ok".into()),
        _ => response.header("set-cookie", "c=d").body(" ok\n".into()),
    };
    Ok(answer.expect("a valid answer"))
}

fn check_course(calls: &[Request<Bytes>], open: bool) {
    let Some((first, rest)) = calls.split_first() else { return };
    assert_eq!(first.method(), Method::GET);
    assert!(calls.iter().all(|call| call.uri().path() == first.uri().path()), "another client's path");
    let id = first.uri().path().strip_prefix("/base/").expect("the API's own path");
    assert!(!id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{id}");
    match rest.split_last() {
        Some((last, messages)) => {
            assert_eq!(last.method(), Method::DELETE);
            assert!(messages.iter().all(|call| call.method() == Method::POST && open));
        }
        None => assert!(!open, "no DELETE"),
    }
}
