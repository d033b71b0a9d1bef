//! Tests the limits of a confined program, one by one. Some of the tested programs would not stop
//! without a limit, so none of them is started until a harmless program has proved that each limit
//! holds. The test is skipped unless it runs as root, and the skip is an error if `NO_SKIP` is set.

use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

const COURSE: &str = env!("CARGO_BIN_EXE_course");

/// Returns a user ID that depends on this process, so that no other run of this test has it: each
/// run kills all processes of its user.
fn user() -> u32 {
    719_000 + std::process::id() % 10_000
}

/// Runs a shell script under a confinement. Returns its output.
fn confined(confinement: &Value, script: &str) -> anyhow::Result<Output> {
    let mut command = Command::new(COURSE);
    command.args(["contain", &confinement.to_string(), "run", "/bin/sh", "-c", script]);
    Ok(command.output()?)
}

/// Returns the limits of a confinement that do not hold.
fn broken(confinement: &Value) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(COURSE);
    let output = command.args(["contain", &confinement.to_string(), "prove"]).output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).context(error)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat())
        .into_owned()
}

/// Returns a copy of the JSON object `confinement` in which `key` has another value.
fn with(confinement: &Value, key: &str, value: impl Into<Value>) -> Value {
    let mut changed = confinement.clone();
    changed[key] = value.into();
    changed
}

#[test]
fn limits_bind_and_everything_is_killed() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        ensure!(env::var_os("NO_SKIP").is_none(), "only root can confine a program");
        eprintln!("skipped: only root can confine a program");
        return Ok(());
    }
    let base = tempfile::tempdir()?;
    fs::set_permissions(
        base.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let own = base.path().join("own");
    fs::create_dir(&own)?;
    nix::unistd::chown(&own, Some(user().into()), Some(user().into()))?;
    // These limits are so small that the proof can exceed each of them without harm.
    let small = json!({
        "user": [user(), user()],
        "processes": 0,
        "memory": 1 << 30,
        "file": 4096,
        "descriptors": 16,
        "cpu": 10,
        "directory": own,
        "environment": [["PATH", "/usr/bin:/bin"]],
    });
    let unproved = broken(&small)?;
    ensure!(unproved.is_empty(), "on this machine this does not hold: {unproved:?}");

    // The limits are now proved to bind this user, so the scripts below may rely on limits.
    let usual = with(&small, "processes", 20);
    let usual = with(&usual, "descriptors", 64);

    // The confined program runs as another user, in a session of its own, without the grader's
    // environment.
    let who = confined(&usual, "id -u; id -G; env | grep -c CARGO; echo $PPID")?;
    let who = text(&who);
    let lines: Vec<_> = who.lines().collect();
    ensure!(
        lines[..3] == [user().to_string(), user().to_string(), "0".to_owned()],
        "{who}"
    );

    // A file grows to its limit and no further.
    let file = confined(&usual, "head -c 100000 /dev/zero > large; wc -c < large")?;
    ensure!(text(&file).contains("4096\n"), "{}", text(&file));

    // Outside its own directory, the confined program can neither read a private file nor write or
    // remove a file.
    let secret = base.path().join("secret");
    fs::write(&secret, "secret")?;
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let path = secret.display();
    let script =
        format!("cat {path}; echo x > {path}; rm -f {path}; rm -rf ../own; echo end");
    let outside = text(&confined(&usual, &script)?);
    ensure!(!outside.contains("secret\n") && outside.contains("end"), "{outside}");
    ensure!(fs::read_to_string(&secret)? == "secret", "it was changed");

    // The limit on processor time ends a program that would otherwise run forever.
    let spinning = with(&usual, "cpu", 1);
    let spun = confined(&spinning, "while :; do :; done; echo survived")?;
    ensure!(
        !spun.status.success() && !text(&spun).contains("survived"),
        "{}",
        text(&spun)
    );

    // Memory: `tail` needs 2 GiB and has a limit of 64 MiB, so it cannot print all bytes.
    let script = "head -c 2147483648 /dev/zero | tail -c 2147483647 | wc -c";
    let large = with(&usual, "memory", 64 << 20);
    let large = text(&confined(&large, script)?);
    ensure!(!large.contains("2147483647"), "{large}");

    let killer = Killer(usual.clone());
    // A fork bomb that ends by itself after 60 processes gets at most 20 of them. Later `course
    // contain` kills all of these, whatever session they are in.
    let script = "for n in $(seq 60); do setsid sleep 300 & done; wait";
    let mut bomb = Command::new(COURSE);
    bomb.args(["contain", &usual.to_string(), "run", "/bin/sh", "-c", script]);
    let mut bomb = bomb.stderr(std::process::Stdio::piped()).spawn()?;
    // Some shells end when they cannot fork; others try again, and do not end. So the processes are
    // counted until the shell has ended or there are 20 of them.
    let mut most = 0;
    loop {
        let has_ended = bomb.try_wait()?.is_some();
        most = most.max(processes());
        if has_ended || most >= 20 {
            break;
        }
    }
    // The processes are counted one after another. If one ends and another begins meanwhile, both
    // may be counted, so the count may exceed 20.
    ensure!(most < 40, "there were {most} processes");
    ensure!(most > 1, "the bomb did nothing");
    let killed = killer.kill()?;
    ensure!(killed.status.success(), "{}", text(&killed));
    bomb.wait()?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while processes() > 0 {
        ensure!(std::time::Instant::now() < end, "{} processes survive", processes());
    }
    Ok(())
}

/// A guard that kills all processes of a confinement's user when it is dropped, also if the test
/// fails.
struct Killer(Value);

impl Killer {
    fn kill(&self) -> std::io::Result<Output> {
        Command::new(COURSE).args(["contain", &self.0.to_string(), "kill"]).output()
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Returns the number of processes of the user `user()` that have not ended.
fn processes() -> usize {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mark = format!("Uid:\t{}\t", user());
    let is_its = |entry: &fs::DirEntry| {
        let status = fs::read_to_string(Path::new(&entry.path()).join("status"));
        status.is_ok_and(|status| status.contains(&mark) && !status.contains("State:\tZ"))
    };
    all.filter(is_its).count()
}
