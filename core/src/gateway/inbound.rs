//! Bytes in: HTTP requests, then frames.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode, Version};

use super::Gateway;
use crate::control::{self, ControlRequest, Operation};
use crate::event::{Action, Surface};
use crate::http::{BodyLength, BodyReader, CONTINUE, Head, Refusal, parse_head};
use crate::metrics::Refused;
use crate::send_queue::Chunk;
use crate::socket::{HttpState, Pending, Socket, Wire};
use crate::ws::{HandshakeError, check_handshake, is_handshake};
use crate::{ClientId, ConnId, Secret, Timestamp};

/// Bytes behind the request under way that are read ahead; frames that may come with a handshake.
const READ_AHEAD: usize = 16 * 1024;

/// What a request wants, as its head says it.
enum Route {
    Connect(ClientId),
    Serve(Pending),
    Answer(StatusCode, Cow<'static, str>, Option<Refused>),
}

impl Gateway {
    pub(super) fn may_read(&self, socket: &Socket) -> bool {
        if socket.eof {
            return false;
        }
        match &socket.wire {
            Wire::Http(http) => match http.state {
                HttpState::Head | HttpState::Body(_) => true,
                HttpState::Routed | HttpState::Scraping(_) | HttpState::Responding => http.buffer.len() < READ_AHEAD,
            },
            Wire::Handshake(connecting) => connecting.early.len() < READ_AHEAD,
            Wire::WebSocket => !socket.paused,
            Wire::CloseSent | Wire::CloseReceived(_) | Wire::Finishing | Wire::Lingering => true,
        }
    }

    pub(super) fn received(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.last_seen = self.now;
        match &mut socket.wire {
            Wire::Http(http) => {
                http.buffer.extend_from_slice(bytes);
                self.read_requests(conn);
            }
            Wire::Handshake(connecting) => connecting.early.extend_from_slice(bytes),
            Wire::WebSocket => {
                self.read_frames(conn, bytes);
                self.heard(conn);
            }
            Wire::CloseSent => self.read_frames(conn, bytes),
            Wire::CloseReceived(_) | Wire::Finishing | Wire::Lingering => {}
        }
    }

    /// Bytes of an open client answer a ping; but whoever says goodbye does not want to keep its place.
    fn heard(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get(conn) else { return };
        let leaving = socket.challenged && socket.decoder.has_begun_close();
        if matches!(socket.wire, Wire::WebSocket) && !leaving {
            self.excuse(conn);
        }
    }

    /// The other end sends no more.
    pub(super) fn read_closed(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.eof = true;
        match &socket.wire {
            // What has been asked is still answered.
            Wire::Http(http) => match http.state {
                HttpState::Head | HttpState::Body(_) => self.close_socket(conn),
                HttpState::Routed | HttpState::Scraping(_) | HttpState::Responding => {}
            },
            Wire::Handshake(_) | Wire::WebSocket | Wire::CloseSent | Wire::Lingering => {
                self.socket_lost(conn, "EOF");
                self.act(Action::Close(conn));
            }
            Wire::CloseReceived(_) | Wire::Finishing => {}
        }
    }

    /// The socket is gone, as `how` says.
    pub(super) fn socket_lost(&mut self, conn: ConnId, how: &'static str) {
        let Some(socket) = self.drop_socket(conn) else { return };
        if let Some(session) = socket.session {
            self.client_gone(session, how);
        }
    }

    /// Works through the requests in the buffer.
    fn read_requests(&mut self, conn: ConnId) {
        while let Some(Socket { wire: Wire::Http(http), eof, .. }) = self.sockets.get_mut(conn) {
            let eof = *eof;
            match &mut http.state {
                HttpState::Head => match parse_head(&http.buffer, &mut http.scan) {
                    Ok(Some((used, head))) => {
                        http.buffer.advance(used);
                        self.on_head(conn, head);
                    }
                    Ok(None) if eof => return self.finish(conn),
                    Ok(None) => return self.await_head(conn),
                    Err(refusal) => return self.refuse_request(conn, refusal),
                },
                HttpState::Body(body) => match body.0.feed(&http.buffer) {
                    Ok((used, complete)) => {
                        http.buffer.advance(used);
                        if !complete && eof {
                            return self.finish(conn);
                        }
                        if !complete {
                            return;
                        }
                        self.on_body(conn);
                    }
                    Err(refusal) => return self.refuse_request(conn, refusal),
                },
                HttpState::Routed | HttpState::Scraping(_) | HttpState::Responding => return,
            }
        }
    }

