//! Exchanges with an API that says what each test wants, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use http::{Method, StatusCode};
use ws2http_core::Timestamp;

use super::*;
use crate::client::Clients;

const LIMIT: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(20);

/// An API on a thread of its own, which does with its connections what it likes.
struct Api<T> {
    port: u16,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Api<T> {
    fn start(script: impl FnOnce(TcpListener) -> T + Send + 'static) -> Api<T> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        Api { port, thread: thread::spawn(move || script(listener)) }
    }

    fn request(&self, method: Method, body: &'static str) -> Request<Bytes> {
        let host = format!("127.0.0.1:{}", self.port);
        let request = Request::builder().method(&method).uri(format!("http://{host}/base/id?x=1"));
        let request = request.header("host", host).header("x-connection-id", "7");
        let request = match method {
            Method::GET => request,
            _ => request.header("content-type", "text/plain").header("content-length", body.len().to_string()),
        };
        request.body(Bytes::from_static(body.as_bytes())).expect("a valid request")
    }

    fn end(self) -> T {
        self.thread.join().expect("the API did its part")
    }
}

/// Where nothing is looked for but certificates.
fn nowhere() -> ws2http_api::Api<Smol> {
    reach("http://127.0.0.1:1/")
}

fn reach(url: &str) -> ws2http_api::Api<Smol> {
    let address = ws2http_core::ApiAddress::parse(url).expect("an address");
    ws2http_api::Api::new(&ws2http_core::Config::new(address), None)
}

/// One call by the client that the adapter would take.
fn send(clients: &mut Clients, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
    let kind = request::kind(&request, false);
    let client = clients.enter(kind, Timestamp::ZERO).expect("a client");
    let result = smol::block_on(exchange(&client, &nowhere(), request, kind, TIMEOUT, LIMIT));
    clients.leave(kind, Some(Timestamp::ZERO));
    result
}

/// The next request on a connection; what there is of it, if the connection ends first.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let whole = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        (body.len() >= length.map_or(0, |length| length.parse().expect("a length"))).then_some(())
    };
    while whole(&request).is_none() {
        let mut some = [0; 1000];
        match stream.read(&mut some).expect("the client is there") {
            0 => break,
            count => request.push_str(std::str::from_utf8(&some[..count]).expect("text")),
        }
    }
    request
}

/// One POST to an API that reads it, sends `answer` and closes.
fn answered(answer: &str) -> Result<Response<Bytes>, CallError> {
    let answer = answer.to_owned();
    let api = Api::start(move |listener| {
        let mut stream = listener.accept().expect("a connection").0;
        read_request(&mut stream);
        // The client may have seen enough before all is written.
        let _given_up = stream.write_all(answer.as_bytes());
    });
    let result = send(&mut Clients::new(10), api.request(Method::POST, "hello"));
    api.end();
    result
}

fn body(result: &Result<Response<Bytes>, CallError>) -> &[u8] {
    result.as_ref().expect("an answer").body()
}

fn serve(listener: &TcpListener, requests: usize) -> Vec<String> {
    let mut stream = listener.accept().expect("a connection").0;
    let answer = |stream: &mut TcpStream| {
        let request = read_request(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the client reads");
        request
    };
    (0..requests).map(|_| answer(&mut stream)).collect()
}

#[test]
fn requests_say_no_more_than_they_have_to() {
    let api = Api::start(|listener| [serve(&listener, 2), serve(&listener, 1)].concat());
    let mut clients = Clients::new(10);
    for (method, text) in [(Method::POST, "hello"), (Method::DELETE, ""), (Method::GET, "")] {
        assert_eq!(body(&send(&mut clients, api.request(method, text))), b"ok");
    }
    let host = format!("host: 127.0.0.1:{}\r\n", api.port);
    let head = |first: &str, rest: &str| {
        format!("{first} /base/id?x=1 HTTP/1.1\r\n{host}Accept: */*\r\nx-connection-id: 7\r\n{rest}user-agent:\r\n\r\n")
    };
    let requests: Vec<String> = api.end().into_iter().map(|request| request.replace("Host:", "host:")).collect();
    assert_eq!(requests[0], head("POST", "content-type: text/plain\r\ncontent-length: 5\r\n") + "hello");
    assert_eq!(requests[1], head("DELETE", "content-type: text/plain\r\ncontent-length: 0\r\n"));
    assert_eq!(requests[2].replace("Connection: close\r\n", ""), head("GET", ""));
    assert!(requests[2].contains("Connection: close\r\n"), "{}", requests[2]);
}

/// What an API sees that answers the first request, and ends the connection at the second.
fn seen_by_an_api_that_ends(method: &Method, text: &'static str) -> (Vec<String>, Result<Response<Bytes>, CallError>) {
    let api = Api::start(|listener| {
        let mut stream = listener.accept().expect("a connection").0;
        let mut requests = vec![read_request(&mut stream)];
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the client reads");
        requests.push(read_request(&mut stream));
        drop(stream);
        listener.set_nonblocking(true).expect("a listener");
        thread::sleep(Duration::from_millis(300));
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("a stream");
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a stream");
            let mut more = String::new();
            let _ended = stream.read_to_string(&mut more);
            requests.push(more);
        }
        requests
    });
    let mut clients = Clients::new(10);
    assert_eq!(body(&send(&mut clients, api.request(Method::POST, "first"))), b"ok");
    let result = send(&mut clients, api.request(method.clone(), text));
    (api.end(), result)
}

