//! Where all chance comes from: a seed, or the bytes of a fuzzer.

use std::time::Duration;

/// A source of decisions. Drawn from a seed it never ends; drawn from bytes it ends in zeros, which
/// every decision takes for its most ordinary case.
#[derive(Clone, Debug)]
pub enum Draw {
    /// Pseudo-random numbers.
    Seed(fastrand::Rng),
    /// Bytes, and how many of them are used up.
    Bytes(Vec<u8>, usize),
}

impl Draw {
    /// Decisions by this seed.
    pub fn from_seed(seed: u64) -> Self {
        Draw::Seed(fastrand::Rng::with_seed(seed))
    }

    /// Decisions by these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Draw::Bytes(bytes.to_vec(), 0)
    }

    /// A second source that does not disturb this one: both go on alike if one is drawn from less.
    pub fn split(&mut self) -> Draw {
        match self {
            Draw::Seed(rng) => Draw::Seed(rng.fork()),
            Draw::Bytes(bytes, at) => {
                let rest = bytes.split_off((*at).min(bytes.len()));
                Draw::Bytes(rest, 0)
            }
        }
    }

    fn number(&mut self, width: usize) -> u64 {
        match self {
            Draw::Seed(rng) => rng.u64(..),
            Draw::Bytes(bytes, at) => {
                let end = (*at + width).min(bytes.len());
                let number = bytes[*at..end].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                *at = end;
                number
            }
        }
    }

    /// A number below `limit`, or zero if that is zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit <= 1 {
            return 0;
        }
        let width = (8 - (limit - 1).leading_zeros() as usize / 8).max(1);
        self.number(width) % limit
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Yes in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64) as usize;
        &choices[index]
    }

    /// One of several, by weight; the first if there is no weight at all.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        choices[0].1
    }

    /// A time from `least` to `most`, in whole microseconds; `most` when the bytes have ended, so that
    /// what goes on for ever goes on slowly.
    pub fn time(&mut self, least: Duration, most: Duration) -> Duration {
        if let Draw::Bytes(bytes, at) = self
            && *at >= bytes.len()
        {
            return most;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(micros(least), micros(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_same_each_time() {
        let numbers = |seed| {
            let mut draw = Draw::from_seed(seed);
            (0..100).map(|limit| draw.below(limit)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn bytes_end_in_ordinary_cases() {
        let mut draw = Draw::from_bytes(&[255, 255]);
        assert!(draw.percent(1) || draw.below(256) == 255);
        for _ in 0..10 {
            assert_eq!((draw.below(9), draw.percent(99), *draw.pick(&[3, 4])), (0, false, 3));
        }
    }
}
