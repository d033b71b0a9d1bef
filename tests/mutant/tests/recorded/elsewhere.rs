//! Neither verdicts nor recorded texts depend on who started the tests: some are
//! judged once more from surroundings that are unlike any.

use std::env;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

/// More descriptors, no standard input, ignored signals, nothing that others may
/// read, few descriptors (at first), another directory, and words for the runtime.
const SURROUNDINGS: &str = "
    exec 3</dev/null 4</dev/null 5</dev/null 7</dev/null 9</dev/null <&-
    trap '' HUP INT QUIT TERM ALRM CHLD USR1 USR2 PIPE
    umask 077
    ulimit -S -n 64
    cd /
    export RUST_BACKTRACE=full LC_ALL=de_DE.UTF-8 TZ=Asia/Kathmandu
    exec \"$0\" \"$@\"
";

/// What depends most on what a server inherits: descriptors, signals, processes,
/// another user's rights.
const JUDGED: [&str; 4] =
    ["descriptor", "mutant::dies-of-sig", "processes", "exits-without-thread"];

/// The same verdicts and the same texts.
pub(crate) fn same() -> Result<(), Failed> {
    let tests = env::current_exe()?;
    for filter in JUDGED {
        let output = Command::new("/bin/sh")
            .args(["-c", SURROUNDINGS])
            .arg(&tests)
            .arg(filter)
            // Nothing is recorded from there.
            .env_remove("RECORD")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            return Err(Failed::from(format!(
                "{filter}: {} where more is inherited than here:\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            )));
        }
    }
    Ok(())
}
