//! A runtime that serves nobody.

use std::hint::black_box;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ws2http_cli::Setup;
use ws2http_core::Report;

/// Makes this file the program, and says how it behaves: `wait`, `work`, `hang` or `fail`.
pub(crate) const SERVE: &str = "SERVE";

pub(crate) fn serve(setup: Setup) -> io::Result<()> {
    let how = std::env::var(SERVE).map_err(io::Error::other)?;
    if how == "fail" {
        return Err(io::Error::other("no luck"));
    }
    println!("refuse_in_band={} ping={:?}", setup.config.refuse_in_band, setup.config.ping_interval);
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