#[test]
fn a_request_that_was_seen_is_not_sent_again() {
    let (seen, result) = seen_by_an_api_that_ends(&Method::POST, "second");
    let error = result.expect_err("there is no answer");
    assert!(matches!(error, CallError::Broken(_)), "{error}");
    assert_eq!(seen.iter().filter(|request| request.ends_with("second")).count(), 1, "{seen:?}");
    // The test would see it.
    let (seen, _) = seen_by_an_api_that_ends(&Method::DELETE, "");
    assert_eq!(seen.iter().filter(|request| request.starts_with("DELETE")).count(), 2, "{seen:?}");
}

#[test]
fn a_request_without_a_body_that_may_not_leave_twice_has_its_own_connection() {
    for (method, text, fresh, expected) in [
        (Method::GET, "", false, Kind::Fresh),
        (Method::POST, "", false, Kind::Fresh),
        (Method::POST, "x", false, Kind::Kept),
        (Method::DELETE, "", false, Kind::Kept),
        (Method::POST, "x", true, Kind::Fresh),
    ] {
        let request = Request::builder().method(&method).body(Bytes::from_static(text.as_bytes())).expect("a request");
        assert_eq!(request::kind(&request, fresh), expected, "{method} {text:?}");
    }
}

#[test]
fn a_connection_that_the_api_closed_is_not_used() {
    let api = Api::start(|listener| [serve(&listener, 1), serve(&listener, 1)].concat());
    let mut clients = Clients::new(10);
    for text in ["first", "second"] {
        assert_eq!(body(&send(&mut clients, api.request(Method::POST, text))), b"ok");
        // The end of the connection has come in by then.
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(api.end().len(), 2);
}

#[test]
fn bodies_end_as_http_says() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nabcde",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ] {
        assert_eq!(body(&answered(answer)), b"abcde", "{answer}");
    }
    for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        assert_eq!(body(&answered(answer)), b"");
    }
    let moved = answered("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 1\r\n\r\nx").expect("an answer");
    assert_eq!((moved.status().as_u16(), moved.headers()["location"].as_bytes()), (302, &b"/other"[..]));
}

#[test]
fn an_answer_over_the_limit_is_too_large() {
    let long = "x".repeat(LIMIT + 1);
    let endless = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{long}\r\n");
    for answer in [&endless, "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\nx"] {
        assert_eq!(answered(answer).unwrap_err(), CallError::TooLarge(StatusCode::OK));
    }
    let full = format!("HTTP/1.1 200 OK\r\nContent-Length: {LIMIT}\r\n\r\n{}", &long[1..]);
    assert_eq!(body(&answered(&full)).len(), LIMIT);
}

#[test]
fn what_is_not_http_is_malformed() {
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nno header\r\n\r\n"] {
        let error = answered(answer).unwrap_err();
        assert!(matches!(error, CallError::Malformed(_)), "{answer:.40}: {error}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_broken() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
    ] {
        let error = answered(answer).unwrap_err();
        assert!(matches!(error, CallError::Broken(_)), "{answer:?}: {error}");
    }
}

#[test]
fn an_api_that_cannot_be_had_is_a_connect_error() {
    let request = |host: &str| {
        let request = Request::post(format!("http://{host}/id")).header("host", host);
        request.body(Bytes::from_static(b"x")).expect("a valid request")
    };
    for host in ["127.0.0.1:1", "[::1]:1", "localhost:1", "nowhere.invalid:80"] {
        // Past its timeout a call has no end of its own: so it is where names are never answered for.
        let (tell, told) = mpsc::channel();
        let request = request(host);
        thread::spawn(move || {
            let _too_late = tell.send(send(&mut Clients::new(10), request));
        });
        let ended = told.recv_timeout(TIMEOUT + Duration::from_secs(10));
        let error = ended.unwrap_or_else(|_| panic!("{host}: nothing in {TIMEOUT:?}, not even from DNS")).unwrap_err();
        assert!(matches!(error, CallError::Connect(_)), "{host}: {error}");
    }
}

