//! The API's weather: calm spells, rough ones, and outages.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};
use ws2http_e2e::api::{Answer, Api, Framing, Request, Then};

/// How bad it is: the name, and faults in a thousand requests.
const SPELLS: [(&str, u32); 4] = [("calm", 0), ("fair", 10), ("rough", 60), ("storm", 300)];

/// Decides which requests go wrong.
pub(crate) struct Weather {
    random: Mutex<Rng>,
    spell: AtomicU64,
    struck: AtomicU64,
}

impl Weather {
    pub(crate) fn new(seed: u64) -> Weather {
        let random = Mutex::new(Rng::with_seed(seed));
        Weather { random, spell: AtomicU64::new(0), struck: AtomicU64::new(0) }
    }

    /// What the spell is called.
    pub(crate) fn name(&self) -> &'static str {
        SPELLS[self.spell.load(Ordering::Relaxed) as usize].0
    }

    /// How many faults there have been.
    pub(crate) fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }

    /// No more faults.
    pub(crate) fn clear(&self) {
        self.spell.store(0, Ordering::Relaxed);
    }

    /// The answer to a request: the right one, perhaps late or oddly framed, or a fault.
    pub(crate) fn strike(&self, request: &Request, right: impl FnOnce() -> Answer) -> Answer {
        let mut random = self.random.lock().unwrap();
        let (_, rate) = SPELLS[self.spell.load(Ordering::Relaxed) as usize];
        if random.u32(0..1000) >= rate {
            return dress(right(), &mut random);
        }
        self.struck.fetch_add(1, Ordering::Relaxed);
        // Half of the faults come after the API has done its work, half instead of it.
        let answer = if random.bool() { Some(right()) } else { None };
        fault(request, answer, &mut random)
    }

    /// Lets `duration` pass in a spell of its own, with what happens to connections in it.
    pub(crate) async fn change(&self, api: &mut Api, duration: Duration) {
        let end = Instant::now() + duration;
        let spell = self.random.lock().unwrap().u64(0..SPELLS.len() as u64);
        self.spell.store(spell, Ordering::Relaxed);
        while Instant::now() < end {
            let (pause, event) = {
                let mut random = self.random.lock().unwrap();
                (random.u64(500..3000), random.u32(0..12))
            };
            sleep(Duration::from_millis(pause).min(end - Instant::now())).await;
            match event {
                0 if spell > 1 => {
                    api.stop().await;
                    sleep(Duration::from_millis(pause)).await;
                    api.resume();
                }
                1 if spell > 1 => api.cut(),
                2..5 => api.close_idle(),
                _ => {}
            }
        }
    }
}

/// A right answer in one of its many forms.
fn dress(answer: Answer, random: &mut Rng) -> Answer {
    match random.u32(0..20) {
        0..2 => answer.delayed(Duration::from_millis(random.u64(0..300))),
        2 => answer.framed(Framing::Chunked(7)),
        3 => answer.framed(Framing::UntilClose),
        4 => answer.closing(),
        5 => answer.then(Then::Close),
        _ => answer,
    }
}

fn fault(request: &Request, right: Option<Answer>, random: &mut Rng) -> Answer {
    // A connect that the API may believe in, but whose answer the gateway may not have seen, is
    // nobody's fault and beyond the law: connects are struck only in ways both sides see alike.
    let right = right.filter(|_| request.method != "GET");
    match (random.u32(0..9), right) {
        (0, _) => Answer::hang(),
        (1, Some(right)) => right.then(Then::Reset),
        (2, Some(right)) => right.then(Then::HalfClose),
        (3, _) => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off", Then::Close),
        (4, _) => Answer::raw("garbage\r\n\r\n", Then::Close),
        (5, _) => Answer::close(),
        (6, _) => Answer::reset(),
        (7, _) => Answer::new(503, "later"),
        _ => Answer::new(500, "broken"),
    }
}
