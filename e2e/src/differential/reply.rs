//! What the API does with a request, as scripts name it.

use std::time::Duration;

use crate::api::{Answer, Framing, Request, Then, echo};

/// One way to answer, or not to.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// `ok`, or the message itself.
    Usual,
    /// The same, a little later, byte by byte, or with more headers.
    Late,
    Dripping,
    With(&'static [(&'static str, &'static str)]),
    /// 200 and this text, so delimited.
    Text(&'static str, Framing),
    /// The same, and the connection is closed as announced.
    Closing(&'static str),
    /// The same, and the connection is ended without notice.
    Unannounced(&'static str, Then),
    /// This status and a text.
    Status(u16),
    Empty,
    Binary(&'static [u8]),
    NotUtf8,
    /// A byte more than `--max-message`.
    TooLarge(Framing),
    Endless,
    /// Announces far too much.
    Lie,
    /// Exactly this, and then the end.
    Raw(&'static str),
    Close,
    Reset,
    /// Never.
    Hang,
    /// As usual, but pushes to (or kicks) the very client first.
    PushFirst,
    KickFirst,
}

impl Reply {
    /// The answer to a request. What comes first ([`Reply::PushFirst`]) is the caller's.
    pub(super) fn answer(&self, request: &Request, max_message: usize) -> Answer {
        match self {
            Reply::Usual | Reply::PushFirst | Reply::KickFirst => echo(request),
            Reply::Late => echo(request).delayed(Duration::from_millis(30)),
            Reply::Dripping => Answer::new(200, "ok").dripping(Duration::from_micros(100)),
            Reply::With(headers) => {
                headers.iter().fold(echo(request), |answer, (name, value)| answer.header(name, value))
            }
            Reply::Text(text, framing) if *framing == Framing::UntilClose => {
                Answer::new(200, text).framed(*framing).header("Connection", "close")
            }
            Reply::Text(text, framing) => Answer::new(200, text).framed(*framing),
            Reply::Closing(text) => Answer::new(200, text).closing(),
            Reply::Unannounced(text, then) => Answer::new(200, text).then(*then),
            Reply::Status(status) => {
                let answer = Answer::new(*status, format!("it is {status}"));
                answer.header("Location", "/elsewhere").header("X-Api", "secret")
            }
            Reply::Empty => Answer::empty(),
            Reply::Binary(bytes) => Answer::binary(bytes),
            Reply::NotUtf8 => Answer::new(200, b"\xff\xfe"),
            Reply::TooLarge(framing) => {
                let answer = Answer::new(200, "x".repeat(max_message + 1)).framed(*framing);
                if *framing == Framing::UntilClose { answer.header("Connection", "close") } else { answer }
            }
            Reply::Endless => Answer::endless(),
            Reply::Lie => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx", Then::Hang),
            Reply::Raw(bytes) => Answer::raw(bytes, Then::Close),
            Reply::Close => Answer::close(),
            Reply::Reset => Answer::reset(),
            Reply::Hang => Answer::hang(),
        }
    }

    /// Its connection ends without the gateway being told: the next call must not come at the same moment.
    pub(super) fn surprises(&self) -> bool {
        matches!(self, Reply::Unannounced(..))
    }

    /// A message so answered has failed.
    pub(super) fn fails(&self) -> bool {
        match self {
            Reply::Status(status) => *status >= 300,
            Reply::NotUtf8 | Reply::TooLarge(_) | Reply::Endless | Reply::Lie => true,
            Reply::Close | Reply::Reset | Reply::Hang => true,
            Reply::Raw(text) => BROKEN.contains(text),
            _ => false,
        }
    }
}

/// Answers that are none, whoever reads them.
pub(super) const BROKEN: [&str; 5] = [
    "bad\r\n\r\nbad",
    "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nba",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Le",
];

/// Unusual answers that are good.
pub(super) const UNUSUAL: [&str; 4] = [
    "HTTP/1.0 200 OK\r\n\r\nanswer",
    "HTTP/1.1 200\r\nContent-Length: 6\r\nConnection: close\r\n\r\nanswer",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nanswer",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nanswer\r\n0\r\nX-T: 1\r\n\r\n",
];
