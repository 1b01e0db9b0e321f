//! `load crowd`: one process full of clients of one gateway, led through its standard input.
//!
//! A line in is an order; a line out answers `report`, and the last one comes when all clients have left.

use std::io::{BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::args::Crowd;
use crate::client::Wire;
use crate::latency;
use crate::stage;
use crate::swarm::{Order, Pace, Progress, Swarm, Target};

/// What a crowd has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) opened: u64,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) closed: u64,
    /// Latencies since the last report: nanoseconds, and how many of them.
    pub(crate) latencies: Vec<(u64, u64)>,
    /// All have left.
    pub(crate) ended: bool,
}

/// A line to the crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Report,
    Obey(Order),
}

impl Line {
    pub(crate) fn write(self) -> String {
        match self {
            Line::Report => "report\n".to_owned(),
            Line::Obey(Order::Open { count, over }) => format!("open {count} {}\n", over.as_millis()),
            Line::Obey(Order::Leave) => "leave\n".to_owned(),
        }
    }

    fn read(line: &str) -> Option<Line> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["report"] => Some(Line::Report),
            ["leave"] => Some(Line::Obey(Order::Leave)),
            ["open", count, over] => {
                let over = Duration::from_millis(over.parse().ok()?);
                Some(Line::Obey(Order::Open { count: count.parse().ok()?, over }))
            }
            _ => None,
        }
    }
}

/// What both threads know.
struct Shared {
    progress: Arc<Progress>,
    latencies: Mutex<Histogram<u64>>,
}

/// Runs the crowd until it is told to leave, or its leader is gone.
pub(crate) fn run(args: &Crowd) -> Result<()> {
    stage::raise_descriptors()?;
    let target = Target { address: args.target, wire: Wire::WebSocket, size: args.size };
    let progress = Arc::<Progress>::default();
    let mut swarm = Swarm::new(target, args.first, 1, Arc::clone(&progress))?;
    let shared = Arc::new(Shared { progress, latencies: Mutex::new(latency::histogram()) });
    let orders = listen(Arc::clone(&shared))?;
    let pace = Pace { start: Instant::now(), every: args.every, clients: args.clients };
    swarm.grow(pace, args.at_once, &orders, &shared.latencies)?;
    shared.report(true)
}

/// Answers `report` itself, and passes the orders on.
fn listen(shared: Arc<Shared>) -> Result<Receiver<Order>> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("orders".into()).spawn(move || {
        if let Err(error) = obey(&shared, &sender) {
            eprintln!("load crowd: {error:#}");
            std::process::exit(1);
        }
        // The leader is gone: the dropped sender tells the clients.
    })?;
    Ok(receiver)
}

fn obey(shared: &Shared, orders: &Sender<Order>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match Line::read(&line).with_context(|| format!("no order: {line}"))? {
            Line::Report => shared.report(false)?,
            // The clients have left already, and the process is about to end.
            Line::Obey(order) if orders.send(order).is_err() => return Ok(()),
            Line::Obey(_) => {}
        }
    }
    bail!("the standard input has ended")
}

impl Shared {
    fn report(&self, ended: bool) -> Result<()> {
        let mut latencies = self.latencies.lock().map_err(|_| anyhow!("the clients' thread has panicked"))?;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let report = Report {
            opened: get(&self.progress.opened),
            sent: get(&self.progress.sent),
            answered: get(&self.progress.answered),
            closed: get(&self.progress.closed),
            latencies: latencies.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect(),
            ended,
        };
        latencies.reset();
        drop(latencies);
        let mut output = std::io::stdout().lock();
        serde_json::to_writer(&mut output, &report)?;
        output.write_all(b"\n")?;
        Ok(output.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let open = Order::Open { count: 17_857, over: Duration::from_secs(60) };
        for line in [Line::Report, Line::Obey(open), Line::Obey(Order::Leave)] {
            assert_eq!(Line::read(&line.write()), Some(line));
        }
        for wrong in ["", "open 1", "open x 1", "leave now"] {
            assert_eq!(Line::read(wrong), None, "{wrong}");
        }
    }
}
