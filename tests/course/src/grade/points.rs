//! Points, counted in hundredths, so that sums are exact.

use std::fmt;

use serde::Deserialize;

/// A number of points, in hundredths of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct Points(pub u32);

impl TryFrom<f64> for Points {
    type Error = String;

    fn try_from(points: f64) -> Result<Self, String> {
        let hundredths = (points * 100.0).round();
        if !(0.0..=1e8).contains(&hundredths)
            || (hundredths - points * 100.0).abs() > 1e-6
        {
            return Err(format!(
                "{points} points: a number from 0 to 1000000 with at most two decimals is needed"
            ));
        }
        Ok(Self(hundredths as u32))
    }
}

impl Points {
    /// Returns the points as a decimal number: 2.5 for 250 hundredths.
    pub fn number(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Returns the share of these points for `passed` of `of` equally weighted cases, rounded to
    /// the nearest hundredth; no points if `of` is 0.
    #[must_use]
    pub fn share(self, passed: usize, of: usize) -> Self {
        let (all, passed, of) = (u64::from(self.0), passed as u64, of as u64);
        match of {
            0 => Self(0),
            _ => Self(((2 * all * passed + of) / (2 * of)) as u32),
        }
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Self>>(points: I) -> Self {
        Self(points.map(|points| points.0).sum())
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, rest) if rest % 10 == 0 => write!(f, "{whole}.{}", rest / 10),
            (whole, rest) => write!(f, "{whole}.{rest:02}"),
        }
    }
}
