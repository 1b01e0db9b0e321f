//! What a world is made of.

use std::time::Duration;

use ws2http_core::{ApiAddress, Config};

use crate::model::Settings;

/// What clients do while they may do what they like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// The longest pause between two things that a client does.
    pub(crate) pause: Duration,
    /// The longest pause before it connects again.
    pub(crate) away: Duration,
    /// How many in a hundred things done are a close, with a reconnect.
    pub(crate) closes: u8,
    /// How many are an end without a close frame.
    pub(crate) drops: u8,
    /// How many are a ping.
    pub(crate) pings: u8,
    /// The longest message, in bytes.
    pub(crate) size: usize,
}

/// The make of a world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    /// In how long they come first.
    pub(crate) ramp: Duration,
    /// On how many hosts they are.
    pub(crate) hosts: usize,
    pub(crate) gateways: usize,
    /// How many of them do not run from the start.
    pub(crate) spare: usize,
    pub(crate) shards: u16,
    pub(crate) config: Config,
    /// Connections that may wait to be accepted, and writes that may wait to be read.
    pub(crate) capacity: usize,
    /// The longest way between gateways and API.
    pub(crate) api_latency: Duration,
    /// The longest way between gateways and clients.
    pub(crate) client_latency: Duration,
    pub(crate) habits: Habits,
    /// Who send control requests, each one after the other.
    pub(crate) pushers: u32,
    /// The longest pause between two of one pusher.
    pub(crate) push_pause: Duration,
    pub(crate) push_size: usize,
    /// How many in a hundred pushes go to nobody.
    pub(crate) astray: u8,
    /// How many in a hundred control requests are kicks.
    pub(crate) kicks: u8,
    /// Clients that send random bytes.
    pub(crate) rogues: u32,
    /// Clients that do not read now and then; they are no more at the last message.
    pub(crate) slow_readers: u32,
    /// Clients that say nothing after their handshake, not even pongs; they are no more at the last message.
    pub(crate) silent: u32,
    /// Clients claim to have sent what they have not: whoever judges has to notice.
    pub(crate) canary: bool,
}

impl Plan {
    /// An ordinary world of so many clients, whose gateway is less patient than the shipped one.
    pub(crate) fn new(seed: u64, clients: u32) -> Plan {
        let mut config = Config::new(ApiAddress::parse("http://api:8000/").expect("an address"));
        config.ping_interval = Some(Duration::from_secs(5));
        config.pong_timeout = Duration::from_secs(2);
        config.api_timeout = Duration::from_secs(3);
        config.handshake_timeout = Duration::from_secs(10);
        config.close_timeout = Duration::from_secs(2);
        config.send_timeout = Duration::from_secs(4);
        config.disconnect_retry = Duration::from_secs(120);
        config.drain = Duration::from_secs(2);
        config.send_queue = 128 * 1024;
        config.max_message = 64 * 1024;
        Plan {
            seed,
            clients,
            ramp: Duration::from_secs(2),
            hosts: 4,
            gateways: 1,
            spare: 0,
            shards: 3,
            config,
            capacity: 1024.max(2 * clients as usize),
            api_latency: Duration::from_millis(10),
            client_latency: super::MAX_LATENCY,
            habits: Habits {
                pause: Duration::from_millis(1000),
                away: Duration::from_millis(1000),
                closes: 2,
                drops: 1,
                pings: 3,
                size: 300,
            },
            pushers: 8,
            push_pause: Duration::from_millis(100),
            push_size: 200,
            astray: 5,
            kicks: 1,
            rogues: 0,
            slow_readers: 0,
            silent: 0,
            canary: false,
        }
    }

    /// What the models are to know; ways end with a tick.
    pub(crate) fn model_settings(&self) -> Settings {
        let tick = Duration::from_millis(2);
        Settings {
            api_latency: self.api_latency + tick,
            client_latency: self.client_latency + tick,
            ..Settings::new(self.config.clone())
        }
    }

    /// A source of chance of its own for somebody.
    pub(crate) fn rng(&self, kind: u8, index: u64) -> fastrand::Rng {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ u64::from(kind) << 56 ^ index);
        // Neighbouring seeds begin alike.
        fastrand::Rng::with_seed(rng.u64(..))
    }
}

/// A pause of at most so long, at least a millisecond.
pub(crate) fn pause(rng: &mut fastrand::Rng, longest: Duration) -> Duration {
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(rng.u64(1..=longest))
}
