//! A chart as data, in the form in which a record stores it. The module `draw` turns this data into
//! SVG.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// The kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Lines over a growing quantity; both axes are logarithmic.
    Line,
    /// A bar for each of several things.
    Bar,
    /// The distribution of values at each step of a growing quantity, in fields: the darker a
    /// field, the more values the field stands for.
    Heat,
}

/// A chart: its title, description and axis names, and its lines, bars or columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// The kind of the chart.
    pub kind: Kind,
    /// The title above the chart.
    pub title: String,
    /// A description for readers who do not see the chart.
    pub description: String,
    /// The name of the horizontal axis.
    pub x: String,
    /// The name of the vertical axis.
    pub y: String,
    /// The lines (at most six), bars or columns.
    pub series: Vec<Series>,
}

/// One line, one bar or one column of a chart. A bar has a single point, whose y is the bar's
/// value. In a column, each point stands for a range of values: the middle of the range, and the
/// fraction of all values in the range.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The name that the chart shows. A column's name is `PANEL/X`: the panel, which is a group of
    /// columns, and the label below the column.
    pub name: String,
    /// The points (x, y), from left to right.
    pub points: Vec<(f64, f64)>,
    /// The least and the greatest y of the repeats at each point. Empty without repeats.
    pub ranges: Vec<(f64, f64)>,
    /// Whether the values were not measured here, but published elsewhere or predicted.
    pub published: bool,
}

/// The number of ranges into which each factor of ten is divided in a column of a heat map.
pub(crate) const FIELDS: f64 = 4.0;

/// The name of the line that the reader has drawn as a prediction.
pub const YOU: &str = "you";

impl Series {
    /// Returns a series with the median of the repeats at each x, and with the extremes of these
    /// repeats.
    pub fn of(name: &str, points: impl IntoIterator<Item = (f64, Summary)>) -> Series {
        let mut series = Series { name: name.to_owned(), ..Series::default() };
        for (x, y) in points {
            series.points.push((x, y.median));
            series.ranges.push((y.min, y.max));
        }
        series
    }

    /// Returns a series of values that were measured once, or derived from measured ones.
    pub fn plain(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
        let points = points.into_iter().collect();
        Series { name: name.to_owned(), points, ..Series::default() }
    }

    /// Returns a series of values that were published elsewhere, or predicted by the reader.
    pub fn published(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
        Series { published: true, ..Series::plain(name, points) }
    }

    /// Returns the column `PANEL/X` with the distribution of `values`. Values that are not
    /// positive are left out.
    pub fn column(panel: &str, x: &str, values: impl IntoIterator<Item = f64>) -> Series {
        let mut fields: BTreeMap<i64, usize> = BTreeMap::new();
        let mut all = 0;
        for value in values.into_iter().filter(|value| *value > 0.0) {
            *fields.entry((value.log10() * FIELDS).floor() as i64).or_default() += 1;
            all += 1;
        }
        // `middle` is the geometric middle of a range of values, and `part` the fraction of all
        // values in the range.
        let middle = |field: i64| 10f64.powf((field as f64 + 0.5) / FIELDS);
        let part = |count: usize| count as f64 / f64::from(all);
        let points =
            fields.into_iter().map(|(field, count)| (middle(field), part(count)));
        Series::plain(&format!("{panel}/{x}"), points)
    }
}

/// The texts of a chart: the fields of [`Chart`] with the same names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// The title above the chart.
    pub title: &'a str,
    /// A description for readers who do not see the chart.
    pub description: &'a str,
    /// The name of the horizontal axis.
    pub x: &'a str,
    /// The name of the vertical axis.
    pub y: &'a str,
}

impl Chart {
    /// Returns a chart of the lines, bars or columns in `series`.
    pub fn new(
        kind: Kind,
        labels: &Labels<'_>,
        series: impl IntoIterator<Item = Series>,
    ) -> Chart {
        let Labels { title, description, x, y } = *labels;
        let [title, description, x, y] = [title, description, x, y].map(str::to_owned);
        Chart { kind, title, description, x, y, series: series.into_iter().collect() }
    }

    /// Returns the line of text below the chart that explains how to read the chart.
    pub fn caption(&self) -> &'static str {
        let once = self.series.iter().all(|series| series.ranges.is_empty());
        match self.kind {
            Kind::Line if once => "Both axes are logarithmic.",
            Kind::Line => {
                "Both axes are logarithmic. A thin upright line goes from the least of the repeats to the most."
            }
            Kind::Bar if once => "The axis begins at zero.",
            Kind::Bar => "A thin line goes from the least of the repeats to the most.",
            Kind::Heat => {
                "Each column is one row of the table: the wider and stronger a field, the more of the answers lie there. The vertical axis is logarithmic."
            }
        }
    }
}
