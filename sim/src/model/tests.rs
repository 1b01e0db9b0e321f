//! The model lets a good gateway pass and finds a bad one.

use bytes::Bytes;
use http::Method;
use ws2http_core::{ApiAddress, Config, Timestamp};

use super::*;

const SOCKET: SocketId = SocketId(0);
const GET: ApiId = ApiId(0);

/// A model, and a clock that goes on a millisecond with everything that is observed.
struct World {
    model: Model,
    now: u64,
    requests: u32,
}

fn payload(body: &'static str) -> Payload {
    Payload { text: true, body: Bytes::from_static(body.as_bytes()) }
}

fn answer(status: u16, body: &'static str) -> ApiAnswer {
    ApiAnswer { status, binary: false, protocol: None, body: Bytes::from_static(body.as_bytes()) }
}

fn request(method: Method, body: &'static str) -> ApiRequest {
    let (get, delete) = (method == Method::GET, method == Method::DELETE);
    ApiRequest {
        method,
        path: "/a%21".to_owned(),
        query: None,
        connection: "c-1".to_owned(),
        dial: get.then_some(SOCKET),
        close_code: delete.then_some(1000),
        content_type: (!get).then(|| "text/plain; charset=utf-8".to_owned()),
        body: Bytes::from_static(body.as_bytes()),
    }
}

impl World {
    fn see(&mut self, observation: Observation) {
        self.now += 1000;
        self.model.observe(Timestamp::from_micros(self.now), observation);
    }

    fn asked(&mut self, request: ApiRequest) -> ApiId {
        let id = ApiId(self.requests);
        self.requests += 1;
        self.see(Observation::ApiRequest(id, request));
        id
    }

    fn answered(&mut self, id: ApiId, with: ApiAnswer) {
        self.see(Observation::ApiEnded(id, ApiEnding::Answered(with)));
    }

    fn hears(&mut self, body: &'static str) {
        self.see(Observation::Heard(SOCKET, Heard::Message(payload(body))));
    }

    fn sends(&mut self, body: &'static str) {
        self.see(Observation::Sent(SOCKET, Sent::Message(payload(body))));
    }

    /// The client closes, and all goes as it should.
    fn close(&mut self) {
        self.see(Observation::Sent(SOCKET, Sent::Close(Some((1000, "bye".to_owned())))));
        let delete = self.asked(request(Method::DELETE, "bye"));
        self.answered(delete, answer(200, ""));
        self.see(Observation::Heard(SOCKET, Heard::Close(Some((1000, String::new())))));
        self.see(Observation::Closed(SOCKET));
    }

    fn push(&mut self, id: u32, body: &'static str, status: u16) {
        let operation = Operation::Push(payload(body));
        let request = ControlRequest { client: "a!".to_owned(), only: None, operation, bad: None };
        self.see(Observation::ControlAsked(ControlId(id), request));
        let connection = (status == 200).then(|| "c-1".to_owned());
        let answer = ControlAnswer { status, connection, retry_after: false };
        self.see(Observation::ControlAnswered(ControlId(id), answer));
    }

    /// The laws that were broken by the end.
    fn broken(mut self) -> Vec<Law> {
        self.now += 1_000_000;
        self.model.finish(Timestamp::from_micros(self.now));
        self.model.violations().iter().map(|violation| violation.law).collect()
    }
}

/// A client that is connected.
fn open() -> World {
    let config = Config::new(ApiAddress::parse("http://api/").unwrap());
    let settings = Settings { sees_missed_calls: true, ..Settings::new(config) };
    let mut world = World { model: Model::new(settings), now: 0, requests: 0 };
    let dial = Dial { client: "a!".to_owned(), query: None, offered: vec![], origin: None, bad: None };
    world.see(Observation::Dialled(SOCKET, dial));
    assert_eq!(world.asked(request(Method::GET, "")), GET);
    world.answered(GET, answer(200, "ok"));
    let answer = HandshakeAnswer { status: 101, protocol: None, retry_after: false, body: Bytes::new() };
    world.see(Observation::Answered(SOCKET, answer));
    world
}

#[test]
fn a_good_life_breaks_nothing() {
    let mut world = open();
    world.sends("one");
    world.sends("two");
    for (body, reply) in [("one", "first"), ("two", "second")] {
        let post = world.asked(request(Method::POST, body));
        world.answered(post, answer(200, reply));
        world.hears(reply);
    }
    world.push(0, "pushed", 200);
    world.hears("pushed");
    world.close();
    assert_eq!(world.broken(), []);
}

#[test]
fn a_missing_delete_is_found_in_the_end() {
    let mut world = open();
    world.see(Observation::Cut(SOCKET, Cut::Reset));
    assert_eq!(world.broken(), [Law::OneDelete]);
}

#[test]
fn a_second_delete_is_found() {
    let mut world = open();
    world.close();
    world.asked(request(Method::DELETE, "bye"));
    assert!(world.broken().contains(&Law::OneDelete));
}

#[test]
fn a_delete_beside_a_message_is_found() {
    let mut world = open();
    world.sends("one");
    world.asked(request(Method::POST, "one"));
    world.see(Observation::Cut(SOCKET, Cut::Eof));
    let delete = ApiRequest { close_code: Some(1006), ..request(Method::DELETE, "EOF") };
    world.asked(delete);
    assert_eq!(world.model.violations()[0].law, Law::NoOverlap);
}

#[test]
fn messages_out_of_order_twice_or_skipped_are_found() {
    for posts in [&["two"][..], &["one", "one"], &["two", "one"]] {
        let mut world = open();
        world.sends("one");
        world.sends("two");
        for body in posts {
            let post = world.asked(request(Method::POST, body));
            world.answered(post, answer(200, ""));
        }
        assert_eq!(world.model.violations()[0].law, Law::MessageOrder, "{posts:?}");
    }
    let mut world = open();
    world.sends("one");
    world.close();
    assert_eq!(world.broken(), [Law::MessageOrder]);
}

#[test]
fn what_nobody_said_to_this_client_is_found() {
    let mut world = open();
    world.sends("one");
    let post = world.asked(request(Method::POST, "one"));
    world.answered(post, answer(500, "secret"));
    world.hears("secret");
    assert_eq!(world.model.violations()[0].law, Law::Delivery);
}

#[test]
fn a_push_that_is_refused_must_not_be_heard_nor_one_that_is_taken_be_lost() {
    let mut world = open();
    world.push(0, "pushed", 404);
    assert_eq!(world.model.violations()[0].law, Law::ControlAnswer);
    let mut world = open();
    world.push(0, "pushed", 200);
    world.close();
    assert_eq!(world.broken(), [Law::PushKept]);
    let mut world = open();
    world.push(0, "first", 200);
    world.push(1, "second", 200);
    world.hears("second");
    assert_eq!(world.model.violations()[0].law, Law::PushKept);
}

#[test]
fn a_close_code_that_nothing_explains_is_found() {
    let mut world = open();
    world.see(Observation::Heard(SOCKET, Heard::Close(Some((1011, "why".to_owned())))));
    assert_eq!(world.broken()[0], Law::CloseCode);
}

#[test]
fn what_is_left_over_is_found() {
    let mut world = open();
    world.close();
    world.see(Observation::Holdings(Holdings { timer: true, ..Holdings::default() }));
    assert_eq!(world.broken(), [Law::Drain]);
}
