//! Renders Markdown to HTML through mdBook's library, so that the reader need not install mdBook
//! and nothing is downloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};
use std::sync::LazyLock;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use manuscript::files::{files, latest_change, modified, read};
use manuscript::listings::Listings;
use mdbook_driver::MDBook;
use mdbook_driver::builtin_renderers::MarkdownRenderer;
use regex::Regex;
use serde_json::Value;

use crate::paths::Paths;

/// The name of the file that marks a rendering as complete: it is written last, so an interrupted
/// rendering lacks it. Its modification time is set to the time at which the rendering began.
const STAMP: &str = ".rendered";

/// Renders the book into the directory `out`, unless `out` already holds a rendering that is up to
/// date. Returns the absolute path of `out`.
pub fn render(paths: &Paths, out: &Path) -> Result<PathBuf> {
    let out = absolute(out).context("cannot determine the current directory")?;
    refuse_foreign(&out)?;
    if is_up_to_date(paths, &out)? {
        return Ok(out);
    }
    let begin = SystemTime::now();
    let mut book = MDBook::load(paths.book())
        .with_context(|| format!("cannot read the book in {}", paths.book().display()))?;
    book.config.build.build_dir.clone_from(&out);
    let mut listings = Listings::new(paths.checkout());
    book.book.for_each_chapter_mut(|chapter| {
        if let Some(page) = chapter.path.clone() {
            chapter.content = listings.rewrite(&page, &chapter.content);
        }
    });
    book.build()
        .with_context(|| format!("cannot render the book to {}", out.display()))?;
    listings.write_sources(&out)?;
    replace_index(&book, &out).context("cannot make the search index")?;
    fs::File::create(out.join(STAMP))
        .and_then(|stamp| stamp.set_modified(begin))
        .with_context(|| format!("cannot write to {}", out.display()))?;
    Ok(out)
}

/// Returns whether the rendering in `out` began after the last change of the book's program and of
/// every file in the checkout. (Every file counts, because pages include sources of all chapters.)
/// Returns false if the environment changes mdBook's configuration.
fn is_up_to_date(paths: &Paths, out: &Path) -> Result<bool> {
    if env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"MDBOOK_")) {
        return Ok(false);
    }
    let Ok(rendered) = modified(&out.join(STAMP)) else { return Ok(false) };
    let program = env::current_exe().context("cannot determine this program's path")?;
    Ok(modified(&program)? < rendered && latest_change(paths.checkout(), out)? < rendered)
}

/// A pattern that matches the parts of a page that the search index leaves out: listings, drawings,
/// tables of figures, and folded text whose `<details>` has no class, such as a solution.
/// Predictions are in `<details>` with a class, so they stay in the index.
static NOT_TEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?ms)^ *```.*?^ *```[ \t]*$|<svg.*?</svg>|<div class="measured".*?^</div>|^<details>.*?^</details>"#,
    )
    .ok()
});

/// Replaces mdBook's search index by a smaller one, which covers only the pages' prose and is
/// packed (see [`pack`]). Listings and figures would double the index's size, and readers do not
/// search for them.
fn replace_index(book: &MDBook, out: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut config = book.config.clone();
    dir.path().clone_into(&mut config.build.build_dir);
    config.build.use_default_preprocessors = false; // the texts are preprocessed already
    let (mut texts, _) = book.preprocess_book(&MarkdownRenderer::new())?;
    texts.for_each_chapter_mut(|chapter| {
        if let Some(pattern) = NOT_TEXT.as_ref() {
            chapter.content = pattern.replace_all(&chapter.content, "").into_owned();
        }
    });
    let mut plain = MDBook::load_with_config(&book.root, config)?;
    plain.book = texts;
    plain.build()?;
    let script = read(&index_in(dir.path())?)?;
    // mdBook's script with the search index ends in `… JSON.parse('…'));`.
    let (_, rest) = script.split_once('\'').context("mdBook's script has no JSON")?;
    let (json, _) = rest.rsplit_once('\'').context("mdBook's JSON has no end")?;
    let mut index: Value =
        serde_json::from_str(&json.replace("\\'", "'").replace("\\\\", "\\"))?;
    let fields = index["index"]["index"]
        .as_object_mut()
        .context("mdBook's index has no fields")?;
    for field in fields.values_mut() {
        let mut words = Vec::new();
        pack(&field["root"], "", &mut words);
        *field = words.join("\n").into();
    }
    let store = &mut index["index"]["documentStore"];
    without_names(&mut store["docs"], &["body", "breadcrumbs", "title"]);
    without_names(&mut store["docInfo"], &["body", "breadcrumbs", "title"]);
    let json = index.to_string().replace('\\', "\\\\").replace('\'', "\\'");
    let assign = "window.search = Object.assign(window.search, unpack";
    let script = format!("{UNPACK}{assign}(JSON.parse('{json}')));\n");
    Ok(fs::write(index_in(out)?, script)?)
}

/// The JavaScript function that restores, in the browser, the index that [`pack`] has packed.
const UNPACK: &str = include_str!("search_index.js");

fn index_in(rendered: &Path) -> Result<PathBuf> {
    let is_index = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("searchindex"))
    };
    files(rendered, "js")?
        .into_iter()
        .find(is_index)
        .context("mdBook has written no index")
}

/// Appends a line to `words` for each word in the subtree of `node`, a node of mdBook's letter
/// tree. The letters on the path from the tree's root to `node` spell `word`. A line begins with
/// its word, and lists the sections that contain the word. Each section is given by the amount, in
/// base 36, by which its number exceeds that of the previous section in the same line (0 before the
/// first), and by the word's frequency unless that is 1.
fn pack(node: &Value, word: &str, words: &mut Vec<String>) {
    let sections = node["docs"].as_object().into_iter().flatten();
    let sections: BTreeMap<u32, &Value> = sections
        .filter_map(|(section, frequency)| Some((section.parse().ok()?, frequency)))
        .collect();
    let mut line = word.to_owned();
    let mut last = 0;
    for (section, frequency) in sections {
        let tenths = (frequency["tf"].as_f64().unwrap_or(1.0) * 10.0).round() / 10.0;
        let distance = base_36(section - last);
        line += &match tenths {
            1.0 => format!(" {distance}"),
            _ => format!(" {distance}:{tenths}"),
        };
        last = section;
    }
    if line.len() > word.len() {
        words.push(line);
    }
    for (letter, next) in node.as_object().into_iter().flatten() {
        if letter != "docs" && letter != "df" {
            pack(next, &format!("{word}{letter}"), words);
        }
    }
}

fn base_36(number: u32) -> String {
    let mut digits = if number < 36 { String::new() } else { base_36(number / 36) };
    digits.extend(char::from_digit(number % 36, 36));
    digits
}

/// Replaces each object of `store` by an array of its values for `fields`, whose names would
/// otherwise stand in the index once for each section.
fn without_names(store: &mut Value, fields: &[&str]) {
    for section in store.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        let values = fields.iter().map(|field| section[*field].take());
        *section = values.collect::<Vec<_>>().into();
    }
}

/// Fails if the directory `out` holds anything but a rendered book. Rendering first empties the
/// directory, so `--out ~` would delete the reader's files.
fn refuse_foreign(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(out).with_context(|| {
        format!("cannot render into {}: it is not a readable directory", out.display())
    })?;
    let ours = out.join(".nojekyll").is_file() && out.join("print.html").is_file();
    if entries.next().is_some() && !ours {
        bail!(
            "{} holds files that are not a rendered book, and rendering would delete them: \
             choose an empty directory with --out",
            out.display()
        );
    }
    Ok(())
}
