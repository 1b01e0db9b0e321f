//! Scripts from seeds.
//!
//! What is drawn must not race: see the comments for what is left out, and why.

use fastrand::Rng;

use super::client::BREACHES;
use super::reply::{BROKEN, Reply, UNUSUAL};
use super::script::{Away, Connect, Deed, End, IDS, Meanwhile, Message, Push, Round, Script, Setting, Way};
use super::{bad_http, draw_replies};
use crate::api::Then;

/// Messages of many reads and writes.
const LARGE: usize = 256 << 10;

const WAYS: [Way; 3] = [Way::Fin, Way::HalfFin, Way::Rst];

impl Script {
    /// The script of this seed.
    pub fn draw(seed: u64) -> Script {
        let mut rng = Rng::with_seed(seed);
        let setting = setting(&mut rng);
        let mut artist = Artist { rng, setting, open: [false; IDS.len()], patience: 1, round: 0 };
        let count = artist.rng.usize(5..14);
        let rounds = (0..count).map(|_| artist.round()).collect();
        // With one connection to the API the DELETEs of others would wait behind the held one.
        let one_lane = artist.setting.more.iter().any(|flag| flag.starts_with("--max-api-connections"));
        let end = match artist.rng.u32(0..6) {
            0 if !one_lane => End::HeldDelete,
            1 if !one_lane => End::SecondSignal,
            _ => End::Drain,
        };
        Script { seed, setting: artist.setting, rounds, end }
    }
}

pub(super) fn one_of<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())].clone()
}

fn one_in(rng: &mut Rng, count: u32) -> bool {
    rng.u32(0..count) == 0
}

fn setting(rng: &mut Rng) -> Setting {
    let more = [
        "--receive-queue 2",
        "--max-api-connections 1",
        "--max-idle-api-connections 0",
        "--api-header X-Gateway:one",
        "--subprotocols game,chat",
        "--origin https://*.example.com",
    ];
    Setting {
        threads: rng.u8(1..3),
        on_duplicate: one_of(rng, &["challenge", "challenge", "reject", "replace"]),
        calls_per_client: if one_in(rng, 8) { 3 } else { 1 },
        max_message: one_of(rng, &[1000, 1000, 10_000, LARGE]),
        base: one_of(rng, &["/", "/", "/ws/over/http/"]),
        refuse_in_band: one_in(rng, 4),
        close_on_failure: one_in(rng, 5),
        token: one_in(rng, 4),
        control_listen: one_in(rng, 4),
        max_connections: one_in(rng, 8).then(|| rng.u32(1..3)),
        hangs: false,
        mutes: false,
        more: more.into_iter().filter(|_| one_in(rng, 7)).collect(),
    }
}

struct Artist {
    rng: Rng,
    setting: Setting,
    /// Who is probably connected.
    open: [bool; IDS.len()],
    /// How many more timeouts the script may wait for.
    patience: u32,
    round: usize,
}

impl Artist {
    fn round(&mut self) -> Round {
        self.round += 1;
        match self.rng.u32(0..40) {
            0..2 => Round::CloseIdle,
            2..4 => Round::Restart,
            4..7 => {
                let away = one_of(&mut self.rng, &[Away::Refuses, Away::Closes, Away::Resets]);
                Round::Away(away, self.deeds(Self::deed_while_away))
            }
            _ => Round::Deeds(self.deeds(Self::deed)),
        }
    }

    /// Deeds of different clients. Which of two connects meets the last free place is not known.
    fn deeds(&mut self, draw: fn(&mut Self, usize, bool) -> Deed) -> Vec<(usize, Deed)> {
        let mut who: Vec<usize> = (0..IDS.len()).collect();
        self.rng.shuffle(&mut who);
        who.truncate(if self.setting.max_connections.is_some() { 1 } else { one_of(&mut self.rng, &[1, 1, 2, 3]) });
        let alone = who.len() == 1;
        let mut deeds = Vec::new();
        for index in who {
            let deed = draw(self, index, alone);
            self.note(index, &deed);
            deeds.push((index, deed));
        }
        deeds
    }

