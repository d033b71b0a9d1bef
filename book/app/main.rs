//! `cargo run --release`: renders the book and serves it. Everything else that
//! the book can do is a subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use book::paths::Paths;
use book::{checks, derived, lab, render, serve, transcripts};
use clap::{Args, Parser, Subcommand};

/// Renders the book and serves it.
#[derive(Parser)]
#[command(name = "book", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    how: Serve,

    /// The book's own directory, the one with book.toml [default: where it was when this program was compiled]
    #[arg(long, value_name = "DIR", global = true)]
    book: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The options without a subcommand.
#[derive(Args)]
struct Serve {
    /// Where to serve the book; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// Open the book in a web browser
    #[arg(short, long)]
    open: bool,

    /// Render only
    #[arg(long)]
    no_serve: bool,

    /// Where the rendered book goes [default: target/book in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run this program instead of an experiment from a page: for tests of the pages
    #[arg(long, value_name = "PROGRAM", hide = true)]
    rehearse: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the transcripts' scenarios again and write what changed
    Transcripts {
        /// Only these [default: all]
        names: Vec<String>,

        /// Write nothing; fail if a transcript is no longer what really happens
        #[arg(long)]
        check: bool,
    },
    /// Measure a figure of the book on this machine; without a name, list what can be measured
    Lab {
        /// The experiment; `report` makes one page of everything that you have run
        name: Option<String>,
        #[command(flatten)]
        how: lab::RunArgs,
        /// Of `lab hold`: how many, and whose
        #[cfg(target_os = "linux")]
        #[command(flatten)]
        hold: lab::HoldOptions,
        /// Of `lab chaos`: how long
        #[cfg(target_os = "linux")]
        #[command(flatten)]
        chaos: lab::ChaosOptions,
    },
    /// Compare servers of the book with others that people run, side by side on this machine
    #[cfg(target_os = "linux")]
    Compare {
        #[command(flatten)]
        options: lab::CompareOptions,
        /// Make this the result that the book shows, instead of keeping it in target/lab
        #[arg(long)]
        record: bool,
    },
    /// One measurement of an experiment, in a process of its own
    #[command(hide = true)]
    Measure {
        /// The experiment
        experiment: String,
        /// What
        what: String,
        /// How many
        count: usize,
    },
    /// Write again what follows from results and sources: the table of all stages, the index of system calls, minutes
    Parts,
    /// Check the pages: links, includes, pasted code, numbers typed by hand
    Check,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // One line: the chain of causes behind what the reader can do about it.
        Err(error) => {
            eprintln!("book: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let paths = Paths::find(cli.book)?;
    let Some(command) = cli.command else {
        return render_and_serve(&paths, cli.how);
    };
    let recorded = match command {
        Command::Transcripts { names, check } => {
            return transcripts::command(&paths, &names, check);
        }
        #[cfg(target_os = "linux")]
        Command::Lab { name: Some(name), hold, how, .. } if name == "hold" => {
            lab::hold(&paths, &hold, how)?;
            how.record
        }
        #[cfg(target_os = "linux")]
        Command::Lab { name: Some(name), chaos, how, .. } if name == "chaos" => {
            lab::chaos(&paths, &chaos, how)?;
            how.record
        }
        Command::Lab { name, how, .. } => {
            lab::command(&paths, name.as_deref(), how)?;
            how.record
        }
        #[cfg(target_os = "linux")]
        Command::Compare { options, record } => {
            lab::compare(&paths, &options, record)?;
            record
        }
        Command::Measure { experiment, what, count } => {
            return lab::measure(&experiment, &what, count);
        }
        Command::Parts => true,
        Command::Check => return check(&paths),
    };
    if recorded { derived::write(&paths) } else { Ok(()) }
}

fn render_and_serve(paths: &Paths, how: Serve) -> Result<()> {
    let out = how.out.unwrap_or_else(|| paths.checkout().join("target/book"));
    if how.no_serve {
        let index = render::render(paths, &out)?.join("index.html");
        println!("rendered to {}", index.display());
        if how.open {
            opener::open(&index).context("cannot open a browser")?;
        }
        return Ok(());
    }
    // The port first: a second copy must not re-render under the feet of the one that runs.
    let listener = serve::bind(how.listen)?;
    let out = render::render(paths, &out)?;
    serve::serve(paths, listener, &out, how.open, how.rehearse)
}

fn check(paths: &Paths) -> Result<()> {
    let out = tempfile::tempdir()?;
    let rendered = render::render(paths, &out.path().join("book"))?;
    let problems = checks::all(paths, &rendered)?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 problem in the pages"),
        n => bail!("{n} problems in the pages"),
    }
}
