//! Grades submissions to the assignment `assignment/PLAN.toml`, some of which try to get another
//! score than they deserve: each must get its expected score, in all formats.
//!
//! If the tests run as root, submissions run as another user, and some attack the grader. Otherwise
//! these attacks are skipped, which is an error if `NO_SKIP` is set.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context as _, ensure};
use client_suite::scripts::write_script;
use course::ladder::read;
use serde_json::Value;

const COURSE: &str = env!("CARGO_BIN_EXE_course");

/// Returns the first of a hundred user IDs as which nothing else runs, not even another run of these
/// tests. Each test has a user ID of its own, because grading kills all processes of a submission's
/// user.
fn users() -> u32 {
    200_000_000 + std::process::id() % 100_000 * 100
}

fn assignment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assignment")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Grades a submission with the program `course`. Returns the exit status and the report.
fn grade(submission: &Path, user: u32, format: &str) -> anyhow::Result<(i32, String)> {
    let out = tempfile::tempdir()?;
    let file = out.path().join("reports/of week 5/report"); // the grader makes the directories
    let mut command = Command::new(COURSE);
    command.arg("grade").arg(assignment().join("PLAN.toml"));
    command.arg("--submission").arg(submission).args(["--format", format]);
    command.arg("--out").arg(&file);
    if is_root() {
        command.args(["--user", &user.to_string()]);
    }
    let output = command.output()?;
    let status = output.status.code().context("the grader was killed")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(status != 2, "{}: {error}", submission.display());
    let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "a later submission can read the report: mode {mode:o}");
    Ok((status, read(&file)?))
}

/// The expected results of the parts Begin, Framing and Many, in this order: the points, and the
/// number of cases that pass.
#[derive(Debug, PartialEq)]
struct Expected {
    points: [f64; 3],
    passed: [u64; 3],
}

const NOTHING: Expected = Expected { points: [0.0; 3], passed: [0; 3] };
const EVERYTHING: Expected = Expected { points: [40.0, 30.0, 30.0], passed: [4, 4, 3] };

/// Checks a report in JSON against the expected results. Returns the report's notes for the
/// student.
fn assert_json(report: &str, expected: &Expected) -> anyhow::Result<String> {
    let report: Value = serde_json::from_str(report)?;
    let parts = report["parts"].as_array().context("no parts")?;
    let score = |key: &str| {
        parts.iter().filter_map(|part| part[key].as_f64()).collect::<Vec<_>>()
    };
    ensure!(score("score") == expected.points, "{report:#}");
    ensure!(score("max_score") == EVERYTHING.points, "{report:#}");
    let passed: Vec<_> =
        parts.iter().filter_map(|part| part["passed"].as_u64()).collect();
    ensure!(passed == expected.passed, "{report:#}");
    ensure!(report["score"] == expected.points.iter().sum::<f64>(), "{report:#}");
    ensure!(report["complete"] == true, "{report:#}");
    Ok(report["notes"].to_string())
}

fn assert_grade(name: &str, user: u32, expected: &Expected) -> anyhow::Result<String> {
    let directory =
        assignment().join(if name == "solution" { "" } else { "submissions" });
    let (status, report) = grade(&directory.join(name), user, "json")?;
    let perfect = *expected == EVERYTHING;
    ensure!(status == i32::from(!perfect), "{name}: exit status {status}");
    assert_json(&report, expected).with_context(|| name.to_owned())
}

/// Calls `body` for all items at the same time. Returns the results in the order of the items.
///
/// A grading mostly waits, so more gradings than there are processors can run at the same time. The
/// test harness by itself would run one test per processor.
fn at_once<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    body: impl Fn(T) -> R + Sync,
) -> impl Iterator<Item = R> {
    let body = &body;
    let results: Vec<_> = thread::scope(|scope| {
        let items = items.into_iter();
        let threads: Vec<_> = items.map(|item| scope.spawn(move || body(item))).collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect()
    });
    results.into_iter().map(|result| match result {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    })
}

