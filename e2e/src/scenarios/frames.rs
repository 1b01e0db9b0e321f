//! WebSocket framing as the gateway must take it and refuse it (RFC 6455, sections 5 to 7).

use crate::api::echo;
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use crate::raw::Raw;
use crate::rig::{Binary, Rig};

super::scenarios!["frames":
    fragments_become_one_message, control_frames_between_fragments, many_small_fragments, many_frames_in_one_segment,
    byte_by_byte, unmasked, reserved_bits, reserved_opcodes, stray_continuation, message_within_a_message,
    control_frames_out_of_shape, text_that_is_not_utf8, utf8_split_over_fragments, utf8_fails_early,
    bad_close_frames, good_close_codes, too_large, too_large_in_fragments, too_large_by_its_length, largest,
    lengths_not_minimal, refused_clients_hear_why,
];

/// Sends `frames` on a new connection, which must fail with `code`, there and towards the API.
async fn fails(rig: &Rig, id: &str, frames: &[Frame], code: u16) {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    fails_by(rig, id, &bytes, code).await;
}

async fn fails_by(rig: &Rig, id: &str, bytes: &[u8], code: u16) {
    let mut raw = rig.open(id).await;
    raw.write_anyway(bytes).await;
    let (heard, _) = raw.expect_close().await;
    assert_eq!(heard, code, "{id}");
    raw.end().await;
    assert_eq!(rig.api.disconnect(id).await.0, code, "{id}");
}

async fn fragments_become_one_message(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(TEXT, "one ").not_last()).await;
    raw.send(&Frame::new(CONTINUATION, "").not_last()).await;
    assert!(raw.is_quiet().await);
    assert_eq!(rig.api.messages_of("a").len(), 0, "not before it is whole");
    raw.send(&Frame::new(CONTINUATION, "message").not_last()).await;
    raw.send(&Frame::new(CONTINUATION, "")).await;
    raw.expect(TEXT, "one message").await;
    raw.send(&Frame::new(BINARY, [0xff]).not_last()).await;
    raw.send(&Frame::new(CONTINUATION, [0xfe])).await;
    raw.expect(BINARY, [0xff, 0xfe]).await;
    drop(raw);
    rig.finish().await;
}

async fn control_frames_between_fragments(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    raw.send(&Frame::new(TEXT, "a").not_last()).await;
    raw.send(&Frame::new(PING, "p")).await;
    raw.expect(PONG, "p").await;
    raw.send(&Frame::new(PONG, "unasked")).await;
    raw.send(&Frame::new(CONTINUATION, "b")).await;
    raw.expect(TEXT, "ab").await;
    raw.send(&Frame::new(TEXT, "never finished").not_last()).await;
    raw.send(&Frame::close(1000, "")).await;
    assert_eq!(raw.expect_close().await.0, 1000);
    raw.expect_end().await;
    assert_eq!(rig.api.messages_of("a"), ["ab"]);
    rig.finish().await;
}

async fn many_small_fragments(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let mut bytes = Frame::new(TEXT, "x").not_last().encode();
    bytes.extend(Frame::new(CONTINUATION, "x").not_last().encode().repeat(5000));
    bytes.extend(Frame::new(CONTINUATION, "").not_last().encode().repeat(5000));
    bytes.extend(Frame::new(CONTINUATION, "!").encode());
    raw.write(&bytes).await;
    raw.expect(TEXT, "x".repeat(5001) + "!").await;
    drop(raw);
    rig.finish().await;
}

async fn many_frames_in_one_segment(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let frames: Vec<u8> = (0..500).flat_map(|number| Frame::new(TEXT, format!("{number}")).encode()).collect();
    raw.write(&frames).await;
    for number in 0..500 {
        raw.expect(TEXT, format!("{number}")).await;
    }
    drop(raw);
    rig.finish().await;
}

async fn byte_by_byte(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let frames = [Frame::new(TEXT, "x".repeat(300)), Frame::new(PING, "p"), Frame::new(TEXT, "é")];
    for frame in frames {
        raw.write_slowly(&frame.encode()).await;
        let opcode = if frame.opcode == PING { PONG } else { frame.opcode };
        raw.expect(opcode, frame.payload).await;
    }
    drop(raw);
    rig.finish().await;
}

