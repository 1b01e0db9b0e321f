//! The picture of a scale run.

use super::chart::{Chart, Line, Panel, grouped};
use super::record::{Percentiles, Second};
use super::{Scale, gibibytes};

const BLUE: &str = "#0072b2";
const RED: &str = "#d55e00";
const GREEN: &str = "#009e73";
const PURPLE: &str = "#a2498a";

/// Draws the run, as SVG.
pub(crate) fn draw(scale: &Scale, seconds: &[Second]) -> String {
    let line = |label, colour, right, value: &dyn Fn(&Second) -> Option<f64>| Line {
        label,
        colour,
        right,
        filled: !right,
        points: seconds.iter().map(|second| (f64::from(second.at), value(second))).collect(),
    };
    let traffic = Panel {
        left: "connections",
        right: Some("in a second"),
        lines: vec![
            line("open connections", BLUE, false, &|second| Some(second.connections as f64)),
            line("messages answered in a second", RED, true, &|second| Some(second.messages as f64)),
            line("pushes received in a second", GREEN, true, &|second| Some(second.pushes as f64)),
        ],
    };
    let latency = |label, colour, pick: fn(Percentiles) -> u32| {
        let value = move |second: &Second| second.latency.map(|latency| f64::from(pick(latency)));
        Line { filled: false, ..line(label, colour, false, &value) }
    };
    let round_trip = Panel {
        left: "simulated ms",
        right: None,
        lines: vec![
            latency("round trip of a message, median", BLUE, |latency| latency.p50),
            latency("90 %", GREEN, |latency| latency.p90),
            latency("99 %", PURPLE, |latency| latency.p99),
            latency("longest", RED, |latency| latency.max),
        ],
    };
    let cost = Panel {
        left: "GiB",
        right: Some("seconds"),
        lines: vec![
            line("resident memory of everything: gateway, clients, API, network", PURPLE, false, &|second| {
                Some(gibibytes(second.resident))
            }),
            line("time it took on the wall", RED, true, &|second| Some(second.wall.as_secs_f64())),
            line("and on one processor", BLUE, true, &|second| Some(second.cpu.as_secs_f64())),
        ],
    };
    Chart {
        title: format!("{} WebSockets in one simulated world", grouped(scale.connections.into())),
        subtitle: format!(
            "The shipped tokio driver with {} shards under turmoil: each client sends a message every {} s and has it \
             echoed by the API; seed {}",
            scale.shards,
            scale.every.as_secs(),
            scale.seed
        ),
        time: "simulated seconds",
        panels: vec![traffic, round_trip, cost],
    }
    .svg()
}