    fn note(&mut self, who: usize, deed: &Deed) {
        match deed {
            Deed::Connect(Connect { meanwhile, .. }) => {
                self.open[who] = !matches!(meanwhile, Some(Meanwhile::Leave(_)));
            }
            Deed::Held(meanwhile) => self.open[who] = matches!(meanwhile, Meanwhile::Push),
            Deed::Say { close: false, .. } | Deed::Return(_) | Deed::Mute | Deed::Ping(_) => {}
            Deed::Push { .. } | Deed::Head | Deed::Http(_) => {}
            Deed::Say { .. } | Deed::Break(_) | Deed::Close { .. } | Deed::Leave { .. } | Deed::Kick(_) => {
                self.open[who] = false;
            }
        }
    }

    /// While the API is away closes would wait for the close timeout.
    fn deed_while_away(&mut self, who: usize, _alone: bool) -> Deed {
        match self.rng.u32(0..10) {
            0..5 if self.open[who] => Deed::Say { messages: vec![self.message(Reply::Usual)], pieces: 0, close: false },
            5..7 if self.open[who] => self.leave(Vec::new()),
            7 if self.open[who] => self.kick(),
            8 => Deed::Head,
            _ => Deed::Connect(Connect {
                reply: Reply::Usual,
                meanwhile: None,
                early: Vec::new(),
                ..self.connect(who, false)
            }),
        }
    }

    fn deed(&mut self, who: usize, alone: bool) -> Deed {
        let choice = self.rng.u32(0..100);
        if !self.open[who] {
            return match choice {
                0..80 => Deed::Connect(self.connect(who, alone)),
                80..88 => Deed::Http(self.rng.usize(0..bad_http::COUNT)),
                88..94 => self.push(),
                94..97 => self.kick(),
                _ => Deed::Head,
            };
        }
        match choice {
            0..34 => self.say(alone),
            34..46 => self.push(),
            46..54 => Deed::Http(self.rng.usize(0..bad_http::COUNT)),
            54..60 => Deed::Connect(self.connect(who, alone)),
            60..65 => Deed::Ping(self.bytes(125)),
            65..70 => Deed::Break(self.rng.usize(0..BREACHES)),
            70..75 => self.close(),
            75..81 => {
                let deletes = self.deletes(false);
                self.leave(deletes)
            }
            81..89 => Deed::Held(self.meanwhile(true)),
            // Whether its old place or its new one is the last free one depends on which end is faster.
            89..92 if self.setting.max_connections.is_none() => Deed::Return(one_of(&mut self.rng, &WAYS)),
            92..93 => self.mute(),
            93..97 => self.kick(),
            _ => Deed::Head,
        }
    }

    /// A client that answers no ping costs a challenge its timeout.
    fn mute(&mut self) -> Deed {
        if self.setting.on_duplicate == "challenge" && self.patience == 0 {
            return Deed::Head;
        }
        self.patience = 0;
        self.setting.mutes = true;
        Deed::Mute
    }