/// Copies a submission, and replaces two placeholders in the copy's sources: one by the path of the
/// file that the submission attacks, one by the path of a file that it tries to leave behind.
fn aimed(name: &str, guarded: &Path, stray: &Path) -> anyhow::Result<tempfile::TempDir> {
    let made = tempfile::tempdir()?;
    let from = assignment().join("submissions").join(name);
    fs::create_dir(made.path().join("src"))?;
    for file in ["build.rs", "src/main.rs", "src/request.rs"] {
        let Ok(text) = fs::read_to_string(from.join(file)) else { continue };
        let text = text.replace("{guarded}", &guarded.display().to_string());
        fs::write(
            made.path().join(file),
            text.replace("{stray}", &stray.display().to_string()),
        )?;
    }
    Ok(made)
}

/// Returns whether submissions that attack can be graded: only root can contain them.
fn can_attack() -> bool {
    let can = is_root();
    assert!(
        can || std::env::var_os("NO_SKIP").is_none(),
        "only root can try the attacks"
    );
    if !can {
        eprintln!("skipped: only root can try the attacks");
    }
    can
}

/// Returns the number of processes of a user.
fn processes_of(user: u32) -> usize {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let owner = |entry: fs::DirEntry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().next()?.parse::<u32>().ok()
    };
    all.filter_map(owner).filter(|owner| *owner == user).count()
}

#[test]
fn a_perfect_submission_has_all_points_in_all_formats() -> anyhow::Result<()> {
    let reports = all_formats("solution", users() + 40, &EVERYTHING)?;
    assert!(reports["text"].contains("100 of 100 points"), "{}", reports["text"]);
    assert!(
        reports["junit"].contains("tests=\"4\" failures=\"0\""),
        "{}",
        reports["junit"]
    );
    assert_eq!(
        reports["csv"],
        "submission,part,score,max_score,passed,judged,complete\n\
         solution,Begin,40,40,4,4,true\n\
         solution,Framing,30,30,4,4,true\n\
         solution,Many,30,30,3,3,true\n\
         solution,total,100,100,11,11,true\n"
    );
    Ok(())
}

#[test]
fn half_a_solution_loses_one_part_in_all_formats() -> anyhow::Result<()> {
    let expected = Expected { points: [40.0, 0.0, 30.0], passed: [4, 0, 3] };
    let reports = all_formats("half", users() + 50, &expected)?;
    assert!(reports["text"].contains("70 of 100 points"), "{}", reports["text"]);
    assert!(reports["text"].contains("headers::no_host"), "{}", reports["text"]);
    assert!(
        reports["junit"].contains("tests=\"4\" failures=\"4\""),
        "{}",
        reports["junit"]
    );
    assert!(
        reports["csv"].contains("half,Framing,0,30,0,4,true\n"),
        "{}",
        reports["csv"]
    );
    recorded("half.csv", &reports["csv"])?;
    // The book shows the text report up to the end of the first failure. The rest is left out,
    // because the list of attacks that are not contained, at the report's end, depends on the user
    // that grades.
    let (begin, _) =
        reports["text"].split_once("\n  headers::two_hosts").context("two_hosts")?;
    recorded("half.txt", begin)?;
    // Students may not see the result of the part Many yet, so the report for Gradescope only
    // announces this part.
    let gradescope = is_gradescope(&reports["gradescope"])?;
    let output = gradescope["output"].as_str().unwrap_or_default();
    assert!(output.contains("The part Many (30 points)"), "{output}");
    Ok(())
}

/// Compares the grader's output `fresh` with a file that a page of the book shows. If the
/// environment variable RECORD is set, writes the file instead.
fn recorded(name: &str, fresh: &str) -> anyhow::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports").join(name);
    if std::env::var_os("RECORD").is_some() {
        fs::write(&file, fresh)?;
    }
    let same = read(&file)? == fresh;
    ensure!(same, "RECORD=1 renews {}:\n{fresh}", file.display());
    Ok(())
}

