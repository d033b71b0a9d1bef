//! Draws a chart as an SVG that follows the page's theme, in a wide and a narrow size. The reader's
//! own lines or bars are drawn over those of the book's recorded chart, which are then gray and
//! dotted; a heat chart is always drawn alone. Each line has its own dash and mark, and its name at
//! its end, so that nothing depends on color.

mod axis;
mod bar;
mod canvas;
mod heat;
mod line;

use self::canvas::sizes;
use crate::chart::{Chart, Kind};

/// Returns two SVGs of a chart, a wide one and a narrow one, drawn over the chart `recorded` if
/// both are line charts or both are bar charts.
pub fn svg(chart: &Chart, name: &str, recorded: Option<&Chart>) -> String {
    let recorded = recorded.filter(|recorded| recorded.kind == chart.kind);
    // The page may also contain the recorded chart, and an id must be unique in a page, so the ids
    // of the reader's chart begin with `own-`.
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

/// Returns two SVGs, a wide one and a narrow one, of a chart's axes, into which a reader draws a
/// predicted line.
pub fn blank(chart: &Chart, name: &str) -> String {
    // The axes get another description, because the chart's description would reveal its lines.
    let description = "Axes without lines, to draw into.".to_owned();
    let empty = Chart { description, ..chart.clone() };
    sizes(&format!("blank-{name}")).map(|size| line::blank(&empty, &size)).concat()
}

#[cfg(test)]
mod tests;
