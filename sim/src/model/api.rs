//! Requests as they arrive at the API.

use std::time::Duration;

use http::Method;
use ws2http_core::OnDuplicate;

use super::state::{Delete, Get, Life, LifeId, Request};
use super::{ApiId, ApiRequest, Law, Missed, MissedCall, Model, Payload, SocketId, show};

/// How long a call may wait for the end of another.
const PATIENCE: Duration = Duration::from_millis(20);

impl Model {
    pub(super) fn api_request(&mut self, id: ApiId, what: ApiRequest) {
        self.tally.arrived(&what.method);
        let life = match what.method {
            Method::GET => self.get_arrived(&what),
            Method::POST => self.known(&what),
            Method::DELETE => self.known(&what),
            _ => {
                self.judge(Law::Lifecycle, false, || format!("the API was asked {} {}", what.method, what.path));
                None
            }
        };
        if let Some(life) = life {
            self.judge_overlap(life, &what);
            match what.method {
                Method::POST => self.post_arrived(life, &what),
                Method::DELETE => self.delete_arrived(life, &what),
                _ => {}
            }
            self.life(life).flights.push(id);
        }
        let request = Request { what, life, arrived: self.now, ended: false };
        self.state.requests.insert(id, request);
    }

    /// The connection that a POST or DELETE is about.
    fn known(&mut self, what: &ApiRequest) -> Option<LifeId> {
        let life = self.state.connections.get(&what.connection).copied();
        let line = || format!("{} {} of {}", what.method, what.path, what.connection);
        self.judge(Law::Lifecycle, life.is_some(), || format!("{} without a GET before", line()));
        let life = life?;
        let path = format!("/{}", canonical(&self.state.lives[life].client));
        let bare = what.path == path && what.query.is_none();
        self.judge(Law::Request, bare, || format!("{} should be for {path}, without a query", line()));
        let state = &self.state.lives[life];
        let (open, over) = (state.may_be_ok(), state.finished || state.delete.taken || state.delete.lost);
        self.judge(Law::Lifecycle, open, || format!("{}, which the API has not let in", line()));
        self.judge(Law::OneDelete, !over, || format!("{} after its end", line()));
        Some(life)
    }

    fn get_arrived(&mut self, what: &ApiRequest) -> Option<LifeId> {
        let dialled = what.dial.filter(|dial| self.state.sockets.contains_key(dial));
        self.judge(Law::Request, dialled.is_some(), || format!("GET {} without its client's headers", what.path));
        let socket = dialled?;
        let dial = self.state.sockets[&socket].dial.clone();
        self.judge(Law::Duplicate, dial.bad.is_none(), || {
            format!("the API was asked about the bad handshake of {socket:?}")
        });
        let again = self.state.sockets[&socket].life.is_some();
        self.judge(Law::Duplicate, !again, || format!("the API was asked twice about {socket:?}"));
        let fresh = !what.connection.is_empty() && !self.state.connections.contains_key(&what.connection);
        self.judge(Law::Request, fresh, || format!("GET {} with the id {:?}", what.path, what.connection));
        let path = format!("/{}", canonical(&dial.client));
        let same = what.path == path && what.query == dial.query && what.body.is_empty();
        let query = &dial.query;
        self.judge(Law::Request, same, || format!("GET {} {:?} for {path} {query:?}", what.path, what.query));
        let late = self.state.sockets[&socket].after_drain;
        self.judge(Law::Drain, !late, || format!("GET of {socket:?}, which came after the drain began"));
        // Unless it waited for a connection to the API, it was on its way when the drain began.
        let waited = self.settings.config.max_api_connections < 10_000;
        let slack = self.api_slack() + self.settings.client_latency + PATIENCE;
        let late = self.state.drain.is_some_and(|drain| self.now.since(drain) > slack);
        self.judge(Law::Drain, waited || !late, || format!("GET of {socket:?} long after the drain began"));
        self.judge_predecessors(socket, &dial.client, what);
        Some(self.born(socket, what))
    }

    fn born(&mut self, socket: SocketId, what: &ApiRequest) -> LifeId {
        let life = self.state.lives.len();
        let client = self.socket(socket).dial.client.clone();
        self.client(&client).lives.push(life);
        self.socket(socket).life = Some(life);
        self.state.connections.insert(what.connection.clone(), life);
        self.state.lives.push(Life {
            connection: what.connection.clone(),
            client,
            socket,
            get: Get::Asked,
            seen: 0,
            seen_early: Default::default(),
            flights: Vec::new(),
            replies: Vec::new(),
            delete: Delete::default(),
            post_failed: false,
            heard_not_before: 0,
            heard_after_101: false,
            finished: false,
            ended: None,
        });
        life
    }

