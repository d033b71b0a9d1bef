//! How values are spread, over something that grows: a column for each x, a field for each
//! range of values, the wider and the darker the more of them lie there. So it can be read
//! without colour, and needs no words in its fields.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::Axis;
use super::{Chart, Series, Sheet, escaped};

/// Fields to a decade.
const FIELDS: f64 = 4.0;
/// So wide is a field that holds next to nothing.
const THINNEST: f64 = 1.5;

impl Series {
    /// A column of these positive values.
    pub(in super::super) fn column(
        panel: &str,
        x: &str,
        values: impl IntoIterator<Item = f64>,
    ) -> Series {
        let mut fields: BTreeMap<i64, usize> = BTreeMap::new();
        let mut all = 0;
        for value in values.into_iter().filter(|value| *value > 0.0) {
            *fields.entry((value.log10() * FIELDS).floor() as i64).or_default() += 1;
            all += 1;
        }
        // The field's geometric middle, and the part of all that it holds.
        let middle = |field: i64| 10f64.powf((field as f64 + 0.5) / FIELDS);
        let part = |count: usize| count as f64 / f64::from(all);
        let points =
            fields.into_iter().map(|(field, count)| (middle(field), part(count)));
        Series::plain(&format!("{panel}/{x}"), points)
    }
}

/// One size of the chart. The recorded one is not drawn beneath: two of them would be none.
pub(super) fn sized(chart: &Chart, _: Option<&Chart>, sheet: &Sheet<'_>) -> String {
    let (left, right) = (64.0, sheet.width - 12.0);
    let half = 10f64.powf(0.5 / FIELDS);
    let values = chart.series.iter().flat_map(|column| &column.points);
    let ends = values.flat_map(|point| [point.0 / half * 1.001, point.0 * half * 0.999]);
    let ys = Axis::new(ends, sheet.height - 76.0, 40.0);
    let mut svg = sheet.head(chart, false, "");
    ys.vertical(&mut svg, left, right);
    let panels = chart.series.chunk_by(|a, b| panel(a).0 == panel(b).0);
    let count = panels.clone().count().max(1) as f64;
    let columns = chart.series.len().max(1) as f64;
    let gap = 14.0;
    let wide = (right - left - gap * count) / columns;
    let mut x = left + gap / 2.0;
    for columns in panels {
        let begin = x;
        for column in columns {
            let middle = x + wide / 2.0;
            for &(value, part) in &column.points {
                let (top, bottom) = (ys.at(value * half), ys.at(value / half));
                let field = ((wide - 2.0) * part).max(THINNEST);
                let _ = writeln!(
                    svg,
                    "<rect class=\"heat\" fill-opacity=\"{:.2}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{field:.1}\" height=\"{:.1}\"/>",
                    0.4 + 0.6 * part,
                    middle - field / 2.0,
                    bottom - top
                );
            }
            let label = panel(column).1;
            // On a small sheet there is no room for as many zeros.
            let short = label.replace(",000", "k");
            let label = if sheet.class == "narrow" { &short } else { label };
            words(&mut svg, "mid small soft", middle, ys.from + 18.0, label);
            x += wide;
        }
        let name = columns.first().map_or("", |column| panel(column).0);
        words(&mut svg, "mid small strong", (begin + x) / 2.0, ys.from + 38.0, name);
        x += gap;
    }
    words(&mut svg, "mid small soft", (left + right) / 2.0, ys.from + 60.0, &chart.x);
    let _ = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{left} {}V{}H{right}\"/>",
        ys.to, ys.from
    );
    svg + "</svg>\n"
}

fn words(svg: &mut String, class: &str, x: f64, y: f64, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
        escaped(text)
    );
}

fn panel(column: &Series) -> (&str, &str) {
    column.name.split_once('/').unwrap_or(("", &column.name))
}
