//! Counters (section 11).

use std::collections::BTreeMap;

use http::Method;

use super::state::Get;
use super::{Law, Model};

/// What the counters should say.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that reached the API, and those of them that were messages.
    arrived: u64,
    posts: u64,
    /// Calls that did not, and those of them that were messages.
    pub(super) missed: u64,
    pub(super) posts_missed: u64,
    succeeded: u64,
    failed: u64,
    unclear: u64,
    pushes: BTreeMap<u16, u64>,
}

impl Tally {
    pub(super) fn arrived(&mut self, method: &Method) {
        self.arrived += 1;
        self.posts += u64::from(method == Method::POST);
    }

    /// A request ended: it succeeded, or failed, or nobody knows.
    pub(super) fn ended(&mut self, success: Option<bool>) {
        match success {
            Some(true) => self.succeeded += 1,
            Some(false) => self.failed += 1,
            None => self.unclear += 1,
        }
    }

    pub(super) fn pushed(&mut self, status: u16) {
        *self.pushes.entry(status).or_default() += 1;
    }
}

impl Model {
    pub(super) fn scraped(&mut self, samples: Vec<(String, u64)>) {
        let page: BTreeMap<String, u64> = samples.into_iter().collect();
        let value = |name: &str| page.get(name).copied().unwrap_or_default();
        let [started, succeeded, failed] = ["requests_started", "requests_succeeded", "requests_failed"].map(value);
        let (flying, waiting) = (value("ws2http_api_calls_in_flight"), value("ws2http_api_calls_waiting"));
        let ended = succeeded + failed;
        let calls = started >= ended && started <= ended + flying + waiting;
        self.judge(Law::Metrics, calls, || {
            format!("{started} started, {succeeded} succeeded, {failed} failed, {flying} under way, {waiting} waiting")
        });
        let [opened, closed, active] = ["connections_opened", "connections_closed", "active_connections"].map(value);
        self.judge(Law::Metrics, opened == closed + active, || {
            format!("{opened} opened, {closed} closed, {active} active")
        });
        self.state.metrics = Some(page);
    }

    /// At the end the counters agree with what was seen.
    pub(super) fn judge_metrics(&mut self) {
        let Some(page) = self.state.metrics.clone() else { return };
        let value = |name: &str| page.get(name).copied().unwrap_or_default();
        for gauge in [
            "active_connections",
            "ws2http_api_calls_in_flight",
            "ws2http_api_calls_waiting",
            "ws2http_disconnects_pending",
        ] {
            self.judge(Law::Metrics, value(gauge) == 0, || format!("{gauge} is {} in the end", value(gauge)));
        }
        let lost = value("ws2http_messages_lost_total");
        let given_up = self.drain_end().is_some_and(|end| self.now >= end);
        self.judge(Law::Metrics, lost == 0 || given_up, || format!("{lost} messages are lost without a drain"));
        self.judge_calls(value("requests_started"), value("requests_succeeded"), value("requests_failed"));
        let opened = value("connections_opened");
        let least = self.state.sockets.values().filter(|socket| self.was_open(socket)).count() as u64;
        let most =
            self.state.lives.iter().filter(|life| matches!(life.get, Get::Ok(_) | Get::Unclear(_))).count() as u64;
        self.judge(Law::Metrics, (least..=most).contains(&opened), || {
            format!("{opened} connections opened, seen were {least} to {most}")
        });
        if self.settings.sees_missed_calls {
            let received: u64 = ["text", "binary"]
                .map(|kind| value(&format!("ws2http_messages_received_total{{type=\"{kind}\"}}")))
                .into_iter()
                .sum();
            let posts = self.tally.posts + self.tally.posts_missed;
            // At the end of a drain what still waits is given up.
            let given_up = self.drain_end().is_some_and(|end| self.now + self.api_slack() >= end);
            let fine = received == posts || (given_up && received > posts);
            self.judge(Law::Metrics, fine, || format!("{received} messages received, and {posts} sent on to the API"));
        }
        self.judge_pushes(&page);
    }

    fn was_open(&self, socket: &super::state::Socket) -> bool {
        !socket.dead && !self.settings.config.refuse_in_band && socket.opened_before(self.step)
    }

    fn judge_calls(&mut self, started: u64, succeeded: u64, failed: u64) {
        let Tally { arrived, missed, succeeded: good, failed: bad, unclear, .. } = self.tally;
        self.judge(Law::Metrics, started == succeeded + failed, || {
            format!("{started} calls started, {succeeded} succeeded, {failed} failed")
        });
        let exact = self.settings.sees_missed_calls;
        let fine = if exact { started == arrived + missed } else { started >= arrived };
        self.judge(Law::Metrics, fine, || {
            format!("{started} calls started, {arrived} reached the API and {missed} did not")
        });
        let fine = (good..=good + unclear).contains(&succeeded);
        self.judge(Law::Metrics, fine || !exact, || {
            format!("{succeeded} calls succeeded, seen were {good} to {}", good + unclear)
        });
        let bad = bad + missed;
        let fine = (bad..=bad + unclear).contains(&failed);
        self.judge(Law::Metrics, fine || !exact, || {
            format!("{failed} calls failed, seen were {bad} to {}", bad + unclear)
        });
    }

    fn judge_pushes(&mut self, page: &BTreeMap<String, u64>) {
        let lost =
            self.state.clients.values().flat_map(|client| &client.pushes).filter(|push| push.lost).count() as u64;
        for (status, result) in
            [(200, "ok"), (202, "queued"), (404, "not_found"), (503, "full"), (412, "other_connection")]
        {
            let counted =
                page.get(&format!("ws2http_pushes_total{{result=\"{result}\"}}")).copied().unwrap_or_default();
            let seen = self.tally.pushes.get(&status).copied().unwrap_or_default();
            self.judge(Law::Metrics, (seen..=seen + lost).contains(&counted), || {
                format!("{counted} pushes counted as {result}, seen were {seen} and {lost} without an answer")
            });
        }
    }
}
