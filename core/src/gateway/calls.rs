//! Calls to the API: what they say, and who gets the answer.

use std::fmt::Display;
use std::io::Write;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};

use super::Gateway;
use super::canary::Canary;
use crate::CallId;
use crate::call::{Call, CallFailure, CallKind, Outcome};
use crate::event::{Action, CallError, Report};
use crate::http::forwarded_headers;
use crate::session::{Session, Stage};
use crate::socket::Wire;

const CONNECTION_ID: HeaderName = HeaderName::from_static("x-connection-id");
const CLOSE_CODE: HeaderName = HeaderName::from_static("x-close-code");

const BINARY: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// What counts as a failed call (contract, section 11).
fn failed(kind: CallKind, outcome: &Outcome) -> Option<String> {
    match outcome {
        Err(failure) => Some(failure.to_string()),
        Ok(response) => {
            let status = response.status();
            let fine = status.is_success() || (kind == CallKind::Connect && status.is_client_error());
            (!fine).then(|| format!("the API answered {status}"))
        }
    }
}

/// Room for a length (20 digits) or a connection id (33).
const SHORT: usize = 40;

/// A header's value, in one allocation: it is on the way of every message. `None` for what is not [`SHORT`].
fn short_value(value: impl Display) -> Option<HeaderValue> {
    let mut buffer = [0; SHORT];
    let mut rest = &mut buffer[..];
    write!(rest, "{value}").ok()?;
    let length = SHORT - rest.len();
    HeaderValue::from_bytes(&buffer[..length]).ok()
}

impl Gateway {
    /// Sends the calls that there is room for.
    pub(super) fn send_calls(&mut self) {
        while let Some(id) = self.calls.next(self.now) {
            let Some(call) = self.calls.get(id) else { continue };
            let fresh = call.unsent > 0;
            match self.request(call) {
                Some(request) => {
                    self.counters.requests_started += u64::from(!fresh);
                    self.act(Action::Call { id, request, fresh });
                }
                // Its client left before it could be asked about.
                None => self.abandon(id),
            }
        }
    }

    fn abandon(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(id) else { return };
        // It was counted when it first went out, and has not reached anybody.
        self.counters.requests_failed += u64::from(call.unsent > 0);
        self.withdraw(call.session);
    }

    fn request(&self, call: &Call) -> Option<Request<Bytes>> {
        let session = self.sessions.get(call.session)?;
        let mut query = None;
        let mut headers = match call.kind {
            CallKind::Connect => {
                let Wire::Handshake(connecting) = &self.sockets.get(session.socket?)?.wire else { return None };
                query = connecting.query.as_deref();
                let remove: Vec<HeaderName> = self.config.api_headers.iter().map(|(name, _)| name.clone()).collect();
                forwarded_headers(&connecting.headers, connecting.peer, &remove)
            }
            CallKind::Message { text } => {
                let mut headers = HeaderMap::with_capacity(4 + self.config.api_headers.len());
                let value = if text { TEXT } else { BINARY };
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
                headers
            }
            CallKind::Disconnect { .. } => {
                let Stage::Ending(ending) = &session.stage else { return None };
                let mut headers = HeaderMap::with_capacity(5 + self.config.api_headers.len());
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
                headers.insert(CLOSE_CODE, HeaderValue::from(ending.code));
                headers
            }
        };
        if call.kind != CallKind::Connect {
            // Also for an empty body: a POST without a length makes servers answer 411.
            headers.extend(short_value(call.body.len()).map(|value| (header::CONTENT_LENGTH, value)));
        }
        self.common_headers(session, &mut headers);
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.kind.http_method();
        *request.uri_mut() = self.config.api.uri(&session.client, query);
        *request.headers_mut() = headers;
        Some(request)
    }

    fn common_headers(&self, session: &Session, headers: &mut HeaderMap) {
        headers.insert(header::HOST, self.config.api.host_header().clone());
        let id = short_value(self.connection_id(session.serial));
        headers.extend(id.map(|value| (CONNECTION_ID, value)));
        for (name, value) in &self.config.api_headers {
            headers.append(name, value.clone());
        }
    }

