//! Plays the same scripts against two gateways, and compares what their APIs and clients see.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ws2http_e2e::differential::{Outcome, Script, Side, run, shrink};

const ABOUT: &str = "\
Plays the same scripts against two gateways, and compares what their APIs and clients see.

A script is drawn from a seed: flags of the gateway, then rounds in which clients connect, talk, break
rules, leave, are pushed to and kicked, while the API answers well, badly or not at all, then SIGTERM.
Whatever the wire contract fixes must come out the same on both sides.";

const EXAMPLES: &str = "\
Examples:
  Compare two gateways by 200 scripts:   differential --left ws2http-tokio --right ws2http-smol
  Other scripts, more of them:           differential --left A --right B --from 1000 --seeds 500
  See one script and both transcripts:   differential --left A --right B --seed 17 --show
  See that differences are found:        differential --left A --right A --right-flags '--max-message 10'

Exits with 1 when something differs or a gateway broke a law, with 2 when the command line is wrong.";

#[derive(Parser)]
#[command(about = ABOUT, after_help = EXAMPLES)]
struct Options {
    /// One gateway binary
    #[arg(long, value_name = "FILE")]
    left: PathBuf,
    /// The other one
    #[arg(long, value_name = "FILE")]
    right: PathBuf,
    /// Play only the script of this seed
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many scripts to play
    #[arg(long, value_name = "N", default_value = "200")]
    seeds: u64,
    /// The seed of the first one
    #[arg(long, value_name = "N", default_value = "0")]
    from: u64,
    /// Of the script of --seed, play only these rounds, from 0
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', requires = "seed")]
    rounds: Option<Vec<usize>>,
    /// How many scripts are played at once: they mostly wait
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
    /// Flags of the left gateway that take the place of the script's
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    left_flags: String,
    /// The same for the right one
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    right_flags: String,
    /// Show the script and both transcripts
    #[arg(long, requires = "seed")]
    show: bool,
}

/// The sums over all scripts played.
#[derive(Default)]
struct Played {
    scripts: AtomicU64,
    rounds: AtomicU64,
    lines: AtomicU64,
    unjudged: AtomicU64,
}

fn main() {
    let options = Options::parse();
    let side = |binary: &PathBuf, flags: &str| Side {
        binary: binary.clone(),
        flags: flags.split_whitespace().map(str::to_owned).collect(),
    };
    let (left, right) = (side(&options.left, &options.left_flags), side(&options.right, &options.right_flags));
    for Side { binary, .. } in [&left, &right] {
        if !binary.is_file() {
            eprintln!("{} is no file: build the gateways first, with `cargo build --release`", binary.display());
            std::process::exit(2);
        }
    }
    let began = Instant::now();
    let played = Played::default();
    let bad = match options.seed {
        Some(seed) => one(&options, seed, &left, &right, &played),
        None => many(&options, &left, &right, &played),
    };
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    if of(&played.unjudged) > 0 {
        println!("{} plays were not judged but repeated, because the machine stood still", of(&played.unjudged));
    }
    println!(
        "{} scripts of {} rounds played in {:.0?}, {} lines compared: {}",
        of(&played.scripts),
        of(&played.rounds),
        began.elapsed(),
        of(&played.lines),
        if bad.is_empty() { "EQUAL".to_owned() } else { format!("DIFFERENT with seeds {bad:?}") },
    );
    std::process::exit(i32::from(!bad.is_empty()));
}

fn one(options: &Options, seed: u64, left: &Side, right: &Side, played: &Played) -> BTreeSet<u64> {
    let script = Script::draw(seed);
    let script = options.rounds.as_ref().map_or(script.clone(), |rounds| script.only(rounds));
    let outcome = run(&script, left, right);
    played.count(&script, &outcome);
    if options.show {
        println!("{script}\n\n--- left ---\n{}\n--- right ---\n{}", outcome.left, outcome.right);
    }
    if outcome.is_fine() {
        return BTreeSet::new();
    }
    println!("{}", what_is_wrong(&outcome));
    BTreeSet::from([seed])
}

fn many(options: &Options, left: &Side, right: &Side, played: &Played) -> BTreeSet<u64> {
    let next = AtomicU64::new(options.from);
    let last = options.from.saturating_add(options.seeds);
    let bad = Mutex::new(Vec::new());
    let shown = Mutex::new(Instant::now());
    println!("playing seeds {} to {}, {} at once", options.from, last.saturating_sub(1), options.at_once);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                return;
            }
            let script = Script::draw(seed);
            let outcome = run(&script, left, right);
            played.count(&script, &outcome);
            if !outcome.is_fine() {
                println!("seed {seed}: {}", what_is_wrong(&outcome));
                bad.lock().unwrap().push((script, outcome));
            }
            let mut shown = shown.lock().unwrap();
            if shown.elapsed() > Duration::from_secs(5) {
                *shown = Instant::now();
                println!("{} of {} scripts played", played.scripts.load(Ordering::Relaxed), options.seeds);
            }
        }
    };
    std::thread::scope(|scope| (0..options.at_once).for_each(|_| drop(scope.spawn(work))));
    let mut bad = bad.into_inner().unwrap();
    let seeds = bad.iter().map(|(script, _)| script.seed).collect();
    bad.sort_by_key(|(script, _)| script.rounds());
    if let Some((script, outcome)) = bad.into_iter().find(|(_, outcome)| outcome.difference.is_some()) {
        explain(options, &script, left, right, outcome);
    }
    seeds
}

/// Looks for a shorter script that shows it, and says how to see it again.
fn explain(options: &Options, script: &Script, left: &Side, right: &Side, outcome: Outcome) {
    println!("looking for a shorter script than the {} rounds of seed {}", script.rounds(), script.seed);
    let again = run(script, left, right);
    if again.difference.is_none() {
        println!("played alone, seed {} shows no difference: it depends on timing", script.seed);
    }
    let (rounds, outcome) = shrink(script, left, right, outcome);
    println!("\n{}\n\n{}", script.only(&rounds), what_is_wrong(&outcome));
    let rounds: Vec<String> = rounds.iter().map(usize::to_string).collect();
    let rounds = if rounds.is_empty() { String::new() } else { format!(" --rounds {}", rounds.join(",")) };
    println!(
        "\nreplay: differential --left {} --right {}{}{} --seed {}{rounds} --show",
        options.left.display(),
        options.right.display(),
        flags("left", &options.left_flags),
        flags("right", &options.right_flags),
        script.seed,
    );
}

fn flags(side: &str, flags: &str) -> String {
    if flags.is_empty() { String::new() } else { format!(" --{side}-flags '{flags}'") }
}

fn what_is_wrong(outcome: &Outcome) -> String {
    let difference = outcome.difference.as_ref().map(ToString::to_string);
    let of = |side: &str, troubles: &[String]| match troubles {
        [] => None,
        troubles => Some(format!("{side}: {}", troubles.join("; "))),
    };
    let troubles = [of("left", outcome.left.troubles()), of("right", outcome.right.troubles())];
    difference.into_iter().chain(troubles.into_iter().flatten()).collect::<Vec<_>>().join("\n")
}

impl Played {
    fn count(&self, script: &Script, outcome: &Outcome) {
        self.scripts.fetch_add(1, Ordering::Relaxed);
        self.rounds.fetch_add(script.rounds() as u64, Ordering::Relaxed);
        self.lines.fetch_add(outcome.left.len() as u64, Ordering::Relaxed);
        self.unjudged.fetch_add(outcome.unjudged.into(), Ordering::Relaxed);
    }
}
