//! Where things are: the book's directory and the checkout around it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The book's directory, found.
#[derive(Debug, Clone)]
pub struct House {
    book: PathBuf,
}

impl House {
    /// The directory that the reader named, or else the one that this program
    /// was compiled from, so that it can be started from anywhere.
    pub fn find(named: Option<PathBuf>) -> Result<Self> {
        let book = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        if !book.join("book.toml").is_file() {
            bail!(
                "no book.toml in {}: name the book's directory with --book DIR",
                book.display()
            );
        }
        let book = book
            .canonicalize()
            .with_context(|| format!("cannot open {}", book.display()))?;
        Ok(Self { book })
    }

    /// The directory with book.toml.
    pub fn book(&self) -> &Path {
        &self.book
    }

    /// The pages.
    pub fn src(&self) -> PathBuf {
        self.book.join("src")
    }

    /// The workspace around the book: what a reader would call "the checkout".
    pub fn checkout(&self) -> &Path {
        self.book.parent().unwrap_or(&self.book)
    }

    /// Where the rendered book goes if nobody says otherwise.
    pub fn default_out(&self) -> PathBuf {
        self.checkout().join("target/book")
    }
}
