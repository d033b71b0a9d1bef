//! Tests that the pages obey the book's rules for links, anchors, includes, figures and numbers.

use book::checks;
use book::paths::Paths;
use book::render::render;
use client_suite::matrix::Layout;

#[test]
fn the_checks_find_no_problem() {
    let paths = Paths::find(None).expect("the book is in the checkout");
    let out = tempfile::tempdir().expect("a directory");
    let rendered =
        render(&paths, &out.path().join("book")).expect("the book can be rendered");
    let problems = checks::all(&paths, &rendered).expect("the pages can be read");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// The number of the last chapter whose servers the matrix of servers and test cases contains.
const LEVEL: u8 = 6;

#[test]
fn the_matrix_is_the_suites_own() {
    let paths = Paths::find(None).expect("the book is in the checkout");
    for (file, layout, option) in
        [("matrix.md", Layout::Columns, ""), ("matrix-rows.md", Layout::Rows, " --rows")]
    {
        let path = paths.src().join("generated").join(file);
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == client_suite::matrix::markdown(LEVEL, layout),
            "renew it: cargo run -q -p client-suite -- matrix --level ch06{option} > book/src/generated/{file}"
        );
    }
}

#[test]
fn the_debugger_stops_where_the_page_says() {
    let paths = Paths::find(None).expect("the book is in the checkout");
    let page =
        std::fs::read_to_string(paths.src().join("ch06-deeper.md")).expect("chapter 6");
    let program = paths.checkout().join("ch06-coroutines/examples/deep.rs");
    let program = std::fs::read_to_string(program).expect("chapter 6's example");
    let (_, number) = page.split_once("(gdb) break deep.rs:").expect("a breakpoint");
    let number: usize = number
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a line's number");
    let line = program.lines().nth(number - 1).unwrap_or_default();
    assert!(line.contains("coroutine.resume()"), "line {number} is no resume: {line}");
}
