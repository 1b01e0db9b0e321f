//! The processes full of clients, as the one who leads them sees them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;

use super::crowd::{Line, Report};
use crate::args::Headline;
use crate::latency;
use crate::swarm::Order;

/// How long a crowd may take to answer: it has its hands full.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// One process of clients; killed when dropped.
struct Crowd {
    child: Child,
    orders: ChildStdin,
    reports: Receiver<Report>,
    last: Report,
    /// Most clients that it may have.
    clients: usize,
}

/// All of them.
pub(crate) struct Crowds {
    crowds: Vec<Crowd>,
}

impl Crowds {
    /// Starts one crowd for each gateway; `shares` says how many clients each may have.
    pub(crate) fn start(args: &Headline, gateways: &[SocketAddr], shares: &[usize]) -> Result<Crowds> {
        let mut first = 0;
        let mut crowds = Vec::new();
        for (gateway, clients) in gateways.iter().zip(shares) {
            crowds.push(Crowd::start(args, *gateway, first, *clients)?);
            first += clients;
        }
        Ok(Crowds { crowds })
    }

    /// Tells them to open clients until there are `count` of all together.
    pub(crate) fn open(&mut self, count: usize, over: Duration) -> Result<()> {
        let all: usize = self.crowds.iter().map(|crowd| crowd.clients).sum();
        for crowd in &mut self.crowds {
            // Shares differ by one at most; rounded up, so that `count` is reached.
            let share = (count * crowd.clients).div_ceil(all);
            crowd.tell(Line::Obey(Order::Open { count: share, over }))?;
        }
        Ok(())
    }

    /// Tells them to leave.
    pub(crate) fn leave(&mut self) -> Result<()> {
        self.crowds.iter_mut().try_for_each(|crowd| crowd.tell(Line::Obey(Order::Leave)))
    }

    /// Asks all what they have done; answers the sums, and the latencies since the last time.
    pub(crate) fn report(&mut self) -> Result<(Report, Histogram<u64>)> {
        for crowd in self.crowds.iter_mut().filter(|crowd| !crowd.last.ended) {
            // One that ends right now has its last report under way already.
            let _ = crowd.tell(Line::Report);
        }
        let mut latencies = latency::histogram();
        let mut sum = Report { ended: true, ..Report::default() };
        for crowd in &mut self.crowds {
            crowd.hear(&mut latencies)?;
            sum.opened += crowd.last.opened;
            sum.sent += crowd.last.sent;
            sum.answered += crowd.last.answered;
            sum.closed += crowd.last.closed;
            sum.ended &= crowd.last.ended;
        }
        Ok((sum, latencies))
    }

    /// Their process ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.crowds.iter().filter(|crowd| !crowd.last.ended).map(|crowd| crowd.child.id()).collect()
    }
}

impl Crowd {
    fn start(args: &Headline, gateway: SocketAddr, first: usize, clients: usize) -> Result<Crowd> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
        command.args(["crowd", "--target", &gateway.to_string(), "--first", &first.to_string()]);
        command.args(["--clients", &clients.to_string(), "--size", &args.size.to_string()]);
        command.args(["--every", &format!("{}ms", args.every.as_millis())]);
        command.args(["--at-once", &args.common.at_once.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a process of clients")?;
        let orders = child.stdin.take().context("a process without a pipe")?;
        let output = BufReader::new(child.stdout.take().context("a process without a pipe")?);
        let (sender, reports) = channel();
        let read = move || {
            for line in output.lines().map_while(Result::ok) {
                let Ok(report) = serde_json::from_str(&line) else { return };
                // Nobody listens any more: the run is over.
                let _ = sender.send(report);
            }
        };
        std::thread::Builder::new().name("reports".into()).spawn(read)?;
        Ok(Crowd { child, orders, reports, last: Report::default(), clients })
    }

    fn tell(&mut self, line: Line) -> Result<()> {
        self.orders.write_all(line.write().as_bytes()).context("a process of clients is gone (see its message above)")
    }

    /// Takes the next report, or the last.
    fn hear(&mut self, latencies: &mut Histogram<u64>) -> Result<()> {
        if self.last.ended {
            return Ok(());
        }
        let report = self.reports.recv_timeout(ANSWER_LIMIT);
        self.last = report.context("a process of clients does not report, or has ended (see its message above)")?;
        for (value, count) in std::mem::take(&mut self.last.latencies) {
            latencies.saturating_record_n(value, count);
        }
        Ok(())
    }

    /// Waits for the end of one that has left.
    fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "a process of clients ended with {status}");
        Ok(())
    }
}

impl Crowds {
    /// Waits for the end of all, once they have left.
    pub(crate) fn wait(mut self) -> Result<()> {
        self.crowds.iter_mut().try_for_each(Crowd::wait)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Both fail only when the process has ended and was waited for: nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
