//! The table of everything that can be run, of both tiers.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Law, Violation};

/// Which simulation a scenario belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Discrete events around the core alone.
    Shards,
    /// The real tokio driver under turmoil.
    Driver,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Shards => "1 (shards)",
            Tier::Driver => "2 (driver)",
        })
    }
}

/// One thing to run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The simulation it belongs to.
    pub tier: Tier,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Runs it once. A world that cannot be set up is an [`Outcome::error`].
    pub run: fn(&Options) -> Outcome,
}

/// How to run a scenario.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Everything that is drawn, is drawn from this.
    pub seed: u64,
    /// Keep a trace that a person can read: [`Outcome::trace`].
    pub trace: bool,
    /// `--set NAME=VALUE` of the command line: sizes that a scenario lets be changed (`clients=250000`).
    pub set: BTreeMap<String, String>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every law that was broken, in the order of breaking.
    pub violations: Vec<Violation>,
    /// What else went wrong: a world that cannot be set up, a fault that did not happen, a panic.
    pub error: Option<String>,
    /// All that was drawn from the seed, to be printed beside it.
    pub drawn: String,
    /// Simulated events.
    pub events: u64,
    /// What happened how often: features exercised, faults injected.
    pub counts: BTreeMap<&'static str, u64>,
    /// How often each law was looked at.
    pub checks: BTreeMap<Law, u64>,
    /// The trace, if it was asked for; the same seed gives the same trace, byte for byte.
    pub trace: String,
}

impl Outcome {
    /// Whether nothing went wrong.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.error.is_none()
    }
}

/// All scenarios of both tiers.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    #[cfg(feature = "driver")]
    let driver = crate::driver::SCENARIOS;
    #[cfg(not(feature = "driver"))]
    let driver: &[Scenario] = &[];
    crate::shards::SCENARIOS.iter().chain(driver)
}

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}
