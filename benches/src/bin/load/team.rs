//! The clients of all threads, and one who watches them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use hdrhistogram::Histogram;

use crate::interrupt;
use crate::latency;
use crate::swarm::{Progress, Swarm, Target};

/// How often a long phase says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// One swarm per thread.
pub(crate) struct Team {
    swarms: Vec<Swarm>,
    pub(crate) progress: Arc<Progress>,
}

/// One thread's part of the work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    index: usize,
    of: usize,
}

impl Part {
    /// This thread's part of `whole`; the parts sum up to it.
    pub(crate) fn share(self, whole: usize) -> usize {
        whole / self.of + usize::from(self.index < whole % self.of)
    }
}

impl Team {
    /// Swarms for `threads` threads, without clients.
    pub(crate) fn new(target: Target, threads: usize) -> Result<Team> {
        let progress = Arc::<Progress>::default();
        let swarms = (0..threads).map(|first| Swarm::new(target, first, threads, Arc::clone(&progress)));
        Ok(Team { swarms: swarms.collect::<Result<_>>()?, progress })
    }

    /// Runs `phase` on every thread and `watch` on this one; answers what both found.
    ///
    /// # Errors
    /// The first thread's that failed; else what `watch` failed with.
    pub(crate) fn run<T: Send, W>(
        &mut self,
        phase: impl Fn(&mut Swarm, Part) -> Result<T> + Sync,
        watch: impl FnOnce(&Watch<'_>) -> Result<W>,
    ) -> Result<(Vec<T>, W)> {
        let (ended, of) = (AtomicBool::new(false), self.swarms.len());
        thread::scope(|scope| {
            let start = |(index, swarm)| {
                let (phase, ended) = (&phase, &ended);
                scope.spawn(move || {
                    let result = phase(swarm, Part { index, of });
                    ended.store(true, Ordering::Release);
                    result
                })
            };
            let threads: Vec<_> = self.swarms.iter_mut().enumerate().map(start).collect();
            let all_ended = || threads.iter().all(thread::ScopedJoinHandle::is_finished);
            let watched = watch(&Watch { any_ended: &ended, all_ended: &all_ended });
            let mut found = Vec::new();
            for thread in threads {
                found.push(thread.join().map_err(|_| anyhow!("a thread of clients panicked"))??);
            }
            Ok((found, watched?))
        })
    }

    /// Runs `phase` on every thread; says how far it is, with `say`, while it lasts.
    pub(crate) fn run_saying<T: Send>(
        &mut self,
        phase: impl Fn(&mut Swarm, Part) -> Result<T> + Sync,
        say: impl Fn(&Progress) -> String,
    ) -> Result<Vec<T>> {
        let progress = Arc::clone(&self.progress);
        let (found, ()) = self.run(phase, |watch| {
            let mut next = Instant::now() + SAY_EVERY;
            while !(watch.all_ended)() {
                thread::sleep(Duration::from_millis(10));
                if Instant::now() >= next {
                    eprintln!("  {}", say(&progress));
                    next += SAY_EVERY;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Opens `count` clients, at most `at_once` under way; with `greet` each exchanges one message.
    pub(crate) fn connect(&mut self, count: usize, at_once: usize, greet: bool) -> Result<Histogram<u64>> {
        let before = self.progress.opened.load(Ordering::Relaxed);
        let took = self.run_saying(
            |swarm, part| swarm.connect(part.share(count), part.share(at_once).max(1), greet),
            |progress| format!("{} of {count} connected", progress.opened.load(Ordering::Relaxed) - before),
        )?;
        merge(&took)
    }

    /// Closes every client, at most `at_once` under way.
    pub(crate) fn close(&mut self, at_once: usize) -> Result<()> {
        self.run_saying(
            |swarm, part| swarm.close(part.share(at_once).max(1)),
            |progress| format!("{} closed", progress.closed.load(Ordering::Relaxed)),
        )?;
        Ok(())
    }
}

/// One histogram of what all threads recorded.
pub(crate) fn merge(histograms: &[Histogram<u64>]) -> Result<Histogram<u64>> {
    let mut whole = latency::histogram();
    for histogram in histograms {
        whole.add(histogram)?;
    }
    Ok(whole)
}

/// What the watching thread knows of the others.
pub(crate) struct Watch<'a> {
    any_ended: &'a AtomicBool,
    all_ended: &'a dyn Fn() -> bool,
}

impl Watch<'_> {
    /// Sleeps until `until`, which no thread may end before; calls `look` once a second, and at the end.
    pub(crate) fn sleep_until(&self, until: Instant, mut look: impl FnMut() -> Result<()>) -> Result<()> {
        let mut next = Instant::now() + SAY_EVERY;
        while Instant::now() < until {
            if self.any_ended.load(Ordering::Acquire) {
                bail!("a thread of clients ended before its time");
            }
            interrupt::sleep_until(until.min(Instant::now() + Duration::from_millis(50)))?;
            if Instant::now() >= next {
                look()?;
                next += SAY_EVERY;
            }
        }
        look()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up() {
        for (whole, of) in [(0, 1), (1, 3), (10, 3), (15000, 4)] {
            let sum: usize = (0..of).map(|index| Part { index, of }.share(whole)).sum();
            assert_eq!(sum, whole);
        }
    }
}