/// Grades a submission once for each format, all at the same time, checks the reports, and returns
/// them by format. The submissions run as five users, the first of which is `user`.
fn all_formats(
    name: &str,
    user: u32,
    expected: &Expected,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let directory =
        assignment().join(if name == "solution" { "." } else { "submissions" });
    let formats = (user..).zip(["json", "text", "junit", "gradescope", "csv"]);
    let report = |(user, format)| {
        let (_, report) = grade(&directory.join(name), user, format)?;
        anyhow::Ok((format, report))
    };
    let reports: BTreeMap<_, _> = at_once(formats, report).collect::<Result<_, _>>()?;
    let total: f64 = expected.points.iter().sum();
    assert_json(&reports["json"], expected)?;
    is_junit(&reports["junit"])?;
    let gradescope = is_gradescope(&reports["gradescope"])?;
    ensure!(gradescope["score"] == total, "{gradescope:#}");
    Ok(reports)
}

#[test]
fn an_empty_submission_and_one_that_does_not_compile_have_no_points() -> anyhow::Result<()>
{
    let submissions = [
        (
            "empty",
            users(),
            &["src/main.rs is not taken from the submission: it has none"][..],
        ),
        ("broken", users() + 2, &["It does not compile", "TcpListener"]),
    ];
    let graded = at_once(submissions, |(name, user, words)| {
        let notes = assert_grade(name, user, &NOTHING)?;
        ensure!(words.iter().all(|word| notes.contains(word)), "{notes}");
        Ok(())
    });
    graded.collect()
}

#[test]
fn a_submission_that_hangs_has_no_points_and_ends() -> anyhow::Result<()> {
    assert_grade("hangs", users() + 3, &NOTHING).map(drop)
}

#[test]
fn a_submission_that_cheats_has_no_points_and_harms_nothing() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let user = users() + 4;
    let made = tempfile::tempdir()?;
    let (guarded, stray) =
        (made.path().join("guarded"), PathBuf::from("/var/tmp/course-cheats"));
    fs::write(&guarded, "the instructor's")?;
    let cheats = aimed("cheats", &guarded, &stray)?;
    let (status, report) = grade(cheats.path(), user, "json")?;
    assert_eq!(status, 1);
    assert_json(&report, &NOTHING)?;
    assert!(!report.contains("it could read"), "{report}");
    assert_eq!(read(&guarded)?, "the instructor's");
    assert!(!stray.exists(), "it has left a file");
    assert_eq!(processes_of(user), 0);
    Ok(())
}

#[test]
fn what_a_right_submission_leaves_behind_is_removed() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let user = users() + 5;
    let stray = format!("/var/tmp/course-escapes-{user}");
    let escapes = aimed("escapes", Path::new("/nowhere"), Path::new(&stray))?;
    let (_, report) = grade(escapes.path(), user, "json")?;
    assert_json(&report, &EVERYTHING)?;
    assert!(!Path::new(&format!("{stray}-0")).exists(), "it has left a file");
    assert_eq!(processes_of(user), 0);
    Ok(())
}