#[test]
fn a_connection_that_takes_too_long_is_a_connect_error() {
    let error = failure(&ErrorKind::Timeout.into());
    assert!(matches!(error, CallError::Connect(_)), "{error}");
}

#[test]
fn after_a_connection_ended_without_an_answer_none_is_kept_for_a_while() {
    let mut clients = Clients::new(10);
    clients.distrust(Timestamp::ZERO);
    let api = Api::start(|listener| [serve(&listener, 1), serve(&listener, 1)].concat());
    for text in ["first", "second"] {
        assert_eq!(body(&send(&mut clients, api.request(Method::POST, text))), b"ok");
    }
    assert_eq!(api.end().len(), 2, "each by a connection of its own, though the second comes at once");
    let later = Timestamp::ZERO + Duration::from_secs(3600);
    clients.enter(Kind::Kept, later).expect("a client");
    clients.leave(Kind::Kept, Some(later));
    let api = Api::start(|listener| serve(&listener, 2));
    for text in ["first", "second"] {
        assert_eq!(body(&send(&mut clients, api.request(Method::POST, text))), b"ok");
    }
    assert_eq!(api.end().len(), 2, "both by one connection");
}

#[test]
fn a_header_that_isahc_does_not_take_goes_by_a_connection_of_its_own() {
    let api = Api::start(|listener| serve(&listener, 1));
    let mut request = api.request(Method::GET, "");
    assert!(!request::is_beyond_isahc(&request));
    request.headers_mut().insert("x-name", http::HeaderValue::from_bytes("Zoë".as_bytes()).expect("a value"));
    assert!(request::is_beyond_isahc(&request));
    let own = reach(&format!("http://127.0.0.1:{}/", api.port));
    let result = smol::block_on(own::exchange(&own, request, LIMIT));
    assert_eq!(body(&result), b"ok");
    let seen = api.end().remove(0);
    assert!(seen.starts_with("GET /base/id?x=1 HTTP/1.1\r\n"), "{seen}");
    for header in ["x-connection-id: 7\r\n", "x-name: Zoë\r\n", "connection: close\r\n"] {
        assert!(seen.contains(header), "{seen}");
    }
}

/// A body that keeps libcurl's thread waiting, as a name that is being resolved does, until it is let go
/// or two seconds have passed. It tells when that begins, and then whether it was let go.
struct Stuck {
    let_go: Mutex<mpsc::Receiver<()>>,
    told: mpsc::Sender<bool>,
}

impl AsyncRead for Stuck {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<std::io::Result<usize>> {
        let let_go = self.let_go.lock().expect("nobody else has it");
        // Only a test that has failed does not listen.
        let _failed = self.told.send(true);
        let _failed = self.told.send(let_go.recv_timeout(Duration::from_secs(2)).is_ok());
        Poll::Ready(Ok(0))
    }
}

#[test]
fn a_client_ends_without_keeping_its_worker_waiting() {
    let api = Api::start(|listener| listener.accept().expect("a connection"));
    let (opener, let_go) = mpsc::channel();
    let (told, hears) = mpsc::channel();
    let mut clients = Clients::new(10);
    let http = clients.enter(Kind::Kept, Timestamp::ZERO).expect("a client");
    let body = AsyncBody::from_reader(Stuck { let_go: Mutex::new(let_go), told });
    let request = Request::post(format!("http://127.0.0.1:{}/", api.port)).body(body).expect("a valid request");
    let mut call = http.client().send_async(request);
    assert!(smol::block_on(smol::future::poll_once(&mut call)).is_none());
    assert!(hears.recv().expect("the body is read"));
    drop(call);
    clients.clear();
    // The last one.
    drop(http);
    // If that took long, nobody waits any more.
    let _late = opener.send(());
    assert!(hears.recv().expect("the body is read"), "the drop waited");
    api.end();
}

#[test]
fn a_calls_own_timeout_is_left_to_the_gateway() {
    const CALLS: usize = 20;
    let api = Api::start(|listener| listener.incoming().take(CALLS).collect::<Vec<_>>());
    let mut clients = Clients::new(10);
    for call in 0..CALLS as u32 {
        // libcurl counts whole milliseconds.
        let timeout = Duration::from_micros(10_999 - 50 * u64::from(call));
        let http = clients.enter(Kind::Kept, Timestamp::ZERO).expect("a client");
        let request = api.request(Method::POST, "message");
        let nowhere = nowhere();
        let answered = async { Some(exchange(&http, &nowhere, request, Kind::Kept, timeout, LIMIT).await) };
        let later = async {
            smol::Timer::after(timeout + Duration::from_millis(30)).await;
            None
        };
        let ended = smol::block_on(smol::future::or(answered, later));
        assert!(ended.is_none(), "{timeout:?}: {ended:?}");
    }
    api.end();
}
