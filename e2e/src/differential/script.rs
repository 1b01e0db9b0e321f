//! What is played: a setting, rounds, an end.

use std::fmt;

use super::reply::Reply;
use super::transcript::shown;

/// The clients of a script: each has an id, in two spellings.
pub(super) const IDS: [[&str; 2]; 3] = [["a", "%61"], ["b!~c", "b%21%7ec"], ["gr%C3%BCn", "gr%c3%bcn"]];

/// Given with `--control-token`.
pub(super) const TOKEN: &str = "s3cret";

/// A script, all of it decided.
#[derive(Clone, Debug)]
pub struct Script {
    /// The seed it was drawn from.
    pub seed: u64,
    pub(super) setting: Setting,
    pub(super) rounds: Vec<Round>,
    pub(super) end: End,
}

/// The gateway's flags, in so far as they vary.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) threads: u8,
    pub(super) on_duplicate: &'static str,
    pub(super) calls_per_client: usize,
    pub(super) max_message: usize,
    pub(super) base: &'static str,
    pub(super) refuse_in_band: bool,
    pub(super) close_on_failure: bool,
    pub(super) token: bool,
    pub(super) control_listen: bool,
    pub(super) max_connections: Option<u32>,
    /// The API leaves a request without an answer.
    pub(super) hangs: bool,
    /// A client leaves a challenge without an answer.
    pub(super) mutes: bool,
    pub(super) more: Vec<&'static str>,
}

/// What happens until all is quiet again.
#[derive(Clone, Debug)]
pub(super) enum Round {
    /// Different clients act at the same time.
    Deeds(Vec<(usize, Deed)>),
    /// They act while the API cannot be reached.
    Away(Away, Vec<(usize, Deed)>),
    /// The API ends the connections that have nothing to do.
    CloseIdle,
    /// The API stops and comes back.
    Restart,
}

/// How the API cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Away {
    Refuses,
    Closes,
    Resets,
}

