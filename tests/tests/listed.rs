//! Tests that every test of a chapter and of the book runs. These packages list their test programs
//! themselves (`autotests = false`), and most tests are modules of one program, `library.rs` or
//! `all.rs`: a file that is neither listed nor a module is never compiled.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the Rust files below `directory`.
fn rust_files(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the files below the folder `tests` of `package` that belong to no test program.
fn unlisted(package: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let manifest = fs::read_to_string(package.join("Cargo.toml"))?;
    let tests = package.join("tests");
    if !tests.is_dir() {
        return Ok(Vec::new());
    }
    let all = rust_files(&tests)?;
    let sources: Vec<String> =
        all.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let is_declared = |line: String| {
        let mut lines = sources.iter().flat_map(|source| source.lines());
        let plain = |own: &str| own.trim().replace("pub(crate) ", "").replace("pub ", "");
        lines.any(|own| plain(own) == line)
    };
    let is_listed = |path: &PathBuf| {
        let (Some(name), Some(parent)) = (path.file_stem(), path.parent()) else {
            return false;
        };
        let name = name.to_string_lossy();
        if parent != tests {
            // A file in a folder below `tests` is compiled only if a `mod` declares it as a module;
            // the module of a file `mod.rs` has the name of its directory.
            let directory = parent.file_name().unwrap_or_default().to_string_lossy();
            let module = if name == "mod" { &directory } else { &name };
            return is_declared(format!("mod {module};"));
        }
        !manifest.contains("autotests = false")
            || manifest.lines().any(|line| line == format!("name = \"{name}\""))
            || is_declared(format!("mod {name};"))
    };
    Ok(all.iter().filter(|path| !is_listed(path)).cloned().collect())
}

#[test]
fn every_test_of_a_chapter_and_of_the_book_runs() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut packages, mut missing) = (0, Vec::new());
    for entry in fs::read_dir(workspace)? {
        let package = entry?.path();
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ch0") || name == "book" {
            packages += 1;
            missing.extend(unlisted(&package)?);
        }
    }
    assert!(packages > 1, "no chapter is found");
    assert!(
        missing.is_empty(),
        "add each to tests/library.rs or tests/all.rs (`mod NAME;`) or Cargo.toml ([[test]]): {missing:#?}"
    );
    Ok(())
}

#[test]
fn a_test_without_its_line_is_noticed() -> Result<(), Box<dyn Error>> {
    let package = tempfile::tempdir()?;
    let tests = package.path().join("tests");
    fs::create_dir_all(tests.join("helpers"))?;
    let manifest = "autotests = false\n\n[[test]]\nname = \"library\"\n";
    fs::write(package.path().join("Cargo.toml"), manifest)?;
    fs::write(tests.join("library.rs"), "mod listed;\n")?;
    fs::write(tests.join("listed.rs"), "")?;
    assert_eq!(unlisted(package.path())?, Vec::<PathBuf>::new());
    fs::write(tests.join("forgotten.rs"), "")?;
    fs::write(tests.join("helpers/mod.rs"), "")?;
    let mut found = unlisted(package.path())?;
    found.sort();
    assert_eq!(found, [tests.join("forgotten.rs"), tests.join("helpers/mod.rs")]);
    Ok(())
}