    fn connect(&mut self, who: usize, alone: bool) -> Connect {
        let headers: [&[(&str, &str)]; 7] = [
            &[],
            &[("Cookie", "a=b; c=d"), ("Authorization", "Basic dTpw"), ("User-Agent", "visitor/1")],
            &[("Origin", "https://www.example.com"), ("Accept-Language", "de"), ("X-Twice", "1"), ("X-Twice", "2")],
            &[("Sec-WebSocket-Protocol", "chat, other"), ("Origin", "https://example.org")],
            &[("Connection", "X-Hop"), ("X-Hop", "1"), ("TE", "trailers"), ("Keep-Alive", "timeout=5")],
            &[
                ("X-Connection-Id", "forged"),
                ("X-Close-Code", "1000"),
                ("X-Forwarded-For", "10.0.0.1"),
                ("X_Gateway", "x"),
            ],
            &[
                ("Origin", "https://a.example.com"),
                ("Sec-WebSocket-Protocol", "chat"),
                ("Sec-WebSocket-Protocol", "game"),
            ],
        ];
        let headers = one_of(&mut self.rng, &headers).to_vec();
        let query = one_of(&mut self.rng, &["", "", "?a=b&c=%20d", "?", "?x=/../y"]);
        let offers = headers.iter().any(|(name, _)| *name == "Sec-WebSocket-Protocol");
        let mut reply = draw_replies::to_connect(&mut self.rng, offers);
        // The call for the end of a replaced connection would follow a surprise at once.
        let followed = !alone || self.open[who];
        let waits = matches!(reply, Reply::Hang) && !self.may_wait(alone);
        if waits || reply.surprises() && followed || self.overlaps(&reply) {
            reply = Reply::Usual;
        }
        let early = if one_in(&mut self.rng, 5) && !reply.surprises() { self.rng.usize(1..4) } else { 0 };
        let mut early: Vec<Message> = (0..early).map(|_| self.message(Reply::Usual)).collect();
        // A handler cannot be held and push at the same time; after a surprise no call may follow at once.
        let own = matches!(reply, Reply::PushFirst | Reply::KickFirst | Reply::Hang | Reply::Late | Reply::Dripping);
        let free = !own && !reply.surprises();
        let meanwhile = (free && one_in(&mut self.rng, 5)).then(|| self.meanwhile(false));
        if meanwhile.is_some() && early.iter().any(|message| message.payload.len() > 1000) {
            // The gateway reads only so much ahead of the API's answer, and then sees no end either.
            early.clear();
        }
        Connect { spelling: self.rng.usize(0..2), query, headers, early, reply, meanwhile }
    }

    fn meanwhile(&mut self, open: bool) -> Meanwhile {
        match self.rng.u32(0..5) {
            0 => Meanwhile::Kick,
            1 if open => Meanwhile::Close,
            2 | 3 => Meanwhile::Leave(one_of(&mut self.rng, &WAYS)),
            _ => Meanwhile::Push,
        }
    }

    /// Others' calls might wait behind one that hangs.
    fn may_wait(&mut self, alone: bool) -> bool {
        let may = alone && self.patience > 0 && one_in(&mut self.rng, 2);
        self.patience -= u32::from(may);
        self.setting.hangs |= may;
        may
    }

    fn say(&mut self, alone: bool) -> Deed {
        // Clients do not read while they write: what they write must fit into the queues.
        let most = if self.setting.max_message == LARGE { 2 } else { 5 };
        let count = one_of(&mut self.rng, &[1, 1, 2, 3, 5]).min(most);
        let mut messages = Vec::new();
        for _ in 0..count {
            let mut reply = draw_replies::to_message(&mut self.rng);
            if matches!(reply, Reply::Hang) && !self.may_wait(alone) || self.overlaps(&reply) {
                reply = Reply::Usual;
            }
            messages.push(self.message(reply));
        }
        let mut close = one_in(&mut self.rng, 8);
        for (index, message) in messages.iter_mut().enumerate() {
            let alone_in_line = count == 1 || index + 1 == count && self.setting.calls_per_client == 1;
            let ends =
                matches!(message.reply, Reply::KickFirst) || self.setting.close_on_failure && message.reply.fails();
            // Calls beside each other get the answers in the order in which they arrive, whichever that is.
            let beside_others = count > 1 && self.setting.calls_per_client > 1;
            // What comes at the same moment as the end of a connection may still be served or not.
            if beside_others || ends && !alone_in_line || message.reply.surprises() && !(alone && alone_in_line) {
                message.reply = Reply::Usual;
            } else if ends || message.reply.surprises() || matches!(message.reply, Reply::PushFirst) {
                close = false;
            }
        }
        let length: usize = messages.iter().map(|message| message.payload.len()).sum();
        let pieces = if length > 1000 { [0, 0, 1000, 4096] } else { [0, 0, 1, 7] };
        Deed::Say { messages, pieces: one_of(&mut self.rng, &pieces), close }
    }

