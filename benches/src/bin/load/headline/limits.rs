//! What the kernel has to allow before very many clients fit on one machine.

use std::fs;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use procfs::Current as _;
use rustix::process::{Resource, getrlimit};

use super::Plan;
use crate::report::mib;
use crate::swarm::CLIENTS_PER_SOURCE;

/// What a client takes: both of its sockets in the kernel, a busy WebSocket in the gateway, its place in the crowd.
const BYTES_PER_CLIENT: u64 = 14 * 1024;
/// What all processes take without clients.
const BYTES_BESIDES: u64 = 512 * 1024 * 1024;

/// What this machine allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// Descriptors of one process (`ulimit -Hn`).
    pub(super) descriptors: u64,
    /// Open files of all, and the most of them (`fs.file-max`).
    files: (u64, u64),
    /// Ports of outgoing connections (`net.ipv4.ip_local_port_range`).
    ports: (u64, u64),
    /// Connections that the firewall tracks, and the most of them (`net.netfilter.nf_conntrack_max`).
    tracked: Option<(u64, u64)>,
    /// Handshakes that may wait for `accept` (`net.core.somaxconn`).
    somaxconn: u64,
    memory: u64,
}

impl Kernel {
    /// Asks the kernel.
    pub(super) fn here() -> Result<Kernel> {
        let [used, _, most] = numbers("fs/file-nr")?;
        let [low, high] = numbers("net/ipv4/ip_local_port_range")?;
        let [somaxconn] = numbers("net/core/somaxconn")?;
        // Without a firewall these files are not there.
        let tracked =
            numbers("net/netfilter/nf_conntrack_count").ok().zip(numbers("net/netfilter/nf_conntrack_max").ok());
        let memory = procfs::Meminfo::current()?;
        Ok(Kernel {
            descriptors: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
            files: (used, most),
            ports: (low, high),
            tracked: tracked.map(|([count], [most])| (count, most)),
            somaxconn,
            memory: memory.mem_available.unwrap_or(memory.mem_free),
        })
    }

    /// What it lacks for `plan`, and what to do about it, a line each.
    pub(super) fn missing(&self, plan: &Plan) -> Vec<String> {
        let clients = plan.connections as u64;
        let mut missing = Vec::new();
        let mut needs = |name: &str, have: u64, needed: u64, remedy: String| {
            if have < needed {
                missing.push(format!("{name} is {have}, {needed} are needed: {remedy}"));
            }
        };
        let most = plan.most_descriptors();
        needs(
            "the descriptor limit of a process",
            self.descriptors,
            most,
            format!("ulimit -n {most}, or --gateways more"),
        );
        let files = self.files.0 + plan.files();
        needs("fs.file-max", self.files.1, files, format!("sysctl -w fs.file-max={}", files * 2));
        let ports = (self.ports.1 + 1).saturating_sub(self.ports.0);
        let wanted = CLIENTS_PER_SOURCE as u64 * 2;
        let remedy = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"".to_owned();
        needs("the number of ports in net.ipv4.ip_local_port_range", ports, wanted, remedy);
        needs("net.core.somaxconn", self.somaxconn, 512, "sysctl -w net.core.somaxconn=4096".to_owned());
        // A firewall that tracks nothing has its limit all the same.
        if let Some((count, most)) = self.tracked.filter(|(count, _)| *count > 0) {
            let tracked = count + clients + plan.api_connections() as u64;
            let remedy = format!("sysctl -w net.netfilter.nf_conntrack_max={}", tracked * 2);
            needs("net.netfilter.nf_conntrack_max", most, tracked, remedy);
        }
        let memory = clients * BYTES_PER_CLIENT + BYTES_BESIDES;
        let remedy = format!("{:.0} MiB are available: fewer --connections", mib(self.memory));
        needs("available memory", self.memory, memory, remedy);
        missing
    }
}

fn numbers<const N: usize>(name: &str) -> Result<[u64; N]> {
    let file = format!("/proc/sys/{name}");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| u64::from_str(word).ok()).collect();
    numbers.try_into().ok().with_context(|| format!("{file} has an unexpected form: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Kernel = Kernel {
        descriptors: 20_000,
        files: (1000, 2_000_000),
        ports: (32_768, 60_999),
        tracked: Some((0, 1000)),
        somaxconn: 4096,
        memory: 20 << 30,
    };

    #[test]
    fn this_kernel_answers() {
        assert!(Kernel::here().is_ok_and(|kernel| kernel.memory > 0 && kernel.ports.1 > kernel.ports.0));
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let plan = Plan::new(250_000, None, ENOUGH.descriptors).unwrap();
        assert_eq!(ENOUGH.missing(&plan), Vec::<String>::new());
        let without = |change: fn(&mut Kernel), name: &str| {
            let mut kernel = ENOUGH;
            change(&mut kernel);
            let missing = kernel.missing(&plan);
            assert!(missing.len() == 1 && missing[0].contains(name), "{name}: {missing:?}");
        };
        without(|kernel| kernel.descriptors = 18_000, "ulimit -n");
        without(|kernel| kernel.files.1 = 500_000, "fs.file-max=");
        without(|kernel| kernel.ports = (60_000, 60_999), "ip_local_port_range");
        without(|kernel| kernel.tracked = Some((1, 200_000)), "nf_conntrack_max=");
        without(|kernel| kernel.somaxconn = 128, "somaxconn");
        without(|kernel| kernel.memory = 2 << 30, "memory");
    }
}
