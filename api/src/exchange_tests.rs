//! A lane's exchanges with an API that says what each test wants, byte by byte.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, join};

use super::*;

const LIMIT: usize = 100_000;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A link whose pipe holds `room` bytes, and the API's end of it.
fn link(room: usize) -> (Link<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (Link::new(ApiStream::Plain(ours)), theirs)
}

fn post(body: &str) -> Request<Bytes> {
    let request = Request::post("http://api.test:8000/id").header("content-length", body.len());
    request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a valid request")
}

async fn exchange<S>(link: &mut Link<S>, request: Request<Bytes>) -> Result<Answer, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut request, mut input) = (Some(request), vec![0; 1000]);
    poll_fn(|cx| {
        if let Some(request) = request.take() {
            link.send(request, LIMIT, &mut Vec::new(), cx);
        }
        link.poll_answer(&mut input, cx)
    })
    .await
}

/// Reads a request whose body is `body`.
async fn read_request(api: &mut DuplexStream, body: &str) {
    let expected = format!("POST /id HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut request = vec![0; expected.len()];
    api.read_exact(&mut request).await.expect("the link is open");
    assert_eq!(request, expected.as_bytes());
}

#[tokio::test]
async fn one_link_serves_many_calls() {
    let (mut link, mut api) = link(1000);
    for text in ["one", "", &"long".repeat(10_000)] {
        let serve = async {
            read_request(&mut api, text).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            api.write_all(&[head.as_bytes(), text.as_bytes()].concat()).await.expect("the link reads");
        };
        let (answer, ()) = tokio::join!(exchange(&mut link, post(text)), serve);
        let answer = answer.expect("an answer");
        assert_eq!((&answer.response.body()[..], answer.keep_alive), (text.as_bytes(), true));
        assert!(link.is_idle());
    }
}

#[tokio::test]
async fn an_api_may_answer_before_it_has_read_everything() {
    let (mut link, mut api) = link(1000);
    let serve = async { api.write_all(OK).await.expect("the link reads") };
    let (answer, ()) = tokio::join!(exchange(&mut link, post(&"x".repeat(50_000))), serve);
    let answer = answer.expect("an answer");
    assert_eq!((&answer.response.body()[..], answer.keep_alive), (&b"ok"[..], false));
}

#[tokio::test]
async fn a_link_that_ends_behind_its_answer_is_not_used_again() {
    let (mut link, mut api) = link(1000);
    let serve = async {
        read_request(&mut api, "hello").await;
        api.write_all(OK).await.expect("the link reads");
        api.shutdown().await.expect("the link is open");
    };
    let (answer, ()) = tokio::join!(exchange(&mut link, post("hello")), serve);
    assert!(!answer.expect("an answer").keep_alive);
}

#[tokio::test]
async fn an_idle_link_is_seen_to_end() {
    let (mut link, api) = link(1000);
    let ended = async |link: &mut Link<_>| poll_fn(|cx| Poll::Ready(link.has_ended(&mut [0; 100], cx))).await;
    assert!(!ended(&mut link).await);
    drop(api);
    assert!(ended(&mut link).await);
}

#[tokio::test]
async fn a_request_of_which_nothing_left_is_unsent() {
    let (mut kept, mut api) = link(1000);
    let serve = async {
        read_request(&mut api, "hello").await;
        api.write_all(OK).await.expect("the link reads");
    };
    assert!(tokio::join!(exchange(&mut kept, post("hello")), serve).0.is_ok());
    drop(api);
    assert_eq!(exchange(&mut kept, post("hello")).await.unwrap_err(), CallError::Unsent);
}

#[tokio::test]
async fn an_api_that_closes_every_new_connection_cannot_be_reached() {
    let (mut link, api) = link(1000);
    drop(api);
    let error = exchange(&mut link, post("hello")).await.unwrap_err();
    assert!(matches!(error, CallError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_request_of_which_a_part_left_may_have_been_seen() {
    let (mut link, mut api) = link(10);
    let serve = async {
        api.read_exact(&mut [0; 10]).await.expect("ten bytes");
        drop(api);
    };
    let (result, ()) = tokio::join!(exchange(&mut link, post("hello")), serve);
    assert!(matches!(result.unwrap_err(), CallError::Broken(_)));
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_complete() {
    let (mut link, mut api) = link(1000);
    let serve = async {
        read_request(&mut api, "hello").await;
        api.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").await.expect("the link reads");
        api.shutdown().await.expect("the link is open");
    };
    let (answer, ()) = tokio::join!(exchange(&mut link, post("hello")), serve);
    let answer = answer.expect("an answer");
    assert_eq!((&answer.response.body()[..], answer.keep_alive), (&b"until the end"[..], false));
}

/// Says what it holds, and then that the connection was reset.
struct UntilReset(&'static [u8]);

impl AsyncRead for UntilReset {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buffer.put_slice(std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_reset_ends_no_answer() {
    let reset_behind = async |answer| {
        let stream = join(UntilReset(answer), tokio::io::sink());
        exchange(&mut Link::new(ApiStream::Plain(stream)), post("hello")).await
    };
    let error = reset_behind(b"HTTP/1.1 200 OK\r\n\r\nuntil the").await.unwrap_err();
    assert!(matches!(error, CallError::Broken(_)), "{error}");
    let whole = reset_behind(OK).await.expect("an answer");
    assert_eq!((&whole.response.body()[..], whole.keep_alive), (&b"ok"[..], false));
}
