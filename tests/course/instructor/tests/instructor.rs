//! Tests of the example of an instructor's crate: the suite includes the crate's cases, the public
//! cases do not detect the crate's mutants, and a hunt is graded by whether the student's client
//! recognizes the mutant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use client_suite::cases;
use client_suite::judge::{DocumentRoot, Outcome, Strictness, judge};
use client_suite::profile::UNKNOWN;
use client_suite::scripts::write_script;
use client_suite::target::Program;
use client_suite::target::Target;
use course::hunt::{self, Den};
use tempfile::TempDir;

const HUNTED: &str = env!("CARGO_BIN_EXE_hunted");

/// A student's client, a shell script that finds the mutant `alder`: the script checks whether the
/// server echoes all of a request's content in which one line is a single dot.
const FINDS_ALDER: &str = r#"#!/bin/sh
content=$(printf 'one\r\n.\r\ntwo.')
answer=$(printf 'POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 12\r\n\r\n%s' "$content" | nc -w 5 "$1" "$2")
case $answer in *two.) exit 0;; *) exit 1;; esac
"#;

/// Writes a student's client, a script with the content `text`, into a new temporary directory.
/// Returns the directory, which is deleted when it is dropped, and the script's path.
fn client(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("client");
    write_script(&path, text).expect("a script");
    (directory, path)
}

const SECRET: &str = "sixteen bytes ok";

/// The result of a graded hunt: whether the student's client told the mutant from the honest
/// server, and the printed report.
struct Hunt {
    caught: bool,
    report: String,
}

