//! How connects are answered (sections 3 and 7).

use std::time::Duration;

use bytes::Bytes;
use ws2http_core::OnDuplicate;

use super::ended::verdict;
use super::state::{Get, LifeId, Refusal};
use super::{ApiAnswer, HandshakeAnswer, Law, Missed, Model, SocketId};

/// One answer that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Right {
    /// This status, with a text of the gateway's own.
    Status(u16),
    /// This status and body.
    Whole(u16, Bytes),
}

impl Right {
    fn is(&self, answer: &HandshakeAnswer) -> bool {
        match self {
            Right::Status(status) => answer.status == *status,
            Right::Whole(status, body) => answer.status == *status && answer.body == *body,
        }
    }
}

impl Model {
    pub(super) fn handshake_answered(&mut self, id: SocketId, answer: HandshakeAnswer) {
        let step = self.step;
        let retry = answer.status != 503 || answer.retry_after || self.socket(id).life.is_some();
        self.judge(Law::HandshakeAnswer, retry, || format!("503 to {id:?} without Retry-After"));
        // A wrong origin is no bad handshake.
        let good = matches!(self.socket(id).dial.bad, None | Some(403));
        let in_band = self.settings.config.refuse_in_band && good;
        if in_band {
            // Why it was refused shows in the close frame.
            let fine = [101, 408].contains(&answer.status);
            self.judge(Law::HandshakeAnswer, fine, || {
                format!("{id:?} was refused with {} in spite of --refuse-in-band", answer.status)
            });
        } else {
            let right = self.right_answers(id);
            let fine = right.iter().any(|right| right.is(&answer));
            let state = self.describe_get(id);
            self.judge(Law::HandshakeAnswer, fine, || {
                format!("{id:?} was answered {}, right would be {right:?} ({state})", answer.status)
            });
            self.judge_protocol(id, &answer);
        }
        let now = self.now;
        self.socket(id).answer = Some((answer, step));
        self.socket(id).answered_at = now;
    }

    /// The statuses of a refusal, for the close code of `--refuse-in-band`.
    pub(super) fn right_statuses(&self, id: SocketId) -> Vec<(u16, Option<Bytes>)> {
        let statuses = self.right_answers(id).into_iter().map(|right| match right {
            Right::Status(status) => (status, None),
            Right::Whole(status, body) => (status, Some(body)),
        });
        statuses.filter(|(status, _)| *status != 101).collect()
    }

    fn right_answers(&self, id: SocketId) -> Vec<Right> {
        let socket = &self.state.sockets[&id];
        let mut right: Vec<Right> = socket.dial.bad.map(Right::Status).into_iter().collect();
        let waited = self.now.since(socket.dialled);
        if waited >= self.settings.config.handshake_timeout {
            // The head came too slowly.
            right.push(Right::Status(408));
        }
        if socket.dial.bad.is_some_and(|status| status != 403) {
            return right;
        }
        match socket.life {
            Some(life) => self.asked_answers(life, &mut right),
            None => self.unasked_answers(id, &mut right),
        }
        right
    }

    fn asked_answers(&self, life: LifeId, right: &mut Vec<Right>) {
        let config = &self.settings.config;
        let life = &self.state.lives[life];
        let socket = &self.state.sockets[&life.socket];
        let waited = self.now.since(socket.dialled);
        let given_up = self.drain_end().is_some_and(|end| self.now >= end);
        let unclear = matches!(life.get, Get::Asked | Get::Unclear(_));
        if unclear && (waited >= config.api_timeout || given_up) {
            right.push(Right::Status(504));
        }
        if unclear && (given_up || self.state.had_api_faults || matches!(life.get, Get::Unclear(None))) {
            right.push(Right::Status(502));
        }
        let answer = match &life.get {
            Get::Ok(answer) | Get::Unclear(Some(answer)) => answer,
            Get::Refused(refusal) => return right.push(right_of(refusal)),
            Get::Asked | Get::Unclear(None) => return,
        };
        if let Some(refusal) = verdict(answer, config.max_message) {
            return right.push(right_of(&refusal));
        }
        if !self.usable(answer, &socket.dial.offered) {
            return right.push(Right::Status(502));
        }
        right.push(Right::Status(101));
        let waited_long = config.on_duplicate == OnDuplicate::Replace && waited >= config.handshake_timeout;
        if self.state.drain.is_some() || waited_long {
            right.push(Right::Status(503));
        }
    }

