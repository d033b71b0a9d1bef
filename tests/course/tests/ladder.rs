//! Tests that the ladder, the ordered list of the course's steps, fits the book's pages
//! and source code, and that the files that `course new` writes compile offline and
//! without a warning.
//!
//! A step's gate is the list of checks that must pass at the step. Another command,
//! `cargo run -p course -- gates`, proves that these checks fail while the step's code
//! is missing, and pass with the book's code; `.ci/run` runs it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use anyhow::{Context as _, ensure};
use course::ladder::{DEEP, Track, checkout, read};
use course::{cutter, starter, work};

/// Returns the anchor of a heading, as the book's renderer makes it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn each_step_has_its_place_in_the_book() -> anyhow::Result<()> {
    let tracks = [Track::main()?, Track::load(DEEP)?];
    let mut names = BTreeSet::new();
    for (track, step) in tracks.iter().flat_map(|t| t.steps.iter().map(move |s| (t, s))) {
        ensure!(names.insert(&step.name), "two steps are called {}", step.name);
        let (page, section) = step.page.split_once('#').context("no section")?;
        let text = read(&checkout().join("book/src").join(page))?;
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let mut slugs = headings.map(|line| slug(line.trim_start_matches('#')));
        ensure!(slugs.any(|slug| slug == section), "{}: no {}", step.name, step.page);
        // The step's page has the step's title in italics, such as `*Step: Close the queue.*`. A
        // title that ends with `?` gets no full stop.
        let stop = if step.title.ends_with('?') { "" } else { "." };
        let kind = if track.is_workspace() { "Deep step" } else { "Step" };
        let is_named = text.contains(&format!("*{kind}: {}{stop}*", step.title));
        ensure!(is_named, "{page} does not name {}", step.title);
        ensure!(!track.gate(step)?.is_empty(), "{} has an empty gate", step.name);
    }
    Ok(())
}

#[test]
fn each_hole_is_in_the_source_and_in_the_starter() -> anyhow::Result<()> {
    for track in [Track::main()?, Track::load(DEEP)?] {
        let starter = starter::sources(&track, 0)?;
        let filled = starter::sources(&track, track.steps.len())?;
        for hole in track.steps.iter().flat_map(|step| &step.holes) {
            for files in [&starter, &filled] {
                let found = cutter::find(&files[hole.file()], hole.address());
                found.map_err(|why| anyhow::anyhow!("{}: {why}", hole.at))?;
            }
        }
        for (file, text) in &filled {
            ensure!(!text.contains("ANCHOR"), "{file} has an anchor");
            let foreign = text.contains("ch0") && !track.is_workspace();
            ensure!(!foreign, "{file} names a crate of the book");
        }
    }
    Ok(())
}

