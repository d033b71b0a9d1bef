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