    /// The API has not been asked about it.
    fn unasked_answers(&self, id: SocketId, right: &mut Vec<Right>) {
        let config = &self.settings.config;
        let socket = &self.state.sockets[&id];
        let waited = self.now.since(socket.dialled);
        let client = &self.state.clients[&socket.dial.client];
        let unseen = !self.settings.sees_missed_calls && self.state.had_api_faults;
        if socket.missed == Some(Missed::Refused) || unseen {
            right.push(Right::Status(502));
        }
        if waited >= config.api_timeout {
            right.push(Right::Status(504));
        }
        if self.drain_end().is_some_and(|end| self.now >= end) {
            right.push(Right::Status(502));
        }
        let others = client.sockets.iter().filter(|other| **other != id && !self.state.sockets[other].dead);
        let others: Vec<&SocketId> = others.collect();
        let spoke = others.iter().any(|other| {
            let other = &self.state.sockets[other];
            let Some(life) = other.life.filter(|life| self.state.lives[*life].may_be_ok()) else { return false };
            // Whom the gateway does not read, because it takes nothing, is not judged by its silence; nor is
            // one that takes, bit by bit, of what stands before the ping: messages, or the 101.
            let unread = other.not_reading || !other.cuts.is_empty();
            let takes = other.took.is_some_and(|at| at >= socket.dialled) || self.may_owe(life);
            let takes_101 = other.answer.is_none() || other.answered_at >= socket.dialled;
            other.spoke || unread || takes || takes_101 || config.on_duplicate == OnDuplicate::Reject
        });
        if spoke && config.on_duplicate != OnDuplicate::Replace {
            right.push(Right::Status(409));
        }
        let waiting = waited >= config.handshake_timeout && !others.is_empty();
        if self.state.drain.is_some() || others.len() > 4 || waiting || self.may_be_full() {
            right.push(Right::Status(503));
        }
    }

    /// So many clients may be there that `--max-connections` is reached.
    fn may_be_full(&self) -> bool {
        // A small window lets an answer through in many turns.
        let slack = self.api_slack() + 10 * self.settings.client_latency + Duration::from_secs(1);
        let mut clients = 0;
        for socket in self.state.sockets.values() {
            // A connection lasts until its DELETE, and the gateway learns of an end later than it happened.
            let over = match socket.life.map(|life| &self.state.lives[life]) {
                Some(life) => life.ended.is_some_and(|at| self.now.since(at) > slack),
                None => socket.answer.is_some() && self.now.since(socket.answered_at) > slack,
            };
            clients += usize::from(!over && !socket.dead);
        }
        clients > self.settings.config.max_connections
    }

    /// Whether the subprotocol that the API picked, if any, was offered.
    pub(super) fn usable(&self, answer: &ApiAnswer, offered: &[String]) -> bool {
        answer.protocol.as_ref().is_none_or(|picked| offered.contains(picked))
    }

    fn judge_protocol(&mut self, id: SocketId, answer: &HandshakeAnswer) {
        let socket = &self.state.sockets[&id];
        let Some(Get::Ok(api) | Get::Unclear(Some(api))) = socket.life.map(|life| &self.state.lives[life].get) else {
            return;
        };
        if answer.status != 101 {
            return;
        }
        let configured = &self.settings.config.subprotocols;
        let own = || socket.dial.offered.iter().find(|offer| configured.contains(offer)).cloned();
        let right = api.protocol.clone().or_else(own);
        let given = answer.protocol.clone();
        self.judge(Law::HandshakeAnswer, right == given, || {
            format!("{id:?} was given the subprotocol {given:?}, right would be {right:?}")
        });
    }

    fn describe_get(&self, id: SocketId) -> String {
        let socket = &self.state.sockets[&id];
        match socket.life {
            Some(life) => format!("its GET: {:?}", self.state.lives[life].get),
            None => format!("no GET, missed: {:?}", socket.missed),
        }
    }
}

fn right_of(refusal: &Refusal) -> Right {
    match refusal {
        Refusal::Said(status, body) => Right::Whole(*status, body.clone()),
        Refusal::Bare(status) => Right::Status(*status),
        Refusal::BadGateway => Right::Status(502),
        Refusal::Timeout => Right::Status(504),
    }
}
