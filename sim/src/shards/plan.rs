//! The options of a world, all drawn from its seed before it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ws2http_core::{ApiAddress, Config, OnApiFailure, OnDuplicate, OriginPattern, Secret};

use super::Feature;
use crate::draw::Draw;

const TOKEN: &str = "s3cret";
const ORIGIN: &str = "https://good.example";

/// From the shortest to the longest.
pub(super) type Span = (Duration, Duration);

/// Everything about a world that is decided before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many shards the gateway has.
    pub shards: u16,
    /// How many clients there are at a time.
    pub clients: u64,
    /// How many connects each of them makes.
    pub connects: u64,
    /// How many ClientIds they share.
    pub ids: u64,
    /// How long faults go on.
    pub faults: Duration,
    /// How long a client pauses between what it does.
    pub think: Duration,
    /// The largest message, roughly.
    pub size: u64,
    /// What happens.
    pub features: BTreeSet<Feature>,
    /// The gateway's settings.
    pub config: Config,
    pub(super) client_latency: Span,
    pub(super) api_latency: Span,
    pub(super) shard_latency: Span,
    /// How long the API takes to answer, usually.
    pub(super) service: Span,
    /// How late timers are at most.
    pub(super) lateness: Duration,
    /// How long a shard may stand still.
    pub(super) stall: Span,
    /// Bytes that a socket takes before its reader reads.
    pub(super) window: usize,
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn span(least: u64, most: u64) -> Span {
    (Duration::from_micros(least), Duration::from_micros(most))
}

impl Plan {
    /// Draws a world.
    pub fn draw(draw: &mut Draw) -> Plan {
        let mut features = BTreeSet::new();
        // A third of the worlds is crowded with features, a third is sparse, a third in between.
        let crowd = *draw.pick(&[100, 60, 160]);
        for feature in Feature::ALL {
            if draw.percent((feature.percent() * crowd / 100).min(95)) {
                features.insert(*feature);
            }
        }
        let mut config = draw_config(draw);
        let fastest = config.pong_timeout.min(config.send_timeout).as_micros() as u64;
        // A client that answers at once must not look dead.
        let longest = (*draw.pick(&[20_000, 1_000, 200, 100_000])).min(fastest / 8);
        let window = if features.contains(&Feature::SmallWindow) { *draw.pick(&[300, 16, 2000]) } else { 65_536 };
        // Nor one that gets what waits for it a window at a time, of which there must not be too many.
        if features.contains(&Feature::SmallWindow) {
            config.send_queue = config.send_queue.min(20_000);
        }
        let windows = 1 + config.send_queue.min(20_000) as u64 / window;
        let longest = longest.min(fastest / 8 / windows).max(1);
        let lateness = millis(if features.contains(&Feature::LateWakes) { *draw.pick(&[5, 20, 1]) } else { 0 });
        let clients = *draw.pick(&[4, 1, 2, 8, 16]);
        let ids = if features.contains(&Feature::Duplicates) { (clients / 3).max(1) } else { clients };
        let faults = millis(*draw.pick(&[3_000, 1_000, 6_000, 15_000]));
        Plan {
            shards: *draw.pick(&[1, 2, 3]),
            clients,
            connects: if features.contains(&Feature::Redial) { *draw.pick(&[3, 2, 6, 12]) } else { 1 },
            ids,
            faults,
            // Some thousand deeds are enough for a world.
            think: millis(*draw.pick(&[100, 20, 5, 400])).max(faults * clients as u32 / 1500),
            size: *draw.pick(&[40, 10, 200, 2000]),
            client_latency: span(longest / 10, longest),
            api_latency: span(50, *draw.pick(&[1_000, 200, 10_000])),
            shard_latency: span(1, *draw.pick(&[50, 10, 5_000])),
            service: span(100, *draw.pick(&[2_000, 20_000, 100_000])),
            lateness,
            stall: draw_stall(draw, &config),
            window: window as usize,
            features,
            config,
        }
    }

