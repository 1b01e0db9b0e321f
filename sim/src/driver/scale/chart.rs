//! A small chart: panels above one another on one time axis, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 80.0;
const HEAD: f64 = 74.0;
const PANEL: f64 = 170.0;
const GAP: f64 = 62.0;
const FOOT: f64 = 56.0;

/// Keeps lines of the right axis below those of the left one, which would often hide them.
const APART: f64 = 1.4;

/// A value that changes over time.
pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) colour: &'static str,
    /// Scaled by the axis on the right.
    pub(crate) right: bool,
    /// Filled down to the axis.
    pub(crate) filled: bool,
    /// Time and value; a gap where there is no value.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// One plot.
pub(crate) struct Panel {
    /// What the axis on the left counts, with its unit.
    pub(crate) left: &'static str,
    /// The axis on the right, if a line uses it.
    pub(crate) right: Option<&'static str>,
    pub(crate) lines: Vec<Line>,
}

/// A chart.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    /// What the time axis counts.
    pub(crate) time: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// Where values stand on an axis.
struct Axis {
    top: f64,
    step: f64,
}

impl Axis {
    /// From zero to a round number above all values, in about so many steps of 1, 2 or 5.
    fn of(values: impl Iterator<Item = f64>, steps: f64) -> Axis {
        let most = values.fold(0.0, f64::max).max(1e-9);
        let rough = most / steps;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        Axis { top: (most / step).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        let count = (self.top / self.step).round() as u32;
        (0..=count).map(|index| f64::from(index) * self.step)
    }
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let count = self.panels.len() as f64;
        let height = HEAD + count * PANEL + (count - 1.0) * GAP + FOOT;
        let times = self.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
        let time = Axis::of(times.map(|(at, _)| *at), 14.0);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#444\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        text(&mut out, (LEFT, 28.0), "start", "font-size=\"19\" font-weight=\"bold\" fill=\"#111\"", &self.title);
        text(&mut out, (LEFT, 48.0), "start", "", &self.subtitle);
        for (index, panel) in self.panels.iter().enumerate() {
            let top = HEAD + index as f64 * (PANEL + GAP);
            panel.draw(&mut out, top, &time);
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        text(&mut out, (middle, height - 14.0), "middle", "", self.time);
        out.push_str("</svg>\n");
        out
    }
}

impl Panel {
    fn draw(&self, out: &mut String, top: f64, time: &Axis) {
        let top = top + 22.0;
        let bottom = top + PANEL - 22.0;
        self.draw_legend(out, top - 10.0);
        let values = |right: bool| {
            let lines = self.lines.iter().filter(move |line| line.right == right);
            lines.flat_map(|line| &line.points).filter_map(|(_, value)| *value)
        };
        let (left, right) = (Axis::of(values(false), 4.0), Axis::of(values(true).map(|value| value * APART), 4.0));
        for at in time.ticks() {
            let x = across(at, time);
            let _ = writeln!(out, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"#eee\"/>");
            text(out, (x, bottom + 16.0), "middle", "", &number(at));
        }
        for value in left.ticks() {
            let y = up(value, &left, top, bottom);
            let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"#ddd\"/>", WIDTH - RIGHT);
            text(out, (LEFT - 8.0, y + 4.0), "end", "", &number(value));
        }
        turned(out, 18.0, (top + bottom) / 2.0, self.left);
        if let Some(label) = self.right {
            for value in right.ticks() {
                let y = up(value, &right, top, bottom);
                text(out, (WIDTH - RIGHT + 8.0, y + 4.0), "start", "", &number(value));
            }
            turned(out, WIDTH - 12.0, (top + bottom) / 2.0, label);
        }
        for line in &self.lines {
            let axis = if line.right { &right } else { &left };
            line.draw(out, time, axis, top, bottom);
        }
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {top:.1}V{bottom:.1}H{:.1}\" stroke=\"#888\" fill=\"none\"/>",
            WIDTH - RIGHT
        );
    }

    fn draw_legend(&self, out: &mut String, y: f64) {
        let mut x = LEFT;
        for line in &self.lines {
            let _ =
                writeln!(out, "<path d=\"M{x:.1} {:.1}h20\" stroke=\"{}\" stroke-width=\"3\"/>", y - 4.0, line.colour);
            text(out, (x + 26.0, y), "start", "fill=\"#111\"", line.label);
            x += 46.0 + 6.6 * line.label.len() as f64;
        }
    }
}

impl Line {
    fn draw(&self, out: &mut String, time: &Axis, axis: &Axis, top: f64, bottom: f64) {
        let known = self.points.iter().filter_map(|(at, value)| Some((*at, (*value)?)));
        let places: Vec<_> = known.map(|(at, value)| (across(at, time), up(value, axis, top, bottom))).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return };
        let mut path = String::new();
        for (index, (x, y)) in places.iter().enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        if self.filled {
            let (start, end) = (first.0, last.0);
            let _ = writeln!(
                out,
                "<path d=\"{path}L{end:.1} {bottom:.1}L{start:.1} {bottom:.1}Z\" fill=\"{}\" fill-opacity=\"0.12\"/>",
                self.colour
            );
        }
        let _ = writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>",
            self.colour
        );
    }
}

fn across(at: f64, time: &Axis) -> f64 {
    LEFT + at / time.top * (WIDTH - LEFT - RIGHT)
}

fn up(value: f64, axis: &Axis, top: f64, bottom: f64) -> f64 {
    bottom - value / axis.top * (bottom - top)
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, more: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{text}</text>");
}

fn turned(out: &mut String, x: f64, y: f64, label: &str) {
    let _ =
        writeln!(out, "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\">{label}</text>");
}

/// A number as people write it: thousands apart, no more digits than it has.
fn number(value: f64) -> String {
    if value.fract().abs() > 1e-9 {
        return format!("{value:.1}");
    }
    grouped(value as u64)
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let axis = Axis::of([3.0, 249_000.0].into_iter(), 4.0);
        assert_eq!((axis.top, axis.step), (300_000.0, 100_000.0));
        assert_eq!(axis.ticks().last(), Some(300_000.0));
        let axis = Axis::of([0.9, 2.1].into_iter(), 4.0);
        assert_eq!((axis.top, axis.step), (3.0, 1.0));
        assert_eq!(Axis::of(std::iter::empty(), 4.0).ticks().next(), Some(0.0));
    }

    #[test]
    fn numbers_are_written_as_people_do() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!((number(2.5), number(25_000.0)), ("2.5".to_owned(), "25,000".to_owned()));
    }
}
