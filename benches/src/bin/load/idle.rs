//! `load idle`: what a WebSocket costs while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::Idle;
use crate::interrupt;
use crate::latency::Latency;
use crate::report::{self, Machine, mib, ms};
use crate::server::{self, Server};
use crate::stage;
use crate::syscalls;
use crate::team::Team;
use crate::usage::{Memory, Usage, Used};

/// Memory that stays within this, for as long as `SETTLED_FOR`, has settled.
const SETTLED_WITHIN: u64 = 64 * 1024;
/// Longer than allocators take to give freed memory back.
const SETTLED_FOR: Duration = Duration::from_secs(3);
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// A gateway looks at each connection once more when its time for the handshake (10 s) is over, and has done with
/// what it kept for the API (isahc's threads, with smol) after 15 s: so long after its last connect it is idle.
const LAST_LOOK: Duration = Duration::from_secs(17);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    machine: Machine,
    connections: usize,
    at_once: usize,
    greet: bool,
    /// Before any connection.
    fresh: Memory,
    /// After the warm-up: the start that the connections are counted from.
    start: Memory,
    /// With all connections idle.
    idle: Memory,
    /// After the end of all.
    end: Memory,
    bytes_per_connection: f64,
    connects_per_second: f64,
    connect: Latency,
    idle_seconds: f64,
    idle_cpu_ms_per_second: f64,
    idle_sleeps_per_second: f64,
    idle_syscalls_per_second: Option<f64>,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or a connection takes more than `--assert-bytes`.
pub(crate) fn run(args: &Idle) -> Result<()> {
    stage::check_descriptors(args.connections)?;
    let api = server::start_api(args.common.api_threads)?;
    let gateway = stage::start_gateway(&args.gateway, &args.common, &api)?;
    let report = measure(args, &gateway, &api).with_context(|| format!("idle{}", gateway.last_words()))?;
    gateway.stop()?;
    print(&report);
    report::write_json(args.common.json.as_deref(), &report)?;
    if let Some(most) = args.assert_bytes {
        let bytes = report.bytes_per_connection;
        ensure!(bytes <= most as f64, "an idle WebSocket takes {bytes:.0} bytes: more than {most}");
    }
    if let Some(most) = args.assert_sleeps {
        let sleeps = report.idle_sleeps_per_second;
        ensure!(sleeps <= most, "the idle gateway wakes up {sleeps:.1} times a second: more than {most}");
    }
    Ok(())
}

fn measure(args: &Idle, gateway: &Server, api: &Server) -> Result<Report> {
    let (count, at_once) = (args.connections, args.common.at_once);
    let fresh = settle(gateway, api)?;
    let mut team = Team::new(stage::web_socket(gateway, 64), args.common.threads)?;
    eprintln!("warm-up: {at_once} connections, a message each");
    team.connect(at_once, at_once, true)?;
    team.close(at_once)?;
    stage::await_disconnects(api, at_once as u64)?;
    let start = settle(gateway, api)?;

    eprintln!("opening {count} connections");
    let opening = Instant::now();
    let connect = team.connect(count, at_once, args.greet)?;
    let opened_in = opening.elapsed();
    eprintln!("waiting until its memory settles, and its idle connections to the API are closed");
    let opened = Instant::now();
    let idle = settle(gateway, api)?;
    interrupt::sleep_until(opened + LAST_LOOK)?;

    eprintln!("watching the idle gateway for {:?}", args.seconds);
    let (used, idle_for, syscalls) = watch_idle(&mut team, gateway, args)?;

    eprintln!("closing");
    team.close(at_once)?;
    stage::await_disconnects(api, (count + at_once) as u64)?;
    let end = settle(gateway, api)?;
    Ok(Report {
        scenario: "idle",
        machine: Machine::here(),
        connections: count,
        at_once,
        greet: args.greet,
        fresh,
        start,
        idle,
        end,
        bytes_per_connection: (idle.resident as f64 - start.resident as f64) / count as f64,
        connects_per_second: count as f64 / opened_in.as_secs_f64(),
        connect: Latency::of(&connect),
        idle_seconds: idle_for.as_secs_f64(),
        idle_cpu_ms_per_second: ms(used.cpu) / idle_for.as_secs_f64(),
        idle_sleeps_per_second: used.voluntary as f64 / idle_for.as_secs_f64(),
        idle_syscalls_per_second: syscalls.map(|calls| calls as f64 / args.seconds.as_secs_f64()),
    })
}

/// What the idle gateway uses, in how long, and its system calls in `--seconds` of that.
fn watch_idle(team: &mut Team, gateway: &Server, args: &Idle) -> Result<(Used, Duration, Option<u64>)> {
    let start = Instant::now();
    let until = start + args.seconds + if args.syscalls { syscalls::TIME } else { Duration::ZERO };
    let before = Usage::of(gateway.pid())?;
    let (_, (used, syscalls)) = team.run(
        |swarm, _| swarm.hold(until),
        |watch| {
            let syscalls = args.syscalls.then(|| syscalls::of_idle(gateway.pid(), args.seconds)).transpose()?;
            watch.sleep_until(until, || Ok(()))?;
            Ok((Usage::of(gateway.pid())?.since(&before), syscalls))
        },
    )?;
    Ok((used, start.elapsed(), syscalls))
}

/// The gateway's memory, once it has closed its idle connections to the API and then stays the same
/// (or will not, for a while).
fn settle(gateway: &Server, api: &Server) -> Result<Memory> {
    stage::await_no_api_connections(api)?;
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut settled = Memory::of(gateway.pid())?;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED_FOR {
        interrupt::sleep_until(Instant::now() + Duration::from_millis(100))?;
        let now = Memory::of(gateway.pid())?;
        if now.resident.abs_diff(settled.resident) > SETTLED_WITHIN {
            (settled, since) = (now, Instant::now());
        }
        if Instant::now() > deadline {
            eprintln!("  its memory does not settle in {SETTLE_LIMIT:?}; the last size is taken");
            return Ok(now);
        }
    }
    Ok(settled)
}

fn print(report: &Report) {
    let line = |name: &str, memory: Memory, note: &str| {
        println!("  {name:<22}{:>9.2}{:>12.2}   {note}", mib(memory.resident), mib(memory.anonymous));
    };
    println!("idle: {} WebSockets ({})", report.connections, report.machine);
    println!("  {:<22}{:>9}{:>12}", "memory, MiB", "resident", "anonymous");
    line("fresh", report.fresh, "");
    line("start", report.start, &format!("after {} connections with a message each", report.at_once));
    line("idle", report.idle, "");
    let left = report.end.resident as f64 - report.start.resident as f64;
    line("end", report.end, &format!("{:+.2} MiB to the start", left / f64::from(1 << 20)));
    println!("  resident bytes per idle WebSocket   {:>8.0}", report.bytes_per_connection);
    println!("  processor while idle, ms per s      {:>8.3}", report.idle_cpu_ms_per_second);
    println!("  sleeps while idle, per s            {:>8.1}", report.idle_sleeps_per_second);
    if let Some(calls) = report.idle_syscalls_per_second {
        println!("  system calls while idle, per s      {calls:>8.1}");
    }
    let connect = report.connect;
    println!(
        "  connects per s                      {:>8.0}   p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        report.connects_per_second,
        connect.p50_us / 1e3,
        connect.p99_us / 1e3,
        connect.max_us / 1e3
    );
}
