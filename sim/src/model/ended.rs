//! How requests end at the API, and what the gateway must make of it.

use http::Method;

use super::control::PER_MESSAGE;
use super::state::{Get, LifeId, Refusal, Reply};
use super::{ApiAnswer, ApiEnding, ApiId, Law, Model, Payload};

/// Whether an answer came in time to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InTime {
    Yes,
    Perhaps,
    No,
}

impl Model {
    pub(super) fn api_ended(&mut self, id: ApiId, ending: ApiEnding) {
        let request = self.state.requests.get_mut(&id).unwrap_or_else(|| panic!("{id:?} has not arrived"));
        assert!(!std::mem::replace(&mut request.ended, true), "{id:?} ends twice");
        let (life, method, took) = (request.life, request.what.method.clone(), self.now.since(request.arrived));
        let limit = self.settings.config.api_timeout + self.api_slack();
        // Where the way to the API is at fault, the API learns late that nobody waits any more.
        let excused = method == Method::GET || self.state.api_faults;
        self.judge(Law::Deadline, took <= limit || excused, || {
            format!("the gateway waited {took:?} for an answer to {method}")
        });
        let in_time = self.in_time(id);
        let in_time = match &ending {
            ApiEnding::Unclear(_) if in_time == InTime::Yes => InTime::Perhaps,
            _ => in_time,
        };
        let Some(life) = life else { return };
        self.life(life).flights.retain(|flight| *flight != id);
        let answer = match ending {
            ApiEnding::Answered(answer) | ApiEnding::Unclear(answer) => Ok(answer),
            ApiEnding::Broken => Err(Refusal::BadGateway),
            ApiEnding::Abandoned => Err(Refusal::Timeout),
        };
        match method {
            Method::GET => self.get_ended(life, in_time, answer),
            Method::POST => self.post_ended(id, life, in_time, answer),
            _ => self.delete_ended(life, in_time, answer),
        }
    }

    fn in_time(&self, id: ApiId) -> InTime {
        let config = &self.settings.config;
        let took = self.now.since(self.state.requests[&id].arrived);
        if took > config.api_timeout + self.settings.timer_lateness {
            return InTime::No;
        }
        if self.may_be_given_up(id) || self.state.api_faults { InTime::Perhaps } else { InTime::Yes }
    }

    fn get_ended(&mut self, life: LifeId, in_time: InTime, answer: Result<ApiAnswer, Refusal>) {
        let limit = self.settings.config.max_message;
        let get = match (answer, in_time) {
            (Ok(_), InTime::No) => Get::Refused(Refusal::Timeout),
            (Ok(answer), InTime::Perhaps) => Get::Unclear(Some(answer)),
            (Ok(answer), InTime::Yes) if says_ok(&answer, limit) => Get::Ok(answer),
            (Ok(answer), InTime::Yes) => Get::Refused(refusal(&answer, limit)),
            (Err(Refusal::BadGateway), InTime::Yes) => Get::Refused(Refusal::BadGateway),
            (Err(_), _) => Get::Unclear(None),
        };
        self.tally.ended(match &get {
            Get::Ok(_) | Get::Refused(Refusal::Said(..) | Refusal::Bare(_)) => Some(true),
            Get::Refused(_) => Some(false),
            Get::Unclear(None) => Some(false),
            Get::Unclear(_) | Get::Asked => None,
        });
        if let Get::Refused(_) = get {
            let now = self.now;
            self.life(life).finished = true;
            self.life(life).ended = Some(now);
        }
        self.life(life).get = get;
    }

    fn post_ended(&mut self, id: ApiId, life: LifeId, in_time: InTime, answer: Result<ApiAnswer, Refusal>) {
        let limit = self.settings.config.max_message;
        let good = answer.ok().filter(|answer| {
            in_time != InTime::No
                && (200..300).contains(&answer.status)
                && answer.body.len() <= limit
                && (answer.binary || std::str::from_utf8(&answer.body).is_ok())
        });
        let sure = in_time == InTime::Yes;
        self.tally.ended(match &good {
            Some(_) if sure => Some(true),
            Some(_) => None,
            None => Some(false),
        });
        let step = self.step;
        let state = self.life(life);
        state.post_failed |= good.is_none() || !sure;
        let Some(answer) = good.filter(|answer| !answer.body.is_empty()) else { return };
        let payload = Payload { text: !answer.binary, body: answer.body };
        let size = payload.body.len() as u64 + PER_MESSAGE;
        state.replies.push(Reply { payload, not_before: step, not_after: None, sure, heard: false, post: id });
        let client = state.client.clone();
        self.client(&client).offered += size;
    }

    fn delete_ended(&mut self, life: LifeId, in_time: InTime, answer: Result<ApiAnswer, Refusal>) {
        let now = self.now;
        let answered = answer.is_ok() && in_time != InTime::No;
        let status = answer.as_ref().map_or(500, |answer| answer.status);
        let taken = answered && status < 500;
        self.tally.ended(match (answered, in_time) {
            (true, InTime::Perhaps) if status < 300 => None,
            (true, _) => Some((200..300).contains(&status)),
            (false, _) => Some(false),
        });
        let sure = in_time == InTime::Yes;
        let mut ended = self.life(life).ended;
        let delete = &mut self.life(life).delete;
        let twice = delete.taken && taken;
        match (taken, sure) {
            (true, true) => {
                delete.taken = true;
                ended = Some(now);
            }
            (true, false) => {
                delete.perhaps_taken = true;
                delete.first_failed.get_or_insert(now);
            }
            (false, _) => {
                delete.first_failed.get_or_insert(now);
            }
        }
        self.life(life).ended = ended;
        let connection = self.state.lives[life].connection.clone();
        self.judge(Law::OneDelete, !twice, || format!("two DELETEs of {connection} were taken"));
    }
}

/// The API lets the client in (section 3.4).
fn says_ok(answer: &ApiAnswer, limit: usize) -> bool {
    (200..300).contains(&answer.status) && answer.body.len() <= limit && answer.body.trim_ascii() == b"ok"
}

/// What the client is told of an answer that does not let it in (section 3.4).
fn refusal(answer: &ApiAnswer, limit: usize) -> Refusal {
    match answer.status {
        // Of what is too large, the status remains.
        status @ 400..500 if answer.body.len() > limit => Refusal::Bare(status),
        _ if answer.body.len() > limit => Refusal::BadGateway,
        200..300 => Refusal::Said(403, answer.body.clone()),
        status @ 400..500 => Refusal::Said(status, answer.body.clone()),
        _ => Refusal::BadGateway,
    }
}

/// The answers to a connect that the gateway may give when it has this answer of the API; `None`
/// lets in.
pub(super) fn verdict(answer: &ApiAnswer, limit: usize) -> Option<Refusal> {
    if says_ok(answer, limit) { None } else { Some(refusal(answer, limit)) }
}
