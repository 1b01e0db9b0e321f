//! Why a connection may end, and what its DELETE and its close frame say (sections 6, 7 and 8).

use ws2http_core::{OnApiFailure, OnDuplicate};

use super::state::{Get, LifeId, Socket};
use super::{Cut, Law, Model, Operation, SocketId};

/// What the gateway says of a client that broke the protocol.
const BROKEN_PROTOCOL: [u16; 4] = [1002, 1003, 1007, 1009];

impl Model {
    /// The code and reason of a DELETE are those of something that happened.
    pub(super) fn judge_close_reason(&mut self, life: LifeId, said: &(u16, String)) {
        let right = self.close_reasons(life);
        let socket = &self.state.sockets[&self.state.lives[life].socket];
        let broken = socket.garbage && BROKEN_PROTOCOL.contains(&said.0);
        let connection = self.state.lives[life].connection.clone();
        self.judge(Law::CloseCode, broken || right.contains(said), || {
            format!("DELETE of {connection} says {said:?}, right would be {right:?}")
        });
    }

    /// All codes and reasons for which this connection may have ended by now.
    fn close_reasons(&self, life: LifeId) -> Vec<(u16, String)> {
        let life = &self.state.lives[life];
        let socket = &self.state.sockets[&life.socket];
        let post_failed = life.post_failed || life.flights.iter().any(|flight| self.may_be_given_up(*flight));
        let mut right = self.own_reasons(socket);
        right.extend(self.foreign_reasons(&life.client, life.socket));
        let mut abnormal = |reason: &str| right.push((1006, reason.to_owned()));
        if self.state.drain.is_some() {
            abnormal("shutting down");
        }
        if let Get::Ok(answer) | Get::Unclear(Some(answer)) = &life.get
            && !self.usable(answer, &socket.dial.offered)
        {
            abnormal("subprotocol was not offered");
        }
        if self.settings.config.on_duplicate == OnDuplicate::Replace {
            // It was let in, but its predecessor's DELETE took too long.
            abnormal("handshake timeout");
        }
        if post_failed && self.settings.config.on_api_failure == OnApiFailure::Close {
            right.push((1011, "the API failed".to_owned()));
        }
        right
    }

    /// What the client or its network did.
    fn own_reasons(&self, socket: &Socket) -> Vec<(u16, String)> {
        let mut right = Vec::new();
        let mut abnormal = |reason: &str| right.push((1006, reason.to_owned()));
        for cut in &socket.cuts {
            match cut {
                Cut::Eof => abnormal("EOF"),
                Cut::Reset => {
                    abnormal("connection reset");
                    abnormal("connection failed");
                }
                Cut::Vanished => {}
            }
        }
        if socket.silent {
            abnormal("ping timeout");
        }
        // Who is gone neither answers nor reads, and the gateway may not be reading just then.
        if !socket.cuts.is_empty() || socket.not_reading {
            abnormal("ping timeout");
            abnormal("send timeout");
        }
        right.extend(socket.close_sent.as_ref().map(|close| (close.code, close.reason.clone())));
        right
    }

    /// What others did: kicks, drains, successors.
    fn foreign_reasons(&self, client: &str, socket: SocketId) -> Vec<(u16, String)> {
        let state = &self.state.clients[client];
        let mut right = Vec::new();
        for kick in &state.kicks {
            let control = &self.state.controls[kick];
            let refused = control.answer.as_ref().is_some_and(|answer| answer.status != 200);
            if let Operation::Kick(code, reason) = &control.request.operation
                && !refused
            {
                right.push((*code, reason.clone()));
            }
        }
        if self.state.drain.is_some() {
            right.push((1001, "shutting down".to_owned()));
        }
        // Who dialled later may have come first.
        let successor = state.sockets.iter().any(|other| *other != socket);
        if self.settings.config.on_duplicate == OnDuplicate::Replace && successor {
            right.push((1008, "replaced".to_owned()));
        }
        right
    }

    /// Something besides the client could have ended the connection with the same words.
    pub(super) fn others_may_close(&self, life: LifeId, said: &(u16, String)) -> bool {
        let life = &self.state.lives[life];
        self.foreign_reasons(&life.client, life.socket).contains(said)
            || (said.0 == 1011 && self.settings.config.on_api_failure == OnApiFailure::Close)
    }

    pub(super) fn close_heard(&mut self, id: SocketId, close: Option<(u16, String)>) {
        let said = close.unwrap_or((1005, String::new()));
        self.socket(id).close_heard = true;
        let own = self.socket(id).close_sent.clone();
        let life = self.socket(id).life.filter(|life| self.state.lives[*life].may_be_ok());
        if self.refused_in_band(id, &said) {
            return;
        }
        let echo = own.as_ref().is_some_and(|own| own.code == said.0 && said.1.is_empty());
        let broken = self.socket(id).garbage && BROKEN_PROTOCOL.contains(&said.0);
        let right = life.map(|life| self.close_reasons(life)).unwrap_or_default();
        self.judge(Law::CloseCode, echo || broken || right.contains(&said), || {
            format!("{id:?} heard the close {said:?}, right would be {right:?}")
        });
        let Some(life) = life else { return };
        let client = self.state.lives[life].client.clone();
        let foreign = self.foreign_reasons(&client, id).iter().any(|(code, _)| *code == said.0);
        let since = own.as_ref().map_or(self.now, |own| own.at);
        let early = self.now.since(since) < self.settings.config.close_timeout;
        if echo && !foreign && early {
            let delete = &self.state.lives[life].delete;
            let answered = delete.taken || delete.perhaps_taken || delete.lost || self.state.lives[life].finished;
            self.judge(Law::Deadline, answered, || {
                format!("the close frame of {id:?} was answered before the API answered its DELETE")
            });
        }
        if echo {
            let limit = self.settings.config.close_timeout
                + 2 * self.settings.client_latency
                + 2 * self.settings.timer_lateness;
            let socket = self.socket(id);
            let slow =
                socket.silent || socket.not_reading || socket.close_sent.as_ref().is_some_and(|close| close.behind);
            let took = self.now.since(since);
            self.judge(Law::Deadline, slow || took <= limit, || {
                format!("the close frame of {id:?} was answered after {took:?}")
            });
        }
        if !self.settings.config.refuse_in_band {
            // Until our close frame is queued, answers still go out, and pushes never come behind it.
            self.judge_nothing_missing(life, "before the close frame", echo && !foreign && early);
        }
    }

    /// With `--refuse-in-band` a refusal is a 101 and a close frame (section 3.6).
    fn refused_in_band(&mut self, id: SocketId, said: &(u16, String)) -> bool {
        if !self.settings.config.refuse_in_band {
            return false;
        }
        let in_band = self.right_statuses(id).into_iter().find(|(status, body)| {
            let code = match status {
                503 => 1013,
                502 | 504 => 1011,
                _ => 1008,
            };
            let text = body.as_ref().map(|body| String::from_utf8_lossy(body.trim_ascii()).into_owned());
            let text = text.map(|text| cut(&text).to_owned());
            said.0 == code && text.is_none_or(|text| text == said.1)
        });
        in_band.is_some()
    }
}

/// The longest start of a text that fits into a close frame (section 3.6).
fn cut(text: &str) -> &str {
    let mut end = text.len().min(123);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