#[test]
fn a_killed_grader_leaves_a_report_with_zeros_and_the_next_one_cleans_up()
-> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let user = (users() + 6).to_string();
    let out = tempfile::tempdir()?;
    fs::set_permissions(out.path(), PermissionsExt::from_mode(0o755))?;
    let file = out.path().join("report");
    let plan = assignment().join("PLAN.toml");
    let hangs = assignment().join("submissions/hangs");
    let mut grader = Command::new(COURSE)
        .arg("grade")
        .arg(&plan)
        .arg("--submission")
        .arg(hangs)
        .args(["--user", &user, "--format", "json", "--out"])
        .arg(&file)
        .env("TMPDIR", out.path()) // a killed grader leaves its directory
        .stdout(std::process::Stdio::null())
        .spawn()?;
    // The server has been started as soon as a process of the submission's user has the program's
    // name.
    let is_started = || {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut names = all.filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let is_its = status.contains(&format!("Uid:\t{user}\t"));
            is_its.then(|| status.lines().next().unwrap_or_default().to_owned())
        });
        names.any(|name| name.contains("small.program"))
    };
    while !is_started() {
        ensure!(grader.try_wait()?.is_none(), "the grader has ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    grader.kill()?;
    grader.wait()?;
    let report: Value = serde_json::from_str(&read(&file)?)?;
    ensure!(report["complete"] == false && report["score"] == 0.0, "{report:#}");
    let parts = report["parts"].as_array().map_or(0, Vec::len);
    ensure!(parts == 3, "{report:#}");
    assert_grade("solution", users() + 6, &EVERYTHING)?;
    assert_eq!(processes_of(users() + 6), 0);
    Ok(())
}

/// An assignment in a temporary directory, whose server is built and started by commands instead of
/// Cargo.
struct ByCommand {
    directory: tempfile::TempDir,
}

impl ByCommand {
    /// Makes an assignment of two parts. Its starter has one file, called `file`, from which the
    /// command `build` builds the server and the command `run` starts it. `more` contains further
    /// lines of the plan.
    fn new(file: &str, build: &str, run: &str, more: &str) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let build =
            if build.is_empty() { String::new() } else { format!("build = {build:?}") };
        let plan = format!(
            "title = \"By command\"\nstarter = \"starter\"\nfiles = [{file:?}]\n{build}\nrun = {run:?}\n{more}\n\
             [[part]]\nname = \"One answer\"\npoints = 7.5\nseconds = 5\n\
             cases = [\"request_line::plain_get\", \"routes::plaintext\"]\n\
             [[part]]\nname = \"Deadlines\"\npoints = 2.5\ncases = [\"deadlines::head_stalls\"]\n"
        );
        fs::write(directory.path().join("PLAN.toml"), plan)?;
        fs::create_dir(directory.path().join("starter"))?;
        fs::write(directory.path().join("starter").join(file), "")?;
        Ok(Self { directory })
    }

    /// Grades a submission that consists of the file `file` with the content `text`.
    fn grade(&self, file: &str, text: &str, user: u32) -> anyhow::Result<Value> {
        let submission = tempfile::tempdir()?;
        fs::write(submission.path().join(file), text)?;
        let mut command = Command::new(COURSE);
        command.arg("grade").arg(self.directory.path().join("PLAN.toml"));
        command.args(["--format", "json", "--submission"]).arg(submission.path());
        if is_root() {
            command.args(["--user", &user.to_string()]);
        }
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice::<Value>(&output.stdout).context(error)
    }
}

#[test]
fn a_server_in_another_language_is_built_and_run_by_commands() -> anyhow::Result<()> {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("skipped: no C compiler");
        return Ok(());
    }
    let plan = ByCommand::new(
        "hello.c",
        "cc -o hello hello.c",
        "./hello {port}",
        "timeout = 5",
    )?;
    let hello = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("languages/hello.c"))?;
    let slip = hello.replace("Hello, World!", "Hello, Wurld!");
    let wrong = "int main() { return nonsense; }".to_owned();
    let submissions = (users() + 20..).zip([hello, slip, wrong]);
    let graded = at_once(submissions, |(user, text)| plan.grade("hello.c", &text, user));
    let graded: Vec<_> = graded.collect::<Result<_, _>>()?;
    let [right, slip, wrong] = &graded[..] else { unreachable!("three are graded") };
    ensure!(right["score"] == 7.5 && right["max_score"] == 10.0, "{right:#}");
    // The command that starts the server has no placeholder `{head-timeout}`. So the server does
    // not offer this option, and a case that sets the option scores zero.
    let why = right["parts"][1]["cases"][0]["why"].as_str().unwrap_or_default();
    ensure!(why.contains("no placeholder for --head-timeout"), "{right:#}");
    // The report of a failed case says how to start the server by hand, without the sandbox.
    ensure!(slip.to_string().contains("\"start\":\"./hello 8080"), "{slip:#}");
    ensure!(wrong["score"] == 0.0, "{wrong:#}");
    ensure!(wrong["notes"].to_string().contains("nonsense"), "{wrong:#}");
    Ok(())
}