    /// The gateway may go on while the API still writes the answer, which then looks like two calls at once.
    fn overlaps(&self, reply: &Reply) -> bool {
        matches!(reply, Reply::TooLarge(_)) && self.setting.max_message == LARGE
    }

    fn message(&mut self, reply: Reply) -> Message {
        let binary = one_in(&mut self.rng, 3);
        let most = if one_in(&mut self.rng, 6) { self.setting.max_message } else { 40 };
        let payload = if binary {
            self.bytes(most)
        } else {
            let mut text =
                one_of(&mut self.rng, &["", "hello", "grüße an alle", "☃ snowman", "{\"json\": true}"]).to_owned();
            if !text.is_empty() {
                text.push_str(&format!(" {}", self.round));
                let room = most.saturating_sub(text.len());
                text.push_str(&"x".repeat(if most > 40 { room } else { self.rng.usize(0..20) }));
            }
            text.into_bytes()
        };
        let fragments = one_of(&mut self.rng, &[1, 1, 1, 2, 5]);
        Message { binary, payload, fragments, ping: one_in(&mut self.rng, 4), reply }
    }

    /// Any bytes, at most so many.
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.rng.usize(0..=most);
        (0..length).map(|_| self.rng.u8(..)).collect()
    }

    fn push(&mut self) -> Deed {
        let kinds = [
            Push::Text,
            Push::Text,
            Push::Binary,
            Push::Empty,
            Push::NotUtf8,
            Push::TooLarge,
            Push::Chunked,
            Push::OtherConnection,
            Push::ThisConnection,
            Push::BadCondition,
            Push::NoToken,
        ];
        Deed::Push { kind: one_of(&mut self.rng, &kinds), spelling: self.rng.usize(0..2) }
    }

    fn kick(&mut self) -> Deed {
        let queries =
            ["", "?code=4001&reason=see+you%21", "?code=1013", "?reason=gr%C3%BC%C3%9Fe", "?code=999", "?why=1"];
        Deed::Kick(one_of(&mut self.rng, &queries))
    }

    fn close(&mut self) -> Deed {
        let frames = [None, Some((1000, "done")), Some((1001, "")), Some((3999, "grüße")), Some((4999, "x"))];
        let frame = one_of(&mut self.rng, &frames);
        Deed::Close { frame, deletes: self.deletes(frame.is_some_and(|(_, reason)| !reason.is_empty())) }
    }

    fn leave(&mut self, deletes: Vec<Reply>) -> Deed {
        let within_frame = one_in(&mut self.rng, 3);
        Deed::Leave { way: one_of(&mut self.rng, &WAYS), within_frame, deletes }
    }

    /// Each failure costs a pause. The HTTP client of one gateway repeats a DELETE without a body itself, and
    /// does not tell, when a connection that was kept ends without an answer.
    fn deletes(&mut self, body: bool) -> Vec<Reply> {
        let reply = match self.rng.u32(0..20) {
            0 => Reply::Status(404),
            1 => Reply::Text("anything", crate::api::Framing::Chunked(3)),
            2 => Reply::Late,
            3 => Reply::Status(302),
            4 => Reply::Status(503),
            5 if body => Reply::Close,
            6 if body => Reply::Reset,
            7 => Reply::Raw(one_of(&mut self.rng, &BROKEN)),
            8 if self.patience > 0 => {
                self.patience -= 1;
                return vec![Reply::Status(500), if body { Reply::Close } else { Reply::Status(503) }];
            }
            _ => return Vec::new(),
        };
        vec![reply]
    }
}

/// The connections that are ended without notice, and how.
pub(super) fn surprise(rng: &mut Rng, text: &'static str) -> Reply {
    Reply::Unannounced(text, one_of(rng, &[Then::Close, Then::HalfClose]))
}

/// A good but unusual answer, or one that is none.
pub(super) fn raw(rng: &mut Rng, good: bool) -> Reply {
    Reply::Raw(if good { one_of(rng, &UNUSUAL) } else { one_of(rng, &BROKEN) })
}
