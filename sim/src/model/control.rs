//! Pushes, kicks and questions (section 5).

use super::state::{Control, Get, LifeId, Push, Step};
use super::{ControlAnswer, ControlId, ControlRequest, Law, Model, Operation};

use ws2http_core::{OnApiFailure, OnDuplicate};

/// What counts against a send queue and is no message: the 101, pings, a close frame.
const BESIDES: u64 = 1024;

/// What a message counts besides its payload: its frame's head, and 64 bytes for what holds it.
pub(super) const PER_MESSAGE: u64 = 10 + 64;

impl Model {
    pub(super) fn control_asked(&mut self, id: ControlId, request: ControlRequest) {
        let step = self.step;
        let client = self.client(&request.client);
        match &request.operation {
            Operation::Push(payload) if request.bad.is_none() => {
                client.offered += payload.body.len() as u64 + PER_MESSAGE;
                client.pushes.push(Push {
                    control: id,
                    payload: payload.clone(),
                    asked: step,
                    answered: None,
                    status: None,
                    connection: None,
                    heard: None,
                    lost: false,
                });
            }
            Operation::Kick(..) if request.bad.is_none() => client.kicks.push(id),
            Operation::Push(_) | Operation::Kick(..) | Operation::Head => {}
        }
        let heard = client.heard;
        let control = Control { request, asked: step, since: self.now, heard, answer: None, lost: false };
        assert!(self.state.controls.insert(id, control).is_none(), "{id:?} is asked twice");
    }

    pub(super) fn control_lost(&mut self, id: ControlId) {
        let control = self.state.controls.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was not asked"));
        control.lost = true;
        let client = control.request.client.clone();
        for push in self.client(&client).pushes.iter_mut().filter(|push| push.control == id) {
            push.lost = true;
        }
    }

    pub(super) fn control_answered(&mut self, id: ControlId, answer: ControlAnswer) {
        let control = self.state.controls.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was not asked"));
        control.answer = Some(answer.clone());
        let (request, asked, since) = (control.request.clone(), control.asked, control.since);
        let status = answer.status;
        let retry = status != 503 || answer.retry_after;
        self.judge(Law::ControlAnswer, retry, || format!("{id:?} was answered 503 without Retry-After"));
        // A request that comes in slowly is given up, good or bad (section 9).
        let slow = status == 408 && self.now.since(since) >= self.settings.config.handshake_timeout;
        let fault = match request.bad {
            _ if slow => None,
            Some(right) => (right != status).then(|| format!("right would be {right}")),
            None => self.control_fault(id, &request, &answer, asked),
        };
        self.judge(Law::ControlAnswer, fault.is_none(), || {
            let ControlRequest { client, only, operation, .. } = &request;
            let what = match operation {
                Operation::Push(payload) => format!("push of {}", super::show(payload)),
                Operation::Kick(code, reason) => format!("kick ({code}, {reason:?})"),
                Operation::Head => "HEAD".to_owned(),
            };
            format!(
                "{id:?}, a {what} for {client:?} (only {only:?}), was answered {answer:?}: {}",
                fault.unwrap_or_default()
            )
        });
        if request.bad.is_none() && matches!(request.operation, Operation::Push(_)) {
            self.push_answered(id, &request.client, &answer);
        }
    }

    /// What is wrong with an answer.
    fn control_fault(
        &self,
        id: ControlId,
        request: &ControlRequest,
        answer: &ControlAnswer,
        asked: Step,
    ) -> Option<String> {
        let push = matches!(request.operation, Operation::Push(_));
        match answer.status {
            200 => self.wrong_done(request, answer, asked),
            202 if push => self.wrong_queued(request, answer, asked),
            503 if push => self.wrong_full(id, request),
            404 => {
                let open = self.surely_open(&request.client, asked);
                let there = open.or_else(|| self.surely_deciding(id).filter(|_| push))?;
                Some(format!("{} is there", self.state.lives[there].connection))
            }
            412 => {
                let Some(only) = &request.only else { return Some("no connection was named".to_owned()) };
                let mut there =
                    [self.surely_open(&request.client, asked), self.surely_deciding(id)].into_iter().flatten();
                let named = there.any(|life| self.state.lives[life].connection == *only);
                named.then(|| "that very connection is there".to_owned())
            }
            _ => Some("no such answer is known".to_owned()),
        }
    }

    fn wrong_done(&self, request: &ControlRequest, answer: &ControlAnswer, asked: Step) -> Option<String> {
        let Some(connection) = &answer.connection else { return Some("no connection is named".to_owned()) };
        if request.only.as_ref().is_some_and(|only| only != connection) {
            return Some("another connection was meant".to_owned());
        }
        let Some(life) = self.state.connections.get(connection) else {
            return Some("the API was not asked".to_owned());
        };
        let life = &self.state.lives[*life];
        if life.client != request.client {
            return Some(format!("it is a connection of {:?}", life.client));
        }
        if !life.may_be_ok() {
            return Some("the API has not let it in".to_owned());
        }
        let gone = life.delete.attempts > 0 && self.delete_before(life.connection.as_str(), asked);
        gone.then(|| "its DELETE had come before".to_owned())
    }

