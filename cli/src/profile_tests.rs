//! Both profiles are written, can be read, and tell where time and memory went.

use super::*;
use std::hint::black_box;
use std::io::Read;
use std::time::{Duration, Instant};

use pprof::protos;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ws2http-{}-{name}", std::process::id()))
}

#[inline(never)]
fn burn_time(number: u64) -> u64 {
    (0..10_000).fold(number, |sum, step| black_box(sum.wrapping_mul(31) ^ step))
}

#[inline(never)]
fn take_memory() -> Vec<Vec<u8>> {
    (0..512).map(|_| black_box(vec![1; 16 * 1024])).collect()
}

/// The names of the functions that are in the stack of some sample.
fn sampled(profile: &protos::Profile) -> Vec<String> {
    let text = |index: i64| profile.string_table[usize::try_from(index).unwrap()].clone();
    let name = |id: u64| text(profile.function.iter().find(|function| function.id == id).unwrap().name);
    let stacks = profile.sample.iter().flat_map(|sample| &sample.location_id);
    let lines = stacks.flat_map(|id| &profile.location.iter().find(|location| location.id == *id).unwrap().line);
    lines.map(|line| name(line.function_id)).collect()
}

fn decode(bytes: &[u8]) -> protos::Profile {
    protos::Profile::decode(bytes).unwrap()
}

#[test]
fn both_files_name_the_functions_at_work() {
    let (cpu, heap) = (path("cpu.pprof"), path("heap.pprof"));
    let profiles = Profiles::start(Some(&cpu), Some(&heap)).unwrap();
    let kept = take_memory();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        black_box(burn_time(start.elapsed().as_secs()));
    }
    profiles.finish();
    let written = std::fs::read(&cpu).unwrap();
    profiles.finish();
    assert_eq!(std::fs::read(&cpu).unwrap(), written, "the second time, nothing is left to write");
    drop(kept);

    let names = sampled(&decode(&written));
    assert!(names.iter().any(|name| name.contains("burn_time")), "{names:?}");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&std::fs::read(&heap).unwrap()[..]).read_to_end(&mut unpacked).unwrap();
    let profile = decode(&unpacked);
    let names = sampled(&profile);
    assert!(names.iter().any(|name| name.contains("take_memory")), "{names:?}");
    let bytes: i64 = profile.sample.iter().flat_map(|sample| &sample.value).sum();
    assert!(bytes > 4 << 20, "8 MiB were held, {bytes} are told");
    for file in [cpu, heap] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let nowhere = Some(Path::new("/no/such/folder/x"));
    for (started, flag) in
        [(Profiles::start(nowhere, None), "--cpuprofile"), (Profiles::start(None, nowhere), "--memprofile")]
    {
        let error = started.err().unwrap();
        assert!(error.contains(flag) && error.contains("/no/such/folder/x"), "{error}");
        assert!(error.contains("writable folder"), "{error}");
    }
}
