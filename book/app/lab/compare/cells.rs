//! What the servers are compared in.

use std::path::PathBuf;
use std::{fs, io};

use anyhow::{Context, Result, bail};

use crate::house::House;

/// One kind of load.
#[derive(Debug)]
pub(super) struct Cell {
    /// On the command line and in the record.
    pub(super) name: &'static str,
    /// In the tables.
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) connections: usize,
    /// Requests that each connection has under way.
    pub(super) depth: usize,
    /// Connections beside these that say nothing.
    pub(super) idle: usize,
}

const HELLO: &str = "/plaintext";
const SMALL: (&str, usize) = ("small.bin", 10 * 1024);
const LARGE: (&str, usize) = ("large.bin", 1024 * 1024);
const IDLE: usize = 10_000;

const fn hello(
    name: &'static str,
    title: &'static str,
    [connections, depth, idle]: [usize; 3],
) -> Cell {
    Cell { name, title, path: HELLO, connections, depth, idle }
}

const CELLS: [Cell; 8] = [
    hello("64x1", "64 × 1", [64, 1, 0]),
    hello("64x16", "64 × 16 deep", [64, 16, 0]),
    hello("1000x1", "1,000 × 1", [1_000, 1, 0]),
    hello("64x1-idle", "64 × 1, 10,000 idle", [64, 1, IDLE]),
    hello("64x16-idle", "64 × 16 deep, 10,000 idle", [64, 16, IDLE]),
    hello("1000x1-idle", "1,000 × 1, 10,000 idle", [1_000, 1, IDLE]),
    Cell { path: "/small.bin", ..hello("small", "64 × 1, 10 KiB file", [64, 1, 0]) },
    Cell { path: "/large.bin", ..hello("large", "64 × 1, 1 MiB file", [64, 1, 0]) },
];
/// The name of what is no load: the memory of idle connections.
const MEMORY: &str = "memory";

impl Cell {
    /// Whether a server must have files for it.
    pub(super) fn is_file(&self) -> bool {
        self.path != HELLO
    }
}

/// The cells of these names; of none, all.
pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static Cell>> {
    for name in names {
        let known =
            ["list", MEMORY].into_iter().chain(CELLS.iter().map(|cell| cell.name));
        if !known.into_iter().any(|known| known == name) {
            bail!("nothing is called {name}; `compare --cells list` lists what there is");
        }
    }
    let chosen = |cell: &&Cell| names.is_empty() || names.iter().any(|n| n == cell.name);
    Ok(CELLS.iter().filter(chosen).collect())
}

/// Whether memory is to be weighed.
pub(super) fn weighed(names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| name == MEMORY)
}

/// Their names, for people.
pub(super) fn list() -> String {
    let loads = CELLS.iter().map(|cell| (cell.name, cell.title));
    loads
        .chain([(MEMORY, "memory of an idle connection")])
        .map(|(name, title)| format!("{name:<12} {title}\n"))
        .collect()
}

/// Makes the directory with the files that are asked for, anew.
pub(super) fn site(house: &House) -> Result<PathBuf> {
    let site = house.checkout().join("target/lab/site");
    let made = || -> io::Result<()> {
        if site.exists() {
            fs::remove_dir_all(&site)?;
        }
        fs::create_dir_all(&site)?;
        for (name, length) in [SMALL, LARGE] {
            fs::write(site.join(name), vec![b'x'; length])?;
        }
        Ok(())
    };
    made().with_context(|| format!("cannot make {}", site.display()))?;
    Ok(site)
}
