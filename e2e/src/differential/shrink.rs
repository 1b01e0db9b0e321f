//! A shorter script that shows a difference too.

use std::time::{Duration, Instant};

use super::script::Script;
use super::{Outcome, Side, run};

/// How long the search may take.
const BUDGET: Duration = Duration::from_secs(60);

/// The places of the rounds that are enough for a difference, and what came of them: rounds are left out, at
/// first many at once, for as long as something is wrong without them.
pub fn shrink(script: &Script, left: &Side, right: &Side, mut outcome: Outcome) -> (Vec<usize>, Outcome) {
    let began = Instant::now();
    let mut kept: Vec<usize> = (0..script.rounds()).collect();
    let mut step = kept.len().div_ceil(2);
    while step > 0 {
        let mut at = 0;
        while at < kept.len() && began.elapsed() < BUDGET {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + step).min(kept.len()));
            let again = run(&script.only(&fewer), left, right);
            if again.difference.is_some() {
                (kept, outcome) = (fewer, again);
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    (kept, outcome)
}
