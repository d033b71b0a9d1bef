//! Draws bar charts: a bar for each of several things. Each bar begins at zero, and its value is
//! written beside it.

use super::canvas::{Size, tenths};
use crate::chart::{Chart, Series};
use crate::text::measured;

/// Draws the bar chart in the size `size`, over the chart `recorded` if there is one.
pub(super) fn sized(chart: &Chart, recorded: Option<&Chart>, size: &Size<'_>) -> String {
    let count = chart.series.len().max(1) as f64;
    let (left, right) = (size.width * 0.3, size.width - 70.0);
    let row = (34.0_f64).min(400.0 / count);
    let size = Size { height: 40.0 + row * count + 16.0, ..*size };
    let mut canvas = size.begin(chart, recorded.is_some(), "");
    let value = |bar: &Series| bar.points.first().map(|point| point.1);
    let all =
        || chart.series.iter().chain(recorded.iter().flat_map(|other| &other.series));
    let ends = |bar: &Series| bar.ranges.first().map(|range| range.1).or(value(bar));
    let most = all().filter_map(ends).fold(f64::MIN_POSITIVE, f64::max);
    let wide = |value: f64| (right - left) * (value / most).clamp(0.0, 1.0);
    for (at, bar) in chart.series.iter().enumerate() {
        let top = 40.0 + row * at as f64;
        let base = tenths(top + row * 0.6);
        canvas.text("end small", tenths(left - 8.0), &base, &bar.name);
        let Some(own) = value(bar) else { continue };
        canvas.rect("bar", "", [left, top, wide(own).max(1.0), row * 0.7]);
        let ghost = recorded
            .and_then(|other| other.series.iter().find(|ghost| ghost.name == bar.name))
            .and_then(value);
        if let Some(ghost) = ghost {
            let (wide, high) = (wide(ghost).max(1.0), row * 0.7 + 4.0);
            let d =
                format!("M{left:.1} {:.1}h{wide:.1}v{high:.1}h{:.1}z", top - 2.0, -wide);
            canvas.path("recorded", d);
        }
        if let Some(&(min, max)) = bar.ranges.first() {
            let [min, max] = [min, max].map(|value| tenths(left + wide(value)));
            canvas.path("line", format_args!("M{min} {:.1}H{max}", top + row * 0.45));
        }
        let end = ends(bar).unwrap_or(own).max(ghost.unwrap_or(0.0));
        canvas.text("small", tenths(left + wide(end) + 6.0), &base, &measured(own));
    }
    canvas.path("axis", format_args!("M{left:.1} 34V{:.1}", size.height - 14.0));
    canvas.finish()
}
