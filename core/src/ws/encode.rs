//! Frames out: a server's are never masked (RFC 6455, section 5.1).

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

/// The head of an unmasked final frame: at most ten bytes.
pub(crate) fn frame_head(opcode: OpCode, length: usize) -> ([u8; 10], u8) {
    let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    let mut head = [0; 10];
    let mut rest = &mut head[..];
    // Ten bytes are enough for every unmasked head, so this cannot fail.
    let written = header.format(length as u64, &mut rest);
    debug_assert!(written.is_ok());
    let free = rest.len();
    (head, (10 - free) as u8)
}

/// A close frame's payload. Code 1005 stands for none (RFC 6455, section 7.1.5); the reason is cut
/// to 123 bytes at a character.
pub(crate) fn close_payload(code: u16, reason: &str) -> Bytes {
    if code == 1005 {
        return Bytes::new();
    }
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload.into()
}

/// Whether a close frame may carry this code (RFC 6455, section 7.4; IANA's registry up to 1014).
pub(crate) fn valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::coding::{Control, Data};

    #[test]
    fn heads_have_the_shortest_length_form() {
        let text = OpCode::Data(Data::Text);
        for (length, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let (head, n) = frame_head(text, length);
            assert_eq!(n, size, "{length}");
            assert_eq!(head[0], 0x81);
        }
        assert_eq!(frame_head(OpCode::Control(Control::Pong), 3).0[..2], [0x8a, 3]);
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let payload = close_payload(1008, &"é".repeat(100));
        assert_eq!(payload.len(), 2 + 122);
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
        assert!(close_payload(1005, "ignored").is_empty());
    }
}
