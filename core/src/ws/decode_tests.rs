//! The decoder against hand-made frames, against itself cut in pieces, and against tungstenite.

#[path = "reference.rs"]
mod reference;

use super::*;
use proptest::prelude::*;

const MAX: usize = 1000;

/// A client's frame: `first` is the first byte, the mask is 1 2 3 4.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([1, 2, 3, 4]);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ [1, 2, 3, 4][index % 4]));
    bytes
}

/// Feeds the pieces one after the other, as the gateway does.
fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Item>, Option<Violation>) {
    let mut decoder = Decoder::default();
    let mut items = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut stashed = decoder.unstash(&piece);
        let mut input = stashed.as_deref_mut().unwrap_or(&mut piece);
        loop {
            match decoder.next(&mut input, MAX) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(violation) => return (items, Some(violation)),
            }
        }
    }
    (items, None)
}

fn decode(bytes: &[u8]) -> (Vec<Item>, Option<Violation>) {
    decode_pieces([bytes])
}

fn text(text: &str) -> Item {
    Item::Message { text: true, payload: Bytes::copy_from_slice(text.as_bytes()) }
}

fn code_of(bytes: &[u8]) -> Option<u16> {
    decode(bytes).1.map(|violation| violation.code)
}

#[test]
fn fragments_are_joined_and_control_frames_come_between() {
    let bytes =
        [frame(0x01, "h\u{e9}".as_bytes()), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, b"llo"), frame(0x8a, b"")];
    let (items, violation) = decode(&bytes.concat());
    assert_eq!(violation, None);
    assert_eq!(items, [Item::Ping(Bytes::from_static(b"p")), text("h\u{e9}llo"), Item::Pong]);
}

#[test]
fn whole_messages_leave_no_state_behind() {
    let mut decoder = Decoder::default();
    let mut bytes = [frame(0x81, b"one"), frame(0x82, &[0; 300])].concat();
    let mut input = &mut bytes[..];
    while decoder.next(&mut input, MAX).unwrap().is_some() {}
    assert!(decoder.partial.is_none());
    let mut half = frame(0x81, b"three");
    let (first, second) = half.split_at_mut(4);
    assert_eq!(decoder.next(&mut &mut *first, MAX), Ok(None));
    assert!(decoder.has_stash());
    let mut joined = decoder.unstash(second).unwrap();
    assert_eq!(decoder.next(&mut &mut joined[..], MAX), Ok(Some(text("three"))));
    assert!(decoder.partial.is_none());
}

#[test]
fn violations_have_the_code_of_the_rfc() {
    let unmasked = [0x81, 0x01, b'a'];
    assert_eq!(code_of(&unmasked), Some(1002));
    for (first, payload, code) in [
        (0xc1, &b"x"[..], 1002), // reserved bit
        (0x83, b"x", 1002),      // reserved opcode
        (0x8b, b"x", 1002),
        (0x80, b"x", 1002),            // nothing to continue
        (0x09, b"x", 1002),            // fragmented ping
        (0x89, &[0; 126], 1002),       // long ping
        (0x81, b"\xff", 1007),         // not UTF-8
        (0x81, b"\xed\xa0\x80", 1007), // surrogate
        (0x82, &[0; MAX + 1], 1009),   // too big
        (0x88, b"\x03", 1002),         // half a code
        (0x88, b"\x03\xed", 1002),     // 1005
        (0x88, b"\x03\xe8\xff", 1007), // reason not UTF-8
        (0x88, b"\xff\xff", 1002),     // code out of range
    ] {
        assert_eq!(code_of(&frame(first, payload)), Some(code), "{first:x} {payload:?}");
    }
    let interleaved = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    assert_eq!(code_of(&interleaved), Some(1002));
}

#[test]
fn a_message_may_be_as_large_as_the_limit_in_one_frame_or_many() {
    assert_eq!(code_of(&frame(0x82, &[0; MAX])), None);
    let fragments = [frame(0x02, &[0; MAX / 2]), frame(0x80, &[0; MAX / 2])].concat();
    assert_eq!(decode(&fragments).0.len(), 1);
    let over = [frame(0x02, &[0; MAX / 2]), frame(0x80, &[0; MAX / 2 + 1])].concat();
    assert_eq!(code_of(&over), Some(1009));
}

#[test]
fn text_is_refused_as_soon_as_it_cannot_become_utf8() {
    let bytes = frame(0x01, b"ab\xf4\x90");
    assert_eq!(code_of(&bytes), Some(1007));
    let split = [frame(0x01, b"\xf0\x9f"), frame(0x80, b"\x98\x80")].concat();
    assert_eq!(decode(&split).0, [text("\u{1f600}")]);
    let cut = [frame(0x01, b"\xf0\x9f"), frame(0x80, b"")].concat();
    assert_eq!(code_of(&cut), Some(1007));
}

#[test]
fn close_frames_carry_code_and_reason() {
    let close = |code, reason: &str| Item::Close(CloseInfo { code, reason: reason.to_owned() });
    assert_eq!(decode(&frame(0x88, b"")).0, [close(1005, "")]);
    assert_eq!(decode(&frame(0x88, b"\x0f\xa1bye")).0, [close(4001, "bye")]);
}

/// Frames as clients send them, some of them wrong.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x01u8, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89, 0x8a]),
        1 => Just(0x88u8),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zé😀]{0,20}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..300),
        1 => Just(b"\x03\xe8bye".to_vec()),
    ];
    let one = (first, payload).prop_map(|(first, payload)| frame(first, &payload));
    prop::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

/// What tungstenite makes of the same bytes: the items up to a close frame, and whether it refused.
fn tungstenite_decode(bytes: &[u8]) -> (Vec<Item>, bool) {
    use tungstenite::Message;
    let (messages, refused) = reference::read(bytes, MAX);
    let item = |message| match message {
        Message::Text(text) => Some(Item::Message { text: true, payload: text.into() }),
        Message::Binary(payload) => Some(Item::Message { text: false, payload }),
        Message::Ping(payload) => Some(Item::Ping(payload)),
        Message::Pong(_) => Some(Item::Pong),
        Message::Close(frame) => {
            let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
            Some(Item::Close(CloseInfo { code, reason }))
        }
        Message::Frame(_) => None,
    };
    (messages.into_iter().filter_map(item).collect(), refused.is_some())
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_gives(bytes in frames(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(decode_pieces(pieces), decode(&bytes));
        prop_assert_eq!(decode_pieces(bytes.chunks(1)), decode(&bytes));
    }

    #[test]
    fn agrees_with_tungstenite(bytes in frames()) {
        let (mut items, violation) = decode(&bytes);
        // tungstenite reads nothing behind a close frame, and looks at its code only when answering.
        let close = items.iter().position(|item| matches!(item, Item::Close(_)));
        let refused = violation.is_some() && close.is_none();
        if let Some(close) = close {
            items.truncate(close + 1);
        }
        let bad_close = violation.is_some_and(|violation| violation.reason == "invalid close code");
        // tungstenite does not know this code; IANA does.
        let unknown = matches!(items.last(), Some(Item::Close(close)) if close.code == 1014);
        prop_assume!(!bad_close && !unknown);
        let (theirs, they_refused) = tungstenite_decode(&bytes);
        prop_assert_eq!(items, theirs);
        prop_assert_eq!(refused, they_refused);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (items, _) = decode(&bytes);
        prop_assert!(items.len() <= bytes.len());
    }
}
