//! Properties: input cut into pieces means what it means whole; rubbish does no harm.

use proptest::prelude::*;

use crate::client::{close, frame, handshake, text};
use crate::pair::{Pair, pair};

/// What a client and the API have seen at the end of a script.
fn play<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<String>, Vec<String>) {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    let mut bodies = Vec::new();
    let mut answer = |pair: &mut Pair| {
        while !pair.calls.is_empty() {
            bodies.push(format!("{} {}", pair.calls[0].line(), pair.calls[0].body()));
            let body = if pair.calls[0].line().starts_with("GET") { "ok".to_owned() } else { pair.calls[0].body() };
            pair.answer(200, body);
        }
    };
    for piece in pieces {
        pair.send(sock, piece);
        answer(&mut pair);
    }
    (pair.sock(sock).received.clone(), pair.log.clone(), bodies)
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[a-z]{0,30}".prop_map(|body| text(&body)),
        1 => Just(frame(0x82, vec![7; 70_000])),
        1 => Just(frame(0x89, "ping")),
        1 => Just([frame(0x01, "fr"), frame(0x89, "between"), frame(0x80, "agment")].concat()),
        1 => Just(close(4000, "bye")),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| [handshake("a", "").into_bytes(), parts.concat()].concat())
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n".to_owned()),
        Just("POST /nobody HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\nabc".to_owned()),
        Just("POST /nobody HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned()),
        Just("DELETE /nobody?code=9 HTTP/1.1\r\nHost: g\r\n\r\n".to_owned()),
        Just("BREW /pot HTTP/1.1\r\nHost: g\r\n\r\n".to_owned()),
        Just("GET /x HTTP/1.1\r\nHost: g\nX: y\r\n\r\n".to_owned()),
    ];
    prop::collection::vec(part, 1..6).prop_map(|parts| parts.concat().into_bytes())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_client_cut_into_pieces_is_the_same_client(script in script(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10)) {
        let (whole, log, bodies) = play([&script[..]]);
        let (pieces, cut_log, cut_bodies) = play(cut(&script, &cuts));
        prop_assert_eq!(log, cut_log);
        prop_assert_eq!(bodies, cut_bodies);
        // Pongs overtake answers when input comes late: what counts is that all is there.
        let sorted = |mut bytes: Vec<u8>| { bytes.sort_unstable(); bytes };
        prop_assert_eq!(sorted(whole), sorted(pieces));
    }

    #[test]
    fn requests_cut_into_pieces_are_the_same_requests(requests in requests(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10)) {
        let whole = play([&requests[..]]);
        prop_assert_eq!(&whole, &play(cut(&requests, &cuts)));
        prop_assert_eq!(&whole, &play(requests.chunks(1)));
    }

    #[test]
    fn arbitrary_bytes_never_reach_the_api(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let (_, log, _) = play(pieces.iter().map(Vec::as_slice));
        prop_assert!(log.is_empty(), "{log:?}");
    }

    #[test]
    fn arbitrary_frames_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, log, _) = play([handshake("a", "").as_bytes(), &bytes]);
        prop_assert_eq!(log.iter().filter(|line| line.starts_with("GET")).count(), 1);
        prop_assert!(log.iter().filter(|line| line.starts_with("DELETE")).count() <= 1);
    }
}
