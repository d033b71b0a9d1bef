//! From Markdown to HTML, through mdBook's library: nothing to install, nothing fetched.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, bail};
use mdbook_driver::MDBook;

use crate::paths::Paths;

/// Renders the book into `out` and returns that directory's full name.
pub fn render(paths: &Paths, out: &Path) -> Result<PathBuf> {
    let out = absolute(out).context("cannot tell the current directory")?;
    refuse_foreign(&out)?;
    let mut book = MDBook::load(paths.book())
        .with_context(|| format!("cannot read the book in {}", paths.book().display()))?;
    book.config.build.build_dir.clone_from(&out);
    book.build()
        .with_context(|| format!("cannot render the book to {}", out.display()))?;
    Ok(out)
}

/// Rendering empties its directory first, so `--out ~` would be a disaster:
/// only an empty directory, or one that holds a rendered book, will do.
fn refuse_foreign(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(out).with_context(|| {
        format!("{} is no directory that a book can go to", out.display())
    })?;
    let ours = out.join(".nojekyll").is_file() && out.join("print.html").is_file();
    if entries.next().is_some() && !ours {
        bail!(
            "{} holds something that is no rendered book, and rendering would delete it: \
             choose an empty directory with --out",
            out.display()
        );
    }
    Ok(())
}