    /// A connect is authorised only after the end of the connection before it (section 6).
    fn judge_predecessors(&mut self, socket: SocketId, client: &str, what: &ApiRequest) {
        let replace = self.settings.config.on_duplicate == OnDuplicate::Replace;
        let lives = self.client(client).lives.clone();
        for id in lives {
            let life = &self.state.lives[id];
            let over =
                life.finished || life.delete.taken || life.delete.perhaps_taken || life.delete.lost || !life.is_ok();
            let connection = life.connection.clone();
            self.judge(Law::NoOverlap, over || replace, || {
                format!("GET {} of {socket:?} before the DELETE of {connection} was answered", what.path)
            });
            let life = self.life(id);
            // Whether or not it was let in: it is settled by now, and must not be heard of again.
            if !replace && matches!(life.get, Get::Unclear(_)) && life.flights.is_empty() {
                life.finished = true;
            }
        }
    }

    /// Requests of one client under way at once (sections 4 and 6).
    fn judge_overlap(&mut self, life: LifeId, what: &ApiRequest) {
        let replace = self.settings.config.on_duplicate == OnDuplicate::Replace;
        let calls = self.settings.config.calls_per_client as usize;
        let client = self.state.lives[life].client.clone();
        let mut posts = 0;
        for other in self.client(&client).lives.clone() {
            for flight in self.state.lives[other].flights.clone() {
                if self.may_be_given_up(flight) {
                    continue;
                }
                let method = self.state.requests[&flight].what.method.clone();
                let gets = method == Method::GET || what.method == Method::GET;
                let allowed = if other == life {
                    posts += 1;
                    what.method == Method::POST && method == Method::POST && posts < calls
                } else {
                    replace && gets
                };
                let connection = self.state.lives[other].connection.clone();
                self.judge(Law::NoOverlap, allowed, || {
                    format!(
                        "{} {} of {} while {method} of {connection} was under way",
                        what.method, what.path, what.connection
                    )
                });
            }
        }
    }

    /// The gateway may have given this request up already, though the API does not know it.
    pub(super) fn may_be_given_up(&self, id: ApiId) -> bool {
        let request = &self.state.requests[&id];
        let start = match (&request.what.method, request.what.dial.and_then(|dial| self.state.sockets.get(&dial))) {
            // A connect's time runs from its arrival at the gateway.
            (&Method::GET, Some(socket)) => socket.dialled.min(request.arrived),
            _ => request.arrived,
        };
        let latest = self.now.since(start) + self.api_slack();
        latest >= self.settings.config.api_timeout
            || self.drain_end().is_some_and(|end| self.now + self.api_slack() >= end)
    }

    /// Finds the message that a POST carries (section 4).
    fn post_arrived(&mut self, life: LifeId, what: &ApiRequest) {
        let deleting = self.state.lives[life].delete.attempts > 0;
        self.judge(Law::Lifecycle, !deleting, || format!("POST of {} after its DELETE", what.connection));
        let text = what.content_type.as_deref() == Some("text/plain; charset=utf-8");
        let known = text || what.content_type.as_deref() == Some("application/octet-stream");
        self.judge(Law::Request, known && what.close_code.is_none(), || {
            format!("POST of {} with the content type {:?}", what.connection, what.content_type)
        });
        let step = self.step;
        let one = self.settings.config.calls_per_client == 1;
        for reply in self.life(life).replies.iter_mut().filter(|reply| one && reply.not_after.is_none()) {
            // With one call at a time the answer before this message has been dealt with.
            reply.not_after = Some(step);
        }
        self.next_message(life, &Payload { text, body: what.body.clone() });
    }

    fn next_message(&mut self, id: LifeId, payload: &Payload) {
        let width = self.settings.config.calls_per_client as usize;
        let may_skip = self.state.had_api_faults && !self.settings.sees_missed_calls;
        let life = &self.state.lives[id];
        let messages = &self.state.sockets[&life.socket].messages;
        let fits = |index: &usize| messages[*index] == *payload && !life.seen_early.contains(index);
        let found = (life.seen..messages.len()).find(fits);
        let before = |index| (life.seen..index).filter(|other| !life.seen_early.contains(other)).count();
        let kept = found.is_some_and(|index| may_skip || before(index) < width);
        let (connection, seen) = (life.connection.clone(), life.seen);
        let text = match found {
            Some(index) => format!("message {index} of {connection} reached the API before message {seen}"),
            None if (0..seen).any(|index| messages[index] == *payload) => {
                format!("the API got a message of {connection} twice: {}", show(payload))
            }
            None => format!("the API got what {connection} never sent: {}", show(payload)),
        };
        self.judge(Law::MessageOrder, kept, || text);
        if let Some(index) = found {
            self.pass_message(id, index, may_skip);
        }
    }

