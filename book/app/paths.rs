//! Where things are: the book's directory and the checkout around it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The directories of one checkout.
#[derive(Debug, Clone)]
pub struct Paths {
    book: PathBuf,
}

impl Paths {
    /// Uses the directory `named`, or else the one that this program was compiled from, so
    /// that the program can be started from anywhere.
    ///
    /// # Errors
    ///
    /// The directory has no book.toml, or cannot be opened.
    pub fn find(named: Option<PathBuf>) -> Result<Self> {
        let book = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        ensure!(
            book.join("book.toml").is_file(),
            "no book.toml in {}: name the book's directory with --book DIR",
            book.display()
        );
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

    /// What the program writes for pages to include.
    pub fn generated(&self) -> PathBuf {
        self.book.join("src/generated")
    }

    /// The results that the book shows.
    pub fn recorded(&self) -> PathBuf {
        self.book.join("results")
    }

    /// The reader's own results and predictions.
    pub fn own(&self) -> PathBuf {
        self.checkout().join("target/lab")
    }

    /// The workspace around the book: what a reader would call "the checkout".
    pub fn checkout(&self) -> &Path {
        self.book.parent().unwrap_or(&self.book)
    }
}
