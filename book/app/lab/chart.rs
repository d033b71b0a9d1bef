//! A chart of lines with logarithmic axes, as an SVG that follows the page's
//! theme: wide and, for small screens, narrow. Each line has a dash of its own and its name
//! at its end, so that nothing depends on colour.

use std::fmt::Write;

/// One line.
pub(super) struct Series {
    /// What it is called in the chart.
    pub name: &'static str,
    /// Positive x and y, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
pub(super) struct Chart<'a> {
    /// The file's name; the ids within begin with it.
    pub name: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// What there is to see, for those who cannot.
    pub description: &'a str,
    /// The horizontal axis.
    pub x: &'a str,
    /// The vertical axis.
    pub y: &'a str,
    /// The lines, at most six.
    pub series: &'a [Series],
}

/// Whole decades that hold all values.
struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Axis {
        let low =
            values.clone().fold(f64::INFINITY, f64::min).max(1e-9).log10().floor() as i32;
        let high = values.fold(0.0, f64::max).max(1e-9).log10().ceil() as i32;
        Axis { low, high: high.max(low + 1), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.max(1e-9).log10() - f64::from(self.low))
            / f64::from(self.high - self.low);
        self.from + (self.to - self.from) * part
    }

    fn decades(&self) -> impl Iterator<Item = (f64, String)> {
        let label = |power: i32| match power {
            0..=2 => format!("{:.0}", 10f64.powi(power)),
            3..=5 => format!("{},000", 10i32.pow((power - 3).unsigned_abs())),
            _ if power < 0 => {
                format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power))
            }
            _ => format!("1e{power}"),
        };
        (self.low..=self.high).map(move |power| (10f64.powi(power), label(power)))
    }
}

/// The names at the ends of the lines, moved apart where lines end at one place.
fn labels(series: &[Series], xs: &Axis, ys: &Axis) -> Vec<(&'static str, f64, f64)> {
    const APART: f64 = 18.0;
    let end =
        |line: &Series| line.points.last().map(|&(x, y)| (line.name, xs.at(x), ys.at(y)));
    let mut labels: Vec<_> = series.iter().filter_map(end).collect();
    labels.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
    for at in 1..labels.len() {
        let (_, x, below) = labels[at - 1];
        let label = &mut labels[at];
        if (label.1 - x).abs() < 1.0 {
            label.2 = label.2.min(below - APART);
        }
    }
    labels
}

impl Chart<'_> {
    /// The SVG, both sizes of it.
    pub(super) fn svg(&self) -> String {
        format!(
            "{}{}",
            self.sized("wide", 720.0, 380.0),
            self.sized("narrow", 360.0, 320.0)
        )
    }

    fn sized(&self, class: &str, width: f64, height: f64) -> String {
        let Chart { name, title, description, x, y, series } = self;
        let short = &class[..1];
        let xs = Axis::new(
            series.iter().flat_map(|line| line.points.iter().map(|point| point.0)),
            64.0,
            width - 76.0,
        );
        let ys = Axis::new(
            series.iter().flat_map(|line| line.points.iter().map(|point| point.1)),
            height - 56.0,
            40.0,
        );
        let mut svg = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<svg class=\"{class}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{name}-{short}-t {name}-{short}-d\">\n\
             <title id=\"{name}-{short}-t\">{title}</title>\n<desc id=\"{name}-{short}-d\">{description}</desc>\n\
             <text class=\"small soft\" x=\"8\" y=\"20\">{y}</text>\n"
        );
        for (value, label) in ys.decades() {
            let at = ys.at(value);
            let _ = writeln!(
                svg,
                "<path class=\"guide\" d=\"M{} {at:.1}H{}\"/>",
                xs.from, xs.to
            );
            let _ = writeln!(
                svg,
                "<text class=\"end small soft\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                xs.from - 8.0,
                at + 4.0
            );
        }
        for (value, label) in xs.decades() {
            let at = xs.at(value);
            let _ = writeln!(
                svg,
                "<text class=\"mid small soft\" x=\"{at:.1}\" y=\"{}\">{label}</text>",
                ys.from + 20.0
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{} {}V{}H{}\"/>",
            xs.from, ys.to, ys.from, xs.to
        );
        let middle = (xs.from + xs.to) / 2.0;
        let _ = writeln!(
            svg,
            "<text class=\"mid small soft\" x=\"{middle}\" y=\"{}\">{x}</text>",
            ys.from + 42.0
        );
        for (number, line) in series.iter().enumerate() {
            let points: Vec<String> = line
                .points
                .iter()
                .map(|&(x, y)| format!("{:.1} {:.1}", xs.at(x), ys.at(y)))
                .collect();
            let _ = writeln!(
                svg,
                "<path class=\"series-{}\" d=\"M{}\"/>",
                number + 1,
                points.join("L")
            );
        }
        for (name, x, y) in labels(series, &xs, &ys) {
            let _ = writeln!(
                svg,
                "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                x + 6.0,
                y + 4.0
            );
        }
        svg + "</svg>\n"
    }
}
