//! Draws heat charts: the distribution of values at each step of a growing quantity. Each step has
//! a column, and each range of values has a cell in the column: the more values the range
//! contains, the wider and darker the cell. Because of the width, the chart can be read without
//! color, and cells need no text.

use super::axis::Axis;
use super::canvas::{Size, tenths};
use crate::chart::{Chart, FIELDS, Series};

/// The least width of a cell, in the units of the drawing, for a range with almost no values.
const THINNEST: f64 = 1.5;

/// Draws the heat chart for an image of the size `size`. The second argument, a recorded chart that
/// other kinds of charts draw beneath, is ignored: two heat charts on top of each other cannot be
/// read.
pub(super) fn sized(chart: &Chart, _: Option<&Chart>, size: &Size<'_>) -> String {
    let (left, right) = (64.0, size.width - 12.0);
    let half = 10f64.powf(0.5 / FIELDS);
    let values = chart.series.iter().flat_map(|column| &column.points);
    let ends = values.flat_map(|point| [point.0 / half * 1.001, point.0 * half * 0.999]);
    let ys = Axis::new(ends, size.height - 76.0, 40.0);
    let mut canvas = size.begin(chart, false, "");
    ys.vertical(&mut canvas, left, right);
    let panels = chart.series.chunk_by(|a, b| panel(a).0 == panel(b).0);
    let count = panels.clone().count().max(1) as f64;
    let columns = chart.series.len().max(1) as f64;
    let gap = 14.0;
    let wide = (right - left - gap * count) / columns;
    // In a narrow chart the columns' labels alternate between two rows, because labels in a single
    // row would touch each other.
    let [rows, name_at, last] =
        if size.is_narrow() { [13.0, 48.0, 66.0] } else { [0.0, 38.0, 60.0] };
    let mut x = left + gap / 2.0;
    for columns in panels {
        let begin = x;
        for (number, column) in columns.iter().enumerate() {
            let middle = x + wide / 2.0;
            for &(value, part) in &column.points {
                let (top, bottom) = (ys.at(value * half), ys.at(value / half));
                let field = ((wide - 2.0) * part).max(THINNEST);
                let opacity = format!(" fill-opacity=\"{:.2}\"", 0.4 + 0.6 * part);
                let place = [middle - field / 2.0, top, field, bottom - top];
                canvas.rect("heat", &opacity, place);
            }
            let label = panel(column).1;
            // A narrow chart has no room for all zeros of a label, so `k` stands for a thousand.
            let short = label.replace(",000", "k");
            let label = if size.is_narrow() { &short } else { label };
            let at = tenths(middle);
            let row = rows * (number % 2) as f64;
            canvas.text("mid small soft", at, ys.from + 18.0 + row, label);
            x += wide;
        }
        let name = columns.first().map_or("", |column| panel(column).0);
        let middle = tenths((begin + x) / 2.0);
        canvas.text("mid small strong", middle, ys.from + name_at, name);
        x += gap;
    }
    let middle = tenths((left + right) / 2.0);
    canvas.text("mid small soft", middle, ys.from + last, &chart.x);
    canvas.path("axis", format_args!("M{left} {}V{}H{right}", ys.to, ys.from));
    canvas.finish()
}

fn panel(column: &Series) -> (&str, &str) {
    column.name.split_once('/').unwrap_or(("", &column.name))
}
