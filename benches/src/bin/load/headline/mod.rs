//! `load headline`: very many clients in front of several gateways, each with a message every so often.
//!
//! A process may open only so many descriptors, so there are several gateways, each with a process of clients
//! (`crowd.rs`), which this one leads (`crowds.rs`). All gateways share one API server.

pub(crate) mod crowd;
mod crowds;
mod limits;
mod picture;
mod plan;
mod record;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::args::Headline;
use crate::interrupt;
use crate::latency::Latency;
use crate::report::{self, Machine, mib};
use crate::server::{self, Server};
use crate::stage;
use crowds::Crowds;
use limits::Kernel;
use plan::Plan;
use record::{Phase, Record, Recorder};

/// After a step of `--highest`, the latencies of so long do not count yet.
const SETTLE: Duration = Duration::from_secs(3);

/// How long all clients may take to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(300);

/// A step of `--highest`.
#[derive(Debug, Serialize)]
struct Step {
    clients: usize,
    latency: Latency,
}

#[derive(Debug, Serialize)]
struct Summary {
    scenario: &'static str,
    machine: Machine,
    connections: usize,
    gateways: usize,
    ramp_seconds: f64,
    every_seconds: f64,
    hold_seconds: f64,
    size: usize,
    /// When the last client was open.
    all_open_after: Option<f64>,
    /// With all clients open.
    hold: Option<Hold>,
    /// Of `--highest`: the steps, and the most clients under the bound.
    steps: Vec<Step>,
    highest: Option<usize>,
    messages: u64,
    /// Resident bytes of all gateways before the first client.
    fresh: u64,
    most_resident: u64,
    bytes_per_client: f64,
    records: Vec<Record>,
}

#[derive(Debug, Serialize)]
struct Hold {
    messages_per_second: f64,
    latency: Latency,
    gateways_cpu: f64,
    gateways_cpu_us_per_message: f64,
}

/// Runs the scenario.
///
/// # Errors
/// The kernel's limits are too low, something went wrong, or one of the `--assert` flags does not hold.
pub(crate) fn run(args: &Headline) -> Result<()> {
    let kernel = Kernel::here()?;
    let plan = Plan::new(args.connections, args.gateways, kernel.descriptors)?;
    let missing = kernel.missing(&plan);
    ensure!(missing.is_empty(), "this machine is not set up for it:\n  {}", missing.join("\n  "));
    stage::raise_descriptors()?;
    let api = server::start_api(args.common.api_threads)?;
    let gateways = start_gateways(args, &plan, &api)?;
    println!(
        "headline: {} clients of {} gateways, a message of {} bytes every {:?} of each ({})",
        plan.connections,
        plan.gateways,
        args.size,
        args.every,
        Machine::here()
    );
    let summary = show(args, &plan, &gateways, &api).with_context(|| last_words(&gateways))?;
    gateways.into_iter().try_for_each(Server::stop)?;
    summary.print();
    report::write_json(args.common.json.as_deref(), &summary)?;
    if let Some(file) = &args.picture {
        picture::draw(file, &summary.title(), &summary.records)?;
    }
    summary.check(args)
}

fn start_gateways(args: &Headline, plan: &Plan, api: &Server) -> Result<Vec<Server>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = format!("--threads={}", (cores / plan.gateways).max(1));
    let api_connections = format!("--max-api-connections={}", plan.api_connections_each);
    // As a user would have it: pings are on.
    let more = [threads.as_str(), &api_connections, "--ping-interval=30s"];
    (0..plan.gateways).map(|_| stage::start_gateway_with(&args.gateway, &args.common, api, &more)).collect()
}

/// Of those gateways that have ended: the others have nothing to do with it.
fn last_words(gateways: &[Server]) -> String {
    let gone = gateways.iter().filter(|gateway| crate::usage::Memory::of(gateway.pid()).is_err());
    let words: String = gone.map(Server::last_words).collect();
    if words.is_empty() { "no gateway has ended".to_owned() } else { words }
}

