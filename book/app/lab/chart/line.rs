//! Lines over something that grows.

use std::fmt::Write;

use super::axis::Axis;
use super::{Chart, Series, Sheet, escaped};

/// Labels are so far from each other.
const APART: f64 = 16.0;
/// Labels that begin so far from each other do not touch.
const BESIDE: f64 = 100.0;

/// Both axes, for all that is drawn.
fn axes(chart: &Chart, recorded: Option<&Chart>, sheet: &Sheet<'_>) -> (Axis, Axis) {
    let all = || {
        chart.series.iter().chain(recorded.into_iter().flat_map(|other| &other.series))
    };
    let points = || all().flat_map(|line| &line.points);
    let room = if recorded.is_some() { 100.0 } else { 76.0 };
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
    let own = chart.series.iter().map(|line| (line.name.clone(), line, ""));
    let book = ghosts.iter().map(|line| (format!("{}, book", line.name), *line, " soft"));
    for (name, x, y, class) in labels(own.chain(book), &xs, &ys) {
        let _ = writeln!(
            svg,
            "<text class=\"small{class}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 8.0,
            y + 4.0,
            escaped(&name)
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

/// The names at the ends of the lines, moved apart where lines end near each other, and kept
/// on the sheet.
fn labels<'a>(
    lines: impl Iterator<Item = (String, &'a Series, &'static str)>,
    xs: &Axis,
    ys: &Axis,
) -> Vec<(String, f64, f64, &'static str)> {
    let mut labels: Vec<_> = lines
        .filter_map(|(name, line, class)| {
            line.points.last().map(|&(x, y)| (name, xs.at(x), ys.at(y), class))
        })
        .collect();
    labels.sort_by(|a, b| b.2.total_cmp(&a.2));
    // Up, from the lowest; then what has got beyond the top comes down again.
    for at in 0..labels.len() {
        for below in 0..at {
            if (labels[at].1 - labels[below].1).abs() < BESIDE {
                labels[at].2 = labels[at].2.min(labels[below].2 - APART);
            }
        }
    }
    labels.reverse();
    for at in 0..labels.len() {
        labels[at].2 = labels[at].2.max(ys.to);
        for above in 0..at {
            if (labels[at].1 - labels[above].1).abs() < BESIDE {
                labels[at].2 = labels[at].2.max(labels[above].2 + APART);
            }
        }
    }
    labels
}
