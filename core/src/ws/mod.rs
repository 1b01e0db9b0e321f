//! WebSocket (RFC 6455) over memory, on tungstenite's frame headers and handshake functions.
//!
//! The reassembly is our own and not tungstenite's `WebSocketContext`: a context and its buffer
//! cost some 500 bytes per idle client, this decoder costs eight. Its property tests hold it to
//! what the context accepts and refuses.

mod decode;
mod encode;
mod handshake;

pub(crate) use decode::{Decoder, Item, Violation};
pub(crate) use encode::{close_payload, frame_head, valid_close_code};
pub(crate) use handshake::{Handshake, HandshakeError, check as check_handshake, is_handshake, upgrade_response};
