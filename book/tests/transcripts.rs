//! Tests that the committed transcripts show the output that the programs have today.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::thread;

use book::paths::Paths;
use book::scenario::Scenario;
use book::transcripts::{compare, play, scenarios};

/// The number of scenarios that are played at the same time. It may exceed the machine's number of
/// cores, because a scenario mostly waits.
const AT_ONCE: usize = 8;
/// The number of times that a scenario is played at most: see [`differences`].
const ATTEMPTS: usize = 5;

#[test]
fn transcripts_show_the_output_of_today() {
    let paths = Paths::find(None).expect("the book is in the checkout");
    let may_skip = std::env::var_os("NO_SKIP").is_none();
    if !cfg!(target_os = "linux") && may_skip {
        eprintln!(
            "SKIPPED: the transcripts were made on Linux; elsewhere nc, curl and errors print other texts"
        );
        return;
    }
    // The output must not depend on state that the test has inherited, such as an ignored signal.
    crate::normalized();
    let wrong = Mutex::new(Vec::new());
    let queue =
        Mutex::new(scenarios(&paths).expect("the scenarios can be read").into_iter());
    let next = || queue.lock().expect("a queue").next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(scenario) = next() {
                    let found = differences(&paths, &scenario, may_skip);
                    wrong.lock().expect("a list").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a list");
    let renew =
        "renew them with `cargo run --release -- transcripts`, and look at what changed";
    assert!(wrong.is_empty(), "\n{}\n{renew}\n", wrong.join("\n"));
}

/// Plays the scenario, and returns the differences between its output and its transcripts.
///
/// On a very busy machine a client of the scenario may be late, for example with the rest of a
/// request, and the server's output then differs. So a difference counts only if the scenario
/// differs in each of several attempts.
fn differences(paths: &Paths, scenario: &Scenario, may_skip: bool) -> Vec<String> {
    let (name, missing) = (&scenario.name, scenario.missing_tools().join(", "));
    if !missing.is_empty() {
        assert!(may_skip, "{name} needs {missing}");
        eprintln!("SKIPPED: the transcript {name} needs {missing}");
        return Vec::new();
    }
    let attempt = || match play(paths, scenario) {
        Ok(fresh) => compare(paths, scenario, &fresh),
        Err(error) => vec![format!("{name}: {error:#}")],
    };
    let mut found = attempt();
    for _ in 1..ATTEMPTS {
        if found.is_empty() {
            break;
        }
        eprintln!("{name} is played again; before: {}", found.join("; "));
        found = attempt();
    }
    found
}

#[test]
fn every_transcript_has_its_scenario() {
    let paths = Paths::find(None).expect("the book is in the checkout");
    let names: BTreeSet<String> = scenarios(&paths)
        .expect("the scenarios can be read")
        .into_iter()
        .flat_map(|scenario| {
            [format!("{}.txt", scenario.name), format!("{}.server.txt", scenario.name)]
        })
        .collect();
    let found: BTreeSet<String> = fs::read_dir(paths.src().join("transcripts"))
        .expect("there are transcripts")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, names);
}
