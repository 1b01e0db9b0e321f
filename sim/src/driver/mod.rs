//! Tier 2: the real tokio driver in a simulated network.

use crate::scenario::Scenario;

/// What this tier has to show.
pub const SCENARIOS: &[Scenario] = &[];
