//! Two gateways, one script: what their API and their clients see must be the same.
//!
//! A [`Script`] is drawn from a seed: flags, then rounds of deeds by a few clients and of behaviour of the
//! API, then an end. [`play`] plays it against one binary and takes a [`Transcript`]; [`compare`] finds
//! the first difference between two.
//!
//! Scripts do not race. After each round the player waits until nothing is under way: every client gets the
//! answer to a ping, the gateway counts no call and no DELETE as outstanding, and every client gets the
//! answer to another ping. Deeds of one round are of different clients, and every client has its own id.
//!
//! # What is compared
//!
//! For each connection of a client: the answer to its handshake, then messages and close frames in order,
//! then the end. For each client towards the API: its requests in order, with method, target, headers and
//! body, repeats too. For each control request or odd piece of HTTP: the answers, and whether the
//! connection ends. The counters before the end, the exit code, and the laws of [`crate::api::Law`].
//!
//! # What is not, because the contract leaves it open
//!
//! - The text of an `X-Connection-Id`: each is named by its place among the GETs of its client. That the same
//!   one comes with POST, DELETE and control answers is compared.
//! - The order between different clients, and which connection to the API a call takes.
//! - `Date`; the order of headers of different names; towards the API `Connection`, `Keep-Alive`, `Content-Length`
//!   (the bodies are compared), the port in `Host`, and what says nothing: `Accept: */*`, an empty `User-Agent`.
//! - Whether a TCP connection ends by FIN or RST, and after how long.
//! - Where pongs and the gateway's pings stand among the messages; their own order is compared.
//! - With `--calls-per-client` above 1: the order of messages and answers.
//! - How often a DELETE is tried while the API cannot be reached; with it `requests_started`, `requests_failed`,
//!   repeats and the number of timed DELETEs.
//! - Of the metrics, what depends on time or the machine: `process_*`, buckets and sums of durations, sockets, and
//!   the label that names the runtime.

mod bad_http;
mod client;
mod deeds;
mod draw;
mod draw_replies;
mod plan;
mod play;
mod reply;
mod script;
mod settle;
mod shrink;
mod transcript;
mod wire;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub use play::{Side, play};
pub use script::{Script, override_flags};
pub use shrink::shrink;
pub use transcript::{Difference, Transcript, compare};

/// How long the player waits for anything before it writes down that it did not come. Generous, for
/// busy machines: nothing waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine on which a task that should run every [`TICK`] does not run for so long is no judge of timeouts.
const STANDSTILL: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(50);

/// How often a script is played at most before what came of it is believed.
const ATTEMPTS: u32 = 3;

/// What came of one script against two gateways.
pub struct Outcome {
    /// What was seen of the left gateway.
    pub left: Transcript,
    /// What was seen of the right one.
    pub right: Transcript,
    /// Where the two differ first.
    pub difference: Option<Difference>,
    /// How often it was played before without being judged, because the machine stood still.
    pub unjudged: u32,
}

impl Outcome {
    /// Equal, and neither gateway broke a law or left the player waiting.
    pub fn is_fine(&self) -> bool {
        self.difference.is_none() && self.left.troubles().is_empty()
    }
}

/// Plays a script against two gateways at once, and compares. Where the machine stood still meanwhile, what is
/// wrong may be so because of that: then it is played again.
///
/// # Panics
/// When no runtime can be had.
pub fn run(script: &Script, left: &Side, right: &Side) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a tokio runtime");
    let mut unjudged = 0;
    loop {
        let stood_still = Cell::new(Duration::ZERO);
        let (left, right) = runtime.block_on(async {
            let playing = futures_util::future::join(play(script, left), play(script, right));
            tokio::select! {
                both = playing => both,
                never = tick(&stood_still) => never,
            }
        });
        let difference = compare(&left, &right);
        let outcome = Outcome { left, right, difference, unjudged };
        if outcome.is_fine() || stood_still.get() < STANDSTILL || unjudged + 1 >= ATTEMPTS {
            return outcome;
        }
        unjudged += 1;
    }
}

/// Notes for how long at most it was not let run. Never ends.
async fn tick(longest: &Cell<Duration>) -> (Transcript, Transcript) {
    loop {
        let began = Instant::now();
        tokio::time::sleep(TICK).await;
        longest.set(longest.get().max(began.elapsed().saturating_sub(TICK)));
    }
}
