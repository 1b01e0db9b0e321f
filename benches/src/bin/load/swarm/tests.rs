//! What a gateway does wrong is noticed: a listener here plays one that does.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::client::{write_message, write_push};

const SIZE: usize = 64;

/// A swarm of one client, open, whose gateway then sends these texts.
fn swarm_that_gets(texts: Vec<String>) -> Swarm {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut part) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..length]);
        }
        let accept = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(accept.as_bytes()).unwrap();
        // The client sends a message first, if it is to.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let _ = stream.read(&mut part);
        // In one write, so that the client reads them all at once.
        let frame = |text: &String| [&[0x81, text.len() as u8], text.as_bytes()].concat();
        stream.write_all(&texts.iter().flat_map(frame).collect::<Vec<u8>>()).unwrap();
        // Until the client has gone.
        let _ = stream.set_read_timeout(None);
        let _ = stream.read(&mut part);
    });
    let target = Target { address, wire: Wire::WebSocket, size: SIZE };
    let mut swarm = Swarm::new(target, 0, 1, Arc::default()).unwrap();
    swarm.connect(1, 1, false).unwrap();
    swarm
}

fn push(number: usize, sequence: u32) -> String {
    let mut text = String::new();
    write_push(&mut text, number, sequence, SIZE);
    text
}

fn echo(number: usize, sequence: u64) -> String {
    let mut text = String::new();
    write_message(&mut text, number, sequence, SIZE);
    text
}

/// What goes wrong with a client that listens.
fn heard(texts: Vec<String>) -> String {
    let mut swarm = swarm_that_gets(texts);
    format!("{:#}", swarm.hold(Instant::now() + Duration::from_secs(10)).unwrap_err())
}

/// What goes wrong with a client that sends one message after another.
fn answered(texts: Vec<String>) -> String {
    let mut swarm = swarm_that_gets(texts);
    let now = Instant::now();
    match swarm.closed_loop(Window { from: now, until: now }, now) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn pushes_have_their_order_their_owner_and_no_doubles() {
    let right = heard(vec![push(0, 1)]);
    assert!(right.contains("Heard(1, 1)"), "{right}");
    for (wrong, expected) in [
        (vec![push(0, 2)], "push 1"),
        (vec![push(1, 1)], "push 1"),
        (vec![push(0, 1).to_uppercase()], "push 1"),
        (vec![push(0, 1), push(0, 1)], "push 2"),
        (vec![echo(0, 1)], "push 1"),
    ] {
        let error = heard(wrong.clone());
        assert!(error.contains(&format!("neither an answer nor {expected}")), "{wrong:?}: {error}");
    }
}

#[test]
fn answers_have_their_order_and_their_owner() {
    assert_eq!(answered(vec![echo(0, 1)]), "nothing");
    for wrong in [echo(0, 2), echo(1, 1), push(0, 1)] {
        let error = answered(vec![wrong.clone()]);
        assert!(error.contains("wrong echo"), "{wrong}: {error}");
    }
}

#[test]
fn a_client_that_gets_no_answer_catches_up_and_its_latency_counts() {
    let mut swarm = swarm_that_gets(vec![echo(0, 1)]);
    // The answer takes 200 ms, as the listener waits for a second message that is not sent before it.
    let start = Instant::now();
    let pace = Pace::even(start, Duration::from_millis(50), 1);
    let mut schedule = paced::Schedule::new(pace);
    swarm.send_due(&mut schedule).unwrap();
    thread::sleep(Duration::from_millis(120));
    swarm.send_due(&mut schedule).unwrap();
    let sent = |swarm: &Swarm| swarm.progress.sent.load(Ordering::Relaxed);
    assert_eq!(sent(&swarm), 1, "one message under way");
    let steps = swarm.steps().unwrap();
    assert!(matches!(steps[..], [(0, Step::Answered(_))]), "{steps:?}");
    swarm.catch_up(0, pace.every).unwrap();
    assert_eq!(sent(&swarm), 2, "the message that was missed");
    let since = swarm.clients[0].as_ref().and_then(Client::waits_since).unwrap();
    assert_eq!(since, start + pace.every, "since it was due");
}
