//! An SVG under construction, into which all kinds of charts are drawn.

use std::fmt::{Display, Write};

use crate::chart::Chart;
use crate::text::escaped;

/// A size in which a chart is drawn: wide or, for small screens, narrow.
#[derive(Clone, Copy)]
pub(super) struct Size<'a> {
    pub name: &'a str,
    pub class: &'static str,
    pub width: f64,
    pub height: f64,
}

/// Returns the two sizes, wide and narrow, in which a chart is drawn. `name` is the chart's name,
/// and the prefix of all ids in its SVGs.
pub(super) fn sizes(name: &str) -> [Size<'_>; 2] {
    [("wide", 720.0, 380.0), ("narrow", 360.0, 320.0)]
        .map(|(class, width, height)| Size { name, class, width, height })
}

impl Size<'_> {
    /// Whether this is the size for small screens.
    pub(super) fn is_narrow(&self) -> bool {
        self.class == "narrow"
    }

    /// Begins the SVG of a chart. `over` is true if the chart is drawn over the recorded chart;
    /// `data` is the text of further attributes of the `svg` element.
    pub(super) fn begin(&self, chart: &Chart, over: bool, data: &str) -> Canvas {
        let Size { name, class, width, height } = self;
        let Chart { title, description, y, .. } = chart;
        let short = &class[..1];
        let over = if over { " Grey and dotted: as recorded in the book." } else { "" };
        let [title, description, y] = [title, description, y].map(|text| escaped(text));
        Canvas(format!(
            "<svg class=\"{class}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{name}-{short}-t\" aria-describedby=\"{name}-{short}-d\"{data}>\n\
             <title id=\"{name}-{short}-t\">{title}</title>\n<desc id=\"{name}-{short}-d\">{description}{over}</desc>\n\
             <text class=\"small soft\" x=\"8\" y=\"20\">{y}</text>\n"
        ))
    }
}

/// The text of the SVG so far, with one element on each line.
pub(super) struct Canvas(String);

impl Canvas {
    /// Draws a text at the point (`x`, `y`).
    pub(super) fn text(
        &mut self,
        class: &str,
        x: impl Display,
        y: impl Display,
        text: &str,
    ) {
        let text = escaped(text);
        self.line(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        ));
    }

    /// Draws a path. `d` holds the path commands, as SVG's attribute `d` does.
    pub(super) fn path(&mut self, class: &str, d: impl Display) {
        self.line(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// Draws a rectangle. `place` is the rectangle's x, y, width and height; `more` is the text of
    /// further attributes of the `rect` element.
    pub(super) fn rect(&mut self, class: &str, more: &str, place: [f64; 4]) {
        let [x, y, width, height] = place.map(tenths);
        self.line(format_args!(
            "<rect class=\"{class}\"{more} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// Ends the SVG and returns its text.
    pub(super) fn finish(self) -> String {
        self.0 + "</svg>\n"
    }

    fn line(&mut self, element: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{element}");
    }
}

/// Formats a coordinate with one decimal.
pub(super) fn tenths(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}
