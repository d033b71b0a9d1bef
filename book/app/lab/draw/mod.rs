//! Draws a chart as an SVG that follows the page's theme, in a wide and a narrow size. The
//! reader's own result is drawn over the recorded one, which is then grey and dotted. Each line
//! has its own dash and mark, and its name at its end, so that nothing depends on color.

mod axis;
mod bar;
mod canvas;
mod heat;
mod line;

use self::canvas::sizes;
use super::model::chart::{Chart, Kind};

/// Returns the SVG of a chart in both sizes, drawn over the chart `recorded` if that is of the
/// same kind.
pub(super) fn svg(chart: &Chart, name: &str, recorded: Option<&Chart>) -> String {
    let recorded = recorded.filter(|recorded| recorded.kind == chart.kind);
    // A page may contain the recorded chart, too, and ids must be unique.
    let name = match recorded {
        Some(_) => format!("own-{name}"),
        None => name.to_owned(),
    };
    let draw = match chart.kind {
        Kind::Line => line::sized,
        Kind::Bar => bar::sized,
        Kind::Heat => heat::sized,
    };
    sizes(&name).map(|size| draw(chart, recorded, &size)).concat()
}

/// Returns the SVG of a chart's axes, into which a reader draws a predicted line.
pub(super) fn blank(chart: &Chart, name: &str) -> String {
    // The chart's own description would reveal the lines.
    let description = "Axes without lines, to draw into.".to_owned();
    let empty = Chart { description, ..chart.clone() };
    sizes(&format!("blank-{name}")).map(|size| line::blank(&empty, &size)).concat()
}

#[cfg(test)]
mod tests;
