//! Long random traffic against a flaky API, and a verdict.
//!
//! `soak --binary PATH [--minutes 30] [--seed N] [--clients 300] [-- GATEWAY FLAGS]`

mod faults;
mod options;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use ws2http_e2e::api::Api;
use ws2http_e2e::gateway::Gateway;
use ws2http_e2e::rig::words;
use ws2http_e2e::traffic::{Places, Town, visit};

use faults::Weather;
use options::Options;
use verdict::Sample;

/// Short enough that hanging calls do not stop the traffic, long enough for a busy machine: an `ok` that
/// the API writes after its `--api-timeout`, because the machine stood still, has no DELETE.
const FLAGS: &str = "--api-timeout 10s --handshake-timeout 5s --pong-timeout 1s --ping-interval 5s \
    --close-timeout 2s --send-timeout 5s";

/// How often progress is shown and figures are taken.
const STEP: Duration = Duration::from_secs(10);

fn main() {
    let options = Options::from_arguments();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a tokio runtime");
    let passed = runtime.block_on(soak(&options));
    println!("{}", if passed { "PASSED" } else { "FAILED" });
    std::process::exit(if passed { 0 } else { 1 });
}

async fn soak(options: &Options) -> bool {
    let Options { binary, minutes, seed, clients, flags } = options;
    println!("seed {seed}, {clients} clients, {minutes} minutes");
    let town = Arc::new(Town::default());
    let weather = Arc::new(Weather::new(*seed));
    let mut api = Api::start({
        let (town, weather) = (town.clone(), weather.clone());
        move |request| weather.strike(request, || town.answer(request))
    });
    api.forget();
    let address = ["--api".to_owned(), format!("http://{}/", api.address)];
    let flags = [address.as_slice(), &words(FLAGS), flags].concat();
    let mut gateway = Gateway::start(binary, &flags, &[]).await;
    let idle = gateway.idle_descriptors().await;
    let places = Places {
        public: gateway.public,
        control: gateway.control,
        ids: (*clients as f64 * 1.5).ceil() as u32,
        pause: Duration::from_millis(300),
    };
    let visitors = (0..*clients).map(|index| keep_visiting(&town, &places, seed ^ u64::from(index) << 32));
    let visitors: Vec<_> = visitors.map(tokio::spawn).collect();

    let samples = run(&gateway, &mut api, &town, &weather, Duration::from_secs_f64(minutes * 60.0)).await;
    println!("the end: faults stop, visitors leave");
    weather.clear();
    town.closing.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.expect("visitors report their panics themselves");
    }
    verdict::judge(&mut gateway, &api, &town, &samples, idle).await
}

/// A visitor that panics complains and is followed by another.
fn keep_visiting(town: &Arc<Town>, places: &Places, seed: u64) -> impl Future<Output = ()> + Send + use<> {
    let (town, places) = (town.clone(), places.clone());
    async move {
        for generation in 0.. {
            let (own, places) = (town.clone(), places.clone());
            let visitor = tokio::spawn(async move { visit(&own, &places, seed ^ generation).await });
            match visitor.await {
                Ok(()) => return,
                Err(panic) => town.complain(format!("a visitor (seed {seed}) panicked: {panic}")),
            }
        }
    }
}

/// Lets time pass, makes weather, shows progress.
async fn run(gateway: &Gateway, api: &mut Api, town: &Town, weather: &Weather, duration: Duration) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut shown = 0;
    while start.elapsed() < duration {
        weather.change(api, STEP.min(duration.saturating_sub(start.elapsed()))).await;
        let sample = Sample::take(gateway, start.elapsed());
        println!("{}", progress(&sample, api, town, weather));
        samples.push(sample);
        let complaints = [town.complaints(), api.violations()].concat();
        for complaint in complaints.iter().skip(shown) {
            println!("  WRONG: {complaint}");
        }
        shown = complaints.len();
        sleep(Duration::ZERO).await;
    }
    samples
}

fn progress(sample: &Sample, api: &Api, town: &Town, weather: &Weather) -> String {
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{:>6.0}s rss {:.1} MiB, {} descriptors; {} connects, {} visits, {} refused; {} sent, {} heard, \
         {} pushed, {} kicked; {} faults, {}",
        sample.at.as_secs_f64(),
        sample.rss as f64 / f64::from(1 << 20),
        sample.descriptors,
        api.law(|law| law.connects()),
        of(&town.visits),
        of(&town.refused),
        of(&town.sent),
        of(&town.heard),
        of(&town.pushed),
        of(&town.kicked),
        weather.struck(),
        weather.name(),
    )
}
