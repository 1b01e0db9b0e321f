//! The end-to-end suite of ws2http.
//!
//! It knows nothing of how a gateway is made: it gets the path of a binary, runs it in front of a
//! scripted API server, and judges what it does on real sockets by the wire contract. Each scenario
//! is a test of its own; see [`main`].

pub mod api;
pub mod client;
pub mod differential;
pub mod frame;
pub mod frames_http2;
pub mod gateway;
pub mod http;
pub mod metrics;
pub mod raw;
pub mod rig;
mod scenarios;
pub mod tls;
pub mod traffic;
pub mod wait;

use std::pin::Pin;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

use crate::rig::Binary;

/// How long a whole scenario may take.
const SCENARIO_DEADLINE: Duration = Duration::from_secs(180);

/// How many scenarios run at once unless `--test-threads` says otherwise: they mostly wait.
const AT_ONCE: usize = 8;

type Run = fn(Binary) -> Pin<Box<dyn Future<Output = ()>>>;

/// One named test.
struct Scenario {
    name: &'static str,
    run: Run,
}

/// Runs the scenarios against the gateway at `binary` and exits, as a test binary does: names given
/// on the command line filter, `--list` lists, `--test-threads` limits.
pub fn main(binary: &str) -> ! {
    run_all(Binary::new(binary), scenarios::over_http1(), std::env::args())
}

/// Like [`main`], with a gateway that calls the API by HTTP/2: the scenarios that do not depend on
/// how HTTP/1.1 looks or uses connections.
pub fn main_over_http2(binary: &str) -> ! {
    run_all(Binary::new(binary).over_http2(), scenarios::over_http2(), std::env::args())
}

/// Like [`main`], or with `--http2` like [`main_over_http2`], with this command line, whose first word
/// is the program's name.
pub fn main_with(binary: &str, command_line: impl IntoIterator<Item = String>) -> ! {
    let (http2, rest): (Vec<_>, Vec<_>) = command_line.into_iter().partition(|word| word == "--http2");
    match http2.is_empty() {
        true => run_all(Binary::new(binary), scenarios::over_http1(), rest),
        false => run_all(Binary::new(binary).over_http2(), scenarios::over_http2(), rest),
    }
}

fn run_all(binary: Binary, scenarios: Vec<Scenario>, command_line: impl IntoIterator<Item = String>) -> ! {
    let mut arguments = Arguments::from_iter(command_line);
    arguments.test_threads.get_or_insert(AT_ONCE);
    let trial = |scenario: Scenario| {
        let binary = binary.clone();
        Trial::test(scenario.name, move || {
            run(&scenario, binary);
            Ok(())
        })
    };
    let trials = scenarios.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit()
}

fn run(scenario: &Scenario, binary: Binary) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a tokio runtime");
    runtime.block_on(async {
        let mut running = (scenario.run)(binary);
        // The scenario is dropped after the panic, so that its gateway shows its log.
        if tokio::time::timeout(SCENARIO_DEADLINE, &mut running).await.is_err() {
            panic!("{} did not end within {SCENARIO_DEADLINE:?}", scenario.name);
        }
    });
}