    /// Changes what was drawn, by name: for smaller worlds that show the same.
    ///
    /// # Errors
    ///
    /// If a name or value is not known; the text says which there are.
    pub fn set(&mut self, values: &BTreeMap<String, String>) -> Result<(), String> {
        for (name, value) in values {
            let number = || value.parse::<u64>().map_err(|_| format!("{name}={value} is not a number"));
            match name.as_str() {
                "clients" => self.clients = number()?.clamp(1, 1000),
                "connects" => self.connects = number()?.clamp(1, 1000),
                "ids" => self.ids = number()?.max(1),
                "shards" => self.shards = number()?.clamp(1, 64) as u16,
                "faults-ms" => self.faults = millis(number()?),
                "prompt-calls" => self.config.prompt_calls = number()?.max(1) as usize,
                #[cfg(feature = "canaries")]
                "canary" => {
                    let mut all = ws2http_core::Canary::ALL.iter().copied();
                    let canary = all.find(|canary| format!("{canary:?}") == *value);
                    self.config.canary = Some(canary.ok_or_else(|| format!("there is no canary {value}"))?);
                }
                "off" | "on" => {
                    for word in value.split(',').filter(|word| !word.is_empty()) {
                        let feature = Feature::ALL.iter().find(|feature| feature.word() == word);
                        let feature = feature.ok_or_else(|| format!("there is no feature {word:?}"))?;
                        if name == "on" {
                            self.features.insert(*feature);
                        } else {
                            self.features.remove(feature);
                        }
                    }
                }
                _ => {
                    return Err(format!(
                        "{name} cannot be set: there are clients, connects, ids, shards, faults-ms, prompt-calls, off, on"
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

/// A stall must be short against the time that a sign of life may take, or so long that the gateway
/// knows that it stood still; in between it could not tell who was late.
fn draw_stall(draw: &mut Draw, config: &Config) -> Span {
    let (shorter, longer) =
        (config.pong_timeout.min(config.send_timeout), config.pong_timeout.max(config.send_timeout));
    if draw.percent(50) || longer > millis(3_000) {
        (millis(1), shorter / 3)
    } else {
        (longer + millis(600), longer + millis(2_000))
    }
}

fn draw_config(draw: &mut Draw) -> Config {
    let address = ApiAddress::parse("http://api:8000/base").unwrap_or_else(|_| unreachable!("it is a good address"));
    let mut config = Config::new(address);
    draw_policies(draw, &mut config);
    draw_limits(draw, &mut config);
    draw_times(draw, &mut config);
    config.runtime = "sim";
    config
}

fn draw_policies(draw: &mut Draw, config: &mut Config) {
    config.on_duplicate = *draw.pick(&[OnDuplicate::Challenge, OnDuplicate::Reject, OnDuplicate::Replace]);
    config.on_api_failure = if draw.percent(25) { OnApiFailure::Close } else { OnApiFailure::Keep };
    config.refuse_in_band = draw.percent(20);
    config.control_listener = draw.percent(30);
    config.control_token = draw.percent(25).then(|| Secret(TOKEN.to_owned()));
    if draw.percent(15) {
        config.origins.extend(OriginPattern::parse(ORIGIN));
    }
    if draw.percent(30) {
        config.subprotocols.push("chat".to_owned());
    }
}

fn draw_limits(draw: &mut Draw, config: &mut Config) {
    config.calls_per_client = *draw.pick(&[1, 1, 2, 4]);
    config.max_message = *draw.pick(&[1 << 20, 64, 1000]);
    config.send_queue = *draw.pick(&[1 << 20, 300, 4000]);
    config.receive_queue_messages = *draw.pick(&[64, 1, 3]);
    config.receive_queue_bytes = *draw.pick(&[1 << 20, 100, 1000]);
    config.max_connections = *draw.pick(&[1_000_000, 1_000_000, 2, 5]);
    config.max_api_connections = *draw.pick(&[10_000, 10_000, 3, 6]);
}

fn draw_times(draw: &mut Draw, config: &mut Config) {
    config.api_timeout = millis(*draw.pick(&[2_000, 400, 10_000]));
    config.handshake_timeout = millis(*draw.pick(&[2_000, 500, 10_000]));
    config.keep_alive_timeout = millis(*draw.pick(&[5_000, 1_000, 75_000]));
    config.ping_interval = draw.percent(75).then(|| millis(*draw.pick(&[1_000, 300, 30_000])));
    config.pong_timeout = millis(*draw.pick(&[1_000, 400, 10_000]));
    config.send_timeout = millis(*draw.pick(&[2_000, 500, 30_000]));
    config.close_timeout = millis(*draw.pick(&[1_000, 300, 5_000]));
    config.disconnect_retry = millis(*draw.pick(&[10_000, 1_000, 60_000]));
    config.drain = millis(*draw.pick(&[1_000, 0, 5_000]));
    // Not drawn: seeds that are kept would draw other worlds.
    config.prompt_calls = if config.api_timeout == millis(10_000) { 1 } else { 64 };
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { shards, clients, connects, ids, faults, think, size, config, .. } = self;
        writeln!(
            f,
            "{shards} shards, {clients} clients with {ids} ids, {connects} connects each; faults for {faults:?}, \
             pauses of {think:?}, messages of {size} bytes"
        )?;
        writeln!(
            f,
            "latency of clients {:?}, of the API {:?}, of shards {:?}; the API takes {:?}; timers late by {:?}, stalls \
             of {:?}; windows of {} bytes",
            self.client_latency,
            self.api_latency,
            self.shard_latency,
            self.service,
            self.lateness,
            self.stall,
            self.window
        )?;
        let words: Vec<&str> = self.features.iter().map(|feature| feature.word()).collect();
        writeln!(f, "features: {}", words.join(" "))?;
        write!(f, "{config:?}")
    }
}

/// The token that control requests must carry, if the settings want one.
pub(super) fn token(config: &Config) -> Option<&str> {
    config.control_token.as_ref().map(|Secret(token)| token.as_str())
}

/// An `Origin` that the settings let in, if they look at it.
pub(super) fn good_origin(config: &Config) -> Option<&'static str> {
    (!config.origins.is_empty()).then_some(ORIGIN)
}
