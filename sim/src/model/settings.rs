//! What the model is told before a run.

use std::time::Duration;

use ws2http_core::Config;

/// The settings in force, and what the simulated world does with time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The gateway's own settings.
    pub config: Config,
    /// Every call that the gateway begins and that does not reach the API is told as
    /// [`super::Observation::ApiMissed`]. Then no message may be missing otherwise, and the counts
    /// of calls must agree to the last one.
    pub sees_missed_calls: bool,
    /// The longest way of anything between gateway and API, in one direction.
    pub api_latency: Duration,
    /// The longest way of anything between gateway and clients, in one direction, for sockets that
    /// do not misbehave.
    pub client_latency: Duration,
    /// How late the gateway's timers may be served.
    pub timer_lateness: Duration,
}

impl Settings {
    /// For a world in which nothing takes long and calls are lost unseen.
    pub fn new(config: Config) -> Self {
        let (api_latency, client_latency) = (Duration::from_millis(100), Duration::from_millis(100));
        let timer_lateness = Duration::from_millis(10);
        Settings { config, sees_missed_calls: false, api_latency, client_latency, timer_lateness }
    }
}
