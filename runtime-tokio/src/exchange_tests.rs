//! A lane's exchanges with an API that says what each test wants, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const LIMIT: usize = 100;

/// A link, and the API's end of it.
async fn link() -> (Link<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    (Link::open(ApiStream::plain(ours)).await.expect("nothing is sent yet"), theirs)
}

fn post(body: &'static str) -> Request<Bytes> {
    let request = Request::post("http://api.test:8000/base/id?x=1").header("host", "api.test:8000");
    request.body(Bytes::from_static(body.as_bytes())).expect("a valid request")
}

/// One exchange with an API that reads the request, sends `answer` and, if told so, closes.
async fn answered(answer: &str, close: bool) -> (Result<Response<Bytes>, CallError>, bool) {
    let (mut link, mut api) = link().await;
    let serve = async {
        read_request(&mut api).await;
        api.write_all(answer.as_bytes()).await.expect("the link reads");
        if close {
            api.shutdown().await.expect("the link is open");
        }
    };
    let (result, ()) = tokio::join!(link.exchange(post("hello"), LIMIT), serve);
    (result, link.is_reusable())
}

async fn read_request(api: &mut DuplexStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"hello") {
        assert_ne!(api.read_buf(&mut request).await.expect("the link is open"), 0);
    }
    String::from_utf8(request).expect("text")
}

fn body(result: &Result<Response<Bytes>, CallError>) -> &[u8] {
    result.as_ref().expect("an answer").body()
}

#[tokio::test]
async fn a_request_goes_out_as_to_the_server_itself() {
    let (mut link, mut api) = link().await;
    let serve = async {
        let request = read_request(&mut api).await;
        api.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("the link reads");
        request
    };
    let (result, request) = tokio::join!(link.exchange(post("hello"), LIMIT), serve);
    assert_eq!(result.expect("an answer").status(), 204);
    assert_eq!(request, "POST /base/id?x=1 HTTP/1.1\r\nhost: api.test:8000\r\ncontent-length: 5\r\n\r\nhello");
    assert!(link.is_reusable());
}

#[tokio::test]
async fn one_link_serves_many_calls() {
    let (mut link, mut api) = link().await;
    for text in ["one", "two", "three"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        let serve = async {
            read_request(&mut api).await;
            api.write_all(answer.as_bytes()).await.expect("the link reads");
        };
        let (result, ()) = tokio::join!(link.exchange(post("hello"), LIMIT), serve);
        assert_eq!(body(&result), text.as_bytes());
        assert!(link.is_reusable());
    }
}

#[tokio::test]
async fn bodies_end_as_http_says() {
    let (result, reusable) =
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", false).await;
    assert_eq!((body(&result), reusable), (&b"abcde"[..], true));
    let (result, reusable) = answered("HTTP/1.1 200 OK\r\n\r\nuntil the end", true).await;
    assert_eq!((body(&result), reusable), (&b"until the end"[..], false));
    let (result, reusable) = answered("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false).await;
    assert_eq!((body(&result), reusable), (&b""[..], true));
    let (result, reusable) = answered(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        false,
    )
    .await;
    assert_eq!((body(&result), reusable), (&b"ok"[..], true));
}

#[tokio::test]
async fn a_link_that_the_api_will_close_is_not_used_again() {
    for head in ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"] {
        let (result, reusable) = answered(&format!("{head}\r\nContent-Length: 2\r\n\r\nok"), false).await;
        assert_eq!((body(&result), reusable), (&b"ok"[..], false), "{head}");
    }
    // An API that sends FIN right behind its answer.
    let (result, reusable) = answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true).await;
    assert_eq!((body(&result), reusable), (&b"ok"[..], false));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_cut() {
    let parts = format!("{:x}\r\n{}\r\n", 60, "x".repeat(60));
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{parts}{parts}0\r\n\r\n");
    for answer in [chunked, "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned()] {
        let (result, reusable) = answered(&answer, false).await;
        assert_eq!((result.unwrap_err(), reusable), (CallError::TooLarge, false));
    }
    let full = format!("HTTP/1.1 200 OK\r\nContent-Length: {LIMIT}\r\n\r\n{}", "x".repeat(LIMIT));
    let (result, reusable) = answered(&full, false).await;
    assert_eq!((body(&result).len(), reusable), (LIMIT, true));
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_BUFFER));
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &huge,
    ] {
        let (result, reusable) = answered(answer, false).await;
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::Malformed(_)), "{answer:.40}: {error}");
        assert!(!reusable);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
    ] {
        let (result, reusable) = answered(answer, true).await;
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::Broken(_)), "{answer:?}: {error}");
        assert!(!reusable);
    }
}

#[tokio::test]
async fn a_request_of_which_nothing_left_is_unsent() {
    let (mut link, api) = link().await;
    drop(api);
    assert_eq!(link.exchange(post("hello"), LIMIT).await.unwrap_err(), CallError::Unsent);
    assert!(!link.is_reusable());
}

#[tokio::test]
async fn a_request_on_a_link_that_has_ended_is_unsent() {
    let (mut link, api) = link().await;
    drop(api);
    poll_fn(|cx| link.poll(cx)).await;
    assert_eq!(link.exchange(post("hello"), LIMIT).await.unwrap_err(), CallError::Unsent);
}

#[tokio::test]
async fn a_link_may_end_just_before_the_request_is_sent() {
    let (mut link, mut api) = link().await;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let serve = async {
        read_request(&mut api).await;
        api.write_all(answer).await.expect("the link reads");
    };
    let (result, ()) = tokio::join!(link.exchange(post("hello"), LIMIT), serve);
    assert_eq!(body(&result), b"ok");
    // The link has not been polled since, and finds the end and the request at once.
    drop(api);
    let second = tokio::time::timeout(Duration::from_secs(10), link.exchange(post("hello"), LIMIT)).await;
    assert_eq!(second.expect("it does not hang").unwrap_err(), CallError::Unsent);
}

#[tokio::test]
async fn a_request_of_which_a_part_left_may_have_been_seen() {
    let (ours, mut api) = duplex(10);
    let mut link = Link::open(ApiStream::plain(ours)).await.expect("nothing is sent yet");
    let serve = async {
        let mut some = [0; 10];
        api.read_exact(&mut some).await.expect("ten bytes");
        drop(api);
    };
    let (result, ()) = tokio::join!(link.exchange(post("hello"), LIMIT), serve);
    assert!(matches!(result.unwrap_err(), CallError::Broken(_)));
}