#[test]
fn a_case_whose_option_the_plan_does_not_list_is_named() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut copied = Command::new("cp");
    copied.args(["-r", "starter", "solution"]).arg(directory.path());
    ensure!(copied.current_dir(assignment()).status()?.success(), "cp");
    // The plan below has the key `options`. The grader then makes a command from the program, in
    // which the suite sets the address to listen at: `--listen HOST:PORT`. So the copied solution
    // is changed to listen at its second argument.
    let submission = directory.path().join("solution");
    let main = read(&submission.join("src/main.rs"))?;
    let main =
        main.replace("\"127.0.0.1:0\"", "std::env::args().nth(2).unwrap_or_default()");
    fs::write(submission.join("src/main.rs"), main)?;
    let plan = directory.path().join("PLAN.toml");
    fs::write(
        &plan,
        "title = \"No options\"\nstarter = \"starter\"\nprogram = \"small\"\nlike = \"thread\"\noptions = []\n\
         files = [\"src/main.rs\", \"src/request.rs\"]\n\
         [[part]]\nname = \"Deadlines\"\npoints = 1\ncases = [\"deadlines::head_stalls\"]\n",
    )?;
    let mut command = Command::new(COURSE);
    command.arg("grade").arg(&plan).arg("--submission").arg(&submission);
    if is_root() {
        command.args(["--user", &(users() + 90).to_string()]);
    }
    let output = command.output()?;
    let report = String::from_utf8_lossy(&output.stdout);
    let expected = "     1 not offered: the plan's `options` do not list \"head-timeout\"\n       \
                    deadlines::head_stalls\n";
    ensure!(report.contains(expected), "{output:?}");
    Ok(())
}

#[test]
fn a_submission_that_uses_too_much_of_something_is_stopped() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    // Each of these submissions ends by itself even if the grader does not stop it: after 40 MiB of
    // files, 150 MiB of memory, or 30 seconds.
    let files = "for n in $(seq 40); do head -c 1048576 /dev/zero > $TMPDIR/$n; done; exec sleep 30";
    let memory =
        "(head -c 150000000 /dev/zero; sleep 30) | tail -c 150000000 > $TMPDIR/end";
    let limits = "timeout = 20\n[limits]\ndisk = 20\nall-memory = 60\nfile = 10";
    let plan = ByCommand::new("server.sh", "", "/bin/sh server.sh {port}", limits)?;
    let scripts = [
        (files, "MiB, and may write 20", users() + 7),
        (memory, "MiB of memory, and may use 60", users() + 8),
    ];
    let graded = at_once(scripts, |(script, why, user)| {
        let report = plan.grade("server.sh", script, user)?;
        let said = report["parts"][0]["cases"][0]["why"].as_str().unwrap_or_default();
        ensure!(report["score"] == 0.0 && said.contains(why), "{report:#}");
        assert_eq!(processes_of(user), 0);
        Ok(())
    });
    graded.collect()
}

#[test]
fn files_of_users_that_the_suite_has_chosen_are_deleted() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let (plan, server) =
        (directory.path().join("PLAN.toml"), directory.path().join("server"));
    fs::write(
        &plan,
        "title = \"Few threads\"\nlike = \"thread\"\ntimeout = 2\n[[part]]\nname = \"One\"\npoints = 1\n\
         cases = [\"resources::start_with_few_threads\"]\n",
    )?;
    let stray = format!("/var/tmp/course-other-{}", std::process::id());
    write_script(&server, &format!("#!/bin/sh\nid -u > {stray}-$$\n: > {stray}\n"))?;
    let mut command = Command::new(COURSE);
    command.arg("grade").arg(&plan).arg("--bin").arg(&server);
    let output = command.args(["--user", &(users() + 10).to_string()]).output()?;
    ensure!(output.status.code() != Some(2), "{output:?}");
    let left = fs::read_dir("/var/tmp")?.flatten().map(|entry| entry.path());
    let left: Vec<_> =
        left.filter(|path| path.display().to_string().starts_with(&stray)).collect();
    assert!(left.is_empty(), "{left:?}\n{output:?}");
    Ok(())
}

