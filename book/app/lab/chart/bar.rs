//! A bar for each of several things, from zero, with its value beside it.

use std::fmt::Write;

use super::{Chart, Series, Sheet, escaped};

/// One size of the chart.
pub(super) fn sized(
    chart: &Chart,
    recorded: Option<&Chart>,
    sheet: &Sheet<'_>,
) -> String {
    let count = chart.series.len().max(1) as f64;
    let (left, right) = (sheet.width * 0.3, sheet.width - 70.0);
    let row = (34.0_f64).min(400.0 / count);
    let sheet = Sheet { height: 40.0 + row * count + 16.0, ..*sheet };
    let mut svg = sheet.head(chart, recorded.is_some(), "");
    let value = |bar: &Series| bar.points.first().map(|point| point.1);
    let all =
        || chart.series.iter().chain(recorded.iter().flat_map(|other| &other.series));
    let ends = |bar: &Series| bar.ranges.first().map(|range| range.1).or(value(bar));
    let most = all().filter_map(ends).fold(f64::MIN_POSITIVE, f64::max);
    let wide = |value: f64| (right - left) * (value / most).clamp(0.0, 1.0);
    for (at, bar) in chart.series.iter().enumerate() {
        let top = 40.0 + row * at as f64;
        let _ = writeln!(
            svg,
            "<text class=\"end small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            top + row * 0.6,
            escaped(&bar.name)
        );
        let Some(own) = value(bar) else { continue };
        let middle = top + row * 0.45;
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            wide(own).max(1.0),
            row * 0.7
        );
        let ghost = recorded
            .and_then(|other| other.series.iter().find(|ghost| ghost.name == bar.name))
            .and_then(value);
        if let Some(ghost) = ghost {
            let _ = writeln!(
                svg,
                "<path class=\"recorded\" d=\"M{left:.1} {:.1}h{:.1}v{:.1}h{:.1}z\"/>",
                top - 2.0,
                wide(ghost).max(1.0),
                row * 0.7 + 4.0,
                -wide(ghost).max(1.0)
            );
        }
        if let Some(&(min, max)) = bar.ranges.first() {
            let _ = writeln!(
                svg,
                "<path class=\"line\" d=\"M{:.1} {middle:.1}H{:.1}\"/>",
                left + wide(min),
                left + wide(max)
            );
        }
        let end = ends(bar).unwrap_or(own).max(ghost.unwrap_or(0.0));
        let _ = writeln!(
            svg,
            "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + wide(end) + 6.0,
            top + row * 0.6,
            figure(own)
        );
    }
    let _ = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{left:.1} 34V{:.1}\"/>",
        sheet.height - 14.0
    );
    svg + "</svg>\n"
}

/// With as many digits as mean something.
fn figure(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => super::super::spread::thousands(v.round() as usize),
    }
}
