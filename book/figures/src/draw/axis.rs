//! A logarithmic axis: whole decades that contain all values, and a place for zero.

use super::canvas::{Canvas, tenths};
use crate::text::thousands;

/// The length of a decade, in the units of the drawing, below which labels are shortened, because
/// labels of six digits would touch each other.
const ROOM: f64 = 50.0;

/// A map from values to coordinates, on a logarithmic scale.
pub(super) struct Axis {
    /// The exponent of ten at the axis's lower end. If zero occurs among the values, the lower end
    /// stands for zero, and is then one decade lower than the other values need.
    low: i32,
    /// The exponent of ten at the axis's upper end.
    high: i32,
    /// Whether the axis's lower end stands for the value 0.
    zero: bool,
    /// The coordinate of the axis's lower end.
    pub from: f64,
    /// The coordinate of the axis's upper end.
    pub to: f64,
}

impl Axis {
    /// Returns an axis for `values`, none of which is negative, between the coordinates `from`
    /// and `to`.
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

    /// Returns the coordinate of a value. A value outside the axis has the coordinate of the nearer
    /// end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let [low, high] = [self.low, self.high].map(f64::from);
        // A value may lie outside the axis: the axis is made for the medians, and the extremes of
        // repeats may lie beyond all medians.
        let power = if value > 0.0 { value.log10().clamp(low, high) } else { low };
        self.from + (self.to - self.from) * ((power - low) / (high - low))
    }

    /// Returns the value of each power of ten on the axis, with its label.
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

    /// Returns the exponents of ten at both ends, followed by `zero` if the lower end stands for
    /// zero. A script of the page needs the exponents to read values off a chart.
    pub(super) fn ends(&self) -> String {
        let zero = if self.zero { " zero" } else { "" };
        format!("{} {}{zero}", self.low, self.high)
    }

    /// Draws a vertical axis: labels beside the coordinate `left`, and guide lines from `left` to
    /// `right`.
    pub(super) fn vertical(&self, canvas: &mut Canvas, left: f64, right: f64) {
        for (value, label) in self.decades() {
            let at = self.at(value);
            canvas.path("guide", format_args!("M{left} {at:.1}H{right}"));
            canvas.text("end small soft", left - 8.0, tenths(at + 4.0), &label);
        }
    }

    /// Draws a horizontal axis: labels below the coordinate `bottom`, and the axis's name below the
    /// labels.
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
