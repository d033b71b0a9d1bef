//! A chart as data, which a record keeps. How it is drawn is in `draw`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::summary::Summary;

/// The kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Lines over something that grows, both axes logarithmic.
    Line,
    /// A bar for each of several things.
    Bar,
    /// How values are distributed, over something that grows: the darker, the more.
    Heat,
}

/// A chart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// How it is drawn.
    pub kind: Kind,
    /// What it shows.
    pub title: String,
    /// What there is to see, for readers who do not see it.
    pub description: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// The lines, bars or columns. At most six lines.
    pub series: Vec<Series>,
}

/// One line, one bar (its value is the only y), or one column (the middles of ranges of
/// values, and the fraction of all values in each).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Its name in the chart. A column's is `PANEL/X`.
    pub name: String,
    /// x and y, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The least and the most y of the repeats, for each point; or empty.
    pub ranges: Vec<(f64, f64)>,
    /// Measured elsewhere, and published.
    pub published: bool,
}

/// Ranges of values to a decade, in a column.
pub(crate) const FIELDS: f64 = 4.0;

impl Series {
    /// Repeats at each x, shown by their median and their extremes.
    pub fn of(name: &str, points: impl IntoIterator<Item = (f64, Summary)>) -> Series {
        let mut series = Series { name: name.to_owned(), ..Series::default() };
        for (x, y) in points {
            series.points.push((x, y.median));
            series.ranges.push((y.min, y.max));
        }
        series
    }

    /// Values measured once, or derived from measured ones.
    pub fn plain(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
        let points = points.into_iter().collect();
        Series { name: name.to_owned(), points, ..Series::default() }
    }

    /// A line that was published elsewhere.
    pub fn published(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
        Series { published: true, ..Series::plain(name, points) }
    }

    /// A column of positive values.
    pub fn column(panel: &str, x: &str, values: impl IntoIterator<Item = f64>) -> Series {
        let mut fields: BTreeMap<i64, usize> = BTreeMap::new();
        let mut all = 0;
        for value in values.into_iter().filter(|value| *value > 0.0) {
            *fields.entry((value.log10() * FIELDS).floor() as i64).or_default() += 1;
            all += 1;
        }
        // The range's geometric middle, and the fraction of all that it holds.
        let middle = |field: i64| 10f64.powf((field as f64 + 0.5) / FIELDS);
        let part = |count: usize| count as f64 / f64::from(all);
        let points =
            fields.into_iter().map(|(field, count)| (middle(field), part(count)));
        Series::plain(&format!("{panel}/{x}"), points)
    }
}

/// The words of a chart.
#[derive(Clone, Copy, Default)]
pub struct Labels<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub x: &'a str,
    pub y: &'a str,
}

impl Chart {
    /// A chart of these series.
    pub fn new(
        kind: Kind,
        labels: &Labels<'_>,
        series: impl IntoIterator<Item = Series>,
    ) -> Chart {
        let Labels { title, description, x, y } = *labels;
        let [title, description, x, y] = [title, description, x, y].map(str::to_owned);
        Chart { kind, title, description, x, y, series: series.into_iter().collect() }
    }

    /// Returns the line under the chart, on how to read it.
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
