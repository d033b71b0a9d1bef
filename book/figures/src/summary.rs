//! A summary of repeated measurements: the median and the extremes.

use serde::{Deserialize, Serialize};

/// The median and the extremes of several repeats of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The median. For an even number of values, the median is the greater of the two values in the
    /// middle.
    pub median: f64,
    /// The least of the values.
    pub min: f64,
    /// The greatest of the values.
    pub max: f64,
    /// The number of values.
    pub repeats: usize,
}

impl Summary {
    /// Summarizes `values`, the results of repeated measurements. Without values, the median and
    /// the extremes are NaN.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Summary {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        let median = at(values.len() / 2);
        Summary { median, min: at(0), max: at(last), repeats: values.len() }
    }

    /// Returns the summary of the same values in a unit that is `factor` times smaller.
    pub fn times(self, factor: f64) -> Summary {
        let Summary { median, min, max, repeats } = self;
        Summary { median: median * factor, min: min * factor, max: max * factor, repeats }
    }

    /// Summarizes the values of `figure` over several samples.
    pub fn over<S>(samples: &[S], figure: impl Fn(&S) -> f64) -> Summary {
        Summary::of(samples.iter().map(figure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_what_came_in_any_order() {
        let expected = Summary { median: 3.0, min: 1.0, max: 5.0, repeats: 3 };
        assert_eq!(Summary::of([5.0, 1.0, 3.0]), expected);
    }
}