    /// A head has begun: from here on it has `handshake_timeout`.
    fn await_head(&mut self, conn: ConnId) {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return };
        if http.reused && !http.buffer.is_empty() {
            http.reused = false;
            self.set_deadline(conn, self.now + self.config.handshake_timeout);
        }
    }

    /// The answer is out: the connection is free for the next request.
    pub(super) fn next_request(&mut self, conn: ConnId) {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return };
        http.state = HttpState::Head;
        http.head_only = false;
        http.reused = true;
        if http.buffer.is_empty() {
            http.buffer = BytesMut::new();
        }
        self.set_deadline(conn, self.now + self.config.keep_alive_timeout);
        self.read_requests(conn);
        self.act(Action::Resume(conn));
    }

    /// Answers and closes: after this nobody can say where the next request begins.
    pub(super) fn refuse_request(&mut self, conn: ConnId, refusal: Refusal) {
        let reason = match refusal.status {
            StatusCode::REQUEST_TIMEOUT => Refused::Timeout,
            StatusCode::PAYLOAD_TOO_LARGE => Refused::TooLarge,
            _ => Refused::BadRequest,
        };
        self.counters.refused(reason);
        if let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) {
            http.keep_alive = false;
        }
        self.respond(conn, refusal.status, &[], refusal.message.as_bytes());
    }

    fn on_head(&mut self, conn: ConnId, head: Head) {
        if let Err(refusal) = self.try_head(conn, head) {
            self.refuse_request(conn, refusal);
        }
    }

    fn try_head(&mut self, conn: ConnId, head: Head) -> Result<(), Refusal> {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return Ok(()) };
        http.keep_alive = head.keep_alive();
        http.http_10 = head.version == Version::HTTP_10;
        http.head_only = head.method == Method::HEAD;
        let framing = head.framing()?;
        let expects_continue = head.expects_continue()?;
        let surface = http.peer.surface;
        let body = BodyReader::new(framing, self.config.max_message)?;
        let empty = body.is_complete();
        let short = match framing {
            BodyLength::None => true,
            BodyLength::Length(length) => length <= READ_AHEAD as u64,
            BodyLength::Chunked => false,
        };
        match self.route(&head, surface) {
            Route::Connect(_) if !empty => Err(Refusal::new(StatusCode::BAD_REQUEST, "a handshake has no body")),
            Route::Connect(client) => {
                self.on_handshake(conn, client, &head);
                Ok(())
            }
            // A short body is passed over, so that the connection stays usable; a long one is not waited for.
            Route::Answer(status, text, reason) if short && !expects_continue => {
                self.await_body(conn, body, Pending::Answer(status, text, reason), false);
                Ok(())
            }
            Route::Answer(status, text, reason) => {
                self.answer_head(conn, status, &text, reason, false);
                Ok(())
            }
            Route::Serve(pending) => {
                self.await_body(conn, body, pending, expects_continue && !empty);
                Ok(())
            }
        }
    }

    fn answer_head(&mut self, conn: ConnId, status: StatusCode, text: &str, reason: Option<Refused>, body_read: bool) {
        if let Some(reason) = reason {
            self.counters.refused(reason);
        }
        if let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) {
            http.keep_alive &= body_read;
        }
        let extra: &[(&str, &[u8])] = match status {
            StatusCode::UPGRADE_REQUIRED => {
                &[("Upgrade", b"websocket"), ("Connection", b"Upgrade"), ("Sec-WebSocket-Version", b"13")]
            }
            StatusCode::METHOD_NOT_ALLOWED => &[("Allow", b"GET, HEAD, POST, DELETE")],
            StatusCode::UNAUTHORIZED => &[("WWW-Authenticate", b"Bearer")],
            _ => &[],
        };
        self.respond(conn, status, extra, text.as_bytes());
    }

    fn await_body(&mut self, conn: ConnId, body: BodyReader, pending: Pending, expects_continue: bool) {
        let deadline = self.now + self.config.handshake_timeout;
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let Wire::Http(http) = &mut socket.wire else { return };
        let empty = body.is_complete();
        http.state = HttpState::Body(Box::new((body, pending)));
        let ask = expects_continue && http.buffer.is_empty();
        socket.deadline = deadline;
        self.arm(conn);
        if empty {
            self.on_body(conn);
        } else if ask {
            self.enqueue(conn, Chunk::plain(CONTINUE.into()));
        }
    }

    fn on_body(&mut self, conn: ConnId) {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return };
        let HttpState::Body(body) = std::mem::replace(&mut http.state, HttpState::Routed) else { return };
        let (body, pending) = *body;
        self.set_deadline(conn, Timestamp::NEVER);
        match pending {
            Pending::Answer(status, text, reason) => self.answer_head(conn, status, &text, reason, true),
            Pending::Metrics => self.scrape(conn),
            Pending::Healthy => self.respond(conn, StatusCode::OK, &[], b"ok"),
            Pending::Ready if self.drain.is_some() => {
                self.respond(conn, StatusCode::SERVICE_UNAVAILABLE, &[], b"draining");
            }
            Pending::Ready => self.respond(conn, StatusCode::OK, &[], b"ok"),
            Pending::Control(request) => self.on_control(conn, request, body.into_bytes()),
        }
    }

    /// What a head asks for (contract, section 1).
    fn route(&self, head: &Head, surface: Surface) -> Route {
        let handshake = is_handshake(head);
        let connects = surface == Surface::Public;
        let controls = surface == Surface::Control || !self.config.control_listener;
        let not_here = Route::Answer(StatusCode::NOT_FOUND, "not found".into(), None);
        let read = head.method == Method::GET && !handshake;
        match head.path.as_str() {
            "/" | "/metrics" if read => return if controls { Route::Serve(Pending::Metrics) } else { not_here },
            "/-/healthy" if read && controls => return Route::Serve(Pending::Healthy),
            "/-/ready" if read && controls => return Route::Serve(Pending::Ready),
            _ => {}
        }
        let Some(segment) = head.path.strip_prefix('/').filter(|segment| !segment.contains('/')) else {
            return not_here;
        };
        if head.method == Method::GET && !connects {
            return not_here;
        }
        if head.method != Method::GET && !controls {
            return not_here;
        }
        let client = match ClientId::parse(segment) {
            Ok(client) => client,
            Err(error) => {
                return Route::Answer(StatusCode::BAD_REQUEST, error.to_string().into(), Some(Refused::BadRequest));
            }
        };
        if handshake {
            Route::Connect(client)
        } else if head.method == Method::GET {
            let text = "this is where WebSocket clients connect";
            Route::Answer(StatusCode::UPGRADE_REQUIRED, text.into(), Some(Refused::BadHandshake))
        } else {
            self.route_control(head, client)
        }
    }

    fn route_control(&self, head: &Head, client: ClientId) -> Route {
        let known = [Method::POST, Method::DELETE, Method::HEAD];
        if !known.contains(&head.method) {
            return Route::Answer(
                StatusCode::METHOD_NOT_ALLOWED,
                "method not allowed".into(),
                Some(Refused::BadRequest),
            );
        }
        let token = self.config.control_token.as_ref().map(|Secret(token)| token.as_str());
        if !control::authorised(token, &head.headers) {
            return Route::Answer(StatusCode::UNAUTHORIZED, "unauthorised".into(), Some(Refused::Unauthorised));
        }
        let operation = if head.method == Method::POST {
            Ok(Operation::Push { text: !control::is_binary(&head.headers), payload: Bytes::new() })
        } else if head.method == Method::DELETE {
            control::kick_parameters(head.query.as_deref()).map(|(code, reason)| Operation::Kick { code, reason })
        } else {
            Ok(Operation::Head)
        };
        let parsed = operation.and_then(|operation| Ok((operation, control::if_match(&head.headers)?)));
        match parsed {
            Ok((operation, only)) => Route::Serve(Pending::Control(ControlRequest { client, only, operation })),
            Err(text) => Route::Answer(StatusCode::BAD_REQUEST, text.into(), Some(Refused::BadRequest)),
        }
    }

    /// A handshake: checked whole before anybody is asked (contract, section 3.1).
    fn on_handshake(&mut self, conn: ConnId, client: ClientId, head: &Head) {
        match check_handshake(head) {
            Ok(handshake) => self.connect(conn, client, handshake, head),
            Err(HandshakeError::Version) => {
                let text = "only WebSocket version 13 is spoken here";
                self.answer_head(conn, StatusCode::UPGRADE_REQUIRED, text, Some(Refused::BadHandshake), false);
            }
            Err(HandshakeError::Bad(text)) => {
                self.answer_head(conn, StatusCode::BAD_REQUEST, text, Some(Refused::BadHandshake), false);
            }
        }
    }
}
