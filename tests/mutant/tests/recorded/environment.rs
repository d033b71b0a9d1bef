//! Tests that verdicts and failure texts do not depend on the process environment: some mutants
//! are judged once more in an unusual environment.

use std::env;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

/// A shell script that starts the tests with inherited descriptors, without standard input, with
/// ignored signals, a strict umask, a low soft limit on descriptors, another working directory,
/// and environment variables that change messages.
const ENVIRONMENT: &str = "
    exec 3</dev/null 4</dev/null 5</dev/null 7</dev/null 9</dev/null <&-
    trap '' HUP INT QUIT TERM ALRM CHLD USR1 USR2 PIPE
    umask 077
    ulimit -S -n 64
    cd /
    export RUST_BACKTRACE=full LC_ALL=de_DE.UTF-8 TZ=Asia/Kathmandu
    exec \"$0\" \"$@\"
";

/// Filters for the tests whose results depend most on the descriptors, signals, processes, and
/// permissions that a server inherits.
const JUDGED: [&str; 4] =
    ["descriptor", "mutant::dies-of-sig", "processes", "exits-without-thread"];

/// Runs the tests that the filters [`JUDGED`] select in an unusual environment: verdicts and
/// failure texts must be the same as in the usual one.
pub(crate) fn same() -> Result<(), Failed> {
    let tests = env::current_exe()?;
    for filter in JUDGED {
        let output = Command::new("/bin/sh")
            .args(["-c", ENVIRONMENT])
            .arg(&tests)
            .arg(filter)
            // The tests must not record failures in the unusual environment.
            .env_remove("RECORD")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            return Err(Failed::from(format!(
                "{filter}: {} in an unusual process environment:\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            )));
        }
    }
    Ok(())
}
