//! The lean accountant of the scale run: a few integers for each client, looked at with each event.
//!
//! It checks the laws that matter here: one GET and one DELETE for each connection, the DELETE last; calls of one client
//! in order, one at a time, none lost and none twice; answers and pushes reach whom they are for, in order, each once.
//! The reference model checks more, but keeps a history that a quarter of a million clients would not fit in.

use std::fmt;

/// How many violations are told in full.
const TOLD: usize = 20;

/// Longer latencies count as this one, in milliseconds.
pub(crate) const MAX_LATENCY: usize = 10_000;

/// How far a client has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    New,
    /// The API has said ok.
    Asked,
    /// The handshake is complete.
    Open,
    /// It has sent its close frame.
    Leaving,
    /// Its socket has been closed.
    Gone,
}

/// What is known of one client. Numbers of messages start at 1.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    stage: Stage,
    /// The API is busy with a call of it.
    busy: bool,
    deleted: bool,
    pushing: bool,
    sent: u16,
    /// The last message that the API was told.
    told: u16,
    echoed: u16,
    /// The last push that was answered 200, or is under way.
    pushed: u16,
    pushes_received: u16,
    /// A digest of its `X-Connection-Id`.
    connection: u32,
    /// When it sent its last message.
    sent_at: u32,
}

/// Totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) opened: u64,
    pub(crate) left: u64,
    pub(crate) deletes: u64,
    pub(crate) sent: u64,
    pub(crate) echoed: u64,
    pub(crate) pushed: u64,
    pub(crate) pushes_received: u64,
    /// Pushes to ids that nobody has.
    pub(crate) pushes_astray: u64,
}

pub(crate) struct Ledger {
    /// Simulated time in milliseconds.
    pub(crate) now: u32,
    accounts: Vec<Account>,
    pub(crate) totals: Totals,
    /// Round trips that ended since this was taken, by milliseconds.
    pub(crate) latencies: Vec<u32>,
    violations: Vec<String>,
    violated: u64,
    trace: u64,
}

impl Ledger {
    pub(crate) fn new(clients: u32) -> Ledger {
        Ledger {
            now: 0,
            accounts: vec![Account::default(); clients as usize],
            totals: Totals::default(),
            latencies: vec![0; MAX_LATENCY + 1],
            violations: Vec::new(),
            violated: 0,
            trace: 0,
        }
    }

    /// The API is asked to let a client in.
    pub(crate) fn asked(&mut self, id: u32, connection: u32) {
        let account = self.note(b'g', id, 0);
        let fresh = account.stage == Stage::New;
        account.stage = Stage::Asked;
        account.connection = connection;
        self.check(fresh, id, "a second GET");
    }

    /// The handshake of a client is complete.
    pub(crate) fn opened(&mut self, id: u32) {
        let account = self.note(b'o', id, 0);
        let asked = account.stage == Stage::Asked;
        account.stage = Stage::Open;
        self.totals.opened += 1;
        self.check(asked, id, "let in without a GET");
    }

    /// The number of the message that a client is about to send.
    pub(crate) fn send(&mut self, id: u32) -> u16 {
        let now = self.now;
        let account = self.account(id);
        account.sent += 1;
        account.sent_at = now;
        let number = account.sent;
        self.note(b's', id, number);
        self.totals.sent += 1;
        number
    }

    /// The API is told a message: (whose, which number) it says, by the call of this client.
    pub(crate) fn told(&mut self, id: u32, connection: u32, says: Option<(u32, u16)>) {
        let account = self.note(b'm', id, says.map_or(0, |(_, number)| number));
        account.told += 1;
        let right = says == Some((id, account.told)) && account.connection == connection;
        let alone = !account.busy && !account.deleted;
        account.busy = true;
        self.check(right, id, "the API was told another message than the next one");
        self.check(alone, id, "a call while another one was under way, or after the DELETE");
    }

    /// The API has answered a message.
    pub(crate) fn answered(&mut self, id: u32) {
        self.account(id).busy = false;
    }

    /// The API is told that a client has gone.
    pub(crate) fn deleted(&mut self, id: u32, connection: u32, code: u16) {
        let account = self.note(b'd', id, code);
        let first = !account.deleted && !account.busy && account.connection == connection;
        let complete = account.told == account.sent;
        let leaving = account.stage == Stage::Leaving;
        account.deleted = true;
        self.totals.deletes += 1;
        self.check(first, id, "a second DELETE, or one during a call");
        self.check(complete, id, "a DELETE before all messages were told");
        self.check(leaving && code == 1000, id, "a DELETE that does not tell the truth");
    }