#[test]
fn a_chapter_is_copied_with_holes_of_its_own() -> anyhow::Result<()> {
    let files = starter::files(&Track::load("ch05")?)?;
    for file in
        ["Cargo.toml", "ch01-blocking/Cargo.toml", "tests/src/lib.rs", "README.md"]
    {
        ensure!(files.contains_key(file), "no {file}");
    }
    ensure!(files["ch05-epoll/src/epoll.rs"].contains("todo!"));
    ensure!(!files["ch02-threadpool/src/queue.rs"].contains("todo!"));
    // Of the book's pages and files, only those that a test of the chapter reads are
    // copied.
    let mut pages = files.keys().filter(|file| file.starts_with("book"));
    ensure!(pages.all(|file| file.starts_with("book/src/deploy/")), "the book is copied");
    ensure!(Track::load("ch09").is_err());
    Ok(())
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    // All runs share one build directory, so that the libraries are built once.
    let target = checkout().join("target/course/try/target");
    let mut command = Command::new(program);
    command.current_dir(directory).args(arguments).env("CARGO_TARGET_DIR", target);
    Ok(command.output()?)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Compares the output of `cargo step` with the transcript in the book. `RECORD=1` renews the
/// transcript.
fn is_on_the_page(printed: &str) -> anyhow::Result<()> {
    let mut fresh = String::from("$ cargo step\n");
    for line in printed.lines() {
        let timed = line.strip_suffix(" s)").and_then(|line| line.rsplit_once('('));
        fresh += timed.map_or(line, |(rest, _)| rest.trim_end());
        fresh += "\n";
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/step.txt");
    if env::var_os("RECORD").is_some() {
        fs::write(&file, &fresh)?;
    }
    let recorded = read(&file)?;
    let same = around_failure(&recorded).is_some()
        && around_failure(&recorded) == around_failure(&fresh);
    ensure!(same, "RECORD=1 renews tests/step.txt:\n{fresh}");
    Ok(())
}

/// Returns the output before and after the description of a failed case. The
/// description varies, because the case is a race: the server closes a connection with
/// unread bytes, and the reset that follows may cut the server's response off.
fn around_failure(text: &str) -> Option<(&str, &str)> {
    let (before, failure) = text.split_once("\nexpected ")?;
    let (_, after) = failure.split_once("\n\n")?;
    Some((before, after))
}

#[test]
fn a_learner_begins() -> anyhow::Result<()> {
    let course = env!("CARGO_BIN_EXE_course");
    let base = checkout().join("target/course/try");
    let mine = base.join("mine");
    fs::create_dir_all(&base)?;
    if mine.exists() {
        fs::remove_dir_all(&mine)?;
    }
    let made = run(course, &base, &["new", "mine"])?;
    ensure!(made.status.success(), "{}", text(&made));

    // A second `course new` into the same directory fails.
    let again = run(course, &base, &["new", "mine"])?;
    ensure!(!again.status.success() && text(&again).contains("exists already"));

    // All files are in the first commit, whatever the user's git settings say.
    let status = run("git", &mine, &["status", "--porcelain"])?;
    ensure!(text(&status).is_empty(), "{}", text(&status));

    // The crate compiles without a warning.
    let cargo = work::cargo().to_string_lossy().into_owned();
    let built = run(&cargo, &mine, &["build", "--offline", "--locked", "--bins"])?;
    ensure!(built.status.success(), "{}", text(&built));
    ensure!(!text(&built).contains("warning"), "{}", text(&built));

    // The first step is red (a check fails), and the output has everything that the
    // learner needs.
    let step = run(course, &mine, &["step"])?;
    ensure!(step.status.code() == Some(1), "{}", text(&step));
    for part in [
        "Step 1 of ",
        "Red is expected",
        "ch01-small.html#forty-lines-small-hello",
        "src/bin/small-hello.rs:",
        "not yet implemented",
        "all that is left about ",
    ] {
        ensure!(text(&step).contains(part), "no `{part}` in\n{}", text(&step));
    }

    // `hint` gives three hints, and `show` prints the difference from the book's own
    // code.
    for part in ["hint 1 of 3", "hint 2 of 3", "The first half of main"] {
        let hint = run(course, &mine, &["step", "hint"])?;
        ensure!(text(&hint).contains(part), "{}", text(&hint));
    }
    let show = run(course, &mine, &["step", "show"])?;
    ensure!(
        text(&show).contains("+    let listener = TcpListener::bind"),
        "{}",
        text(&show)
    );

    // When the learner's file has the book's code for the first step, `cargo step` goes on to the
    // second step.
    let track = Track::main()?;
    let filled = starter::sources(&track, 1)?;
    let hello = "src/bin/small-hello.rs";
    fs::write(mine.join(hello), &filled[hello])?;
    let step = run(course, &mine, &["step"])?;
    ensure!(text(&step).contains("green   1"), "{}", text(&step));
    is_on_the_page(&text(&step))?;

    // `cargo step` reports a compile error.
    fs::write(mine.join(hello), "fn main() { nonsense }")?;
    let step = run(course, &mine, &["step"])?;
    ensure!(text(&step).contains("It does not compile"), "{}", text(&step));

    // `reset` keeps the learner's work in a branch.
    fs::write(mine.join(hello), filled[hello].replace("loop", "while true"))?;
    let reset = run(course, &mine, &["step", "reset"])?;
    ensure!(text(&reset).contains("before-reset-2-1"), "{}", text(&reset));
    let kept = run("git", &mine, &["show", "before-reset-2-1:src/bin/small-hello.rs"])?;
    ensure!(text(&kept).contains("while true"), "{}", text(&kept));

    // `update` merges another edition of the course into the learner's crate, and keeps
    // the learner's work.
    let mark = mine.join(".course.toml");
    let old = read(&mark)?;
    fs::write(&mark, old.replace("edition = \"", "edition = \"old-"))?;
    let spin = "src/bin/small-spin.rs";
    fs::write(
        mine.join(spin),
        filled[spin].replace("//! One thread", "//! My one thread"),
    )?;
    let step = run(course, &mine, &["step"])?;
    ensure!(text(&step).contains("`cargo step update` takes over"), "{}", text(&step));
    let update = run(course, &mine, &["step", "update"])?;
    ensure!(update.status.success(), "{}", text(&update));
    ensure!(text(&update).contains("before-update-1"), "{}", text(&update));
    ensure!(read(&mine.join(spin))?.contains("//! My one thread"), "the work is lost");
    Ok(())
}

/// Runs git in a learner's crate, as the learner. Returns the output.
fn git(mine: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let user = ["-c", "user.name=learner", "-c", "user.email=learner@localhost"];
    let output = run("git", mine, &[&user, arguments].concat())?;
    ensure!(output.status.success(), "{}", text(&output));
    Ok(text(&output))
}

#[test]
fn an_update_with_conflicts_keeps_the_work() -> anyhow::Result<()> {
    let course = env!("CARGO_BIN_EXE_course");
    let base = tempfile::tempdir()?;
    let made = run(course, base.path(), &["new", "mine"])?;
    ensure!(made.status.success(), "{}", text(&made));
    let mine = base.path().join("mine");
    let (spin, mark) = ("src/bin/small-spin.rs", ".course.toml");
    let change = |file: &str, from: &str, to: &str| -> anyhow::Result<()> {
        let text = read(&mine.join(file))?;
        ensure!(text.contains(from), "{file} has no {from}");
        Ok(fs::write(mine.join(file), text.replacen(from, to, 1))?)
    };

    // Makes a conflict: the starter from which the crate seems to come has another
    // first line in one file, and the learner has changed the same line.
    change(spin, "//! ", "//! Once: ")?;
    change(mark, "edition = \"", "edition = \"old-")?;
    git(&mine, &["commit", "--quiet", "--all", "--message=An old starter"])?;
    git(&mine, &["branch", "--force", "starter"])?;
    change(spin, "//! Once: ", "//! Mine: ")?;

    // The update names the file with the conflict. When the update is repeated, it
    // changes nothing.
    for _ in 0..2 {
        let update = run(course, &mine, &["step", "update"])?;
        let said = text(&update);
        ensure!(!update.status.success() && said.contains(spin), "{said}");
        ensure!(said.contains("<<<<<<<") && said.contains("merge --abort"), "{said}");
        ensure!(read(&mine.join(spin))?.contains("//! Mine: "), "the work is lost");
    }
    let branches = git(&mine, &["branch", "--list", "before-update-*"])?;
    ensure!(branches.trim() == "before-update-1", "{branches}");
    let kept = git(&mine, &["show", &format!("before-update-1:{spin}")])?;
    ensure!(kept.starts_with("//! Mine: "), "{kept}");

    // `git merge --abort` restores the learner's work, and another update starts the
    // merge again.
    git(&mine, &["merge", "--abort"])?;
    ensure!(read(&mine.join(spin))? == kept, "the work is lost");
    let update = run(course, &mine, &["step", "update"])?;
    ensure!(text(&update).contains("before-update-2"), "{}", text(&update));

    // When no conflict marker is left in the file, the update finishes.
    fs::write(mine.join(spin), &kept)?;
    let update = run(course, &mine, &["step", "update"])?;
    ensure!(update.status.success(), "{}", text(&update));
    ensure!(git(&mine, &["status", "--porcelain"])?.is_empty(), "something is left over");
    ensure!(git(&mine, &["show", &format!("HEAD:{spin}")])? == kept, "the work is lost");
    ensure!(!read(&mine.join(mark))?.contains("old-"), "the crate is not up to date");
    let update = run(course, &mine, &["step", "update"])?;
    ensure!(text(&update).contains("Nothing is new"), "{}", text(&update));
    Ok(())
}