async fn unmasked(binary: Binary) {
    let rig = binary.rig("", echo).await;
    fails(&rig, "text", &[Frame::new(TEXT, "x").unmasked()], 1002).await;
    fails(&rig, "ping", &[Frame::new(PING, "x").unmasked()], 1002).await;
    fails(&rig, "close", &[Frame::close(1000, "").unmasked()], 1002).await;
    assert!(rig.api.seen().iter().all(|seen| seen.request.method != "POST"));
    rig.finish().await;
}

async fn reserved_bits(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for bits in [1, 2, 4, 7] {
        fails(&rig, &format!("t{bits}"), &[Frame::new(TEXT, "x").reserved(bits)], 1002).await;
        fails(&rig, &format!("p{bits}"), &[Frame::new(PING, "x").reserved(bits)], 1002).await;
    }
    let frames = [Frame::new(TEXT, "x").not_last(), Frame::new(CONTINUATION, "y").reserved(4)];
    fails(&rig, "c", &frames, 1002).await;
    rig.finish().await;
}

async fn reserved_opcodes(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        fails(&rig, &format!("o{opcode}"), &[Frame::new(opcode, "x")], 1002).await;
    }
    rig.finish().await;
}

async fn stray_continuation(binary: Binary) {
    let rig = binary.rig("", echo).await;
    fails(&rig, "a", &[Frame::new(CONTINUATION, "x")], 1002).await;
    fails(&rig, "b", &[Frame::new(CONTINUATION, "x").not_last()], 1002).await;
    let frames = [Frame::new(TEXT, "whole"), Frame::new(CONTINUATION, "x")];
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    let mut raw = rig.open("c").await;
    raw.write(&bytes).await;
    let mut frame = raw.frame().await;
    if frame.opcode == TEXT {
        // The whole message may have been answered before the fault was met.
        frame = raw.frame().await;
    }
    assert_eq!((frame.opcode, frame.close_code().0), (CLOSE, 1002));
    assert_eq!(rig.api.disconnect("c").await.0, 1002);
    assert_eq!(rig.api.messages_of("c"), ["whole"]);
    drop(raw);
    rig.finish().await;
}

async fn message_within_a_message(binary: Binary) {
    let rig = binary.rig("", echo).await;
    fails(&rig, "a", &[Frame::new(TEXT, "x").not_last(), Frame::new(TEXT, "y")], 1002).await;
    fails(&rig, "b", &[Frame::new(BINARY, "x").not_last(), Frame::new(TEXT, "y").not_last()], 1002).await;
    rig.finish().await;
}

async fn control_frames_out_of_shape(binary: Binary) {
    let rig = binary.rig("", echo).await;
    fails(&rig, "long-ping", &[Frame::new(PING, [b'x'; 126])], 1002).await;
    fails(&rig, "long-pong", &[Frame::new(PONG, [b'x'; 126])], 1002).await;
    fails(&rig, "long-close", &[Frame::close(1000, [b'x'; 124])], 1002).await;
    fails(&rig, "split-ping", &[Frame::new(PING, "x").not_last()], 1002).await;
    fails(&rig, "split-close", &[Frame::close(1000, "").not_last()], 1002).await;
    rig.finish().await;
}

async fn text_that_is_not_utf8(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let bad: [&[u8]; 8] = [
        b"\xff", b"abc\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80",
        b"\xe2\x82",
    ];
    for (index, bytes) in bad.into_iter().enumerate() {
        fails(&rig, &format!("t{index}"), &[Frame::new(TEXT, bytes)], 1007).await;
    }
    assert!(rig.api.seen().iter().all(|seen| seen.request.method != "POST"));
    rig.finish().await;
}

async fn utf8_split_over_fragments(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    let text = "κόσμε €𝄞é";
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        let frame = Frame::new(opcode, [*byte]);
        raw.send(&if index + 1 < bytes.len() { frame.not_last() } else { frame }).await;
    }
    raw.expect(TEXT, text).await;
    drop(raw);
    let frames = [Frame::new(TEXT, b"\xe2\x82").not_last(), Frame::new(CONTINUATION, b"x")];
    fails(&rig, "b", &frames, 1007).await;
    let frames = [Frame::new(TEXT, b"\xe2\x82").not_last(), Frame::new(CONTINUATION, b"")];
    fails(&rig, "c", &frames, 1007).await;
    rig.finish().await;
}

async fn utf8_fails_early(binary: Binary) {
    let rig = binary.rig("", echo).await;
    // The message is not complete, and never will be.
    fails(&rig, "a", &[Frame::new(TEXT, b"\xff").not_last()], 1007).await;
    rig.finish().await;
}