    /// A client has received an answer: (whose, which number) it says.
    pub(crate) fn echoed(&mut self, id: u32, says: Option<(u32, u16)>) {
        let now = self.now;
        let account = self.note(b'e', id, says.map_or(0, |(_, number)| number));
        account.echoed += 1;
        let right = says == Some((id, account.echoed)) && account.echoed == account.sent;
        let latency = (now - account.sent_at) as usize;
        self.latencies[latency.min(MAX_LATENCY)] += 1;
        self.totals.echoed += 1;
        self.check(right, id, "another answer than the next one");
    }

    /// Whether a client has all its answers.
    pub(crate) fn is_quiet(&self, id: u32) -> bool {
        let account = &self.accounts[id as usize];
        account.sent == account.echoed
    }

    /// The number of the next push to a client, if it may be pushed to now.
    pub(crate) fn push(&mut self, id: u32) -> Option<u16> {
        let account = self.account(id);
        if account.stage != Stage::Open || account.pushing {
            return None;
        }
        account.pushing = true;
        account.pushed += 1;
        let number = account.pushed;
        self.note(b'p', id, number);
        Some(number)
    }

    /// A push was answered.
    pub(crate) fn push_answered(&mut self, id: u32, status: u16) {
        let account = self.note(b'P', id, status);
        account.pushing = false;
        // It may have come too late for a client that was leaving by then; it is not delivered either.
        let late = status == 404 && matches!(account.stage, Stage::Leaving | Stage::Gone);
        account.pushed -= u16::from(late);
        self.totals.pushed += u64::from(!late);
        self.check(status == 200 || late, id, "a push to an open client was not answered 200");
    }

    /// A push to nobody was answered.
    pub(crate) fn push_astray(&mut self, id: u32, status: u16) {
        self.totals.pushes_astray += 1;
        self.mix([b'n'.into(), id.into(), status.into()]);
        self.check(status == 404, id, "a push to nobody was not answered 404");
    }

    /// A client has received a push: (whose, which number) it says.
    pub(crate) fn push_received(&mut self, id: u32, says: Option<(u32, u16)>) {
        let account = self.note(b'r', id, says.map_or(0, |(_, number)| number));
        account.pushes_received += 1;
        let right = says == Some((id, account.pushes_received)) && account.pushes_received <= account.pushed;
        self.totals.pushes_received += 1;
        self.check(right, id, "another push than the next one");
    }

    /// A client has sent its close frame.
    pub(crate) fn leaving(&mut self, id: u32) {
        self.note(b'l', id, 0).stage = Stage::Leaving;
    }

    /// A client's socket was closed in order, after its close frame was answered.
    pub(crate) fn left(&mut self, id: u32) {
        let account = self.note(b'x', id, 0);
        let (deleted, leaving) = (account.deleted, account.stage == Stage::Leaving);
        account.stage = Stage::Gone;
        self.totals.left += 1;
        self.check(leaving, id, "closed without having asked for it");
        self.check(deleted, id, "the close was answered before the DELETE");
    }

    /// Something else that must not happen.
    pub(crate) fn failed(&mut self, id: u32, what: impl fmt::Display) {
        let what = what.to_string();
        self.check(false, id, &what);
    }

    /// At the end: everybody came, was served and left.
    pub(crate) fn check_complete(&mut self) {
        for id in 0..self.accounts.len() as u32 {
            let account = self.accounts[id as usize];
            self.check(account.stage == Stage::Gone && account.deleted, id, "not gone at the end");
            let answered = account.sent == account.told && account.told == account.echoed;
            self.check(answered, id, "messages without an answer");
            self.check(account.pushed == account.pushes_received, id, "a push was lost");
        }
    }

    /// What went wrong; empty if nothing did.
    pub(crate) fn violations(&self) -> String {
        match self.violated {
            0 => String::new(),
            count => format!("{count} violations, the first ones:\n{}", self.violations.join("\n")),
        }
    }

    /// A digest of everything that happened, when and in which order.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    fn account(&mut self, id: u32) -> &mut Account {
        &mut self.accounts[id as usize]
    }

    /// Adds an event to the trace.
    fn note(&mut self, kind: u8, id: u32, number: u16) -> &mut Account {
        self.mix([kind.into(), id.into(), number.into()]);
        self.account(id)
    }

    fn mix(&mut self, words: [u64; 3]) {
        for word in words.into_iter().chain([self.now.into()]) {
            self.trace = (self.trace.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn check(&mut self, holds: bool, id: u32, law: &str) {
        if !holds {
            self.violated += 1;
            if self.violations.len() < TOLD {
                let account = self.accounts.get(id as usize);
                self.violations.push(format!("  at {} ms, client {id:x}: {law} ({account:?})", self.now));
            }
        }
    }
}
