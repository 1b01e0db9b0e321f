//! What a world may have: each is switched on or off by the seed.

use std::fmt;

macro_rules! features {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal $percent:literal;)+) => {
        /// Something that can happen in a world, or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Feature {
            /// All of them.
            pub const ALL: &[Feature] = &[$(Feature::$name,)+];

            /// How it is written on the command line and counted.
            pub fn word(self) -> &'static str {
                match self { $(Feature::$name => $word,)+ }
            }

            /// In how many of a hundred worlds it is switched on.
            pub fn percent(self) -> u64 {
                match self { $(Feature::$name => $percent,)+ }
            }
        }
    };
}

features! {
    /// The API answers messages with messages.
    Replies "replies" 80;
    /// Somebody pushes.
    Push "push" 75;
    /// The API pushes from inside its handlers, and answers when the push is answered.
    PushInside "push-inside" 35;
    /// Somebody kicks.
    Kick "kick" 40;
    /// Somebody asks who is connected.
    Head "head" 35;
    /// Somebody scrapes metrics and asks for health.
    Scrape "scrape" 35;
    /// Control requests are sent several at once on one connection, in pieces, and broken off.
    Pipelining "pipelining" 40;
    /// Control requests that must be refused.
    BadControl "bad-control" 30;
    /// Several clients have one id.
    Duplicates "duplicates" 50;
    /// Clients come back.
    Redial "redial" 75;
    /// Clients close in order.
    ClientClose "client-close" 60;
    /// Clients send FIN without a close frame.
    ClientEof "client-eof" 40;
    /// Clients reset their connections.
    ClientReset "client-reset" 40;
    /// Clients vanish without a sign.
    Vanish "vanish" 30;
    /// Clients stop reading for a while.
    Stall "stall" 35;
    /// The network between client and gateway stands still for a while.
    Hold "hold" 25;
    /// Clients answer no pings.
    Silent "silent" 25;
    /// Clients send many messages at once.
    Flood "flood" 40;
    /// Clients break the WebSocket protocol.
    Garbage "garbage" 25;
    /// Messages come in several frames, with pings between.
    Fragments "fragments" 40;
    /// Clients ping.
    Pings "pings" 40;
    /// Clients send frames before they have read the 101.
    Eager "eager" 35;
    /// Handshakes that must be refused.
    BadHandshake "bad-handshake" 25;
    /// Sockets that send noise, or nothing.
    Junk "junk" 25;
    /// Bytes arrive one by one, or in small pieces.
    Split "split" 45;
    /// Socket buffers are small.
    SmallWindow "small-window" 35;
    /// The API refuses clients.
    ApiRefuses "api-refuses" 50;
    /// The API answers with 3xx, 4xx, 5xx where it should not.
    ApiErrors "api-errors" 50;
    /// The API does not answer.
    ApiHangs "api-hangs" 35;
    /// Connections to the API break before the answer.
    ApiBreaks "api-breaks" 40;
    /// The API is away for a while: connections are refused.
    ApiDown "api-down" 35;
    /// Kept-alive connections to the API turn out to be closed.
    ApiUnsent "api-unsent" 35;
    /// Answers are too large, or not UTF-8.
    ApiBadBodies "api-bad-bodies" 35;
    /// Answers come after their timeout, and when their call is long forgotten.
    LateAnswers "late-answers" 35;
    /// The driver tells of sockets that are no more.
    StaleEvents "stale-events" 30;
    /// Shards stand still for a while.
    ShardStall "shard-stall" 20;
    /// Timers are served early, and again.
    EarlyWakes "early-wakes" 40;
    /// Timers are served late.
    LateWakes "late-wakes" 40;
    /// The gateway is drained while all this goes on.
    Drain "drain" 25;
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
