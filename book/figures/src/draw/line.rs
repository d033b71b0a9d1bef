//! Draws line charts: lines over a growing quantity, each with its name at its end.

use super::axis::Axis;
use super::canvas::{Canvas, Size, tenths};
use crate::chart::{Chart, Series, YOU};

/// The least vertical distance between two names, in the units of the drawing.
const APART: f64 = 16.0;
/// The distance between the end of a line and its name beside it, in the units of the drawing.
const BESIDE: f64 = 8.0;
/// The distance between the end of a line and its name, in the units of the drawing, if a thin line
/// (a leader) connects the two.
const LEADER: f64 = 14.0;
/// An upper bound on the average width of a letter, in the units of the drawing.
const LETTER: f64 = 7.0;

/// Returns the horizontal and the vertical axis for all lines of the chart and of `recorded`.
fn axes(chart: &Chart, recorded: Option<&Chart>, size: &Size<'_>) -> (Axis, Axis) {
    let all = || {
        chart.series.iter().chain(recorded.into_iter().flat_map(|other| &other.series))
    };
    let points = || all().flat_map(|line| &line.points);
    let room = if recorded.is_some() { 106.0 } else { 76.0 };
    let xs = Axis::new(points().map(|point| point.0), 72.0, size.width - room);
    let ys = Axis::new(points().map(|point| point.1), size.height - 56.0, 40.0);
    (xs, ys)
}

fn frame(chart: &Chart, over: bool, size: &Size<'_>, xs: &Axis, ys: &Axis) -> Canvas {
    // The attributes for a script that reads values off the chart: the coordinates of the chart's
    // left, top, right and bottom edges, and the exponents of ten at both ends of each axis.
    let (left, top, right, bottom) = (xs.from, ys.to, xs.to, ys.from);
    let data = format!(
        " data-plot=\"{left} {top} {right} {bottom}\" data-x=\"{}\" data-y=\"{}\"",
        xs.ends(),
        ys.ends()
    );
    let mut canvas = size.begin(chart, over, &data);
    ys.vertical(&mut canvas, left, right);
    xs.horizontal(&mut canvas, bottom, &chart.x);
    canvas.path("axis", format_args!("M{left} {top}V{bottom}H{right}"));
    canvas
}

/// Draws the line chart in the size `size`, without its lines.
pub(super) fn blank(chart: &Chart, size: &Size<'_>) -> String {
    let (xs, ys) = axes(chart, None, size);
    frame(chart, false, size, &xs, &ys).finish()
}

/// Draws the line chart in the size `size`, over the chart `recorded` if there is one.
pub(super) fn sized(chart: &Chart, recorded: Option<&Chart>, size: &Size<'_>) -> String {
    let (xs, ys) = axes(chart, recorded, size);
    let mut canvas = frame(chart, recorded.is_some(), size, &xs, &ys);
    let ghosts: Vec<&Series> = recorded
        .iter()
        .flat_map(|other| &other.series)
        .filter(|line| !line.published && !line.points.is_empty())
        .collect();
    for line in &ghosts {
        canvas.path("recorded", path(line, &xs, &ys));
    }
    // Lines without points are skipped but numbered, so that no line changes its dash when another
    // line gets its first point.
    for (number, line) in chart.series.iter().enumerate() {
        if line.points.is_empty() {
            continue;
        }
        let class = class_of(number, line);
        let published = if line.published { " published" } else { "" };
        canvas.path(&format!("{class}{published}"), path(line, &xs, &ys));
        for (&(x, _), &(min, max)) in line.points.iter().zip(&line.ranges) {
            let (x, top, bottom) = (xs.at(x), ys.at(max), ys.at(min));
            if bottom - top > 6.0 {
                let d = format!("M{x:.1} {top:.1}V{bottom:.1}");
                canvas.path(&format!("{class} range"), d);
            }
        }
        for &(x, y) in line.points.iter().filter(|_| !line.published) {
            canvas.path(&format!("{class} mark"), mark(number, xs.at(x), ys.at(y)));
        }
    }
    let own = chart.series.iter().enumerate();
    let own = own.map(|(number, line)| match line.name.as_str() {
        YOU => (line.name.clone(), line, " you", class_of(number, line)),
        _ => (line.name.clone(), line, "", class_of(number, line)),
    });
    let book = ghosts
        .iter()
        .map(|line| (format!("{}, book", line.name), *line, " soft", "recorded".into()));
    let labels = labels(own.chain(book), &xs, &ys);
    for Label { leader, x, end, y, .. } in labels.iter().filter(|label| label.led) {
        let (from, to) = (x + BESIDE - 3.0, x + LEADER - 3.0);
        let d = format!("M{from:.1} {end:.1}L{to:.1} {y:.1}");
        canvas.path(&format!("{leader} leader"), d);
    }
    for label in &labels {
        let x = tenths(label.x + if label.led { LEADER } else { BESIDE });
        let class = format!("small{}", label.class);
        canvas.text(&class, x, tenths(label.y + 4.0), &label.name);
    }
    canvas.finish()
}

