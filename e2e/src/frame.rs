//! WebSocket frames, written by hand so that they can be wrong (RFC 6455, section 5.2).

/// Opcode of a continuation frame.
pub const CONTINUATION: u8 = 0;
/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits, as a number.
    pub reserved: u8,
    /// What kind of frame it is.
    pub opcode: u8,
    /// The masking key; clients must have one, servers must not.
    pub mask: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message or control frame, masked as a client's must be.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        let payload = payload.as_ref().to_vec();
        Frame { fin: true, reserved: 0, opcode, mask: Some([0x12, 0x34, 0x56, 0x78]), payload }
    }

    /// A close frame with a code and a reason.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same frame, but not the last of its message.
    pub fn not_last(self) -> Frame {
        Frame { fin: false, ..self }
    }

    /// The same frame with reserved bits.
    pub fn reserved(self, reserved: u8) -> Frame {
        Frame { reserved, ..self }
    }

    /// The same frame without a mask.
    pub fn unmasked(self) -> Frame {
        Frame { mask: None, ..self }
    }

    /// Code and reason of a close frame; 1005 when it carries none.
    pub fn close_code(&self) -> (u16, String) {
        match self.payload.split_at_checked(2) {
            Some((code, reason)) => {
                let code = u16::from_be_bytes([code[0], code[1]]);
                (code, String::from_utf8_lossy(reason).into_owned())
            }
            None => (1005, String::new()),
        }
    }

    /// The header for a payload of `length` bytes, which need not follow.
    pub fn header(&self, length: u64) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let first = u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode;
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(masked | length as u8),
            126..=0xffff => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
        bytes
    }

    /// The frame as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header(self.payload.len() as u64);
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// The first frame in `bytes` and how many bytes it took; `None` when it is not all there.
    pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            mask = Some(bytes.get(at..at + 4)?.try_into().ok()?);
            at += 4;
        }
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let key: [u8; 4] = mask.unwrap_or_default();
        let payload = bytes.get(at..end)?.iter().zip(key.iter().cycle());
        let payload = payload.map(|(byte, key)| byte ^ key).collect();
        let reserved = first >> 4 & 7;
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        Some((Frame { fin, reserved, opcode, mask, payload }, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let frame = Frame::new(BINARY, vec![7; length]).not_last().reserved(5);
            for frame in [frame.clone(), frame.unmasked()] {
                let bytes = frame.encode();
                assert_eq!(Frame::decode(&bytes), Some((frame, bytes.len())));
                assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]), None);
            }
        }
    }

    #[test]
    fn the_rfc_example_is_read() {
        // RFC 6455, section 5.7: a masked "Hello".
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let (frame, _) = Frame::decode(&bytes).unwrap();
        assert_eq!((frame.opcode, frame.payload.as_slice()), (TEXT, b"Hello".as_slice()));
        assert_eq!(Frame::close(1000, "x").close_code(), (1000, "x".to_owned()));
    }
}
