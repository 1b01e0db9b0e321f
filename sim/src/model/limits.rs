//! Limits (section 10), where a simulation can look inside.

use super::control::PER_MESSAGE;
use super::{Holdings, Law, Model};

/// What counts against a send queue and is no message: the 101, pings, a close frame.
const BESIDES: u64 = 1024;

impl Model {
    pub(super) fn holds(&mut self, holdings: Holdings) {
        let config = &self.settings.config;
        let shard = holdings.shard;
        let message = config.max_message as u64 + PER_MESSAGE;
        // One message is always let in; behind a full queue stand at most the answers of calls that
        // had begun.
        let limits = [
            ("waiting messages of one client", holdings.most_messages, u64::from(config.receive_queue_messages)),
            (
                "bytes of waiting messages of one client",
                holdings.most_message_bytes,
                config.receive_queue_bytes as u64 + config.max_message as u64,
            ),
            (
                "bytes that one send queue takes up",
                holdings.most_send_bytes,
                config.send_queue as u64 + message * (u64::from(config.calls_per_client) + 1) + BESIDES,
            ),
            ("calls to the API under way", holdings.calls_in_flight, config.max_api_connections as u64),
        ];
        for (what, held, limit) in limits {
            self.judge(Law::Limits, held <= limit, || {
                format!("shard {shard} has {held} {what}, and {limit} are allowed")
            });
        }
        self.state.holdings.insert(shard, holdings);
    }
}
