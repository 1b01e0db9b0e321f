//! Section 4 and RFC 6455: what a client may put on the wire, and how it is refused.

use crate::api::{echo, silent};
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use crate::raw::End;
use crate::rig::{Binary, Rig};

super::scenarios!["frames":
    text_and_binary_come_back,
    fragments_are_joined_with_pings_between,
    byte_by_byte_is_the_same,
    a_burst_in_one_segment_keeps_its_order,
    violations_are_closed_with_their_code,
    text_split_inside_a_character_is_whole,
    close_frames_are_answered_in_kind,
    pings_are_answered_with_their_payload,
    a_mebibyte_goes_both_ways,
];

async fn text_and_binary_come_back(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    client.send_text("grüße \u{1f600}").await;
    client.expect_text("grüße \u{1f600}").await;
    client.send_binary(&[0, 255, 128]).await;
    client.expect_binary(&[0, 255, 128]).await;
    let kinds: Vec<_> = rig.api.seen_of("a").iter().map(|seen| seen.request.header("content-type").map(str::to_owned)).collect();
    assert_eq!(kinds[1].as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(kinds[2].as_deref(), Some("application/octet-stream"));
    client.close(1000, "").await;
    rig.finish().await;
}

async fn fragments_are_joined_with_pings_between(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(TEXT, "one ").not_last()).await;
    raw.send(&Frame::new(PING, "between")).await;
    raw.expect(PONG, "between").await;
    raw.send(&Frame::new(CONTINUATION, "").not_last()).await;
    raw.send(&Frame::new(CONTINUATION, "two")).await;
    raw.expect(TEXT, "one two").await;
    assert_eq!(rig.api.messages_of("a"), ["one two"]);
    drop(raw);
    rig.finish().await;
}

async fn byte_by_byte_is_the_same(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.write_slowly(&Frame::new(BINARY, [7; 200]).encode()).await;
    raw.expect(BINARY, [7; 200]).await;
    drop(raw);
    rig.finish().await;
}

async fn a_burst_in_one_segment_keeps_its_order(binary: Binary) {
    let rig = binary.rig("--receive-queue 8", echo).await;
    let mut raw = rig.open("a").await;
    let burst: Vec<u8> = (0..500).flat_map(|number: u32| Frame::new(TEXT, number.to_string()).encode()).collect();
    raw.write(&burst).await;
    for number in 0..500 {
        raw.expect(TEXT, number.to_string()).await;
    }
    drop(raw);
    rig.finish().await;
}

/// Sends bytes to a new client; the close frame that comes back, and what the API is told.
async fn violate(rig: &Rig, id: &str, bytes: &[u8]) -> (u16, u16) {
    let mut raw = rig.open(id).await;
    raw.write(bytes).await;
    let (code, _) = raw.expect_close().await;
    assert_eq!(raw.end().await, End::Eof, "{id}");
    (code, rig.api.disconnect(id).await.0)
}

async fn violations_are_closed_with_their_code(binary: Binary) {
    let rig = binary.rig("--max-message 1000", silent).await;
    let frame = |opcode, payload: &[u8]| Frame::new(opcode, payload);
    let cases: [(&str, Vec<u8>, u16); 20] = [
        ("unmasked", frame(TEXT, b"x").unmasked().encode(), 1002),
        ("rsv1", frame(TEXT, b"x").reserved(4).encode(), 1002),
        ("rsv2", frame(TEXT, b"x").reserved(2).encode(), 1002),
        ("rsv3", frame(PING, b"x").reserved(1).encode(), 1002),
        ("opcode3", frame(3, b"x").encode(), 1002),
        ("opcode11", frame(11, b"x").encode(), 1002),
        ("fragmented-ping", frame(PING, b"x").not_last().encode(), 1002),
        ("long-ping", frame(PING, &[0; 126]).encode(), 1002),
        ("continuation", frame(CONTINUATION, b"x").encode(), 1002),
        ("interleaved", [frame(TEXT, b"a").not_last().encode(), frame(TEXT, b"b").encode()].concat(), 1002),
        ("not-utf8", frame(TEXT, b"\xc3\x28").encode(), 1007),
        ("half-a-character", frame(TEXT, b"\xe2\x82").encode(), 1007),
        ("surrogate", frame(TEXT, b"\xed\xa0\x80").encode(), 1007),
        ("split-not-utf8", [frame(TEXT, b"\xf4").not_last().encode(), frame(CONTINUATION, b"\x90\x80\x80").encode()].concat(), 1007),
        ("too-big", frame(BINARY, &[0; 1001]).encode(), 1009),
        ("claims-too-much", frame(BINARY, b"").header(u64::MAX >> 1), 1009),
        ("too-big-in-parts", [frame(BINARY, &[0; 600]).not_last().encode(), frame(CONTINUATION, &[0; 401]).encode()].concat(), 1009),
        ("close-one-byte", frame(CLOSE, b"\x03").encode(), 1002),
        ("close-1005", Frame::close(1005, "").encode(), 1002),
        ("close-not-utf8", Frame::close(1000, b"\xff").encode(), 1007),
    ];
    for (id, bytes, code) in cases {
        assert_eq!(violate(&rig, id, &bytes).await, (code, code), "{id}");
        assert!(rig.api.messages_of(id).is_empty(), "{id}");
    }
    rig.finish().await;
}

async fn text_split_inside_a_character_is_whole(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let [first, second] = ["\u{1f600}".as_bytes()[..2].to_vec(), "\u{1f600}".as_bytes()[2..].to_vec()];
    raw.send(&Frame::new(TEXT, first).not_last()).await;
    raw.send(&Frame::new(CONTINUATION, second)).await;
    raw.expect(TEXT, "\u{1f600}").await;
    drop(raw);
    rig.finish().await;
}

async fn close_frames_are_answered_in_kind(binary: Binary) {
    let rig = binary.rig("", silent).await;
    for (id, close, code, body) in [
        ("code", Frame::close(4001, "bye"), 4001, "bye"),
        ("none", Frame::new(CLOSE, ""), 1005, ""),
    ] {
        let mut raw = rig.open(id).await;
        raw.send(&close).await;
        assert_eq!(raw.expect_close().await.0, code);
        assert_eq!(rig.api.disconnect(id).await, (code, body.to_owned()));
        raw.expect_end().await;
    }
    rig.finish().await;
}

async fn pings_are_answered_with_their_payload(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut raw = rig.open("a").await;
    for payload in [&b""[..], b"x", &[255; 125]] {
        raw.send(&Frame::new(PING, payload)).await;
        raw.expect(PONG, payload).await;
    }
    raw.send(&Frame::new(PONG, "unasked")).await;
    assert!(raw.is_quiet().await);
    drop(raw);
    rig.finish().await;
}

async fn a_mebibyte_goes_both_ways(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    let message: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    client.send_binary(&message).await;
    client.expect_binary(&message).await;
    client.close(1000, "").await;
    rig.finish().await;
}