fn show(args: &Headline, plan: &Plan, gateways: &[Server], api: &Server) -> Result<Summary> {
    let addresses: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.address).collect();
    let mut crowds = Crowds::start(args, &addresses, &plan.shares())?;
    let fresh = gateways.iter().map(|gateway| Ok(crate::usage::Memory::of(gateway.pid())?.resident));
    let mut summary = Summary::new(args, plan, fresh.sum::<Result<u64>>()?);
    let mut recorder = Recorder::new(gateways, api, &crowds)?;
    Record::print_head();
    if args.highest {
        climb(args, &mut crowds, &mut recorder, &mut summary)?;
    } else {
        ramp_and_hold(args, &mut crowds, &mut recorder, &mut summary)?;
    }
    let opened = recorder.total.opened;
    crowds.leave()?;
    let limit = Instant::now() + LEAVE_LIMIT;
    while !recorder.total.ended {
        ensure!(Instant::now() < limit, "not all clients have left after {LEAVE_LIMIT:?}");
        one_second(&mut crowds, &mut recorder, Phase::Leave)?;
    }
    crowds.wait()?;
    let (total, counts) = (&recorder.total, stage::await_disconnects(api, opened)?);
    ensure!(total.closed == opened, "{} of {opened} clients were closed", total.closed);
    ensure!(total.sent == total.answered, "{} of {} messages were answered", total.answered, total.sent);
    ensure!(counts.messages == total.sent, "the API got {} of {} messages", counts.messages, total.sent);
    summary.messages = total.sent;
    summary.take_records(recorder.records);
    Ok(summary)
}

/// Waits a second and records it; answers its 99th percentile in milliseconds.
fn one_second(crowds: &mut Crowds, recorder: &mut Recorder<'_>, phase: Phase) -> Result<f64> {
    interrupt::sleep_until(recorder.next_at())?;
    Ok(recorder.record(crowds, phase)?.latency.p99_us / 1e3)
}

fn ramp_and_hold(
    args: &Headline,
    crowds: &mut Crowds,
    recorder: &mut Recorder<'_>,
    summary: &mut Summary,
) -> Result<()> {
    crowds.open(args.connections, args.ramp)?;
    let start = Instant::now();
    while recorder.total.opened < args.connections as u64 {
        let limit = args.ramp * 2 + Duration::from_secs(30);
        if start.elapsed() > limit {
            bail!("only {} of {} clients are open after {limit:?}", recorder.total.opened, args.connections);
        }
        one_second(crowds, recorder, Phase::Ramp)?;
    }
    summary.all_open_after = Some(start.elapsed().as_secs_f64());
    recorder.forget();
    let (before, from) = (recorder.records.len(), Instant::now());
    while from.elapsed() < args.hold {
        one_second(crowds, recorder, Phase::Hold)?;
    }
    let held = &recorder.records[before..];
    let mean = |value: fn(&Record) -> f64| held.iter().map(value).sum::<f64>() / held.len() as f64;
    let (messages_per_second, gateways_cpu) =
        (mean(|record| record.messages_per_second), mean(|record| record.gateways_cpu));
    summary.hold = Some(Hold {
        messages_per_second,
        latency: Latency::of(&recorder.latencies),
        gateways_cpu,
        gateways_cpu_us_per_message: gateways_cpu * 1e6 / messages_per_second,
    });
    Ok(())
}

/// Step by step up to `--connections`, until the 99th percentile of a step is over the bound.
fn climb(args: &Headline, crowds: &mut Crowds, recorder: &mut Recorder<'_>, summary: &mut Summary) -> Result<()> {
    // By then it is lost for certain, and clients are about to lose their patience.
    let hopeless = args.most_p99 * 20.0;
    let step = args.step.context("--highest needs --step")?;
    let mut clients = 0;
    while clients < args.connections {
        clients = (clients + step).min(args.connections);
        let over = args.ramp.mul_f64(step as f64 / args.connections as f64);
        crowds.open(clients, over)?;
        let settled = Instant::now() + over + SETTLE;
        let mut p99 = 0.0;
        while p99 < hopeless && Instant::now() < settled {
            p99 = one_second(crowds, recorder, Phase::Ramp)?;
        }
        recorder.forget();
        let until = Instant::now() + args.hold;
        while p99 < hopeless && Instant::now() < until {
            p99 = one_second(crowds, recorder, Phase::Hold)?;
        }
        let latency = Latency::of(&recorder.latencies);
        let good = p99 < hopeless && latency.p99_us / 1e3 < args.most_p99;
        println!("step: {clients} clients, p99 {:.2} ms{}", latency.p99_us / 1e3, if good { "" } else { ": over" });
        summary.steps.push(Step { clients, latency });
        if !good {
            // Those whose handshakes are under way still belong to it.
            while recorder.total.opened < clients as u64 {
                one_second(crowds, recorder, Phase::Ramp)?;
            }
            return Ok(());
        }
        summary.highest = Some(clients);
    }
    println!("all {clients} clients are under the bound: --connections more would show where it ends");
    Ok(())
}

