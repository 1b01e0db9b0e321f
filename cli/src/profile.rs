//! `-cpuprofile=` and `-memprofile=`: files that `pprof` reads, written when the program ends.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pprof::ProfilerGuard;
use pprof::protos::Message;
use tracing::{error, info};

/// Samples of the CPU profile per second; a prime, so as not to beat with timers.
const FREQUENCY: i32 = 99;

/// The profiles under way.
pub(crate) struct Profiles {
    cpu: Mutex<Option<(ProfilerGuard<'static>, PathBuf, File)>>,
    heap: Mutex<Option<(PathBuf, File)>>,
}

impl Profiles {
    /// Starts what is asked for. A file that cannot be written is told now, not at the end.
    pub(crate) fn start(cpu: Option<&Path>, heap: Option<&Path>) -> Result<Profiles, String> {
        let cpu = cpu.map(start_cpu).transpose()?;
        let heap = heap.map(start_heap).transpose()?;
        Ok(Profiles { cpu: Mutex::new(cpu), heap: Mutex::new(heap) })
    }

    /// Writes the profiles; once.
    pub(crate) fn finish(&self) {
        let cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((guard, path, file)) = cpu {
            told("--cpuprofile", &path, write_cpu(&guard, file));
        }
        let heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((path, file)) = heap {
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
    File::create(path).map_err(|error| format!("{flag} {}: cannot write there: {error}", path.display()))
}

fn start_cpu(path: &Path) -> Result<(ProfilerGuard<'static>, PathBuf, File), String> {
    let file = create("--cpuprofile", path)?;
    let guard = pprof::ProfilerGuardBuilder::default().frequency(FREQUENCY).build();
    let guard = guard.map_err(|error| format!("--cpuprofile: cannot sample: {error}"))?;
    Ok((guard, path.to_owned(), file))
}

fn write_cpu(guard: &ProfilerGuard<'_>, mut file: File) -> Result<(), String> {
    let report = guard.report().build().map_err(|error| error.to_string())?;
    let profile = report.pprof().map_err(|error| error.to_string())?;
    file.write_all(&profile.encode_to_vec()).map_err(|error| error.to_string())
}

fn start_heap(path: &Path) -> Result<(PathBuf, File), String> {
    let file = create("--memprofile", path)?;
    let control = jemalloc_pprof::PROF_CTL.as_ref().ok_or("--memprofile: the allocator cannot profile here")?;
    control.blocking_lock().activate().map_err(|error| format!("--memprofile: cannot sample: {error}"))?;
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
