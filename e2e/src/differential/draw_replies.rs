//! How the API answers, drawn.

use fastrand::Rng;

use super::draw::{one_of, raw, surprise};
use super::reply::Reply;
use crate::api::Framing;

const FRAMINGS: [Framing; 3] = [Framing::Length, Framing::Chunked(1), Framing::UntilClose];

/// To the GET of a connect.
pub(super) fn to_connect(rng: &mut Rng, offers: bool) -> Reply {
    match rng.u32(0..60) {
        0 => Reply::Late,
        1 => Reply::Dripping,
        2 => Reply::With(&[("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Api", "secret")]),
        3..6 if offers => Reply::With(&[("Sec-WebSocket-Protocol", "chat")]),
        6 => Reply::With(&[("Sec-WebSocket-Protocol", "never-offered")]),
        7..9 => Reply::Text(one_of(rng, &["ok", " ok\r\n", "\tok"]), one_of(rng, &FRAMINGS)),
        9 => Reply::Closing("ok"),
        10 => Reply::Binary(b"ok"),
        11 => surprise(rng, "ok"),
        12..15 => Reply::Text(one_of(rng, &["no, sorry", "OK", "ok.", "grüße", ""]), one_of(rng, &FRAMINGS)),
        15..18 => Reply::Status(one_of(rng, &[400, 401, 403, 404, 409, 418, 429, 451, 499])),
        18..20 => Reply::Status(one_of(rng, &[201, 300, 301, 302, 307, 500, 502, 503, 599])),
        20 => Reply::Empty,
        21 => Reply::NotUtf8,
        22 => one_of(
            rng,
            &[Reply::TooLarge(Framing::Length), Reply::TooLarge(Framing::Chunked(500)), Reply::Endless, Reply::Lie],
        ),
        23 => raw(rng, false),
        24 => one_of(rng, &[Reply::Close, Reply::Reset]),
        25 => Reply::Hang,
        26 | 27 => Reply::PushFirst,
        28 => Reply::KickFirst,
        _ => Reply::Usual,
    }
}

/// To the POST of a message.
pub(super) fn to_message(rng: &mut Rng) -> Reply {
    match rng.u32(0..60) {
        0..2 => Reply::Late,
        2 => Reply::Dripping,
        3..7 => Reply::Text(one_of(rng, &["answer", "grüße", "", "ok"]), one_of(rng, &FRAMINGS)),
        7..9 => Reply::Closing("answer"),
        9..11 => surprise(rng, "answer"),
        11..13 => Reply::Status(one_of(rng, &[201, 299, 301, 302, 400, 404, 409, 500, 503])),
        13 => Reply::With(&[("Content-Type", "Application/Octet-Stream; charset=binary"), ("X-Api", "secret")]),
        14 => Reply::With(&[("Content-Type", "application/json"), ("Set-Cookie", "a=1")]),
        15 => Reply::Empty,
        16..18 => Reply::Binary(one_of(rng, &[b"\x00\xff\xfe".as_slice(), b"", b"text"])),
        18 => Reply::NotUtf8,
        19 => Reply::TooLarge(one_of(rng, &[Framing::Length, Framing::Chunked(500), Framing::UntilClose])),
        20 => one_of(rng, &[Reply::Endless, Reply::Lie]),
        21..23 => raw(rng, false),
        23..25 => raw(rng, true),
        25..27 => one_of(rng, &[Reply::Close, Reply::Reset]),
        27 => Reply::Hang,
        28..31 => Reply::PushFirst,
        31 => Reply::KickFirst,
        _ => Reply::Usual,
    }
}
