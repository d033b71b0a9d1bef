//! A logarithmic axis: whole decades that hold all values, and a place for zero.

use super::canvas::{Canvas, tenths};
use crate::text::thousands;

/// Where decades are closer than this, six digits touch their neighbors.
const ROOM: f64 = 50.0;

/// Maps values to coordinates.
pub(super) struct Axis {
    /// The powers of ten at both ends. Zero, if it occurs, lies at the lower end, which
    /// is then one decade below the least of the others.
    low: i32,
    high: i32,
    zero: bool,
    /// The coordinates of both ends.
    pub from: f64,
    pub to: f64,
}

impl Axis {
    /// Makes an axis for these values, none of which is negative.
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

    /// Returns the coordinate of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let [low, high] = [self.low, self.high].map(f64::from);
        // The repeats' extremes may lie beyond what the lines need.
        let power = if value > 0.0 { value.log10().clamp(low, high) } else { low };
        self.from + (self.to - self.from) * ((power - low) / (high - low))
    }

    /// The values that are marked, and their labels.
    fn decades(&self) -> impl Iterator<Item = (f64, String)> {
        (self.low..=self.high).map(|power| {
            let label = match power {
                _ if self.zero && power == self.low => return (0.0, "0".to_owned()),
                0..=6 => thousands(10_usize.pow(power.unsigned_abs())),
                _ if power < 0 => {
                    format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power))
                }
                _ => format!("1e{power}"),
            };
            (10f64.powi(power), label)
        })
    }

    /// The powers at both ends, for a script that reads values off a chart; with `zero` if
    /// the lower end is zero.
    pub(super) fn ends(&self) -> String {
        let zero = if self.zero { " zero" } else { "" };
        format!("{} {}{zero}", self.low, self.high)
    }

    /// Draws the guides and labels of a vertical axis, up to `right`.
    pub(super) fn vertical(&self, canvas: &mut Canvas, left: f64, right: f64) {
        for (value, label) in self.decades() {
            let at = self.at(value);
            canvas.path("guide", format_args!("M{left} {at:.1}H{right}"));
            canvas.text("end small soft", left - 8.0, tenths(at + 4.0), &label);
        }
    }

    /// Draws the labels of a horizontal axis, and its name below them.
    pub(super) fn horizontal(&self, canvas: &mut Canvas, bottom: f64, name: &str) {
        let decade = (self.to - self.from) / f64::from(self.high - self.low);
        for (value, mut label) in self.decades() {
            if decade < ROOM {
                label = label.replace(",000,000", "M").replace(",000", "k");
            }
            let x = tenths(self.at(value));
            canvas.text("mid small soft", x, bottom + 20.0, &label);
        }
        let middle = (self.from + self.to) / 2.0;
        canvas.text("mid small soft", middle, bottom + 42.0, name);
    }
}
