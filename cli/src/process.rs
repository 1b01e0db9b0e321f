//! Figures of this process for the `process_*` metrics, from `/proc` (zeros where there is none).

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use ws2http_core::ProcessStats;

use crate::descriptors;

/// Reads the figures now.
pub fn process_stats() -> ProcessStats {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold anything; the fields after it start behind the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let ticks = clock_ticks_per_second() as f64;
    ProcessStats {
        cpu_seconds: (field(14) + field(15)) / ticks,
        virtual_bytes: field(23) as u64,
        resident_bytes: field(24) as u64 * page_size() as u64,
        open_fds: open_fds(),
        max_fds: descriptors::limit(),
        start_time_seconds: boot_time() + field(22) / ticks,
    }
}

/// Linux since 6.2 tells the number as the folder's size. Counting a million entries instead would
/// hold a shard up for a good part of a second.
fn open_fds() -> u64 {
    match fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len()) {
        0 => fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        open => open,
    }
}

fn boot_time() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_figures_are_of_this_process() {
        let stats = process_stats();
        assert!(stats.resident_bytes > 1 << 20 && stats.virtual_bytes >= stats.resident_bytes, "{stats:?}");
        assert!(stats.open_fds >= 3 && stats.max_fds >= stats.open_fds, "{stats:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - stats.start_time_seconds).abs() < 3600.0, "{stats:?} at {now}");
    }

    #[test]
    fn descriptors_are_counted_as_they_open() {
        let before = open_fds();
        let files: Vec<fs::File> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(open_fds() >= before + 150, "{before} {}", open_fds());
        drop(files);
    }
}
