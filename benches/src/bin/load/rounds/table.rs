//! The rounds as a table.

use super::{Ratios, Round};
use crate::report::Spread;

pub(super) fn print_head(width: usize, unit: &str) {
    let heads = [
        ["", "", "p50", "p99", "max", "CPU of it", "API", "load", "", "sleeps", "syscalls", "resident", "others"],
        ["", "per s", "ms", "ms", "ms", &format!("us/{unit}"), "us", "us", "relative", "each", "each", "B/client", "%"],
    ];
    for (first, words) in ["round", ""].iter().zip(heads) {
        let [name, count, rest @ ..] = words;
        print!("{first:<8}{name:<width$}{:>10}", if first.is_empty() { count } else { unit });
        println!("{}", rest.iter().zip(WIDTHS).map(|(word, width)| format!("{word:>width$}")).collect::<String>());
    }
}

const WIDTHS: [usize; 11] = [9, 9, 9, 12, 8, 8, 10, 8, 10, 10, 8];

fn print_line(width: usize, name: &str, subject: &str, value: impl Fn(fn(&Round) -> Option<f64>) -> Option<f64>) {
    type Column = (fn(&Round) -> Option<f64>, usize);
    let columns: [Column; 11] = [
        (|round| Some(round.latency.p50_us / 1e3), 2),
        (|round| Some(round.latency.p99_us / 1e3), 2),
        (|round| Some(round.latency.max_us / 1e3), 2),
        (|round| Some(round.cpu_us), 2),
        (|round| Some(round.api_cpu_us), 2),
        (|round| Some(round.load_cpu_us), 2),
        (|round| Some(round.cpu_relative), 3),
        (|round| Some(round.sleeps), 3),
        (|round| round.syscalls, 2),
        (|round| round.bytes_per_client, 0),
        (|round| Some(round.others_percent), 0),
    ];
    print!("{name:<8}{subject:<width$}{:>10.0}", value(|round| Some(round.per_second)).unwrap_or_default());
    for ((column, digits), width) in columns.into_iter().zip(WIDTHS) {
        match value(column) {
            Some(number) => print!("{number:>width$.digits$}"),
            None => print!("{:>width$}", "-"),
        }
    }
    println!();
}

pub(super) fn print_round(width: usize, round: &Round) {
    print_line(width, &round.round.to_string(), &round.subject, |column| column(round));
}

pub(super) fn print_medians(width: usize, rounds: &[Round]) {
    let first = rounds.iter().filter(|round| round.round == 1);
    for subject in first.map(|round| &round.subject) {
        let of: Vec<_> = rounds.iter().filter(|round| round.subject == *subject).collect();
        print_line(width, "median", subject, |column| {
            let values: Option<Vec<f64>> = of.iter().map(|round| column(round)).collect();
            values.map(|values| Spread::of(values).median)
        });
    }
}

pub(super) fn print_ratios(ratios: &Ratios, unit: &str) {
    println!("{} / relay, median of the rounds (least .. most):", ratios.gateway);
    let line = |name: &str, spread: Spread| {
        println!("  {name:<24}{:>7.2}  ({:.2} .. {:.2})", spread.median, spread.min, spread.max);
    };
    line(&format!("CPU per {unit}"), ratios.cpu);
    line(&format!("{unit}s per second"), ratios.per_second);
    line("latency p50", ratios.p50);
    line("latency p99", ratios.p99);
    line("added to p50, ms", ratios.added_p50_ms);
    line("added to p99, ms", ratios.added_p99_ms);
}
