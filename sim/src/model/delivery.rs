//! What clients hear, and in which order (sections 4 and 5).
//!
//! An answer or a push was queued at some moment between "not before" and "not after". Of two whose
//! spans do not meet, the earlier must be heard first.

use super::control::PER_MESSAGE;
use super::state::{LifeId, Step};
use super::{Heard, Law, Model, Payload, SocketId, show};

/// What was heard, once it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Index into the replies of the connection.
    Reply(usize),
    /// Index into the pushes of the client.
    Push(usize),
}

/// When something was queued.
#[derive(Clone, Copy, Debug)]
struct Span {
    not_before: Step,
    not_after: Option<Step>,
    /// It waits for the 101, before everything else.
    before_101: bool,
}

impl Model {
    pub(super) fn heard(&mut self, id: SocketId, heard: Heard) {
        let over = self.socket(id).close_heard;
        self.judge(Law::CloseCode, !over, || format!("{id:?} heard {heard:?} after the close frame"));
        let open = self.socket(id).answer.as_ref().is_some_and(|(answer, _)| answer.status == 101);
        self.judge(Law::HandshakeAnswer, open, || format!("{id:?} heard {heard:?} without a 101"));
        match heard {
            Heard::Message(payload) => {
                self.socket(id).took = Some(self.now);
                self.message_heard(id, &payload);
            }
            Heard::Ping => {}
            Heard::Pong => {
                let socket = self.socket(id);
                socket.pongs_heard += 1;
                let kept = socket.pongs_heard <= socket.pings;
                self.judge(Law::Delivery, kept, || format!("{id:?} heard a pong that answers no ping"));
            }
            Heard::Close(close) => self.close_heard(id, close),
        }
    }

    fn message_heard(&mut self, id: SocketId, payload: &Payload) {
        let life = self.socket(id).life.filter(|life| self.state.lives[*life].may_be_ok());
        self.judge(Law::Delivery, life.is_some(), || {
            format!("{id:?}, which the API has not let in, heard {}", show(payload))
        });
        let Some(life) = life else { return };
        let found = self.source(life, payload);
        if found.is_none() {
            let guess = self.guess(life, payload);
            self.judge(Law::Delivery, false, || format!("{id:?} heard {}: {guess}", show(payload)));
        }
        let Some(source) = found else { return };
        self.judge_order(life, source, payload);
        let client = self.state.lives[life].client.clone();
        self.client(&client).heard += payload.body.len() as u64 + PER_MESSAGE;
        match source {
            Source::Reply(index) => self.life(life).replies[index].heard = true,
            Source::Push(index) => self.client(&client).pushes[index].heard = Some(id),
        }
        let span = self.span(life, source);
        let state = self.life(life);
        state.heard_not_before = state.heard_not_before.max(span.not_before);
        state.heard_after_101 |= matches!(source, Source::Reply(_)) || span.not_after.is_some() && !span.before_101;
    }

    fn source(&self, life: LifeId, payload: &Payload) -> Option<Source> {
        let state = &self.state.lives[life];
        let reply = state.replies.iter().position(|reply| !reply.heard && reply.payload == *payload);
        let pushes = &self.state.clients[&state.client].pushes;
        let push = pushes
            .iter()
            .position(|push| push.heard.is_none() && push.payload == *payload && push.may_reach(&state.connection));
        reply.map(Source::Reply).or(push.map(Source::Push))
    }

    fn span(&self, life: LifeId, source: Source) -> Span {
        let state = &self.state.lives[life];
        match source {
            Source::Reply(index) => {
                let reply = &state.replies[index];
                Span { not_before: reply.not_before, not_after: reply.not_after, before_101: false }
            }
            Source::Push(index) => {
                let push = &self.state.clients[&state.client].pushes[index];
                let before_101 = push.status == Some(202);
                let not_after = push.status.and(push.answered);
                Span { not_before: push.asked, not_after, before_101 }
            }
        }
    }