    /// The driver brings the end of a call.
    pub(super) fn replied(&mut self, mut id: CallId, result: Result<Response<Bytes>, CallError>) {
        if self.canary(Canary::GenerationIgnored) {
            id = self.calls.tenant(id.slot).unwrap_or(id);
        }
        if self.calls.get(id).is_none_or(|call| !call.in_flight) {
            return;
        }
        let broken = matches!(result, Err(CallError::Broken(_))) && self.canary(Canary::BrokenCallRepeated);
        if (broken || matches!(result, Err(CallError::Unsent))) && self.calls.again(id) {
            return;
        }
        self.call_ended(id, result.map_err(CallFailure::Call));
    }

    /// A call has taken too long, or is given up.
    pub(super) fn give_up_call(&mut self, id: CallId, failure: CallFailure) {
        if self.calls.get(id).is_some_and(|call| call.in_flight) {
            self.act(Action::CancelCall(id));
        }
        self.call_ended(id, Err(failure));
    }

    fn call_ended(&mut self, id: CallId, outcome: Outcome) {
        let Some(call) = self.calls.remove(id) else { return };
        let outcome = self.bounded(call.kind, outcome);
        if call.in_flight || call.unsent > 0 {
            self.count_call(&call, &outcome);
        } else if matches!(call.kind, CallKind::Message { .. }) {
            self.counters.messages_lost += 1;
        }
        match call.kind {
            CallKind::Connect => self.connect_answered(call.session, outcome),
            CallKind::Message { .. } => self.message_answered(call.session, outcome),
            CallKind::Disconnect { repeat } => self.disconnect_answered(call.session, repeat, &outcome),
        }
    }

    /// Makes failures of the answers that are too large, unless their status is enough, or, for a message, not
    /// what they say.
    fn bounded(&self, kind: CallKind, outcome: Outcome) -> Outcome {
        let too_large = match &outcome {
            Ok(response) => (response.body().len() > self.config.max_message).then(|| response.status()),
            Err(CallFailure::Call(CallError::TooLarge(status))) => Some(*status),
            Err(_) => None,
        };
        if let Some(status) = too_large {
            let enough = match kind {
                CallKind::Connect => status.is_client_error(),
                CallKind::Message { .. } => false,
                CallKind::Disconnect { .. } => true,
            };
            let mut response = Response::new(Bytes::from_static(b"the refusal is too long to pass on"));
            *response.status_mut() = status;
            return if enough { Ok(response) } else { Err(CallError::TooLarge(status).into()) };
        }
        let response = outcome?;
        if matches!(kind, CallKind::Message { .. })
            && response.status().is_success()
            && !crate::control::is_binary(response.headers())
            && std::str::from_utf8(response.body()).is_err()
        {
            return Err(CallError::Malformed("a text that is not UTF-8".to_owned()).into());
        }
        Ok(response)
    }

    fn count_call(&mut self, call: &Call, outcome: &Outcome) {
        self.counters.call_took(call.kind.method(), self.now.since(call.started));
        let Some(failure) = failed(call.kind, outcome) else {
            self.counters.requests_succeeded += 1;
            return;
        };
        self.counters.requests_failed += 1;
        if let Some(session) = self.sessions.get(call.session) {
            let client = session.client.encoded().to_string();
            self.report(Report::CallFailed { method: call.kind.http_method(), client, failure });
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        self.act(Action::Report(report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectionId;

    #[test]
    fn the_longest_length_and_connection_id_are_short() {
        let id = ConnectionId { node: u64::MAX, serial: u64::MAX };
        assert_eq!(short_value(id).unwrap(), "ffffffffffffffff-ffffffffffffffff");
        assert_eq!(short_value(usize::MAX).unwrap(), usize::MAX.to_string().as_str());
    }
}