    fn pass_message(&mut self, life: LifeId, index: usize, skip: bool) {
        let life = self.life(life);
        if skip {
            life.seen = index;
        }
        life.seen_early.insert(index);
        while life.seen_early.remove(&life.seen) {
            life.seen += 1;
        }
    }

    fn delete_arrived(&mut self, life: LifeId, what: &ApiRequest) {
        let step = self.step;
        let said = (what.close_code.unwrap_or_default(), String::from_utf8_lossy(&what.body).into_owned());
        self.state.deletes.entry(what.connection.clone()).or_insert(step);
        let state = self.life(life);
        state.delete.attempts += 1;
        state.replies.iter_mut().for_each(|reply| reply.not_after = reply.not_after.or(Some(step)));
        let first = state.delete.said.get_or_insert_with(|| said.clone()).clone();
        self.judge(Law::CloseCode, first == said, || {
            format!("DELETE of {} says {said:?}, and said {first:?} before", what.connection)
        });
        if self.state.lives[life].delete.attempts == 1 {
            self.judge_close_reason(life, &said);
            self.judge_all_seen(life, &said);
            self.judge_notice(life, &said);
        }
    }

    /// A client that has vanished is noticed by its silence (section 8).
    fn judge_notice(&mut self, life: LifeId, said: &(u16, String)) {
        let config = &self.settings.config;
        let socket = &self.state.sockets[&self.state.lives[life].socket];
        let (Some(interval), Some(vanished)) = (config.ping_interval, socket.vanished) else { return };
        let unnoticed = said.0 == 1006 && ["connection reset", "connection failed"].contains(&said.1.as_str());
        // A client that the gateway does not read from cannot show life.
        let read = self.state.lives[life].seen == socket.messages.len() && socket.opened_before(self.step);
        let limit = interval + config.pong_timeout + config.send_timeout + self.settings.client_latency;
        let limit = limit + self.api_slack() + 2 * self.settings.timer_lateness + Duration::from_secs(1);
        // Its DELETE may wait behind a call that the API lets hang.
        let took = socket.revealed.unwrap_or(self.now).since(vanished);
        let connection = self.state.lives[life].connection.clone();
        self.judge(Law::Deadline, !unnoticed || !read || took <= limit, || {
            format!("{connection} had vanished {took:?} before, and nobody noticed")
        });
    }

    /// Who closed in order, or with FIN, has had all its messages delivered before (section 6).
    fn judge_all_seen(&mut self, life: LifeId, said: &(u16, String)) {
        let socket = &self.state.sockets[&self.state.lives[life].socket];
        let closed = socket.close_sent.as_ref().is_some_and(|close| close.code == said.0 && close.reason == said.1);
        let eof = said.0 == 1006 && said.1 == "EOF" && socket.opened_before(self.step);
        if !(closed || eof) || socket.garbage || self.others_may_close(life, said) {
            return;
        }
        let (sent, seen) = (socket.messages.len(), self.state.lives[life].seen);
        let kept = seen == sent || (self.state.had_api_faults && !self.settings.sees_missed_calls);
        let connection = self.state.lives[life].connection.clone();
        self.judge(Law::MessageOrder, kept, || {
            format!("DELETE of {connection} came when {seen} of {sent} messages had reached the API")
        });
    }

    pub(super) fn api_missed(&mut self, missed: MissedCall) {
        let MissedCall { request, why } = missed;
        self.tally.missed += 1;
        match request.method {
            Method::GET => {
                if let Some(socket) = request.dial.and_then(|dial| self.state.sockets.get_mut(&dial)) {
                    socket.missed = Some(why);
                }
            }
            Method::POST => {
                let Some(life) = self.state.connections.get(&request.connection).copied() else { return };
                let text = request.content_type.as_deref() == Some("text/plain; charset=utf-8");
                self.tally.posts_missed += 1;
                self.life(life).post_failed = true;
                self.next_message(life, &Payload { text, body: request.body });
            }
            _ => {
                let now = self.now;
                let Some(life) = self.state.connections.get(&request.connection).copied() else { return };
                if why != Missed::GivenUp || !self.state.lives[life].delete.lost {
                    self.life(life).delete.first_failed.get_or_insert(now);
                }
            }
        }
    }
}

/// The one spelling of a ClientId towards the API (section 2).
pub(super) fn canonical(client: &str) -> String {
    let mut out = String::new();
    for byte in client.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
