//! Tests of properties that every chart must have.

use super::*;
use crate::chart::{Labels, Series};

fn chart(kind: Kind) -> Chart {
    let labels = Labels { title: "a < b", description: "two lines", x: "n", y: "µs" };
    let series = [
        Series::plain("poll/1", [(0.0, 1.0), (10.0, 0.5)]),
        Series::plain("epoll/1", [(10.0, 0.25)]),
    ];
    Chart::new(kind, &labels, series)
}

#[test]
fn every_kind_says_in_words_what_it_shows_and_names_its_series() {
    for kind in [Kind::Line, Kind::Bar, Kind::Heat] {
        let svg = svg(&chart(kind), "x", None);
        assert_eq!(svg.matches("a &lt; b</title>").count(), 2, "{svg}");
        assert_eq!(svg.matches("two lines</desc>").count(), 2, "{svg}");
        assert!(svg.contains(">epoll"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!svg.contains("\n\n"), "{svg}");
    }
}

#[test]
fn the_recorded_lines_lie_beneath_and_have_other_names() {
    let svg = svg(&chart(Kind::Line), "x", Some(&chart(Kind::Line)));
    assert_eq!(svg.matches("class=\"recorded\"").count(), 4, "{svg}");
    assert!(svg.contains("epoll/1, book"), "{svg}");
    assert!(svg.contains("id=\"own-x-w-t\""), "both may be in one page: {svg}");
}

#[test]
fn zero_has_a_place_on_a_logarithmic_axis() {
    let svg = svg(&chart(Kind::Line), "x", None);
    assert!(svg.contains("data-x=\"0 2 zero\""), "{svg}");
}

#[test]
fn axes_to_draw_into_do_not_reveal_the_lines() {
    let svg = blank(&chart(Kind::Line), "x");
    assert!(svg.contains("a &lt; b") && !svg.contains("two lines"), "{svg}");
}

#[test]
fn numbers_are_short_where_decades_are_close() {
    let series = [Series::plain("poll", [(1.0, 1.0), (100_000.0, 2.0)])];
    let svg = svg(&Chart { series: series.into(), ..chart(Kind::Line) }, "x", None);
    let (wide, narrow) = svg.split_once("</svg>").expect("two sizes");
    assert!(wide.contains(">10,000<") && wide.contains(">100,000<"), "{wide}");
    assert!(narrow.contains(">10k<") && narrow.contains(">100k<"), "{narrow}");
}

#[test]
fn nothing_measured_yet_is_a_chart_too() {
    for kind in [Kind::Line, Kind::Bar, Kind::Heat] {
        let empty = Chart { series: Vec::new(), ..chart(kind) };
        assert!(svg(&empty, "x", None).ends_with("</svg>\n"));
        assert!(!svg(&empty, "x", None).contains("NaN"));
    }
}

#[test]
fn names_are_moved_apart_around_the_middle_and_no_other_is_moved() {
    let apart = |wishes: &[f64]| line::spread_labels(wishes, 40.0, 324.0);
    assert_eq!(apart(&[100.0, 100.0, 100.0, 180.0]), [84.0, 100.0, 116.0, 180.0]);
    assert_eq!(apart(&[100.0, 200.0]), [100.0, 200.0]);
    assert_eq!(apart(&[40.0, 41.0]), [40.0, 56.0], "kept on the sheet");
    assert_eq!(apart(&[320.0, 324.0]), [308.0, 324.0], "kept on the sheet");
    assert_eq!(apart(&[]), [0.0; 0]);
}

#[test]
fn names_that_are_far_from_their_lines_have_leaders() {
    let ends = |lines: &[(&str, f64)]| {
        let series = lines.iter().map(|&(name, y)| Series::plain(name, [(1.0, y)]));
        svg(&Chart { series: series.collect(), ..chart(Kind::Line) }, "x", None)
    };
    let (two, three) = ([("a", 5.0), ("b", 5.0)], [("a", 5.0), ("b", 5.0), ("c", 5.0)]);
    assert!(!ends(&two).contains("leader"), "each beside its own end");
    assert_eq!(ends(&three).matches("leader").count(), 6, "in both sizes");
    let apart = ends(&[&three[..], &[("d", 500.0)]].concat());
    assert_eq!(apart.matches("leader").count(), 6, "the fourth is beside its end");
}
