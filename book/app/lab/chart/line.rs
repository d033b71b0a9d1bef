//! Lines over something that grows.

use std::fmt::Write;

use super::axis::Axis;
use super::{Chart, Series, Sheet, escaped};

/// Names are so far from each other, and at least so far from their lines.
const APART: f64 = 16.0;
const BESIDE: f64 = 8.0;
/// A name with a leader is further from its line, for the leader's sake.
const LEADER: f64 = 14.0;
/// A letter is at most so wide, on average.
const LETTER: f64 = 7.0;

/// Both axes, for all that is drawn.
fn axes(chart: &Chart, recorded: Option<&Chart>, sheet: &Sheet<'_>) -> (Axis, Axis) {
    let all = || {
        chart.series.iter().chain(recorded.into_iter().flat_map(|other| &other.series))
    };
    let points = || all().flat_map(|line| &line.points);
    let room = if recorded.is_some() { 106.0 } else { 76.0 };
    let xs = Axis::new(points().map(|point| point.0), 72.0, sheet.width - room);
    let ys = Axis::new(points().map(|point| point.1), sheet.height - 56.0, 40.0);
    (xs, ys)
}

fn frame(
    chart: &Chart,
    over: bool,
    sheet: &Sheet<'_>,
    (xs, ys): (&Axis, &Axis),
) -> String {
    // For who wants to know where a point of the plane lies: left, top, right, bottom, and the
    // powers of ten there.
    let data = format!(
        " data-plot=\"{} {} {} {}\" data-x=\"{}\" data-y=\"{}\"",
        xs.from,
        ys.to,
        xs.to,
        ys.from,
        xs.ends(),
        ys.ends()
    );
    let mut svg = sheet.head(chart, over, &data);
    ys.vertical(&mut svg, xs.from, xs.to);
    xs.horizontal(&mut svg, ys.from, &chart.x);
    let _ = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{} {}V{}H{}\"/>",
        xs.from, ys.to, ys.from, xs.to
    );
    svg
}

/// One size of the chart without its lines.
pub(super) fn blank(chart: &Chart, sheet: &Sheet<'_>) -> String {
    let (xs, ys) = axes(chart, None, sheet);
    frame(chart, false, sheet, (&xs, &ys)) + "</svg>\n"
}

/// One size of the chart.
pub(super) fn sized(
    chart: &Chart,
    recorded: Option<&Chart>,
    sheet: &Sheet<'_>,
) -> String {
    let (xs, ys) = axes(chart, recorded, sheet);
    let mut svg = frame(chart, recorded.is_some(), sheet, (&xs, &ys));
    let ghosts: Vec<&Series> = recorded
        .iter()
        .flat_map(|other| &other.series)
        .filter(|line| !line.published && !line.points.is_empty())
        .collect();
    for line in &ghosts {
        let _ =
            writeln!(svg, "<path class=\"recorded\" d=\"{}\"/>", path(line, &xs, &ys));
    }
    // The first to be measured of those that have not all been yet keeps its dash.
    for (number, line) in chart.series.iter().enumerate() {
        if line.points.is_empty() {
            continue;
        }
        let class = format!("series-{}", number % 6 + 1);
        let published = if line.published { " published" } else { "" };
        let _ = writeln!(
            svg,
            "<path class=\"{class}{published}\" d=\"{}\"/>",
            path(line, &xs, &ys)
        );
        for (&(x, _), &(min, max)) in line.points.iter().zip(&line.ranges) {
            let (x, top, bottom) = (xs.at(x), ys.at(max), ys.at(min));
            if bottom - top > 6.0 {
                let _ = writeln!(
                    svg,
                    "<path class=\"{class} range\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>"
                );
            }
        }
        for &(x, y) in line.points.iter().filter(|_| !line.published) {
            let d = mark(number, xs.at(x), ys.at(y));
            let _ = writeln!(svg, "<path class=\"{class} mark\" d=\"{d}\"/>");
        }
    }
    let own = chart.series.iter().enumerate().map(|(number, line)| {
        (line.name.clone(), line, "", format!("series-{}", number % 6 + 1))
    });
    let book = ghosts
        .iter()
        .map(|line| (format!("{}, book", line.name), *line, " soft", "recorded".into()));
    let labels = labels(own.chain(book), &xs, &ys);
    for Label { leader, x, end, y, .. } in labels.iter().filter(|label| label.led) {
        let _ = writeln!(
            svg,
            "<path class=\"{leader} leader\" d=\"M{:.1} {end:.1}L{:.1} {y:.1}\"/>",
            x + BESIDE - 3.0,
            x + LEADER - 3.0
        );
    }
    for label in &labels {
        let beside = if label.led { LEADER } else { BESIDE };
        let _ = writeln!(
            svg,
            "<text class=\"small{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            label.class,
            label.x + beside,
            label.y + 4.0,
            escaped(&label.name)
        );
    }
    svg + "</svg>\n"
}

