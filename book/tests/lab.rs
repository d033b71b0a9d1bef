//! Tests of the lab at a terminal and as the server of the pages runs it, and of properties of
//! every experiment.
#![cfg_attr(not(target_os = "linux"), allow(unused))] // most experiments exist on Linux only

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::webdriver::served::checkout;
use assert_cmd::cargo_bin;
use book::checks;
use book::lab::{self, Form};
use book::paths::Paths;
use book::servers;
use client_suite::scripts::write_script;
use figures::chart::Kind;
use manuscript::checks::numbers;
use manuscript::files::files;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// The pause between two looks at a state that changes soon. A test that looked without a pause would
/// take a processor from what it waits for.
const PAUSE: Duration = Duration::from_millis(2);

/// Returns the paths of the checkout that the tests belong to.
fn paths() -> Paths {
    Paths::find(None).expect("the book is in the checkout")
}

/// Returns a new checkout that contains a copy of the book and has no results in target/.
fn copy() -> TempDir {
    let dir = tempdir().expect("a directory");
    checkout(dir.path());
    dir
}

fn paths_in(dir: &TempDir) -> Paths {
    Paths::find(Some(dir.path().join("book"))).expect("a copy of the book")
}

/// Starts the command `lab` with the arguments `arguments`, for the copy of the book in `dir`.
fn run(dir: &TempDir, arguments: &[&str]) -> Child {
    Command::new(cargo_bin!("book"))
        .arg("lab")
        .args(arguments)
        .arg("--book")
        .arg(dir.path().join("book"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

#[test]
fn every_experiment_has_a_question_and_asks_for_a_prediction() {
    let mut parts = BTreeSet::new();
    for experiment in lab::EXPERIMENTS {
        let name = experiment.name;
        assert!(experiment.question.contains('?'), "{name}");
        assert!(!experiment.predict.ask.is_empty(), "{name}");
        assert!(!experiment.parts.is_empty(), "{name}");
        for part in experiment.parts {
            assert!(parts.insert(part.name), "two parts are called {}", part.name);
        }
        match experiment.predict.form {
            Form::Choice { options, .. } => assert!(options.len() > 1, "{name}"),
            Form::Number { unit, .. } => assert!(!unit.is_empty(), "{name}"),
            Form::Curve { chart, .. } => assert!(
                experiment
                    .parts
                    .iter()
                    .any(|part| part.name == chart && part.chart == Some(Kind::Line)),
                "{name}: no part {chart} in which a line could be drawn"
            ),
        }
        let most = |values: &[usize]| values.iter().copied().max().unwrap_or(0);
        for parameter in experiment.parameters {
            assert!(!parameter.quick.is_empty(), "{name}: {}", parameter.name);
            assert!(
                most(parameter.quick) <= most(parameter.full),
                "{name}: {} is more in a quick run than in a full one",
                parameter.name
            );
        }
    }
}

// Linux only: other systems lack some of the experiments whose results are recorded.
#[cfg(target_os = "linux")]
#[test]
fn every_recorded_result_is_of_an_experiment_and_has_its_parts() {
    let results = paths().recorded();
    for path in files(&results, "json").expect("a list") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let record = lab::Record::read(&results, name).expect(name).expect(name);
        let experiment = lab::find(&record.experiment).expect(name);
        for part in record.parts.iter().filter(|_| name == experiment.name) {
            let known = experiment.parts.iter().find(|known| known.name == part.name);
            let known =
                known.unwrap_or_else(|| panic!("{name} has a part {}", part.name));
            assert_eq!(
                part.chart.as_ref().map(|chart| chart.kind),
                known.chart,
                "{name}"
            );
        }
        if let Form::Curve { chart, line } = experiment.predict.form
            && name == experiment.name
        {
            let drawn = record.part(chart).and_then(|part| part.chart.as_ref());
            let lines = &drawn.expect("the chart in which to predict").series;
            assert!(lines.iter().any(|there| there.name == line), "{name}: no {line}");
            assert!(lab::blank(&paths(), experiment).expect("axes").is_some(), "{name}");
        }
    }
}

/// Returns a page's text without its HTML tags.
fn plain(html: &str) -> String {
    let mut inside = false;
    let text = html.chars().filter(|c| {
        inside = (inside || *c == '<') && *c != '>';
        !inside && *c != '>'
    });
    text.collect()
}

#[test]
fn where_a_page_asks_what_the_lab_asks_it_asks_once_and_in_the_same_words() {
    let src = paths().src();
    let mut asked = BTreeSet::new();
    for path in files(&src, "md").expect("a list") {
        let page = fs::read_to_string(&path).expect("a page");
        for box_ in page.split("<details class=\"predict\"").skip(1) {
            let (head, rest) = box_.split_once("</summary>").expect("a summary");
            let (attributes, summary) = head.split_once("<summary>").expect("a summary");
            let (_, behind) = rest.split_once("</details>").expect("an end");
            let Some(name) = attributes.split('"').nth(1) else {
                // This prediction names no experiment, so the first figure of an experiment must
                // not come directly after it: at that figure, the page's script would ask the
                // experiment's own question, and the reader would have to predict twice in a row.
                let next = behind.trim_start().lines().next().unwrap_or_default();
                let part = next.trim_start_matches("{{#include generated/");
                let part = part.trim_end_matches(".md}}");
                let asks = lab::EXPERIMENTS.iter().find(|experiment| {
                    experiment.parts.first().is_some_and(|first| first.name == part)
                });
                assert!(asks.is_none(), "{}: {part}", path.display());
                continue;
            };
            let experiment = lab::find(name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(plain(summary), experiment.predict.ask, "{name}");
            assert!(asked.insert(name.to_owned()), "{name} is asked on two pages");
        }
    }
    assert!(asked.len() > 8, "{asked:?}");
}

// For every form of prediction, a verdict shows the prediction beside the result.
#[cfg(target_os = "linux")]
#[test]
fn every_recorded_result_answers_its_question() {
    let results = paths().recorded();
    for experiment in lab::EXPERIMENTS {
        let name = experiment.name;
        let record = lab::Record::read(&results, name).expect(name).expect(name);
        let prediction = match experiment.predict.form {
            Form::Choice { options, answer } => {
                let (option, _) = answer(&record).expect(name);
                assert!(option < options.len(), "{name}");
                lab::Answer::Choice(option)
            }
            Form::Number { answer, .. } => {
                lab::Answer::Number(3.0 * answer(&record).expect(name))
            }
            Form::Curve { .. } => lab::Answer::Curve(vec![(100.0, 1e9), (1_000.0, 1e9)]),
        };
        let expected = match prediction {
            lab::Answer::Choice(_) => "As you said.",
            lab::Answer::Number(_) => "3 times too much",
            lab::Answer::Curve(_) => "times too much",
        };
        let given = lab::StoredPrediction { prediction, when: "before".to_owned() };
        let verdict = lab::Verdict::of(experiment, Some(&given), Some(&record));
        for text in [verdict.html(), verdict.text(experiment.predict.ask)] {
            for wanted in ["ou said", "his machine says", expected] {
                assert!(text.contains(wanted), "{name}: no {wanted:?} in\n{text}");
            }
        }
        // Without a result, only the prediction is shown; without a prediction, only the result.
        let unmeasured = lab::Verdict::of(experiment, Some(&given), None);
        assert!(unmeasured.html().contains("You said"), "{name}");
        assert!(unmeasured.text("?").is_empty(), "{name}");
        let unsaid = lab::Verdict::of(experiment, None, Some(&record)).html();
        assert!(!unsaid.contains("You said"), "{name}");
    }
}

#[test]
fn a_planted_number_and_a_planted_result_are_found() {
    let dir = copy();
    let paths = paths_in(&dir);
    let page = paths.src().join("ch04-select-poll.md");
    let found = || {
        let mut problems = numbers::check(&paths.src()).expect("numbers");
        problems.extend(checks::results(&paths).expect("results"));
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(), [""; 0]);
    let text = fs::read_to_string(&page).expect("a page");
    fs::write(&page, text + "\n\nOn my machine it took 12 ms.\n").expect("planted");
    let one = found();
    assert!(one.len() == 1 && one[0].contains("12 ms"), "{one:?}");

    // The check for numbers typed by hand finds numbers of every kind, in every part of a page.
    let planted = [
        "It takes 40 µs.",
        "About 9.1 KiB each.",
        "CPU at 97%.",
        "CPU at 97 per cent.",
        "It is 20 times as fast.",
        "It is three times as fast.",
        "It does 5,000 requests/s.",
        "It does 5,000 requests a second.",
        "Twelve milliseconds, we saw.",
        "| a | b |\n|---|---|\n| x | 12 ms |",
        "<figure>\n<figcaption>It takes 12 ms.</figcaption>\n</figure>",
        "*Recorded in 12 ms.*",
    ];
    let text = fs::read_to_string(&page).expect("a page");
    fs::write(&page, format!("{text}\n{}\n", planted.join("\n\n"))).expect("planted");
    let all = found();
    assert_eq!(all.len(), 1 + planted.len(), "{all:#?}");
    fs::write(&page, text).expect("as it was");

    let table = paths.src().join("generated/readiness.md");
    let text = fs::read_to_string(&table).expect("a table").replacen("µs", "ns", 1);
    fs::write(&table, text).expect("planted");
    let two = found();
    assert!(two.len() == 2 && two[1].contains("readiness.md"), "{two:?}");

    fs::write(paths.src().join("generated/own.md"), "12 ms\n").expect("planted");
    let three = found();
    assert!(three.len() == 3 && three[2].contains("own.md"), "{three:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_reports_its_progress_and_the_report_shows_its_result() {
    let dir = copy();
    let mut child = run(&dir, &["closing", "--events"]);
    let input = child.stdin.take(); // kept open until the child has ended
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let events: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect();
    assert!(child.wait().expect("an end").success());
    drop(input);

    let names: Vec<&str> =
        events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(names.first(), Some(&"begin"));
    assert_eq!(names.last(), Some(&"done"));
    let steps: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "step").collect();
    assert_eq!(events[0]["steps"], steps.len());
    for (done, step) in steps.iter().enumerate() {
        assert_eq!((&step["done"], &step["of"]), (&done.into(), &steps.len().into()));
    }
    let tables: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "table").collect();
    assert_eq!(tables.len(), 1);
    assert!(tables[0]["html"].as_str().expect("HTML").starts_with("<table>"));

    // The result in the last event equals the stored result.
    let result = &events[events.len() - 1]["result"];
    let stored = fs::read_to_string(dir.path().join("target/lab/closing.json"));
    let stored: Value = serde_json::from_str(&stored.expect("a file")).expect("JSON");
    assert_eq!(result, &stored);
    assert_eq!(stored["mode"], "quick");
    assert_eq!(stored["rows"].as_array().map(Vec::len), Some(steps.len()));

    let experiment = lab::find("closing").expect("an experiment");
    let given = lab::StoredPrediction {
        prediction: lab::Answer::Number(77.0),
        when: "before".to_owned(),
    };
    lab::predict(&paths_in(&dir), experiment, given).expect("a prediction");
    assert!(run(&dir, &["report"]).wait().expect("an end").success());
    let page = fs::read_to_string(dir.path().join("target/lab/report.html")).expect("it");
    let html = tables[0]["html"].as_str().expect("HTML");
    for wanted in [html, experiment.question, experiment.predict.ask, "77 clients"] {
        assert!(page.contains(wanted), "{wanted}\n{page}");
    }
    assert!(
        !page.contains("http://") || !page.contains("<link"),
        "it needs no other file"
    );
}

/// Returns the text of /proc/PID/stat for every process in the process group, without zombies.
#[cfg(target_os = "linux")]
fn members(group: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let stats =
        processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            // The text is `ID (NAME) STATE PARENT GROUP …`, and NAME may contain any character.
            let rest = stat.rsplit(')').next().unwrap_or_default();
            let columns: Vec<&str> = rest.split_whitespace().collect();
            columns.first() != Some(&"Z")
                && columns.get(2) == Some(&group.to_string().as_str())
        })
        .collect()
}