#[test]
fn files_that_the_user_owned_before_are_not_deleted() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let user = users() + 11;
    let mut owned = tempfile::NamedTempFile::new_in("/var/tmp")?;
    std::io::Write::write_all(&mut owned, b"kept")?;
    nix::unistd::chown(owned.path(), Some(user.into()), None)?;
    let mut command = Command::new(COURSE);
    command.arg("grade").arg(assignment().join("PLAN.toml"));
    command.arg("--submission").arg(assignment().join("submissions/empty"));
    let output = command.args(["--user", &user.to_string()]).output()?;
    assert_eq!(read(owned.path())?, "kept");
    let error = String::from_utf8_lossy(&output.stderr);
    let path = owned.path().display().to_string();
    ensure!(output.status.code() == Some(2) && error.contains(&path), "{output:?}");
    // A lock on a file reserves the submission's user for one grader. No other user can open that
    // file, so no other user can hold the lock.
    let lock = fs::metadata(format!("/var/run/course-grade-{user}.lock"))?;
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[test]
fn a_program_outside_the_build_directory_is_not_taken() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    // This build script replaces the directory of the compiled program by a symbolic link, so that
    // a careless grader would copy another program from there.
    let script = r#"
        fn main() {
            let out = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap());
            let debug = out.ancestors().nth(3).unwrap();
            std::fs::rename(debug, "{moved}").unwrap();
            std::os::unix::fs::symlink("{moved}", debug).unwrap();
        }
    "#;
    let made = tempfile::tempdir()?;
    let moved = std::env::temp_dir().join(format!("course-moved-{}", std::process::id()));
    fs::create_dir(made.path().join("src"))?;
    for file in ["src/main.rs", "src/request.rs"] {
        fs::copy(assignment().join("solution").join(file), made.path().join(file))?;
    }
    let script = script.replace("{moved}", &moved.display().to_string());
    fs::write(made.path().join("build.rs"), script)?;
    let (_, report) = grade(made.path(), users() + 12, "json")?;
    let notes = assert_json(&report, &NOTHING)?;
    assert!(notes.contains("leads out of the build directory"), "{notes}");
    assert!(!moved.exists(), "it has left its directory");
    Ok(())
}

#[test]
fn grading_is_refused_where_it_would_not_be_safe() -> anyhow::Result<()> {
    let solution = assignment().join("solution");
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(COURSE);
        command.arg("grade").arg(assignment().join("PLAN.toml"));
        let output =
            command.arg("--submission").arg(&solution).args(arguments).output()?;
        ensure!(output.status.code() == Some(2), "{arguments:?} is not refused");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let unknown = refused(&["--user", "no-such-user"])?;
    assert!(unknown.contains("there is no user no-such-user"), "{unknown}");
    let open = tempfile::tempdir()?;
    fs::set_permissions(open.path(), PermissionsExt::from_mode(0o777))?;
    let file = open.path().join("report").display().to_string();
    let user =
        if is_root() { "4711".to_owned() } else { nix::unistd::getuid().to_string() };
    let replaced = refused(&["--out", &file, "--user", &user])?;
    assert!(replaced.contains("every user can replace files"), "{replaced}");
    if is_root() {
        let alone = refused(&[])?;
        assert!(alone.contains("--user grader"), "{alone}");
        let root = refused(&["--user", "root"])?;
        assert!(root.contains("is root"), "{root}");
        // If the submission's user cannot enter a directory that grading needs, the submission is
        // not to blame, and loses no points: `course grade` fails with an error message that says
        // what to change.
        let closed = tempfile::tempdir()?;
        fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700))?;
        let user = (users() + 13).to_string();
        let grading = |submitted: [&str; 2]| {
            let mut command = Command::new(COURSE);
            command.arg("grade").arg(assignment().join("PLAN.toml")).args(submitted);
            command.args(["--user", &user]);
            command
        };
        let mut temporary = grading(["--bin", COURSE]);
        temporary.env("TMPDIR", closed.path());
        let mut here = grading(["--cmd", "./server {port}"]);
        here.current_dir(closed.path());
        for (mut command, advice) in
            [(temporary, "set TMPDIR"), (here, "where --cmd is run")]
        {
            let output = command.output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            let is_clear =
                error.contains(advice) && error.trim_end().lines().count() == 1;
            ensure!(output.status.code() == Some(2) && is_clear, "{output:?}");
        }
    } else {
        let other = refused(&["--user", "4711"])?;
        assert!(other.contains("only root"), "{other}");
    }
    Ok(())
}

#[test]
fn a_plan_is_proved() -> anyhow::Result<()> {
    let plan = assignment().join("PLAN.toml");
    let output = Command::new(COURSE).arg("check").arg(plan).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    recorded("check.txt", &text)
}

