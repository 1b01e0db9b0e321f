//! The laws that the gateway must keep towards the API, checked request by request.
//!
//! Every connect that was answered with ok has exactly one DELETE that was taken, after all its other
//! requests. Requests of one client do not overlap across its connections. A connection has no more
//! message calls under way than allowed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::request::Request;

/// A gateway that gave up a call and goes on may be seen to go on before it is seen to give up,
/// because the two come by different connections. This is how much later the second may be.
const GIVING_UP: Duration = Duration::from_secs(2);

/// How a request to the API ended, seen from the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer was written.
    Answered {
        /// Its status.
        status: u16,
        /// It lets a client in: 2xx and `ok`.
        ok: bool,
    },
    /// Something was written that may or may not pass for an answer.
    Unclear,
    /// No whole answer was written.
    Broken,
    /// The gateway ended the connection before the answer.
    Abandoned,
}

/// What the law lets pass. The default is what the contract says of the default flags.
#[derive(Clone, Copy, Debug)]
pub struct Licence {
    /// `--on-duplicate replace`: a connect may be authorised beside the old connection.
    pub replace: bool,
    /// `--calls-per-client`.
    pub calls_per_client: usize,
    /// DELETEs may be given up, because the API never takes them.
    pub lost_disconnects: bool,
}

