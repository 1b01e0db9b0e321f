//! Both profiles are written and can be read.

use super::*;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ws2http-{}-{name}", std::process::id()))
}

/// Work and garbage enough to be sampled.
fn work() -> Vec<Vec<u8>> {
    let start = Instant::now();
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 64 * 1024]).collect();
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    while start.elapsed() < Duration::from_millis(400) {
        for number in 0..1000u64 {
            *sums.entry(number % 97).or_default() += black_box(number);
        }
    }
    kept.push(sums.into_values().map(|sum| sum as u8).collect());
    kept
}

#[test]
fn both_files_hold_samples() {
    let (cpu, heap) = (path("cpu.pprof"), path("heap.pprof"));
    let profiles = Profiles::start(Some(&cpu), Some(&heap)).unwrap();
    let kept = work();
    profiles.finish();
    profiles.finish();
    drop(kept);
    let profile = pprof::protos::Profile::decode(&std::fs::read(&cpu).unwrap()[..]).unwrap();
    assert!(!profile.sample.is_empty() && !profile.function.is_empty());
    let packed = std::fs::read(&heap).unwrap();
    // pprof files may be gzipped, and the heap's is.
    assert!(packed.starts_with(&[0x1f, 0x8b]), "{:?}", &packed[..2]);
    assert!(packed.len() > 200, "{}", packed.len());
    for file in [cpu, heap] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let error = Profiles::start(Some(Path::new("/no/such/folder/x")), None).err().unwrap();
    assert!(error.contains("--cpuprofile") && error.contains("/no/such/folder/x"), "{error}");
}