/// Runs the script that Gradescope starts. Gradescope's directories are below a temporary
/// directory, with the contents that `setup.sh` would leave there.
#[test]
fn gradescopes_script_writes_results_or_fails() -> anyhow::Result<()> {
    if !can_attack() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("source/target/debug"))?;
    fs::create_dir(path("results"))?;
    symlink(COURSE, path("source/target/debug/course"))?;
    symlink(assignment().join("solution"), path("submission"))?;
    let run = |plan: &Path| {
        fs::write(path("source/plan"), format!("{}\n", plan.display()))?;
        let script = assignment().join("../../gradescope/run_autograder");
        let mut script = Command::new(script);
        script.env("AUTOGRADER", directory.path());
        script.env("GRADER", (users() + 30).to_string()).output()
    };
    let output = run(&assignment().join("PLAN.toml"))?;
    ensure!(output.status.success(), "{output:?}");
    let results = is_gradescope(&read(&path("results/results.json"))?)?;
    ensure!(results["score"] == 100.0, "{results:#}");
    let output = run(Path::new("missing.toml"))?;
    ensure!(!output.status.success(), "a grader that failed goes unnoticed: {output:?}");
    Ok(())
}

/// Checks a report against `schemas/gradescope.json`. Returns the parsed report.
fn is_gradescope(report: &str) -> anyhow::Result<Value> {
    let report: Value = serde_json::from_str(report)?;
    let schema: Value = serde_json::from_str(include_str!("schemas/gradescope.json"))?;
    fits(&report, &schema, "the report")?;
    Ok(report)
}

/// Checks a value against the keywords of JSON Schema that `schemas/gradescope.json` uses. `place`
/// names the value in error messages.
fn fits(value: &Value, schema: &Value, place: &str) -> anyhow::Result<()> {
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some(other) => anyhow::bail!("the schema has an unknown type {other}"),
        None => true,
    };
    ensure!(right, "{place} is no {}: {value}", schema["type"]);
    if let Some(allowed) = schema["enum"].as_array() {
        ensure!(allowed.contains(value), "{place}: {value} is not allowed");
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        ensure!(!value[key].is_null(), "{place} has no {key}");
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let known = &schema["properties"][key];
        ensure!(known.is_object(), "{place}: {key} is not in the schema");
        fits(inner, known, key)?;
    }
    for inner in value.as_array().into_iter().flatten() {
        fits(inner, &schema["items"], place)?;
    }
    Ok(())
}

/// Checks a report against `schemas/junit.json`: its elements, their attributes and nesting.
fn is_junit(report: &str) -> anyhow::Result<()> {
    let schema: Value = serde_json::from_str(include_str!("schemas/junit.json"))?;
    let report = report.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let mut rest = report.context("no XML declaration")?;
    let mut open: Vec<String> = Vec::new();
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').context("a tag without an end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            ensure!(open.pop().as_deref() == Some(name), "</{name}> closes nothing");
            continue;
        }
        let (tag, is_closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let element = &schema[name];
        let list = |key: &str| {
            let words = element[key].as_array().into_iter().flatten();
            words.filter_map(|word| word.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        ensure!(element.is_object(), "<{name}> is not in the schema");
        let parent = open.last().map(|parent| &schema[parent]["children"]);
        let allowed = parent.map_or(name == "testsuites", |children| {
            children.as_array().is_some_and(|all| all.contains(&name.into()))
        });
        ensure!(allowed, "<{name}> in {open:?}");
        // Each attribute is NAME="VALUE", and no value contains a quote or a `<`. So a split at the
        // quotes gives names and values in turn, beginning with a name.
        let names: Vec<_> = attributes.split('"').step_by(2).collect();
        let names = names.iter().map(|name| name.trim().trim_end_matches('='));
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        for required in list("required") {
            ensure!(names.contains(&required.as_str()), "<{name}> has no {required}");
        }
        for given in names {
            let known =
                list("required").iter().chain(&list("optional")).any(|n| n == given);
            ensure!(known, "<{name}>: {given} is not in the schema");
        }
        if !is_closed {
            open.push(name.to_owned());
        }
    }
    ensure!(open.is_empty(), "{open:?} are not closed");
    Ok(())
}