impl Default for Licence {
    fn default() -> Self {
        Licence { replace: false, calls_per_client: 1, lost_disconnects: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connect {
    Asked,
    Ok,
    Unclear,
}

#[derive(Debug)]
struct Life {
    client: String,
    connect: Connect,
    deleting: bool,
    /// A DELETE had an answer that may or may not pass for one.
    perhaps_deleted: bool,
    /// When the last of its requests ended.
    quiet_since: Instant,
}

#[derive(Debug)]
struct Flight {
    order: u64,
    connection: String,
    method: String,
}

#[derive(Debug)]
struct Suspicion {
    older: u64,
    since: Instant,
    text: String,
}

/// Watches all requests of one gateway.
#[derive(Debug, Default)]
pub struct Law {
    /// What is let pass.
    pub licence: Licence,
    lives: HashMap<String, Life>,
    /// Connections that must not be heard of again.
    finished: HashSet<String>,
    flights: HashMap<String, Vec<Flight>>,
    suspicions: Vec<Suspicion>,
    violations: Vec<String>,
    connects: u64,
}

impl Law {
    /// A request has arrived.
    pub fn begin(&mut self, request: &Request, now: Instant) {
        let (connection, client) = (request.connection_id(), request.client());
        if connection.is_empty() {
            self.violation(request, "without X-Connection-Id");
            return;
        }
        if self.finished.contains(connection) {
            self.violation(request, "on a connection that has ended");
        }
        self.judge_state(request, now);
        self.judge_overlap(request, now);
        let flight = Flight { order: request.order, connection: connection.into(), method: request.method.clone() };
        self.flights.entry(client.into()).or_default().push(flight);
    }

    fn judge_state(&mut self, request: &Request, now: Instant) {
        let (connection, client) = (request.connection_id(), request.client());
        let state = self.lives.get(connection).map(|life| (life.connect, life.deleting));
        let fault = match (request.method.as_str(), state) {
            ("GET", None) => self.unfinished_business(client),
            ("GET", Some(_)) => Some("a second time".into()),
            (_, None) if !self.finished.contains(connection) => Some("before its GET".into()),
            (_, None) => None,
            (_, Some((Connect::Asked, _))) => Some("before its GET was answered".into()),
            ("POST", Some((Connect::Unclear, _))) => Some("after a GET that was not ok".into()),
            ("POST", Some((Connect::Ok, true))) => Some("after its DELETE".into()),
            ("POST" | "DELETE", Some(_)) => None,
            _ => Some("with an unknown method".into()),
        };
        if let Some(fault) = fault {
            self.violation(request, &fault);
        }
        match request.method.as_str() {
            "GET" => {
                self.forget_unclear(client);
                let (client, connect) = (client.into(), Connect::Asked);
                let (deleting, perhaps_deleted, quiet_since) = (false, false, now);
                let life = Life { client, connect, deleting, perhaps_deleted, quiet_since };
                self.lives.insert(connection.into(), life);
                self.connects += 1;
            }
            "DELETE" => {
                if let Some(life) = self.lives.get_mut(connection) {
                    life.deleting = true;
                }
            }
            _ => {}
        }
    }

    /// A connection that was perhaps never let in must not be heard of once the next one begins.
    fn forget_unclear(&mut self, client: &str) {
        let unclear = self.lives.iter().filter(|(_, life)| life.client == client && life.connect == Connect::Unclear);
        let unclear: Vec<String> = unclear.map(|(connection, _)| connection.clone()).collect();
        unclear.iter().for_each(|connection| self.finish(connection));
    }

    /// Why a client must not be authorised yet: an earlier connection of it has had no DELETE.
    fn unfinished_business(&self, client: &str) -> Option<String> {
        if self.licence.replace || self.licence.lost_disconnects {
            return None;
        }
        let unfinished = self
            .lives
            .iter()
            .find(|(_, life)| life.client == client && life.connect == Connect::Ok && !life.perhaps_deleted);
        unfinished.map(|(connection, _)| format!("before the DELETE of {connection} was answered"))
    }

    fn judge_overlap(&mut self, request: &Request, now: Instant) {
        let connection = request.connection_id();
        let Some(flights) = self.flights.get(request.client()) else {
            return;
        };
        let messages = flights.iter().filter(|flight| flight.connection == connection).count();
        for flight in flights {
            let other = flight.connection != connection;
            let connect = flight.method == "GET" || request.method == "GET";
            let allowed = match (other, request.method.as_str()) {
                (true, _) => self.licence.replace && connect,
                (false, "POST") => messages < self.licence.calls_per_client,
                (false, _) => false,
            };
            if !allowed {
                let text = format!(
                    "{} {} of {connection} while {} of {} was under way",
                    request.method, request.target, flight.method, flight.connection
                );
                self.suspicions.push(Suspicion { older: flight.order, since: now, text });
            }
        }
    }

    /// A request has ended.
    pub fn end(&mut self, request: &Request, outcome: Outcome, now: Instant) {
        let (connection, client) = (request.connection_id(), request.client());
        self.resolve_suspicions(request.order, outcome, now);
        if let Some(flights) = self.flights.get_mut(client) {
            flights.retain(|flight| flight.order != request.order);
            if flights.is_empty() {
                self.flights.remove(client);
            }
        }
        let Some(life) = self.lives.get_mut(connection) else {
            return;
        };
        life.quiet_since = now;
        match (request.method.as_str(), outcome) {
            ("GET", Outcome::Answered { ok: true, .. }) => life.connect = Connect::Ok,
            ("GET", Outcome::Answered { ok: false, .. }) => self.finish(connection),
            ("GET", _) => life.connect = Connect::Unclear,
            // A 5xx asks for a repeat; any other answer ends the connection's story.
            ("DELETE", Outcome::Answered { status: ..500, .. }) => self.finish(connection),
            // A late answer may have been taken for none, and one that looks broken for a whole one.
            ("DELETE", Outcome::Unclear) => life.perhaps_deleted = true,
            _ => {}
        }
    }

    fn resolve_suspicions(&mut self, older: u64, outcome: Outcome, now: Instant) {
        let (concerned, rest) = std::mem::take(&mut self.suspicions)
            .into_iter()
            .partition(|suspicion: &Suspicion| suspicion.older == older);
        self.suspicions = rest;
        for suspicion in concerned {
            let given_up = now.duration_since(suspicion.since) < GIVING_UP;
            if outcome != Outcome::Abandoned || !given_up {
                self.violations.push(suspicion.text);
            }
        }
    }

    fn finish(&mut self, connection: &str) {
        self.lives.remove(connection);
        self.finished.insert(connection.into());
    }

    fn violation(&mut self, request: &Request, text: &str) {
        let Request { method, target, order, .. } = request;
        let connection = request.connection_id();
        self.violations.push(format!("#{order} {method} {target} of {connection} {text}"));
    }

    /// Every breach of the law so far.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How many connects were asked for.
    pub fn connects(&self) -> u64 {
        self.connects
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.flights.values().map(Vec::len).sum()
    }

    /// What is left to come: requests under way, and connects without their DELETE.
    pub fn unsettled(&self) -> Vec<String> {
        let flights = self.flights.iter().flat_map(|(client, flights)| {
            let under_way =
                move |flight: &Flight| format!("{} of {client} ({}) under way", flight.method, flight.connection);
            flights.iter().map(under_way)
        });
        let owed = self
            .lives
            .iter()
            .filter(|(_, life)| life.connect == Connect::Ok && !(life.perhaps_deleted && life.deleting));
        let owed = owed.map(|(connection, life)| {
            let since = life.quiet_since.elapsed();
            format!("no DELETE of {} ({connection}), silent for {since:?}", life.client)
        });
        flights.chain(owed).collect()
    }
}

#[cfg(test)]
#[path = "law_tests.rs"]
mod tests;
