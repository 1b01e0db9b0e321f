//! What this process costs.

use std::fs;
use std::time::Duration;

/// Resident bytes, now and at most so far; zeros where `/proc` is not to be had.
pub(crate) fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    (field(&status, "VmRSS:"), field(&status, "VmHWM:"))
}

/// Time that this process, which has one thread, has had a processor; zero where `/proc` is not to be had.
pub(crate) fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let (now, most) = resident();
        assert!(now > 100_000 && most >= now, "{now} {most}");
        assert!(!cpu().is_zero());
        assert_eq!(field("VmRSS:\t   12 kB\n", "VmRSS:"), 12 * 1024);
    }
}
