//! `GET /metrics`: the counters of all shards and the figures of the process, in one answer.

use http::StatusCode;

use super::Gateway;
use crate::event::{Action, ProcessStats, RouteMessage};
use crate::metrics::Counters;
use crate::socket::{HttpState, Scrape, Socket, Wire};
use crate::{ConnId, ShardId};

impl Gateway {
    pub(super) fn scrape(&mut self, conn: ConnId) {
        let others: Vec<ShardId> =
            (0..self.shared.shards()).map(ShardId).filter(|shard| *shard != self.shard).collect();
        let counters = self.count();
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return };
        let scrape = Scrape { counters, missing: others.len() as u16, process: None };
        http.state = HttpState::Scraping(Box::new(scrape));
        self.act(Action::Observe(conn));
        for shard in others {
            self.act(Action::Route(shard, RouteMessage::Count { from: self.shard, conn }));
        }
    }

    /// This shard's counters, with its gauges read now.
    pub(super) fn count(&self) -> Counters {
        let mut counters = self.counters.clone();
        counters.sockets = self.sockets.len() as u64;
        counters.calls_in_flight = self.calls.in_flight() as u64;
        counters.calls_waiting = (self.calls.queued() + self.waiting_messages) as u64;
        counters
    }

    pub(super) fn observed(&mut self, conn: ConnId, process: ProcessStats) {
        if let Some(scrape) = self.scrape_of(conn) {
            scrape.process = Some(process);
            self.finish_scrape(conn);
        }
    }

    pub(super) fn counted(&mut self, conn: ConnId, counters: &Counters) {
        if let Some(scrape) = self.scrape_of(conn) {
            scrape.counters.add(counters);
            scrape.missing -= 1;
            self.finish_scrape(conn);
        }
    }

    fn scrape_of(&mut self, conn: ConnId) -> Option<&mut Scrape> {
        let Wire::Http(http) = &mut self.sockets.get_mut(conn)?.wire else { return None };
        let HttpState::Scraping(scrape) = &mut http.state else { return None };
        Some(scrape)
    }

    fn finish_scrape(&mut self, conn: ConnId) {
        let runtime = self.config.runtime;
        let Some(scrape) = self.scrape_of(conn) else { return };
        let (Some(process), 0) = (scrape.process, scrape.missing) else { return };
        let page = scrape.counters.render(&process, runtime);
        let headers: &[(&str, &[u8])] = &[("Content-Type", b"text/plain; version=0.0.4; charset=utf-8")];
        self.respond(conn, StatusCode::OK, headers, page.as_bytes());
    }
}