/// One client's part in a round. Those that need a connection do nothing without one.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Connect(Connect),
    /// Messages in one go; written in pieces of so many bytes, if not zero; then perhaps a close frame.
    Say {
        messages: Vec<Message>,
        pieces: usize,
        close: bool,
    },
    Ping(Vec<u8>),
    /// Breaks the WebSocket protocol, in this of many ways.
    Break(usize),
    Close {
        frame: Option<(u16, &'static str)>,
        deletes: Vec<Reply>,
    },
    Leave {
        way: Way,
        within_frame: bool,
        deletes: Vec<Reply>,
    },
    /// The API holds a message back, with another one waiting behind it.
    Held(Meanwhile),
    /// Leaves, and is back before the API has answered the DELETE.
    Return(Way),
    /// Answers no more pings.
    Mute,
    Push {
        kind: Push,
        spelling: usize,
    },
    Kick(&'static str),
    Head,
    /// HTTP on a connection of its own, in this of many ways.
    Http(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Connect {
    pub(super) spelling: usize,
    pub(super) query: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    /// Sent along with the handshake.
    pub(super) early: Vec<Message>,
    pub(super) reply: Reply,
    /// Done while the API holds its answer back.
    pub(super) meanwhile: Option<Meanwhile>,
}

#[derive(Clone)]
pub(super) struct Message {
    pub(super) binary: bool,
    pub(super) payload: Vec<u8>,
    pub(super) fragments: usize,
    /// With a ping between the fragments.
    pub(super) ping: bool,
    pub(super) reply: Reply,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Meanwhile {
    Push,
    Kick,
    Close,
    Leave(Way),
}

/// How a client ends its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Fin,
    HalfFin,
    Rst,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Push {
    Text,
    Binary,
    Empty,
    NotUtf8,
    TooLarge,
    Chunked,
    OtherConnection,
    ThisConnection,
    BadCondition,
    NoToken,
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// SIGTERM with whoever is connected.
    Drain,
    /// The same, and the API holds the DELETE of a client back for a while.
    HeldDelete,
    /// A second SIGTERM while it does.
    SecondSignal,
}

impl Deed {
    /// Connections to the API end without the gateway being told.
    pub(super) fn surprises(&self) -> bool {
        match self {
            Deed::Connect(connect) => connect.reply.surprises(),
            Deed::Say { messages, .. } => messages.iter().any(|message| message.reply.surprises()),
            _ => false,
        }
    }
}

impl Connect {
    /// As the id is usually written, and let in.
    pub(super) fn plain() -> Connect {
        let (headers, early) = (Vec::new(), Vec::new());
        Connect { spelling: 0, query: "", headers, early, reply: Reply::Usual, meanwhile: None }
    }
}

impl Message {
    /// A text in one frame.
    pub(super) fn plain(text: &str) -> Message {
        Message { binary: false, payload: text.into(), fragments: 1, ping: false, reply: Reply::Usual }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { binary, payload, fragments, ping, reply } = self;
        let kind = if *binary { "binary" } else { "text" };
        let ping = if *ping { ", pings between" } else { "" };
        write!(f, "{kind} {} in {fragments} frames{ping}, answered {reply:?}", shown(payload))
    }
}

impl Setting {
    /// How many calls of one client can be under way at once.
    pub(super) fn calls_at_once(&self) -> usize {
        if self.more.contains(&"--max-api-connections 1") { 1 } else { self.calls_per_client }
    }

    /// The gateway's command line, but for the API's address.
    pub(super) fn flags(&self) -> Vec<String> {
        // A timeout is short only in a script that waits for it: machines stand still at times.
        let api_timeout = if self.hangs { "4s" } else { "60s" };
        let pong_timeout = if self.mutes { "2s" } else { "60s" };
        let mut flags = format!(
            "--api-timeout {api_timeout} --pong-timeout {pong_timeout} --close-timeout 60s --handshake-timeout 60s \
             --send-timeout 60s --ping-interval 0 --drain 0s --threads {} --on-duplicate {} --calls-per-client {} \
             --max-message {}",
            self.threads, self.on_duplicate, self.calls_per_client, self.max_message
        );
        let switches = [
            (self.refuse_in_band, " --refuse-in-band"),
            (self.close_on_failure, " --on-api-failure close"),
            (self.control_listen, " --control-listen 127.0.0.1:0"),
        ];
        flags.extend(switches.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag));
        if self.token {
            flags.push_str(&format!(" --control-token {TOKEN}"));
        }
        if let Some(most) = self.max_connections {
            flags.push_str(&format!(" --max-connections {most}"));
        }
        for more in &self.more {
            flags.push_str(&format!(" {more}"));
        }
        crate::rig::words(&flags)
    }
}

impl Script {
    /// How many rounds there are.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The same script with these rounds only, named by their places from 0.
    pub fn only(&self, rounds: &[usize]) -> Script {
        let kept = rounds.iter().filter_map(|index| self.rounds.get(*index).cloned()).collect();
        Script { rounds: kept, ..self.clone() }
    }

    /// A DELETE may have been tried any number of times.
    pub(super) fn has_open_repeats(&self) -> bool {
        let ends = |deed: &Deed| !matches!(deed, Deed::Connect(_) | Deed::Push { .. } | Deed::Head | Deed::Ping(_));
        self.rounds.iter().any(|round| match round {
            Round::Away(_, deeds) => deeds.iter().any(|(_, deed)| ends(deed)),
            Round::Deeds(_) | Round::CloseIdle | Round::Restart => false,
        })
    }

    /// The order of messages and answers is open.
    pub(super) fn is_unordered(&self) -> bool {
        self.setting.calls_per_client > 1
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flags: {}", self.setting.flags().join(" "))?;
        writeln!(f, "API under {}", self.setting.base)?;
        for (index, round) in self.rounds.iter().enumerate() {
            match round {
                Round::Deeds(deeds) => {
                    deeds.iter().try_for_each(|(who, deed)| writeln!(f, "{index}: {}: {deed:?}", IDS[*who][0]))?;
                }
                Round::Away(away, deeds) => deeds.iter().try_for_each(|(who, deed)| {
                    writeln!(f, "{index}: (the API {}) {}: {deed:?}", format!("{away:?}").to_lowercase(), IDS[*who][0])
                })?,
                Round::CloseIdle => writeln!(f, "{index}: the API closes idle connections")?,
                Round::Restart => writeln!(f, "{index}: the API restarts")?,
            }
        }
        write!(f, "end: {:?}", self.end)
    }
}

/// A command line in which each flag of `other` takes the place of the one with the same name.
pub fn override_flags(flags: &[String], other: &[String]) -> Vec<String> {
    let mut groups = grouped(flags);
    let other = grouped(other);
    groups.retain(|group| other.iter().all(|new| new[0] != group[0]));
    [groups, other].concat().concat()
}

/// Each flag with its value.
fn grouped(words: &[String]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    for word in words {
        match groups.last_mut() {
            Some(group) if !word.starts_with("--") => group.push(word.clone()),
            _ => groups.push(vec![word.clone()]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::words;

    #[test]
    fn flags_are_replaced_by_name() {
        let flags = words("--drain 0s --refuse-in-band --threads 2");
        let other = words("--threads 1 --max-message 10");
        assert_eq!(override_flags(&flags, &other), words("--drain 0s --refuse-in-band --threads 1 --max-message 10"));
        assert_eq!(
            override_flags(&flags, &words("--refuse-in-band")),
            words("--drain 0s --threads 2 --refuse-in-band")
        );
    }

    #[test]
    fn a_seed_is_a_script() {
        for seed in 0..200 {
            let script = Script::draw(seed);
            assert_eq!(script.to_string(), Script::draw(seed).to_string());
            assert!(script.rounds() > 0);
        }
        assert_ne!(Script::draw(1).to_string(), Script::draw(2).to_string());
    }
}
