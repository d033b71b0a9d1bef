//! Draws a chart as an SVG that follows the page's theme, wide and narrow. The reader's own
//! result is drawn over the recorded one, which is then grey and dotted. Lines have a dash
//! and a mark of their own and their name at their end, so that nothing depends on color.

mod axis;
mod bar;
mod canvas;
mod heat;
mod line;

use self::canvas::sizes;
use super::model::chart::{Chart, Kind};

/// Returns the SVG of a chart in both sizes; over another's, if there is one.
pub(super) fn svg(chart: &Chart, name: &str, recorded: Option<&Chart>) -> String {
    let recorded = recorded.filter(|recorded| recorded.kind == chart.kind);
    // Both may be in one page, and ids must differ.
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

/// Returns the axes alone, into which a reader draws a predicted line.
pub(super) fn blank(chart: &Chart, name: &str) -> String {
    // The chart's own description would give the lines away.
    let description = "Axes without lines, to draw into.".to_owned();
    let empty = Chart { description, ..chart.clone() };
    sizes(&format!("blank-{name}")).map(|size| line::blank(&empty, &size)).concat()
}

#[cfg(test)]
mod tests;
