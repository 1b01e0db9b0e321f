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
mod summary;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail, ensure};

use crate::args::Headline;
use crate::interrupt;
use crate::latency::Latency;
use crate::report::{self, Machine};
use crate::server::{self, Server};
use crate::stage;
use crate::usage::Memory;
use crowds::Crowds;
use limits::Kernel;
use plan::Plan;
use record::{Phase, Record, Recorder};
use summary::{Hold, Step, Summary};

/// After a step of `--highest`, the latencies of so long do not count yet.
const SETTLE: Duration = Duration::from_secs(3);

/// How long all clients may take to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(300);

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
    let summary = show(args, &plan, &gateways, &api).map_err(|error| with_last_words(error, &gateways))?;
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

/// Those of the gateways that have ended: the others have nothing to do with it.
fn with_last_words(error: Error, gateways: &[Server]) -> Error {
    let gone = gateways.iter().filter(|gateway| Memory::of(gateway.pid()).is_err());
    let words: String = gone.map(Server::last_words).collect();
    if words.is_empty() { error } else { error.context(format!("a gateway has ended{words}")) }
}

fn show(args: &Headline, plan: &Plan, gateways: &[Server], api: &Server) -> Result<Summary> {
    let addresses: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.address).collect();
    let mut crowds = Crowds::start(args, &addresses, &plan.shares())?;
    let fresh = gateways.iter().map(|gateway| Ok(Memory::of(gateway.pid())?.resident));
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
        others_cpu: mean(|record| record.others_cpu),
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
        if p99 < hopeless {
            recorder.forget();
        }
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
