//! `-cpuprofile=` and `-memprofile=`: files that `pprof` reads, written when the program ends.

use std::fs::File;
use std::hint;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pprof::ProfilerGuard;
use pprof::protos::Message;
use rustix::time::{ClockId, clock_gettime};
use tracing::{error, info};

/// Samples of the CPU profile per second; a prime, so as not to beat with timers.
const FREQUENCY: i32 = 199;

/// The profiles under way.
pub(crate) struct Profiles(Mutex<Running>);

struct Running {
    cpu: Option<(ProfilerGuard<'static>, PathBuf, File)>,
    heap: Option<(PathBuf, File)>,
}

impl Profiles {
    /// Starts what is asked for. A file that cannot be written is told now, not at the end.
    pub(crate) fn start(cpu: Option<&Path>, heap: Option<&Path>) -> Result<Profiles, String> {
        let heap = heap.map(start_heap).transpose()?;
        let cpu = cpu.map(start_cpu).transpose()?;
        Ok(Profiles(Mutex::new(Running { cpu, heap })))
    }

    /// Writes the profiles; once. Who comes second waits until they are whole: it may be a second
    /// signal, which ends the process.
    pub(crate) fn finish(&self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((guard, path, file)) = running.cpu.take() {
            told("--cpuprofile", &path, write_cpu(&guard, file));
        }
        if let Some((path, file)) = running.heap.take() {
            told("--memprofile", &path, write_heap(file));
        }
    }
}

fn told(flag: &str, path: &Path, result: Result<(), String>) {
    match result {
        Ok(()) => info!(file = %path.display(), "{flag}: profile written"),
        Err(error) => error!(file = %path.display(), %error, "{flag}: profile not written"),
    }
}

fn create(flag: &str, path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| {
        format!("{flag} {}: cannot write there ({error}): name a file in a writable folder", path.display())
    })
}

fn start_cpu(path: &Path) -> Result<(ProfilerGuard<'static>, PathBuf, File), String> {
    let file = create("--cpuprofile", path)?;
    let guard = pprof::ProfilerGuardBuilder::default().frequency(FREQUENCY).build();
    let guard = guard.map_err(|error| format!("--cpuprofile: cannot sample: {error}"))?;
    await_first_sample();
    Ok((guard, path.to_owned(), file))
}

/// The unwinder allocates at its first sample, inside the signal handler. That must not interrupt the
/// allocator itself, so it comes here, where nothing allocates and no worker runs yet.
fn await_first_sample() {
    let cpu_micros = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
    };
    // Some periods, as the kernel rounds them up to its own ticks.
    let until = cpu_micros() + 6 * 1_000_000 / i64::from(FREQUENCY);
    while cpu_micros() < until {
        hint::spin_loop();
    }
}

fn write_cpu(guard: &ProfilerGuard<'_>, mut file: File) -> Result<(), String> {
    let report = guard.report().build().map_err(|error| error.to_string())?;
    let profile = report.pprof().map_err(|error| error.to_string())?;
    file.write_all(&profile.encode_to_vec()).map_err(|error| error.to_string())
}

fn start_heap(path: &Path) -> Result<(PathBuf, File), String> {
    let file = create("--memprofile", path)?;
    let control = jemalloc_pprof::PROF_CTL.as_ref().ok_or("--memprofile: the allocator cannot profile here")?;
    let mut control = control.blocking_lock();
    control.activate().map_err(|error| format!("--memprofile: cannot sample: {error}"))?;
    // The allocator writes by way of a temporary file: that it can, must be known now.
    control.dump().map_err(|error| {
        format!("--memprofile: cannot write a temporary file ({error}): set TMPDIR to a writable folder")
    })?;
    Ok((path.to_owned(), file))
}

fn write_heap(mut file: File) -> Result<(), String> {
    let control = jemalloc_pprof::PROF_CTL.as_ref().ok_or("the allocator cannot profile here")?;
    let profile = control.blocking_lock().dump_pprof().map_err(|error| error.to_string())?;
    file.write_all(&profile).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
