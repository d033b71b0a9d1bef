//! What a process and all its children have had of the processors.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Processor time, user and system together: of the process with all threads that it has or
/// had, to the nanosecond; of children that it has buried, in ticks of the clock (proc(5),
/// `cutime` and `cstime`); and the same of each child that lives.
pub(super) fn used(pid: u32) -> Result<Duration> {
    let process = Path::new("/proc").join(pid.to_string());
    let [_, _, user, system] = ticks(pid)?;
    let second = sysconf(SysconfVar::CLK_TCK)?.context("no ticks in a second")?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?;
    let mut used: Duration = clock.now()?.into();
    used += Duration::from_secs_f64((user + system) as f64 / second as f64);
    for thread in fs::read_dir(process.join("task"))? {
        // Threads and children may end while we look.
        let children = fs::read_to_string(thread?.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            used += self::used(child.parse()?).unwrap_or_default();
        }
    }
    Ok(used)
}

/// User and system time of a process, and of the children that it has buried, in ticks.
pub(super) fn ticks(pid: u32) -> Result<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name may hold spaces and brackets. Columns 14 to 17 (proc(5)).
    let columns = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> =
        columns.skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    ticks.try_into().ok().context("/proc/PID/stat is too short")
}
