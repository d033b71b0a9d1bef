//! How values are spread, over something that grows: a column for each x, a field for each
//! range of values, darker the more of them lie there, with how many percent.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::Axis;
use super::{Chart, Series, Sheet, escaped};

/// Fields to a decade.
const FIELDS: f64 = 4.0;

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
            for &(value, part) in &column.points {
                let (top, bottom) = (ys.at(value * half), ys.at(value / half));
                let _ = writeln!(
                    svg,
                    "<rect class=\"heat\" fill-opacity=\"{:.2}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    0.12 + 0.68 * part,
                    wide - 1.0,
                    bottom - top
                );
                let percent = (part * 100.0).round();
                if percent >= 1.0 && bottom - top >= 11.0 {
                    let _ = writeln!(
                        svg,
                        "<text class=\"mid tiny\" x=\"{:.1}\" y=\"{:.1}\">{percent}</text>",
                        x + wide / 2.0,
                        (top + bottom) / 2.0 + 4.0
                    );
                }
            }
            let _ = writeln!(
                svg,
                "<text class=\"mid tiny soft\" x=\"{:.1}\" y=\"{}\">{}</text>",
                x + wide / 2.0,
                ys.from + 16.0,
                escaped(panel(column).1)
            );
            x += wide;
        }
        let _ = writeln!(
            svg,
            "<text class=\"mid small\" x=\"{:.1}\" y=\"{}\">{}</text>",
            (begin + x) / 2.0,
            ys.from + 36.0,
            escaped(columns.first().map_or("", |column| panel(column).0))
        );
        x += gap;
    }
    let _ = writeln!(
        svg,
        "<text class=\"mid small soft\" x=\"{}\" y=\"{}\">{}</text>",
        (left + right) / 2.0,
        ys.from + 60.0,
        escaped(&chart.x)
    );
    let _ = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{left} {}V{}H{right}\"/>",
        ys.to, ys.from
    );
    svg + "</svg>\n"
}

fn panel(column: &Series) -> (&str, &str) {
    column.name.split_once('/').unwrap_or(("", &column.name))
}