    /// Everything that stands, or stood, in the queue of this connection for sure.
    fn queued(&self, life: LifeId) -> Vec<(Source, bool)> {
        let state = &self.state.lives[life];
        let replies = state.replies.iter().enumerate().filter(|(_, reply)| reply.sure && reply.not_after.is_some());
        let replies = replies.map(|(index, reply)| (Source::Reply(index), reply.heard));
        let pushes = self.state.clients[&state.client].pushes.iter().enumerate();
        let pushes = pushes.filter(|(_, push)| push.is_kept(&state.connection));
        replies.chain(pushes.map(|(index, push)| (Source::Push(index), push.heard.is_some()))).collect()
    }

    /// Something may stand in the queue of this connection that has not been heard yet.
    pub(super) fn may_owe(&self, life: LifeId) -> bool {
        let state = &self.state.lives[life];
        let pushes = &self.state.clients[&state.client].pushes;
        state.replies.iter().any(|reply| !reply.heard)
            || pushes.iter().any(|push| push.heard.is_none() && push.may_reach(&state.connection))
    }

    fn judge_order(&mut self, life: LifeId, source: Source, payload: &Payload) {
        let span = self.span(life, source);
        let skipped = self.queued(life).into_iter().find(|(other, heard)| {
            let other_span = self.span(life, *other);
            let before = other_span.before_101 && !span.before_101 && span.not_after.is_some()
                || other_span.not_after.is_some_and(|at| at <= span.not_before);
            !heard && *other != source && before
        });
        let (skipped, connection) =
            (skipped.map(|(other, _)| self.tell(life, other)), self.state.lives[life].connection.clone());
        self.judge(Law::PushKept, skipped.is_none(), || {
            format!(
                "{connection} heard {} before {}, which was queued before",
                show(payload),
                skipped.unwrap_or_default()
            )
        });
        let state = &self.state.lives[life];
        let late =
            span.not_after.is_some_and(|at| at <= state.heard_not_before) || span.before_101 && state.heard_after_101;
        self.judge(Law::Delivery, !late, || {
            format!("{connection} heard {} after what was queued later", show(payload))
        });
    }

    fn tell(&self, life: LifeId, source: Source) -> String {
        let state = &self.state.lives[life];
        match source {
            Source::Reply(index) => {
                let reply = &state.replies[index];
                format!("the answer to {:?}, {}", reply.post, show(&reply.payload))
            }
            Source::Push(index) => {
                let push = &self.state.clients[&state.client].pushes[index];
                let status = push.status.map_or("not answered".to_owned(), |status| format!("answered {status}"));
                format!("the push {:?} ({status}), {}", push.control, show(&push.payload))
            }
        }
    }

    /// Where a message that should not have been heard may come from.
    fn guess(&self, life: LifeId, payload: &Payload) -> String {
        let connection = &self.state.lives[life].connection;
        for other in &self.state.lives {
            if let Some(reply) = other.replies.iter().find(|reply| reply.payload == *payload) {
                let again = if reply.heard { ", heard before" } else { "" };
                return format!("an answer to a message of {} of {:?}{again}", other.connection, other.client);
            }
        }
        for (client, state) in &self.state.clients {
            if let Some(push) = state.pushes.iter().find(|push| push.payload == *payload) {
                let (status, heard) = (push.status, push.heard);
                return format!(
                    "a push to {client:?} (answered {status:?} for {:?}, heard by {heard:?}), and this is {connection}",
                    push.connection
                );
            }
        }
        "nobody sent that, or its call failed".to_owned()
    }

    /// At a close frame, or when all has settled: nothing that was queued may be missing.
    pub(super) fn judge_nothing_missing(&mut self, life: LifeId, what: &str, replies: bool) {
        let missing: Vec<Source> =
            self.queued(life).into_iter().filter(|(_, heard)| !heard).map(|(it, _)| it).collect();
        let connection = self.state.lives[life].connection.clone();
        let missing = missing.into_iter().find(|source| replies || matches!(source, Source::Push(_)));
        let missing = missing.map(|source| self.tell(life, source));
        self.judge(Law::PushKept, missing.is_none(), || {
            format!("{connection} has not heard {} {what}", missing.unwrap_or_default())
        });
    }
}
