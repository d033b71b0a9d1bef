//! A chart as data, which a record keeps, and as an SVG that follows the page's theme: wide
//! and, for small screens, narrow. One's own result is drawn over the recorded one, which is
//! then grey and dotted. Lines have a dash and a mark of their own and their name at their
//! end, so that nothing depends on colour.

mod axis;
mod bar;
mod heat;
mod line;

use serde::{Deserialize, Serialize};

use super::experiment::Kind;
use super::spread::Spread;

/// A chart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chart {
    /// How it is drawn.
    pub kind: Kind,
    /// What it shows.
    pub title: String,
    /// What there is to see, for those who cannot.
    pub description: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// The lines, bars or columns. At most six lines.
    pub series: Vec<Series>,
}

/// One line, one bar (its value is the only y), or one column (the middles of values, and
/// which part of all values lies there).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Series {
    /// What it is called in the chart. A column is called `PANEL/X`.
    pub name: String,
    /// x and y, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The least and the most y of the repeats, for each point; or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<(f64, f64)>,
    /// Somebody else measured it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
}

impl Series {
    /// Repeats at each x, shown by their median and their extremes.
    pub(super) fn of(
        name: &str,
        points: impl IntoIterator<Item = (f64, Spread)>,
    ) -> Series {
        let mut series = Series { name: name.to_owned(), ..Series::default() };
        for (x, y) in points {
            series.points.push((x, y.median));
            series.ranges.push((y.min, y.max));
        }
        series
    }

    /// What was measured once, or follows from what was.
    pub(super) fn plain(
        name: &str,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Series {
        let points = points.into_iter().collect();
        Series { name: name.to_owned(), points, ..Series::default() }
    }
}

/// The words of a chart.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub x: &'a str,
    pub y: &'a str,
}

impl Chart {
    /// A chart of these.
    pub(super) fn new(
        kind: Kind,
        words: &Words<'_>,
        series: impl IntoIterator<Item = Series>,
    ) -> Chart {
        let Words { title, description, x, y } = *words;
        let [title, description, x, y] = [title, description, x, y].map(str::to_owned);
        Chart { kind, title, description, x, y, series: series.into_iter().collect() }
    }

    /// The SVG, both sizes of it; over another's, if there is one.
    pub fn svg(&self, name: &str, recorded: Option<&Chart>) -> String {
        let recorded = recorded.filter(|recorded| recorded.kind == self.kind);
        // Both may be in one page, and ids are its own.
        let name = match recorded {
            Some(_) => format!("own-{name}"),
            None => name.to_owned(),
        };
        let draw = match self.kind {
            Kind::Line => line::sized,
            Kind::Bar => bar::sized,
            Kind::Heat => heat::sized,
        };
        ["wide", "narrow"]
            .map(|class| draw(self, recorded, &Sheet::new(&name, class)))
            .concat()
    }

    /// The axes alone, for a line to be drawn by whoever predicts it.
    pub fn blank(&self, name: &str) -> String {
        let name = format!("blank-{name}");
        // What there is to see in the lines is what is to be predicted.
        let description = "Axes without lines, to draw into.".to_owned();
        let empty = Chart { description, ..self.clone() };
        ["wide", "narrow"]
            .map(|class| line::blank(&empty, &Sheet::new(&name, class)))
            .concat()
    }

    /// The line under a chart, on how to read it.
    pub fn caption(&self) -> &'static str {
        match self.kind {
            Kind::Line if self.series.iter().all(|line| line.ranges.is_empty()) => {
                "Both axes are logarithmic."
            }
            Kind::Line => {
                "Both axes are logarithmic. A thin upright line goes from the least of the repeats to the most."
            }
            Kind::Bar if self.series.iter().all(|bar| bar.ranges.is_empty()) => {
                "The axis begins at zero."
            }
            Kind::Bar => "A thin line goes from the least of the repeats to the most.",
            Kind::Heat => {
                "Each column is one row of the table: the wider and stronger a field, the more of the answers lie there. The vertical axis is logarithmic."
            }
        }
    }
}

/// What is drawn on.
struct Sheet<'a> {
    name: &'a str,
    class: &'static str,
    width: f64,
    height: f64,
}

impl Sheet<'_> {
    fn new<'a>(name: &'a str, class: &'static str) -> Sheet<'a> {
        let (width, height) =
            if class == "wide" { (720.0, 380.0) } else { (360.0, 320.0) };
        Sheet { name, class, width, height }
    }

    /// How an SVG begins; `data` are more attributes.
    fn head(&self, chart: &Chart, over: bool, data: &str) -> String {
        let Sheet { name, class, width, height } = self;
        let Chart { title, description, y, .. } = chart;
        let short = &class[..1];
        let over_it =
            if over { " Grey and dotted: as recorded in the book." } else { "" };
        let [title, description, y] = [title, description, y].map(|text| escaped(text));
        format!(
            "<svg class=\"{class}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{name}-{short}-t\" aria-describedby=\"{name}-{short}-d\"{data}>\n\
             <title id=\"{name}-{short}-t\">{title}</title>\n<desc id=\"{name}-{short}-d\">{description}{over_it}</desc>\n\
             <text class=\"small soft\" x=\"8\" y=\"20\">{y}</text>\n"
        )
    }
}

/// As text in an SVG or in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
