//! What a run came to.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::plan::Plan;
use super::record::{Phase, Record};
use crate::args::Headline;
use crate::latency::Latency;
use crate::report::{Machine, mib};

/// A step of `--highest`.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) clients: usize,
    pub(super) latency: Latency,
}

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) scenario: &'static str,
    pub(super) machine: Machine,
    pub(super) connections: usize,
    pub(super) gateways: usize,
    pub(super) ramp_seconds: f64,
    pub(super) every_seconds: f64,
    pub(super) hold_seconds: f64,
    pub(super) size: usize,
    /// When the last client was open.
    pub(super) all_open_after: Option<f64>,
    /// With all clients open.
    pub(super) hold: Option<Hold>,
    /// Of `--highest`: the steps, and the most clients under the bound.
    pub(super) steps: Vec<Step>,
    pub(super) highest: Option<usize>,
    pub(super) messages: u64,
    /// Resident bytes of all gateways before the first client.
    pub(super) fresh: u64,
    pub(super) most_resident: u64,
    pub(super) bytes_per_client: f64,
    pub(super) records: Vec<Record>,
}

#[derive(Debug, Serialize)]
pub(super) struct Hold {
    pub(super) messages_per_second: f64,
    pub(super) latency: Latency,
    pub(super) gateways_cpu: f64,
    pub(super) gateways_cpu_us_per_message: f64,
    pub(super) others_cpu: f64,
}

impl Summary {
    pub(super) fn new(args: &Headline, plan: &Plan, fresh: u64) -> Summary {
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

    pub(super) fn take_records(&mut self, records: Vec<Record>) {
        self.most_resident = records.iter().map(|record| record.resident).max().unwrap_or_default();
        // What the end of all takes is not what a client takes.
        let staying = || records.iter().filter(|record| record.phase != Phase::Leave);
        let resident = staying().map(|record| record.resident).max().unwrap_or_default();
        let most_open = staying().map(|record| record.open).max().unwrap_or_default();
        self.bytes_per_client = resident.saturating_sub(self.fresh) as f64 / most_open.max(1) as f64;
        self.records = records;
    }

    pub(super) fn title(&self) -> String {
        format!(
            "{} WebSockets, a message of each every {:.0} s, {} gateway processes: {}",
            self.connections, self.every_seconds, self.gateways, self.machine
        )
    }

    pub(super) fn print(&self) {
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
            println!("  taken by everyone else, kernel too  {:>9.2}", hold.others_cpu);
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

    pub(super) fn check(&self, args: &Headline) -> Result<()> {
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