impl Summary {
    fn new(args: &Headline, plan: &Plan, fresh: u64) -> Summary {
        Summary {
            scenario: "headline",
            machine: Machine::here(),
            connections: plan.connections,
            gateways: plan.gateways,
            ramp_seconds: args.ramp.as_secs_f64(),
            every_seconds: args.every.as_secs_f64(),
            hold_seconds: args.hold.as_secs_f64(),
            size: args.size,
            all_open_after: None,
            hold: None,
            steps: Vec::new(),
            highest: None,
            messages: 0,
            fresh,
            most_resident: 0,
            bytes_per_client: 0.0,
            records: Vec::new(),
        }
    }

    fn take_records(&mut self, records: Vec<Record>) {
        self.most_resident = records.iter().map(|record| record.resident).max().unwrap_or_default();
        // What the end of all takes is not what a client takes.
        let staying = || records.iter().filter(|record| record.phase != Phase::Leave);
        let resident = staying().map(|record| record.resident).max().unwrap_or_default();
        let most_open = staying().map(|record| record.open).max().unwrap_or_default();
        self.bytes_per_client = resident.saturating_sub(self.fresh) as f64 / most_open.max(1) as f64;
        self.records = records;
    }

    fn title(&self) -> String {
        format!(
            "{} WebSockets, a message of each every {:.0} s, {} gateway processes: {}",
            self.connections, self.every_seconds, self.gateways, self.machine
        )
    }

    fn print(&self) {
        println!(
            "all {} messages were answered, in order, each to its own client; every close reached the API",
            self.messages
        );
        if let Some(seconds) = self.all_open_after {
            println!("  all clients were open after         {seconds:>9.1} s");
        }
        if let Some(hold) = &self.hold {
            let Latency { p50_us, p90_us, p99_us, max_us } = hold.latency;
            println!("  with all of them: messages per s    {:>9.0}", hold.messages_per_second);
            println!(
                "  latency, ms                         {:>9.2} p50, {:.2} p90, {:.2} p99, {:.2} max",
                p50_us / 1e3,
                p90_us / 1e3,
                p99_us / 1e3,
                max_us / 1e3
            );
            println!("  processors taken by the gateways    {:>9.2}", hold.gateways_cpu);
            println!("  the same per message, us            {:>9.2}", hold.gateways_cpu_us_per_message);
        }
        if !self.steps.is_empty() {
            let highest = self.highest.map_or("none".to_owned(), |clients| clients.to_string());
            println!("  most clients under the bound        {highest:>9}");
        }
        println!("  most resident of all gateways, MiB  {:>9.1}", mib(self.most_resident));
        println!(
            "  resident bytes per client           {:>9.0}   (over {:.1} MiB before)",
            self.bytes_per_client,
            mib(self.fresh)
        );
    }

    fn check(&self, args: &Headline) -> Result<()> {
        if let Some(seconds) = self.all_open_after {
            // A record is a second, and clients open to the very end of the ramp.
            let most = self.ramp_seconds + 3.0;
            ensure!(
                seconds <= most,
                "the clients were open after {seconds:.1} s only: the ramp is {} s",
                self.ramp_seconds
            );
        }
        if let (Some(most), Some(hold)) = (args.assert_p99, &self.hold) {
            let p99 = hold.latency.p99_us / 1e3;
            ensure!(p99 <= most, "the 99th percentile of the latency is {p99:.2} ms: over {most}");
        }
        if let Some(most) = args.assert_bytes {
            let bytes = self.bytes_per_client;
            ensure!(bytes <= most as f64, "a client takes {bytes:.0} bytes of the gateways: more than {most}");
        }
        Ok(())
    }
}
