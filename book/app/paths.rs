//! The directories of the book and of the checkout around it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The directories of one checkout.
#[derive(Debug, Clone)]
pub struct Paths {
    book: PathBuf,
}

impl Paths {
    /// Returns the paths of the book in the directory `named`. `None` stands for the directory from
    /// which the running program was compiled, so that the program can be started from anywhere.
    ///
    /// # Errors
    ///
    /// The directory has no book.toml, or its path cannot be resolved.
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

    /// Returns the book's directory, which contains book.toml.
    pub fn book(&self) -> &Path {
        &self.book
    }

    /// Returns the directory of the pages' Markdown.
    pub fn src(&self) -> PathBuf {
        self.book.join("src")
    }

    /// Returns the directory of the files that this program writes for pages to include.
    pub fn generated(&self) -> PathBuf {
        self.book.join("src/generated")
    }

    /// Returns the directory of the recorded results, which the book shows.
    pub fn recorded(&self) -> PathBuf {
        self.book.join("results")
    }

    /// Returns the directory of the reader's own results and predictions.
    pub fn own(&self) -> PathBuf {
        self.checkout().join("target/lab")
    }

    /// Returns the root of the checkout: the Cargo workspace that contains the book.
    pub fn checkout(&self) -> &Path {
        self.book.parent().unwrap_or(&self.book)
    }
}