    /// Its DELETE reached the API before the request was made.
    fn delete_before(&self, connection: &str, asked: Step) -> bool {
        self.state.deletes.get(connection).is_some_and(|at| *at < asked)
    }

    fn wrong_queued(&self, request: &ControlRequest, answer: &ControlAnswer, asked: Step) -> Option<String> {
        let Some(connection) = &answer.connection else { return Some("no connection is named".to_owned()) };
        if request.only.as_ref().is_some_and(|only| only != connection) {
            return Some("another connection was meant".to_owned());
        }
        // Its GET may still be on its way to the API.
        let life = &self.state.lives[*self.state.connections.get(connection)?];
        if life.client != request.client {
            return Some(format!("it is a connection of {:?}", life.client));
        }
        let socket = &self.state.sockets[&life.socket];
        if socket.opened_before(asked) {
            return Some("it was open already".to_owned());
        }
        self.delete_before(connection, asked).then(|| "its DELETE had come before".to_owned())
    }

    /// Refused for want of room, though there must have been room.
    fn wrong_full(&self, id: ControlId, request: &ControlRequest) -> Option<String> {
        let client = &self.state.clients[&request.client];
        let pings: u64 = client.sockets.iter().map(|socket| self.state.sockets[socket].pings).sum();
        let waiting = client.offered.saturating_sub(self.state.controls[&id].heard) + BESIDES + 200 * pings;
        let limit = self.settings.config.send_queue as u64;
        (waiting <= limit).then(|| format!("at most {waiting} bytes wait for it, and {limit} may"))
    }

    /// A connection of this client that has been open all the time since, and that nothing can have ended.
    pub(super) fn surely_open(&self, client: &str, since: Step) -> Option<LifeId> {
        let config = &self.settings.config;
        let state = &self.state.clients[client];
        let kicked = state.kicks.iter().any(|kick| {
            let answer = &self.state.controls[kick].answer;
            answer.as_ref().is_none_or(|answer| answer.status == 200)
        });
        if self.state.drain.is_some() || config.refuse_in_band || kicked {
            return None;
        }
        state.lives.iter().copied().find(|id| {
            let life = &self.state.lives[*id];
            let socket = &self.state.sockets[&life.socket];
            let replaced = config.on_duplicate == OnDuplicate::Replace && state.sockets.len() > 1;
            let failed = config.on_api_failure == OnApiFailure::Close;
            life.is_ok() && socket.opened_before(since) && socket.is_sound() && !replaced && !failed
        })
    }

    /// A connection of this client about which the API has been deciding since before this request, for sure.
    fn surely_deciding(&self, id: ControlId) -> Option<LifeId> {
        let Control { request, since, .. } = &self.state.controls[&id];
        let state = &self.state.clients[&request.client];
        if self.state.drain.is_some() || self.state.had_api_faults {
            return None;
        }
        state.lives.iter().copied().find(|id| {
            let life = &self.state.lives[*id];
            let socket = &self.state.sockets[&life.socket];
            let before = life.flights.iter().any(|flight| self.state.requests[flight].arrived < *since);
            let in_time = self.now.since(socket.dialled) < self.settings.config.api_timeout;
            life.get == Get::Asked && before && in_time && socket.is_sound()
        })
    }

    fn push_answered(&mut self, id: ControlId, client: &str, answer: &ControlAnswer) {
        let step = self.step;
        let queued = self.client(client).pushes.iter().position(|push| push.control == id);
        let Some(index) = queued else { return };
        let state = self.client(client);
        let push = &mut state.pushes[index];
        push.answered = Some(step);
        push.status = Some(answer.status);
        push.connection.clone_from(&answer.connection);
        let (heard, size) = (push.heard, push.payload.body.len() as u64 + PER_MESSAGE);
        let kept = matches!(answer.status, 200 | 202);
        if !kept {
            state.offered -= size;
        }
        self.tally.pushed(answer.status);
        let life = answer.connection.as_ref().and_then(|name| self.state.connections.get(name).copied());
        let there = life.map(|life| self.state.lives[life].socket);
        let fine = heard.is_none() || (kept && heard == there);
        self.judge(Law::Delivery, fine, || {
            format!("the push {id:?} was answered {} for {there:?}, but {heard:?} heard it", answer.status)
        });
        let Some(socket) = there.filter(|_| kept && heard.is_none()) else { return };
        let state = &self.state.sockets[&socket];
        let over = state.close_heard && !self.settings.config.refuse_in_band && answer.status == 200;
        self.judge(Law::PushKept, !over, || {
            format!("the push {id:?} was answered 200, but {socket:?} heard its close frame without it")
        });
    }
}
