//! A runtime that serves nobody.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ws2http_cli::Setup;
use ws2http_core::Report;

/// Makes this file the program, and says how it behaves: `wait`, `work`, `hang`, `fail` or `free`.
pub(crate) const SERVE: &str = "SERVE";

pub(crate) fn serve(setup: Setup) -> io::Result<()> {
    let how = std::env::var(SERVE).map_err(io::Error::other)?;
    if how == "fail" {
        return Err(io::Error::other("no luck"));
    }
    if how == "free" {
        return free_memory();
    }
    println!("refuse_in_band={} ping={:?}", setup.config.refuse_in_band, setup.config.ping_interval);
    println!("headers={:?}", setup.config.api_headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let public = TcpListener::bind(setup.listen)?;
    let control = setup.control_listen.map(TcpListener::bind).transpose()?;
    let control = control.as_ref().map(TcpListener::local_addr).transpose()?;
    let kept = if how == "wait" { 0 } else { work_hard() };
    if how == "hang" {
        for number in 0..3 {
            let failure = format!("broken {number}\nFORGED \x1b[31mline");
            setup.reporter.report(Report::CallFailed { method: http::Method::POST, client: "a".to_owned(), failure });
        }
    }
    let (drain, drained) = mpsc::channel::<()>();
    let never = drain.clone();
    setup.stop.on_drain(Box::new(move || drain.send(()).expect("somebody waits for the drain")));
    setup.reporter.listening(public.local_addr()?, control);
    let waited = drained.recv();
    if how == "hang" {
        // As a drain that does not get on.
        while drained.recv().is_ok() {}
    }
    drop(never);
    black_box(kept);
    waited.map_err(io::Error::other)
}

#[inline(never)]
fn work_hard() -> usize {
    let start = Instant::now();
    let mut sum = 0;
    while start.elapsed() < Duration::from_millis(400) {
        sum = (0..10_000).fold(sum, |sum: usize, step| black_box(sum.wrapping_mul(31) ^ step));
    }
    // Held to the end of the process, for the heap profile.
    Box::leak(vec![1u8; 4 << 20].into_boxed_slice()).len() + sum % 2
}

/// As when all clients leave: afterwards nothing here allocates, which would make the allocator look
/// at what is free. Even the reading of the figure must not.
fn free_memory() -> io::Result<()> {
    let small: Vec<Vec<u8>> = (0..200_000).map(|index| vec![1; 200 + index % 400]).collect();
    let held = resident_pages()?;
    drop(small);
    let start = Instant::now();
    let mut left = held;
    while left > held / 2 {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(io::Error::other(format!("{held} pages were held, {left} still are")));
        }
        thread::sleep(Duration::from_millis(100));
        left = resident_pages()?;
    }
    Ok(())
}

/// The second number of `/proc/self/statm`.
fn resident_pages() -> io::Result<u64> {
    let mut text = [0; 128];
    let length = File::open("/proc/self/statm")?.read(&mut text)?;
    let mut numbers = text[..length].split(|byte| *byte == b' ');
    let pages = numbers.nth(1).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
    pages.ok_or(io::ErrorKind::InvalidData.into())
}
