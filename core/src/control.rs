//! Push, kick and `HEAD`: what is asked of a client's home shard, and what it answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;

use crate::ws::valid_close_code;
use crate::{ClientId, ConnectionId};

/// A control request on its way to the client's home shard.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    pub(crate) client: ClientId,
    /// `If-Match`: only this very connection.
    pub(crate) only: Option<String>,
    pub(crate) operation: Operation,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Push { text: bool, payload: Bytes },
    Kick { code: u16, reason: String },
    Head,
}

/// What became of a control request (contract, sections 1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAnswer {
    /// Done: the push stands in the send queue, the kick has closed, the client is connected.
    Done(ConnectionId),
    /// The API is still deciding about the client: the push is delivered first after the 101.
    Queued(ConnectionId),
    /// Not connected, or closing.
    NotFound,
    /// The client reads too slowly and its queue is full.
    Full,
    /// `If-Match` names another connection.
    OtherConnection,
}

impl ControlAnswer {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            ControlAnswer::Done(_) => StatusCode::OK,
            ControlAnswer::Queued(_) => StatusCode::ACCEPTED,
            ControlAnswer::NotFound => StatusCode::NOT_FOUND,
            ControlAnswer::Full => StatusCode::SERVICE_UNAVAILABLE,
            ControlAnswer::OtherConnection => StatusCode::PRECONDITION_FAILED,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            ControlAnswer::Done(_) => "ok",
            ControlAnswer::Queued(_) => "queued",
            ControlAnswer::NotFound => "not found",
            ControlAnswer::Full => "send queue is full",
            ControlAnswer::OtherConnection => "another connection has this id",
        }
    }
}

/// Whether a content type means a binary message.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream")
}

/// The connection id that `If-Match` names; an empty one matches nothing.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    const BAD: &str = "`If-Match` must be one connection id in double quotes";
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BAD);
    }
    let text = value.to_str().map_err(|_| BAD)?.trim();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(BAD)?;
    if inner.contains('"') { Err(BAD) } else { Ok(Some(inner.to_owned())) }
}

/// A kick's `?code=&reason=`; 1000 and no reason if absent.
pub(crate) fn kick_parameters(query: Option<&str>) -> Result<(u16, String), &'static str> {
    let (mut code, mut reason) = (1000, String::new());
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let spaced = value.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        match name {
            "code" => {
                let number = decoded.ok().and_then(|text| text.parse().ok());
                code = number
                    .filter(|code| valid_close_code(*code))
                    .ok_or("code must be a close code that may be sent: 1000-1003, 1007-1014, 3000-4999")?;
            }
            "reason" => {
                reason = decoded.map_err(|_| "reason is not UTF-8")?.into_owned();
                if reason.len() > 123 {
                    return Err("reason is longer than 123 bytes");
                }
            }
            _ => return Err("only code and reason are known"),
        }
    }
    Ok((code, reason))
}

/// Whether the request carries the token, compared in constant time.
pub(crate) fn authorised(token: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, given)) = value.as_bytes().split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.trim_ascii().ct_eq(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_token_must_be_there_once_and_whole() {
        let given = |values: &[&'static str]| authorised(Some("s3cret"), &with(header::AUTHORIZATION, values));
        assert!(given(&["Bearer s3cret"]));
        assert!(given(&["bearer s3cret"]));
        for wrong in [&[][..], &["Bearer s3cre"], &["Bearer s3cretx"], &["Bearer "], &["s3cret"], &["Basic s3cret"]] {
            assert!(!given(wrong), "{wrong:?}");
        }
        assert!(!given(&["Bearer s3cret", "Bearer s3cret"]));
        assert!(authorised(None, &HeaderMap::new()));
    }

    #[test]
    fn kicks_carry_a_sendable_code_and_a_short_reason() {
        assert_eq!(kick_parameters(None), Ok((1000, String::new())));
        assert_eq!(kick_parameters(Some("code=4001&reason=see+you%21")), Ok((4001, "see you!".to_owned())));
        for bad in ["code=1005", "code=1006", "code=999", "code=5000", "code=x", "code=", "reason=%ff", "why=1"] {
            assert!(kick_parameters(Some(bad)).is_err(), "{bad}");
        }
        assert!(kick_parameters(Some(&format!("reason={}", "x".repeat(124)))).is_err());
    }

    #[test]
    fn if_match_is_one_quoted_id() {
        let given = |values: &[&'static str]| if_match(&with(header::IF_MATCH, values));
        assert_eq!(given(&[]), Ok(None));
        assert_eq!(given(&["\"a-1\""]), Ok(Some("a-1".to_owned())));
        for bad in [&["a-1"][..], &["*"], &["\"a\", \"b\""], &["\"a\"", "\"b\""]] {
            assert!(given(bad).is_err(), "{bad:?}");
        }
    }
}
