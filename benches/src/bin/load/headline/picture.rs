//! The run as a picture: five panels over the same seconds.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::record::{Phase, Record};
use crate::report::mib;

const SIZE: (u32, u32) = (860, 860);
const TITLE_HEIGHT: u32 = 34;
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 4] =
    [RGBColor(0x1f, 0x5f, 0xa8), RGBColor(0xc8, 0x55, 0x1b), RGBColor(0x2a, 0x8a, 0x57), RGBColor(0x99, 0x99, 0x99)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: its name, and its value in a second.
type Series = (&'static str, fn(&Record) -> f64);

struct Panel {
    /// What the vertical axis shows, with its unit.
    label: &'static str,
    series: Vec<Series>,
    /// The vertical axis is logarithmic.
    logarithmic: bool,
}

fn panels() -> Vec<Panel> {
    let panel = |label, series| Panel { label, series, logarithmic: false };
    vec![
        panel("WebSockets, thousands", vec![("open", |record| record.open as f64 / 1e3)]),
        panel("messages per s, thousands", vec![("answered", |record| record.messages_per_second / 1e3)]),
        Panel {
            label: "latency, ms",
            series: vec![
                ("median", |record| record.latency.p50_us / 1e3),
                ("99th percentile", |record| record.latency.p99_us / 1e3),
                ("longest", |record| record.latency.max_us / 1e3),
            ],
            logarithmic: true,
        },
        panel("resident memory, MiB", vec![("all gateways together", |record| mib(record.resident))]),
        panel(
            "processors busy",
            vec![
                ("gateways", |record| record.gateways_cpu),
                ("clients", |record| record.load_cpu),
                ("API server", |record| record.api_cpu),
                ("everyone else", |record| record.others_cpu),
            ],
        ),
    ]
}

/// Draws `records` to the SVG file `file`.
pub(super) fn draw(file: &Path, title: &str, records: &[Record]) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", file.display());
    draw_all(&root, title, records).map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}

fn draw_all(root: &Area<'_>, title: &str, records: &[Record]) -> Result<()> {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(TITLE_HEIGHT);
    head.draw(&Text::new(title.to_owned(), (14, 12), (FONT, 15)))?;
    let panels = panels();
    for (area, panel) in body.split_evenly((panels.len(), 1)).iter().zip(&panels) {
        draw_panel(area, panel, records)?;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel, records: &[Record]) -> Result<()> {
    let end = records.last().context("a picture of nothing")?.seconds;
    let values = || panel.series.iter().flat_map(|(_, value)| records.iter().map(value));
    // Room for the legend.
    let most = values().fold(0.0, f64::max).max(0.01) * if panel.logarithmic { 5.0 } else { 1.15 };
    let mut builder = ChartBuilder::on(area);
    builder.margin_left(10).margin_right(14).margin_bottom(4).set_label_area_size(LabelAreaPosition::Left, 64);
    builder.set_label_area_size(LabelAreaPosition::Bottom, 30);
    // The chart's type depends on the kind of its axis: what follows is the same for both.
    macro_rules! finish {
        ($vertical:expr, $floor:expr, $format:expr) => {{
            let mut chart = builder.build_cartesian_2d(0.0..end, $vertical)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(BLACK.mix(0.12))
                .axis_style(BLACK.mix(0.5))
                .label_style((FONT, 12))
                .x_labels(12)
                .y_labels(5)
                .x_desc("seconds")
                .y_desc(panel.label)
                .axis_desc_style((FONT, 12))
                .x_label_formatter(&|seconds| format!("{seconds:.0}"))
                .y_label_formatter(&$format)
                .draw()?;
            for seconds in changes(records) {
                let line = [(seconds, $floor), (seconds, most)];
                chart.draw_series([PathElement::new(line, BLACK.mix(0.35))])?;
            }
            for ((name, value), colour) in panel.series.iter().zip(COLOURS) {
                let points = records.iter().map(|record| (record.seconds, value(record)));
                // Where there is nothing, a logarithmic axis has no place for it.
                let points = points.filter(|(_, value)| *value >= $floor);
                let line = LineSeries::new(points, colour.stroke_width(2));
                chart
                    .draw_series(line)?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .margin(4)
                .label_font((FONT, 12))
                .background_style(WHITE.mix(0.8))
                .draw()?;
        }};
    }
    if panel.logarithmic {
        let positive = values().filter(|value| *value > 0.0).fold(most, f64::min);
        let floor = 10f64.powf(positive.log10().floor());
        finish!((floor..most).log_scale(), floor, |value: &f64| format!("{value}"));
    } else {
        finish!(0.0..most, 0.0, |value: &f64| format!("{value:.*}", usize::from(most < 5.0)));
    }
    Ok(())
}

/// When one phase follows another.
fn changes(records: &[Record]) -> Vec<f64> {
    let new = |pair: &&[Record]| pair[0].phase != pair[1].phase && pair[1].phase != Phase::Ramp;
    records.windows(2).filter(new).map(|pair| pair[0].seconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    fn record(second: u32, phase: Phase) -> Record {
        Record {
            seconds: second.into(),
            phase,
            open: u64::from(second) * 100,
            messages_per_second: 10.0,
            latency: Latency { p50_us: 100.0, p90_us: 200.0, p99_us: 300.0, max_us: 0.0 },
            resident: 1 << 20,
            gateways_cpu: 0.5,
            api_cpu: 0.1,
            load_cpu: 0.2,
            others_cpu: 0.0,
        }
    }

    #[test]
    fn a_picture_has_its_title_its_axes_and_its_legends() {
        let records = [(1, Phase::Ramp), (2, Phase::Ramp), (3, Phase::Hold), (4, Phase::Leave)];
        let records = records.map(|(second, phase)| record(second, phase));
        assert_eq!(changes(&records), [2.0, 3.0]);
        let file = std::env::temp_dir().join(format!("load-picture-{}.svg", std::process::id()));
        draw(&file, "the title", &records).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let all = panels();
        let words = all.iter().flat_map(|panel| panel.series.iter().map(|(name, _)| *name).chain([panel.label]));
        for word in words.chain(["the title", "seconds"]) {
            assert!(text.contains(word), "{word}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error() {
        let error = draw(Path::new("/nonexistent/x.svg"), "", &[record(1, Phase::Ramp)]).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.svg"), "{error}");
        assert!(draw(&std::env::temp_dir().join("never.svg"), "", &[]).is_err());
    }
}