fn path(line: &Series, xs: &Axis, ys: &Axis) -> String {
    let at = |&(x, y): &(f64, f64)| format!("{:.1} {:.1}", xs.at(x), ys.at(y));
    format!("M{}", line.points.iter().map(at).collect::<Vec<_>>().join("L"))
}

/// A small form around a point, another for each line.
fn mark(number: usize, x: f64, y: f64) -> String {
    let r = 3.5;
    match number % 6 {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 7 0a{r} {r} 0 1 0 -7 0z", x - r),
        1 => format!("M{:.1} {:.1}h6v6h-6z", x - 3.0, y - 3.0),
        2 => format!("M{x:.1} {:.1}l4 7h-8z", y - 4.5),
        3 => format!("M{x:.1} {:.1}l4.5 4.5l-4.5 4.5l-4.5 -4.5z", y - 4.5),
        4 => format!("M{x:.1} {:.1}l4 -7h-8z", y + 4.5),
        _ => format!("M{:.1} {:.1}l7 7m0 -7l-7 7", x - r, y - r),
    }
}

/// The name at the end of a line.
struct Label {
    name: String,
    class: &'static str,
    /// What its leader looks like: its line.
    leader: String,
    /// Where the line ends, and how high the name is.
    x: f64,
    end: f64,
    y: f64,
    /// A leader goes from one to the other.
    led: bool,
}

impl Label {
    /// It may be nearer to another line's end than to its own.
    fn is_far(&self) -> bool {
        (self.y - self.end).abs() > 0.6 * APART
    }

    fn right(&self) -> f64 {
        self.x + LEADER + LETTER * self.name.chars().count() as f64
    }
}

/// The names at the ends of the lines. Where one would touch another they are moved apart,
/// by as little as will do, and kept on the sheet.
fn labels<'a>(
    lines: impl Iterator<Item = (String, &'a Series, &'static str, String)>,
    xs: &Axis,
    ys: &Axis,
) -> Vec<Label> {
    let mut labels: Vec<_> = lines
        .filter_map(|(name, line, class, leader)| {
            let &(x, y) = line.points.last()?;
            let (x, y) = (xs.at(x), ys.at(y));
            Some(Label { name, class, leader, x, end: y, y, led: false })
        })
        .collect();
    labels.sort_by(|a, b| a.x.total_cmp(&b.x));
    // Who begins where all before have ended touches none of them.
    let mut right = f64::NEG_INFINITY;
    let mut columns: Vec<Vec<Label>> = Vec::new();
    for label in labels {
        let touches = label.x + BESIDE < right;
        right = right.max(label.right());
        match columns.last_mut() {
            Some(column) if touches => column.push(label),
            _ => columns.push(vec![label]),
        }
    }
    for column in &mut columns {
        column.sort_by(|a, b| a.end.total_cmp(&b.end));
        let ends: Vec<f64> = column.iter().map(|label| label.end).collect();
        let places = apart(&ends, ys.to, ys.from);
        column.iter_mut().zip(places).for_each(|(label, y)| label.y = y);
        // Of a cluster all or none, so that they begin below each other.
        for cluster in column.chunk_by_mut(|a, b| b.y - a.y < 1.5 * APART) {
            let led = cluster.iter().any(Label::is_far);
            cluster.iter_mut().for_each(|label| label.led = led);
        }
    }
    columns.into_iter().flatten().collect()
}

/// The places that are nearest to these, from the least to the greatest, and at least
/// [`APART`] from each other.
///
/// With so much taken off for each that is above it, a place must only not be less than the
/// one before. Where wishes break that, those that do share their mean (pool adjacent
/// violators): so a cluster is moved apart around its middle, and nobody else is moved.
pub(super) fn apart(wishes: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut clusters: Vec<(f64, usize)> = Vec::new();
    for (at, wish) in wishes.iter().enumerate() {
        let (mut sum, mut count) = (wish - at as f64 * APART, 1);
        while let Some((before, many)) =
            clusters.pop_if(|(before, many)| *before / *many as f64 > sum / count as f64)
        {
            (sum, count) = (sum + before, count + many);
        }
        clusters.push((sum, count));
    }
    let lowest = bottom - APART * wishes.len().saturating_sub(1) as f64;
    let place = |(sum, count): (f64, usize)| {
        std::iter::repeat_n((sum / count as f64).min(lowest).max(top), count)
    };
    let places = clusters.into_iter().flat_map(place).enumerate();
    places.map(|(at, place)| place + at as f64 * APART).collect()
}
