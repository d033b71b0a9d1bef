//! The committed transcripts show the output that the programs have today.

use std::collections::BTreeSet;
use std::fs;

use book::paths::Paths;
use book::transcripts::{compare, play, scenarios};
use client_suite::environment::normalize;

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
    // The output must not depend on inherited state, such as an ignored signal.
    normalize().expect("a normalized environment");
    let mut wrong = Vec::new();
    for scenario in scenarios(&paths).expect("the scenarios can be read") {
        let missing = scenario.missing_tools();
        if !missing.is_empty() {
            assert!(may_skip, "{} needs {}", scenario.name, missing.join(", "));
            eprintln!(
                "SKIPPED: the transcript {} needs {}",
                scenario.name,
                missing.join(", ")
            );
            continue;
        }
        match play(&paths, &scenario) {
            Ok(fresh) => wrong.extend(compare(&paths, &scenario, &fresh)),
            Err(error) => wrong.push(format!("{}: {error:#}", scenario.name)),
        }
    }
    let renew =
        "renew them with `cargo run --release -- transcripts`, and look at what changed";
    assert!(wrong.is_empty(), "\n{}\n{renew}\n", wrong.join("\n"));
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