/// Waits until the process group has no member left. A run kills all its processes before it ends,
/// but does not wait for those that are not its children, and the kernel may remove these a little
/// later than the run.
#[cfg(target_os = "linux")]
fn wait_until_empty(group: u32, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !members(group).is_empty() {
        assert!(Instant::now() < deadline, "{name} has left {:?}", members(group));
        thread::sleep(PAUSE);
    }
}

/// Starts a run in its own process group, so that all the run's descendants can be found. `cargo`
/// is the program that the run executes in place of cargo.
#[cfg(target_os = "linux")]
fn run_in_group(
    program: &Path,
    dir: &TempDir,
    name: &str,
    cargo: Option<&Path>,
) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.args(["lab", name, "--events", "--book"]).arg(dir.path().join("book"));
    command.envs(cargo.map(|cargo| ("CARGO", cargo)));
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("it starts")
}

#[cfg(target_os = "linux")]
#[test]
fn an_experiment_that_is_stopped_in_the_middle_leaves_no_process_behind() {
    let dir = copy();
    // All servers are built first, so that no run has to build one.
    for stage in client_suite::profile::PROFILES {
        servers::find(&paths(), stage.name).expect(stage.name);
    }
    servers::find(&paths(), "samples").expect("samples");
    let program = cargo_bin!("book").to_owned();
    for experiment in lab::EXPERIMENTS.iter().filter(|experiment| experiment.from_page) {
        let name = experiment.name;
        let mut child = run_in_group(&program, &dir, name, None);
        let (input, group) = (child.stdin.take(), child.id());
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = out.lines().map_while(Result::ok);
        // Wait for the run's first step. (A run without steps, such as `sizes`, ends without one.)
        lines.by_ref().any(|line| line.contains("\"event\":\"step\""));
        // Wait until the run has a child that it could leave behind, or has ended.
        while members(group).len() < 2 && child.try_wait().expect("a state").is_none() {
            thread::sleep(PAUSE);
        }
        drop(input);
        let ended = child.wait().expect("an end");
        assert!(matches!(ended.code(), Some(130 | 0 | 1)), "{name}: {ended}");
        wait_until_empty(group, name);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_stopped_while_a_server_is_built_ends_cargo_and_its_compilers() {
    let dir = copy();
    // The run has to build its server, because the copied program is in a directory without
    // servers. The build never finishes, because a script that sleeps takes the place of cargo.
    let program = dir.path().join("target/debug/book");
    fs::create_dir_all(dir.path().join("target/debug")).expect("a directory");
    // The command cp makes the copy: a program that is open for writing cannot be started, and a
    // child forked by another test could inherit a descriptor that this process has open for
    // writing.
    let cp = Command::new("cp").arg(cargo_bin!("book")).arg(&program).status();
    assert!(cp.expect("cp").success());
    let cargo = dir.path().join("cargo");
    write_script(&cargo, "#!/bin/sh\nsleep 1000 & sleep 1000\n").expect("a script");
    let mut child = run_in_group(&program, &dir, "slow-client", Some(&cargo));
    let (input, group) = (child.stdin.take(), child.id());
    while members(group).len() < 4 {
        assert!(child.try_wait().expect("a state").is_none(), "it has ended");
        thread::sleep(PAUSE);
    }
    drop(input);
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    wait_until_empty(group, "slow-client");
}

// The end of standard input (`None`) or SIGTERM ends a run and the processes that take its samples.
#[cfg(target_os = "linux")]
#[test]
fn a_run_without_a_reader_ends_with_its_samples() {
    servers::find(&paths(), "samples").expect("samples");
    for signal in [None, Some(Signal::SIGTERM)] {
        let dir = copy();
        let mut child = run(&dir, &["readiness", "--events"]);
        let mut input = child.stdin.take();
        let pid = child.id();
        let children = |child: &mut Child| {
            assert!(child.try_wait().expect("a state").is_none(), "it has ended");
            let path = format!("/proc/{pid}/task/{pid}/children");
            let text = fs::read_to_string(path).expect("its children");
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let sample = loop {
            match children(&mut child).pop() {
                Some(sample) => break sample,
                None => thread::sleep(PAUSE),
            }
        };
        match signal {
            Some(signal) => {
                let pid = Pid::from_raw(pid.try_into().expect("a number"));
                kill(pid, signal).expect("a signal");
            }
            None => drop(input.take()),
        }
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{signal:?}");
        // If the directory /proc/PID existed, it would be that of the sample's process: the kernel
        // does not give the process ID to another process so soon.
        assert!(!Path::new(&format!("/proc/{sample}")).exists(), "{signal:?}");
        assert!(!dir.path().join("target/lab/readiness.json").exists(), "{signal:?}");
    }
}