async fn bad_close_frames(binary: Binary) {
    let rig = binary.rig("", echo).await;
    fails(&rig, "one-byte", &[Frame::new(CLOSE, [3])], 1002).await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        fails(&rig, &format!("c{code}"), &[Frame::close(code, "")], 1002).await;
    }
    fails(&rig, "reason", &[Frame::close(1000, b"\xff")], 1007).await;
    rig.finish().await;
}

async fn good_close_codes(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let id = format!("c{code}");
        let mut raw = rig.open(&id).await;
        raw.send(&Frame::close(code, "r")).await;
        assert_eq!(raw.expect_close().await.0, code);
        assert_eq!(rig.api.disconnect(&id).await, (code, "r".into()));
    }
    rig.finish().await;
}

async fn too_large(binary: Binary) {
    let rig = binary.rig("--max-message 1000", echo).await;
    fails(&rig, "text", &[Frame::new(TEXT, [b'x'; 1001])], 1009).await;
    fails(&rig, "binary", &[Frame::new(BINARY, [0; 1001])], 1009).await;
    assert!(rig.api.seen().iter().all(|seen| seen.request.method != "POST"));
    rig.finish().await;
}

async fn too_large_in_fragments(binary: Binary) {
    let rig = binary.rig("--max-message 1000", echo).await;
    let frames = [
        Frame::new(TEXT, [b'x'; 400]).not_last(),
        Frame::new(CONTINUATION, [b'x'; 400]).not_last(),
        Frame::new(CONTINUATION, [b'x'; 201]).not_last(),
    ];
    fails(&rig, "a", &frames, 1009).await;
    rig.finish().await;
}

async fn too_large_by_its_length(binary: Binary) {
    let rig = binary.rig("", echo).await;
    // Nothing of the payload needs to follow, and nothing may be allocated for it.
    for (id, length) in [("a", 1 << 21), ("b", 1 << 40), ("c", i64::MAX as u64)] {
        fails_by(&rig, id, &Frame::new(BINARY, "").header(length), 1009).await;
    }
    // RFC 6455, section 5.2: the most significant bit must be 0. Either complaint is right.
    let mut raw = rig.open("d").await;
    raw.write(&Frame::new(BINARY, "").header(u64::MAX)).await;
    let (code, _) = raw.expect_close().await;
    assert!([1002, 1009].contains(&code), "{code}");
    drop(raw);
    rig.finish().await;
}

async fn largest(binary: Binary) {
    let rig = binary.rig("--max-message 100000", echo).await;
    let mut raw = rig.open("a").await;
    let payload = vec![b'x'; 100_000];
    raw.send(&Frame::new(TEXT, &payload)).await;
    raw.expect(TEXT, &payload).await;
    raw.send(&Frame::new(BINARY, &payload[..60_000]).not_last()).await;
    raw.send(&Frame::new(CONTINUATION, &payload[60_000..])).await;
    raw.expect(BINARY, &payload).await;
    drop(raw);
    rig.finish().await;
}

async fn lengths_not_minimal(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw = rig.open("a").await;
    // RFC 6455 wants the minimal form but does not say what else means; refused or understood, not misread.
    let bytes = [&[0x81, 0x80 | 126, 0, 1, 0, 0, 0, 0][..], b"x"].concat();
    raw.write(&bytes).await;
    let frame = raw.frame().await;
    let understood = frame.opcode == TEXT && frame.payload == b"x";
    let refused = frame.opcode == CLOSE && frame.close_code().0 == 1002;
    assert!(understood || refused, "{frame:?}");
    drop(raw);
    rig.finish().await;
}

async fn refused_clients_hear_why(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut raw: Raw = rig.open("a").await;
    raw.send(&Frame::new(TEXT, b"\xff")).await;
    let (code, _) = raw.expect_close().await;
    let (told, reason) = rig.api.disconnect("a").await;
    assert_eq!((code, told), (1007, 1007));
    assert!(!reason.is_empty(), "the API hears why");
    // A long message is still on its way when the gateway gives up: the close frame must not be lost.
    let mut raw = rig.open("b").await;
    raw.write_anyway(&Frame::new(TEXT, "x".repeat(3 << 20)).encode()).await;
    assert_eq!(raw.expect_close().await.0, 1009);
    drop(raw);
    rig.finish().await;
}
