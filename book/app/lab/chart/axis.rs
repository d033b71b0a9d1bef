//! A logarithmic axis: whole decades that hold all values, and a place for zero.

use std::fmt::Write;

use super::super::spread::thousands;

/// Where decades are closer than this, six digits touch their neighbours.
const ROOM: f64 = 50.0;

/// From a value to a place on the sheet.
pub(super) struct Axis {
    /// The powers of ten at both ends. Zero, if it occurs, lies at the lower end, which
    /// is then one decade below the least of the others.
    low: i32,
    high: i32,
    zero: bool,
    /// Where these are.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    /// For these values, none of which is negative.
    pub(super) fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (mut least, mut most, mut zero) = (f64::INFINITY, 0.0_f64, false);
        for value in values {
            zero |= value == 0.0;
            most = most.max(value);
            least = if value > 0.0 { least.min(value) } else { least };
        }
        let (least, most) = if most > 0.0 { (least, most) } else { (1.0, 1.0) };
        let low = least.max(1e-9).log10().floor() as i32 - i32::from(zero);
        let high = (most.max(1e-9).log10().ceil() as i32).max(low + 1 + i32::from(zero));
        Axis { low, high, zero, from, to }
    }

    /// Where a value is.
    pub(super) fn at(&self, value: f64) -> f64 {
        let power = if value > 0.0 {
            // The repeats' extremes may lie beyond what the lines need.
            value.log10().clamp(f64::from(self.low), f64::from(self.high))
        } else {
            f64::from(self.low)
        };
        let part = (power - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + (self.to - self.from) * part
    }

    /// The values that are marked, and what is written there.
    pub(super) fn decades(&self) -> impl Iterator<Item = (f64, String)> {
        (self.low..=self.high).map(|power| {
            if self.zero && power == self.low {
                return (0.0, "0".to_owned());
            }
            let label = match power {
                0..=6 => thousands(10_usize.pow(power.unsigned_abs())),
                _ if power < 0 => {
                    format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power))
                }
                _ => format!("1e{power}"),
            };
            (10f64.powi(power), label)
        })
    }

    /// The powers at the ends, for who reads values off a chart; `zero` if the lower is zero.
    pub(super) fn ends(&self) -> String {
        let zero = if self.zero { " zero" } else { "" };
        format!("{} {}{zero}", self.low, self.high)
    }

    /// Draws the guides and labels of a vertical axis, up to `right`.
    pub(super) fn vertical(&self, svg: &mut String, left: f64, right: f64) {
        for (value, label) in self.decades() {
            let at = self.at(value);
            // Writing to a String cannot fail.
            let _ =
                writeln!(svg, "<path class=\"guide\" d=\"M{left} {at:.1}H{right}\"/>");
            let _ = writeln!(
                svg,
                "<text class=\"end small soft\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                left - 8.0,
                at + 4.0
            );
        }
    }

    /// Draws the labels of a horizontal axis, and its name below them.
    pub(super) fn horizontal(&self, svg: &mut String, bottom: f64, name: &str) {
        let decade = (self.to - self.from) / f64::from(self.high - self.low);
        for (value, mut label) in self.decades() {
            if decade < ROOM {
                label = label.replace(",000,000", "M").replace(",000", "k");
            }
            let _ = writeln!(
                svg,
                "<text class=\"mid small soft\" x=\"{:.1}\" y=\"{}\">{label}</text>",
                self.at(value),
                bottom + 20.0
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"mid small soft\" x=\"{}\" y=\"{}\">{}</text>",
            (self.from + self.to) / 2.0,
            bottom + 42.0,
            super::escaped(name)
        );
    }
}
