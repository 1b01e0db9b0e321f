//! Tier 1: discrete events around the shards of one gateway, in one thread.

use crate::scenario::Scenario;

/// What this tier has to show.
pub const SCENARIOS: &[Scenario] = &[];
