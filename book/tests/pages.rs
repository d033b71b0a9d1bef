//! The pages keep the book's rules: links, anchors, includes, figures, numbers.

use book::checks;
use book::house::House;
use book::render::render;

#[test]
fn nothing_is_wrong_with_the_pages() {
    let house = House::find(None).expect("the book is in the checkout");
    let out = tempfile::tempdir().expect("a directory");
    let rendered =
        render(&house, &out.path().join("book")).expect("the book can be rendered");
    let problems = checks::all(&house, &rendered).expect("the pages can be read");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// The servers that this edition has: those of all chapters.
const LEVEL: u8 = 6;

#[test]
fn the_matrix_is_the_suites_own() {
    let house = House::find(None).expect("the book is in the checkout");
    let path = house.src().join("generated/matrix.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == client_suite::matrix::markdown(LEVEL),
        "renew it: cargo run -q -p client-suite -- matrix --level ch06 > book/src/generated/matrix.md"
    );
}