/// Runs the program `instructor` to grade a client, a script with the content `text`, for the
/// student to which the mutant with the number `mutant` is assigned. If this process is root, the
/// client runs as `user`.
fn grade(user: u32, mutant: usize, text: &str) -> Hunt {
    let (kept, client) = client(text);
    let secret = kept.path().join("secret");
    fs::write(&secret, SECRET).expect("a secret");
    let den = Den::open(Path::new(HUNTED)).expect("mutants");
    let mut students = (0..).map(|number| format!("student-{number}"));
    let student = students.find(|name| den.assign(SECRET.as_bytes(), name) == mutant);
    let mut command = Command::new(env!("CARGO_BIN_EXE_instructor"));
    command.args(["hunt", "--server", HUNTED, "--student", &student.expect("a student")]);
    command.arg("--secret").arg(&secret).arg("--client").arg(&client);
    // The grader refuses to run a client as root, so a test that runs as root names another user.
    if is_root() {
        command.args(["--user", &user.to_string()]);
    }
    let output = command.output().expect("the program runs");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{report}{error}");
    Hunt { caught: output.status.success(), report }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn a_client_is_graded_by_both_servers() {
    // This client creates the file `kept` in each of these directories, and gives no verdict if the
    // file already exists. So the grader must delete the file between two runs. In /tmp, only a
    // grader that runs as root does so.
    let places = if is_root() { "$HOME $TMPDIR /tmp" } else { "$HOME $TMPDIR" };
    let counts = format!(
        "#!/bin/sh\nfor place in {places}; do\n[ -e $place/kept ] && exit 3\n\
         touch $place/kept\ndone\nexit 1\n"
    );
    let clients = [
        (0, FINDS_ALDER),
        (1, FINDS_ALDER),
        (0, "#!/bin/sh\nexit 1\n"),
        (0, "#!/bin/sh\nkill -9 $$\n"),
        (0, "#!/bin/sh\necho exit status 1\nexit 3\n"),
        (0, &counts),
    ];
    // Grading a hunt mostly means waiting, so all hunts are graded at the same time, each as a
    // different user.
    let hunts: Vec<_> = thread::scope(|scope| {
        let grading =
            |(user, (mutant, text))| scope.spawn(move || grade(user, mutant, text));
        let threads: Vec<_> = (64_321..).zip(clients).map(grading).collect();
        threads.into_iter().map(|thread| thread.join().expect("a hunt")).collect()
    });
    let [hunt, other, always, crash, liar, counts] = &hunts[..] else {
        unreachable!("each client has a hunt");
    };
    assert!(hunt.caught && hunt.report.contains("8 of 8 runs"), "{}", hunt.report);
    assert!(!other.caught, "another mutant keeps that promise: {}", other.report);
    assert!(!always.caught, "it accuses the honest server, too: {}", always.report);
    assert!(!crash.caught && crash.report.contains("no verdict"), "{}", crash.report);
    assert!(!liar.caught && liar.report.contains("no verdict"), "{}", liar.report);
    assert!(
        !counts.report.contains("no verdict"),
        "it counts its runs: {}",
        counts.report
    );
}

#[test]
fn each_student_has_one_mutant_and_no_student_knows_another_s() {
    let den = Den::open(Path::new(HUNTED)).expect("mutants");
    let students: Vec<String> =
        (0..90).map(|number| format!("student-{number}")).collect();
    let assigned: Vec<_> =
        students.iter().map(|name| den.assign(SECRET.as_bytes(), name)).collect();
    let again: Vec<_> =
        students.iter().map(|name| den.assign(SECRET.as_bytes(), name)).collect();
    assert_eq!(assigned, again);
    let other: Vec<_> =
        students.iter().map(|name| den.assign(b"another sixteen!", name)).collect();
    assert_ne!(assigned, other, "the secret decides");
    for mutant in 0..den.size() {
        let count = assigned.iter().filter(|number| **number == mutant).count();
        assert!(count > 10, "mutant {mutant} is assigned {count} times of 90");
    }
}

#[test]
fn the_hand_out_starts_the_student_s_mutant() {
    let den = Den::open(Path::new(HUNTED)).expect("mutants");
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("hunts/4711");
    den.hand_out(1, &out).expect("a hand-out");
    let script = fs::read_to_string(out.join("run")).expect("the script");
    assert!(script.contains(den.name(1)), "{script}");
    assert!(den.hand_out(1, &out).is_err(), "nothing is overwritten");
}

/// Judges the mutants only by the families of cases that concern what the mutants change: the whole
/// suite, which `course check --mutants` runs, takes too long for a test.
#[test]
fn the_mutants_pass_the_families_that_are_about_what_they_change() {
    let den = Den::open(Path::new(HUNTED)).expect("mutants");
    let families = ["routes", "bodies", "pipelining", "request_line"];
    let failed =
        hunt::failed_cases(&den, |family| families.contains(&family)).expect("a check");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_cases_are_added_and_tell_the_mutants_apart() {
    cases::add(instructor::FAMILY, &[instructor::CASES], instructor::SECTION);
    let own: Vec<_> =
        cases::all().into_iter().filter(|case| case.family == "own").collect();
    assert_eq!(own.len(), instructor::CASES.len());
    assert!(cases::families().contains(&"own"));
    assert_eq!(cases::section("own"), instructor::SECTION);
    let root = DocumentRoot::new().expect("a root");
    let honest = Program::from(HUNTED);
    let arguments = ["--mutation", "birch"].map(str::to_owned).to_vec();
    let birch = Program { arguments, ..honest.clone() };
    for case in &own {
        for (name, program) in [("honest", &honest), ("birch", &birch)] {
            let target = Target::Binary(program.clone());
            let outcome =
                judge(case, &UNKNOWN, &target, &root.path, Strictness::Contract);
            let caught = matches!(outcome, Outcome::Failed(_));
            let should = name == "birch" && case.name == "a_thousand_and_one";
            assert_eq!(caught, should, "{name}, {}: {outcome:?}", case.full_name());
        }
    }
    // A mutant may fail the instructor's own cases: students cannot run these.
    let den = Den::open(Path::new(HUNTED)).expect("mutants");
    let failed = hunt::failed_cases(&den, |family| family == "own").expect("a check");
    assert!(failed.is_empty(), "{failed:#?}");
}
