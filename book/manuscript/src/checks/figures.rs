//! Checks the figures, which are SVG files: a page must be able to include each figure, its colors
//! must follow the page's theme, and the figure must contain a description in words.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::html::tags;
use crate::files::{files, read};
use crate::problem::Problem;

/// Checks every SVG file below the directory `src`, and returns the problems found: ids in more
/// than one figure, fixed colors, missing descriptions, and the like.
pub(super) fn check(src: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for path in files(src, "svg")? {
        let name = path.strip_prefix(src).unwrap_or(&path);
        let text = read(&path)?;
        problems.extend(of_figure(name, &text));
        for id in tags(&text).iter().filter_map(|tag| tag.get("id")) {
            // Two figures may be on the same page, and an id must be unique in a page, so all
            // figures together must not use an id twice.
            if let Some(other) = ids.insert(id.to_owned(), name.display().to_string()) {
                let what = format!(
                    "the id {id:?} is in {other} too: begin it with the figure's name"
                );
                problems.push(Problem::in_file(name, what));
            }
        }
    }
    Ok(problems)
}

fn of_figure(name: &Path, text: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(at) = text.trim_end().find("\n\n") {
        let what = "an empty line: Markdown ends the figure there; take it out";
        found.push(Problem::at(name, text, at + 1, what));
    }
    let mut wrong = |what: String| found.push(Problem::in_file(name, what));
    let tags = tags(text);
    let count = |wanted: &str| tags.iter().filter(|tag| tag.name == wanted).count();
    let drawings = count("svg");
    if drawings == 0 {
        wrong("no <svg> in it".into());
    }
    for part in ["title", "desc"] {
        if count(part) < drawings {
            wrong(format!("every <svg> needs a <{part}>, for readers who do not see it"));
        }
    }
    for tag in &tags {
        match tag.name.as_str() {
            "svg" => {
                // `aria-labelledby` must name the title alone: a screen reader would read the
                // description twice if the figure's name contained it.
                let named =
                    tag.get("aria-labelledby").is_some_and(|id| !id.contains(' '));
                if !named || tag.get("aria-describedby").is_none() {
                    wrong("an <svg> needs aria-labelledby (its title) and aria-describedby (its desc)".into());
                }
                if tag.get("viewbox").is_none() || tag.get("role") != Some("img") {
                    wrong("an <svg> needs a viewBox (to scale) and role=\"img\"".into());
                }
            }
            "style" | "script" | "image" | "foreignobject" => wrong(format!(
                "<{}> does not belong in a figure: use the classes of style/book.css",
                tag.name
            )),
            _ => {}
        }
        for (attribute, value) in &tag.attributes {
            let fixed =
                matches!(attribute.as_str(), "fill" | "stroke" | "style" | "font-family")
                    && !matches!(value.as_str(), "none" | "currentColor")
                    && !value.contains("var(");
            if fixed {
                wrong(format!(
                    "{attribute}={value:?} does not follow the theme: use a class of style/book.css"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "<svg viewBox=\"0 0 9 9\" role=\"img\" aria-labelledby=\"t\" aria-describedby=\"d\">\n\
        <title id=\"t\">t</title>\n<desc id=\"d\">d</desc>\n<path class=\"line\" d=\"M0 0\"/>\n</svg>\n";

    #[test]
    fn a_good_figure_passes() {
        assert_eq!(of_figure(Path::new("x.svg"), GOOD), []);
    }

    #[test]
    fn bad_figures_are_found() {
        for (from, to) in [
            ("<title id=\"t\">t</title>\n", "\n"),
            ("<desc id=\"d\">d</desc>\n", ""),
            ("aria-labelledby=\"t\" aria-describedby=\"d\"", "aria-labelledby=\"t d\""),
            ("viewBox", "view"),
            ("class=\"line\"", "fill=\"#000\""),
            ("<path", "<style>p{}</style><path"),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(of_figure(Path::new("x.svg"), &bad), [], "{to}");
        }
    }
}