/// Returns the CSS class, for color and dash, of the line with the number `number`. The line of the
/// reader's prediction has a color that no other line has.
fn class_of(number: usize, line: &Series) -> String {
    match line.name.as_str() {
        YOU => "predicted".to_owned(),
        _ => format!("series-{}", number % 6 + 1),
    }
}

fn path(line: &Series, xs: &Axis, ys: &Axis) -> String {
    let at = |&(x, y): &(f64, f64)| format!("{:.1} {:.1}", xs.at(x), ys.at(y));
    format!("M{}", line.points.iter().map(at).collect::<Vec<_>>().join("L"))
}

/// Returns the path of a small mark around a point. The mark's shape depends on the line's number.
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
    /// The CSS class of the leader (the thin line that connects a chart's line and its name). The
    /// chart's line has the same class.
    leader: String,
    /// The horizontal coordinate of the line's end.
    x: f64,
    /// The vertical coordinate of the line's end.
    end: f64,
    /// The vertical coordinate of the name: near `end`, but clear of the other names.
    y: f64,
    /// Whether a leader (a thin line) connects the line's end and the name.
    led: bool,
}

impl Label {
    /// Whether the name may be nearer to another line's end than to its own line's.
    fn is_far(&self) -> bool {
        (self.y - self.end).abs() > 0.6 * APART
    }

    /// Returns an upper bound on the horizontal coordinate at which the line's name ends.
    fn right(&self) -> f64 {
        self.x + LEADER + LETTER * self.name.chars().count() as f64
    }
}

/// Places the names at the ends of the lines. Names that would touch each other are moved apart by
/// as little as possible, and stay within the chart.
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
    // A name that begins to the right of the ends of all earlier names touches none of those names,
    // and so begins a new column.
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
        let places = spread_labels(&ends, ys.to, ys.from);
        column.iter_mut().zip(places).for_each(|(label, y)| label.y = y);
        // Names that lie close together all get leaders (thin lines to the ends of their lines), or
        // none of them does, so that these names are aligned.
        for cluster in column.chunk_by_mut(|a, b| b.y - a.y < 1.5 * APART) {
            let led = cluster.iter().any(Label::is_far);
            cluster.iter_mut().for_each(|label| label.led = led);
        }
    }
    columns.into_iter().flatten().collect()
}

/// Returns positions between `top` and `bottom` that are at least [`APART`] from each other and
/// as near as possible to `wishes`, which are sorted.
///
/// The function subtracts `at * APART` from the wish at each index `at`, and adds it again to the
/// position at this index. In between, the only condition is that the values do not decrease.
/// Neighboring wishes that violate this condition are replaced by their mean (the algorithm "pool
/// adjacent violators"): a cluster of names is moved apart around its middle, and no other name
/// moves.
pub(super) fn spread_labels(wishes: &[f64], top: f64, bottom: f64) -> Vec<f64> {
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
