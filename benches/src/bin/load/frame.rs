//! WebSocket frames of a client that sends small whole messages.

use anyhow::{Result, ensure};

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A server's frame whose bytes have all arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes that the whole frame took.
    pub(crate) length: usize,
}

impl<'a> Frame<'a> {
    /// Reads one frame from the start of `bytes`; `None` while it is incomplete.
    ///
    /// Masked and fragmented frames are errors: a server must not send the first, and ours does not send the second.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Frame<'a>>> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        ensure!(first & 0x70 == 0, "a frame with reserved bits set");
        ensure!(first & FIN != 0, "a fragmented message");
        ensure!(second & MASKED == 0, "a masked frame from the server");
        let (size, head) = match second {
            126 => match rest {
                [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
                _ => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(size) => (u64::from_be_bytes(*size), 10),
                None => return Ok(None),
            },
            small => (u64::from(*small), 2),
        };
        ensure!(size <= 1 << 24, "a frame of {size} bytes");
        let length = head + size as usize;
        Ok(bytes.get(head..length).map(|payload| Frame { opcode: first & 0x0f, payload, length }))
    }
}

/// Appends a client's frame, masked with `mask`.
pub(crate) fn write_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(FIN | opcode);
    match payload.len() {
        size @ 0..=125 => out.push(MASKED | size as u8),
        size @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 5.7.
    #[test]
    fn hello_is_masked_as_in_the_rfc() {
        let mut out = Vec::new();
        write_frame(&mut out, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn server_frames_of_every_length_form_are_read() {
        for size in [0, 1, 125, 126, 65535, 65536] {
            let payload = vec![b'x'; size];
            let mut bytes = Vec::new();
            write_frame(&mut bytes, TEXT, &payload, [0; 4]);
            // What a client masks with zeros is a server's frame once the mask and its bit are gone.
            let mask_at = bytes.len() - size - 4;
            bytes.drain(mask_at..mask_at + 4);
            bytes[1] &= !MASKED;
            for cut in [0, 1, 2, mask_at.saturating_sub(1), bytes.len() - 1] {
                assert_eq!(Frame::parse(&bytes[..cut.min(bytes.len() - 1)]).unwrap(), None, "{size} cut at {cut}");
            }
            let length = bytes.len();
            bytes.push(0xff);
            assert_eq!(Frame::parse(&bytes).unwrap(), Some(Frame { opcode: TEXT, payload: &payload, length }));
        }
    }

    #[test]
    fn frames_a_server_must_not_send_are_errors() {
        for bytes in [&[0x81, 0x80][..], &[0x01, 0x01], &[0xc1, 0x00], &[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]] {
            assert!(Frame::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
