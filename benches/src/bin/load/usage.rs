//! What a process uses, as the kernel counts it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use procfs::process::Process;

/// Processor time and context switches of every living thread of a process.
#[derive(Clone, Default)]
pub(crate) struct Usage {
    threads: HashMap<i32, Thread>,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    cpu_ns: u64,
    voluntary: u64,
    involuntary: u64,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// Times that a thread went to sleep by itself.
    pub(crate) voluntary: u64,
    /// Times that a thread was pushed off its core.
    pub(crate) involuntary: u64,
}

impl Usage {
    /// Looks at every thread of `pid`, with the scheduler's precision of nanoseconds.
    ///
    /// # Errors
    /// The process is gone, or the kernel keeps no `schedstat`.
    pub(crate) fn of(pid: u32) -> Result<Usage> {
        let process = process(pid)?;
        let mut threads = HashMap::new();
        for task in process.tasks()? {
            let Some((tid, thread)) = task.ok().and_then(|task| Some((task.tid, look(&task).ok()?))) else {
                // The thread ended while we looked.
                continue;
            };
            threads.insert(tid, thread);
        }
        anyhow::ensure!(!threads.is_empty(), "cannot read /proc/{pid}/task/*/schedstat (CONFIG_SCHED_INFO)");
        Ok(Usage { threads })
    }

    /// What was used since `earlier`. The time of threads that have ended in between is not in it.
    pub(crate) fn since(&self, earlier: &Usage) -> Used {
        let mut used = Used::default();
        for (tid, now) in &self.threads {
            let then = earlier.threads.get(tid).copied().unwrap_or_default();
            used.cpu += Duration::from_nanos(now.cpu_ns.saturating_sub(then.cpu_ns));
            used.voluntary += now.voluntary.saturating_sub(then.voluntary);
            used.involuntary += now.involuntary.saturating_sub(then.involuntary);
        }
        used
    }
}

fn look(task: &procfs::process::Task) -> Result<Thread> {
    let status = task.status()?;
    Ok(Thread {
        cpu_ns: task.schedstat()?.sum_exec_runtime,
        voluntary: status.voluntary_ctxt_switches.unwrap_or_default(),
        involuntary: status.nonvoluntary_ctxt_switches.unwrap_or_default(),
    })
}

/// Memory of a process that is in RAM, in bytes.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Memory {
    /// All of it (`VmRSS`).
    pub(crate) resident: u64,
    /// Heap and stacks alone (`RssAnon`), without the program's own file.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// Looks at the process `pid`.
    pub(crate) fn of(pid: u32) -> Result<Memory> {
        let status = process(pid)?.status()?;
        let kib = |field: Option<u64>, name| field.with_context(|| format!("no {name} in /proc/{pid}/status"));
        Ok(Memory { resident: 1024 * kib(status.vmrss, "VmRSS")?, anonymous: 1024 * kib(status.rssanon, "RssAnon")? })
    }
}

fn process(pid: u32) -> Result<Process> {
    let pid_signed = i32::try_from(pid).context("a process id too large")?;
    Process::new(pid_signed).with_context(|| format!("process {pid} is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_cpu_and_sleep_as_a_switch() {
        let before = Usage::of(std::process::id()).unwrap();
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::black_box(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
        let used = Usage::of(std::process::id()).unwrap().since(&before);
        assert!(used.cpu > Duration::from_millis(5), "{used:?}");
        assert!(used.voluntary > 0, "{used:?}");
    }

    #[test]
    fn memory_is_counted_in_bytes() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident >= memory.anonymous && memory.anonymous > 100 * 1024, "{memory:?}");
    }
}
