//! Several shards behave as one gateway.

use ws2http_core::{Event, SocketEnd, Surface};

use crate::client::{Frame, handshake, text};
use crate::pair::{Pair, pair_of};

fn open_at(pair: &mut Pair, shard: usize, id: &str) -> usize {
    let sock = pair.socket_at(shard, Surface::Public);
    pair.send(sock, handshake(id, ""));
    pair.answer(200, "ok");
    assert_eq!(pair.sock(sock).take_http().status, 101);
    sock
}

#[test]
fn a_client_lives_on_its_home_shard_wherever_it_was_accepted() {
    let mut pair = pair_of(3, |_| {});
    for number in 0..30 {
        let id = format!("c{number}");
        let sock = open_at(&mut pair, number % 3, &id);
        let home = pair.sock(sock).shard;
        pair.send(sock, text("hi"));
        assert_eq!(pair.calls[0].shard, home);
        pair.answer(200, "re");
        assert_eq!(pair.sock(sock).frames(), [Frame::Text("re".to_owned())]);
        pair.end(sock, SocketEnd::Eof);
        pair.answer(200, "");
        let again = open_at(&mut pair, (number + 1) % 3, &id);
        assert_eq!(pair.sock(again).shard, home);
    }
    assert_eq!(pair.metric("active_connections"), 30);
    assert_eq!(pair.metric("connections_opened"), 60);
}

#[test]
fn control_requests_find_their_client_on_any_shard() {
    let mut pair = pair_of(3, |_| {});
    for number in 0..12 {
        let id = format!("c{number}");
        let sock = open_at(&mut pair, 0, &id);
        assert_eq!(pair.push(&id, "x").0, 200);
        assert_eq!(pair.sock(sock).frames(), [Frame::Text("x".to_owned())]);
        assert_eq!(pair.push(&format!("no{number}"), "x").0, 404);
        assert_eq!(pair.control(&format!("DELETE /{id}?code=4000 HTTP/1.1\r\nHost: g\r\n\r\n")).status, 200);
        assert_eq!(pair.sock(sock).frames(), [Frame::Close(4000, String::new())]);
        pair.answer(200, "");
    }
}

#[test]
fn limits_hold_over_all_shards_together() {
    let mut pair = pair_of(4, |config| {
        config.max_connections = 5;
        config.max_api_connections = 6;
    });
    let socks: Vec<usize> = (0..8).map(|number| pair.handshake(&format!("c{number}"))).collect();
    let refused = socks.iter().filter(|sock| !pair.sock(**sock).received.is_empty()).count();
    assert_eq!(refused, 3);
    assert!(pair.calls.len() <= 5);
}

#[test]
fn shares_of_a_limit_add_up_to_it() {
    let shared = ws2http_core::Shared::new(4);
    let shares: Vec<usize> = (0..4).map(|shard| shared.share(10, ws2http_core::ShardId(shard))).collect();
    assert_eq!(shares, [3, 3, 2, 2]);
    assert_eq!(shared.share(1, ws2http_core::ShardId(3)), 1);
}

#[test]
fn an_answer_that_comes_after_its_control_connection_has_gone_is_dropped() {
    use ws2http_core::{Action, Out, Peer, SocketEnd};
    let mut pair = pair_of(2, |_| {});
    let peer = Peer { address: [192, 0, 2, 7].into(), surface: Surface::Public };
    // Of two ids one has its home on the other shard.
    let routed = ["x", "y", "z", "w", "v"].into_iter().find_map(|id| {
        let mut out = Out::new();
        let conn = pair.shards[0].accept(pair.now, peer, &mut out);
        let mut request = format!("POST /{id} HTTP/1.1\r\nHost: g\r\n\r\n").into_bytes();
        pair.shards[0].handle(pair.now, Event::Received(conn, &mut request), &mut out);
        out.actions.into_iter().find_map(|action| match action {
            Action::Route(to, message) => Some((conn, to, message)),
            _ => None,
        })
    });
    let (conn, to, message) = routed.unwrap();
    let mut out = Out::new();
    pair.shards[0].handle(pair.now, Event::SocketEnded(conn, SocketEnd::Reset), &mut out);
    pair.event(usize::from(to.0), Event::Routed(message));
    assert_eq!(pair.push("x", "fine").0, 404);
}

#[test]
fn what_lies_behind_the_last_request_is_read_and_thrown_away_once_another_shard_has_answered() {
    use ws2http_core::{Action, Out};
    let mut pair = pair_of(2, |_| {});
    // Of some ids one has its home on the other shard, which takes its time.
    let routed = ["x", "y", "z", "w", "v"].into_iter().find_map(|id| {
        let (sock, mut out) = (pair.socket(), Out::new());
        let conn = pair.sock(sock).conn;
        let head = format!("POST /{id} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n");
        let mut bytes = [head.into_bytes(), vec![b'x'; 16 * 1024]].concat();
        pair.shards[0].handle(pair.now, Event::Received(conn, &mut bytes), &mut out);
        out.actions.into_iter().find_map(|action| match action {
            Action::Route(to, message) => Some((sock, to, message)),
            _ => None,
        })
    });
    let (sock, to, message) = routed.unwrap();
    pair.send(sock, vec![b'x'; 100_000]);
    assert_eq!(pair.sock(sock).unread.len(), 100_000);
    pair.event(usize::from(to.0), Event::Routed(message));
    assert_eq!(pair.sock(sock).take_http().status, 404);
    assert!(pair.sock(sock).fin && pair.sock(sock).unread.is_empty());
    pair.pass(std::time::Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
}
