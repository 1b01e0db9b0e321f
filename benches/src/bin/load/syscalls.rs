//! System calls of a process, counted by the kernel through Linux's `perf`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const EVENT: &str = "raw_syscalls:sys_enter";

/// How long it takes, start of `perf` included: the work must go on for so long.
pub(crate) const TIME: Duration = Duration::from_secs(4);

/// Counts the system calls of `pid` for a second; answers how many there were for each of what `done` counts.
pub(crate) fn count(pid: u32, done: &AtomicU64) -> Result<f64> {
    let (calls, before) = watch(pid, Duration::from_secs(1), || done.load(Ordering::Relaxed))?;
    let work = done.load(Ordering::Relaxed) - before;
    ensure!(work > 0, "nothing was done while system calls were counted");
    Ok(calls as f64 / work as f64)
}

/// Counts the system calls of `pid` for so long.
pub(crate) fn of_idle(pid: u32, time: Duration) -> Result<u64> {
    Ok(watch(pid, time, || ())?.0)
}

/// Counts for so long; also answers what `begun` saw when the counting began.
fn watch<T>(pid: u32, time: Duration, begun: impl FnOnce() -> T) -> Result<(u64, T)> {
    let hint = "cannot count system calls: this needs the program `perf` (Debian's linux-perf) and the right to use it";
    let mut perf = Command::new("perf")
        .args(["stat", "-x,", "-e", EVENT, "-p", &pid.to_string(), "--"])
        // The counting begins with this shell and ends with it: it says when.
        .args(["sh", "-c", &format!("echo counting; exec sleep {}", time.as_secs_f64())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(hint)?;
    let mut output = BufReader::new(perf.stdout.take().context("perf without a pipe")?);
    output.read_line(&mut String::new())?;
    let begun = begun();
    output.read_to_end(&mut Vec::new())?;
    let found = perf.wait_with_output()?;
    let text = String::from_utf8_lossy(&found.stderr);
    let calls = counted(&text).with_context(|| format!("{hint}; it says: {}", text.trim()))?;
    Ok((calls, begun))
}

/// The number in what `perf stat -x,` prints.
fn counted(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_warnings() {
        assert_eq!(counted("a warning, of sorts\n1234,,raw_syscalls:sys_enter,1000,100.00,,\n"), Some(1234));
        for wrong in ["", "<not supported>,,raw_syscalls:sys_enter,0,100.00,,", "12,,cycles,1,1,,"] {
            assert_eq!(counted(wrong), None, "{wrong}");
        }
    }
}
