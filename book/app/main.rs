//! The program `book`. Without a subcommand (`cargo run --release`), renders the book and serves
//! it; every other function of the book is a subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use book::paths::Paths;
use book::{checks, derived, durations, lab, render, serve, transcripts};
use clap::{Args, Parser, Subcommand};

/// Renders the book and serves it.
#[derive(Parser)]
#[command(name = "book", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    how: Serve,

    /// The book's source directory, which contains book.toml [default: where it was when this program was compiled]
    #[arg(long, value_name = "DIR", global = true)]
    book: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The options of the program without a subcommand, which renders and serves the book.
#[derive(Args)]
struct Serve {
    /// Address and port to serve the book on; port 0 lets the system choose the port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// Open the book in a web browser
    #[arg(short, long)]
    open: bool,

    /// Render the book and exit, without serving it
    #[arg(long)]
    no_serve: bool,

    /// Directory for the rendered book [default: target/book in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Program to run in place of any experiment that a page starts, for tests of the pages
    #[arg(long, value_name = "PROGRAM", hide = true)]
    rehearse: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the scenarios again and write the transcripts that have changed
    Transcripts {
        /// Scenarios to run [default: all]
        names: Vec<String>,

        /// Write nothing; fail if the output of a scenario differs from its transcript
        #[arg(long)]
        check: bool,
    },
    /// Measure a figure of the book on this machine; without a name, list the experiments
    Lab {
        /// Name of the experiment; `report` makes one page of all your own results
        name: Option<String>,
        #[command(flatten)]
        how: lab::RunArgs,
        /// Options of `lab hold`
        #[cfg(target_os = "linux")]
        #[command(flatten)]
        hold: lab::HoldOptions,
        /// Options of `lab chaos`
        #[cfg(target_os = "linux")]
        #[command(flatten)]
        chaos: lab::ChaosOptions,
    },
    /// Compare the book's servers with servers in common use, side by side on this machine
    #[cfg(target_os = "linux")]
    Compare {
        #[command(flatten)]
        options: lab::CompareOptions,
        /// Store the result as the one that the book shows, instead of in target/lab; implies --full
        #[arg(long)]
        record: bool,
    },
    /// Write the parts derived from results, sources and pages: the tables of all servers, the index of system calls, reading times
    Parts,
    /// Run the slow commands that pages name, and record how long each takes
    Durations {
        /// Names of the commands to run [default: all]
        names: Vec<String>,
    },
    /// Check the pages: links, includes, pasted code, numbers typed by hand
    Check,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // `{:#}` prints the error and the chain of its causes in one line.
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
        Command::Durations { names } => {
            durations::record(&paths, &names)?;
            true
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
    // The port is bound before rendering. If another copy of the program already serves the book on
    // this port, binding fails, and the files that the other copy serves are not replaced.
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
