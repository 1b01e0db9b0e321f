//! One seed is one world: two processes write the same trace, byte for byte.

use std::process::Command;

fn trace(seed: u64) -> Vec<u8> {
    let program = env!("CARGO_BIN_EXE_ws2http-sim");
    let output = Command::new(program)
        .args(["run", "shards", "--seed", &seed.to_string(), "--trace", "-"])
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn two_processes_write_the_same_trace() {
    for seed in [1, 2, 3, 40, 1087] {
        let (first, second) = (trace(seed), trace(seed));
        assert!(first.len() > 1000, "the trace of seed {seed} has {} bytes", first.len());
        assert!(first == second, "seed {seed} was replayed differently");
    }
    assert_ne!(trace(1), trace(2));
}
