//! The operating system's figures about processes and memory, from `/proc` and getrusage(2).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Returns the value of the line `name: value` in the file `path`. `None` if the file cannot be
/// read, or has no such line.
pub fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    Some(lines.find(|(key, _)| key.trim() == name)?.1.trim().to_owned())
}

/// Returns the number in the line `name: number unit` of the file `path`. `None` if the file
/// cannot be read, or has no such line. (The kernel's unit kB means KiB.)
pub fn number(path: &str, name: &str) -> Option<u64> {
    field(path, name)?.split_whitespace().next()?.parse().ok()
}

/// Returns the figure `name` from /proc/meminfo, in KiB, or 0 if the file lacks the figure.
pub fn meminfo(name: &str) -> u64 {
    number("/proc/meminfo", name).unwrap_or(0)
}

/// Returns the figure `name`, in KiB, from the file `file` (such as `status`) of the process
/// `pid` in /proc. The `pid` may be `self`.
///
/// # Errors
///
/// The file cannot be read, or has no such figure.
pub fn of_process(pid: impl std::fmt::Display, file: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    number(&path, name).with_context(|| format!("no {name} in {path}"))
}

/// Returns the processor time in `usage`: user and system time together.
pub fn cpu_time(usage: &Usage) -> Duration {
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| u64::try_from(time.num_microseconds()).unwrap_or(0));
    Duration::from_micros(micros.iter().sum())
}

/// Returns the processor time of this process and of the children that it has reaped.
pub fn cpu() -> Result<Duration> {
    let own = cpu_time(&getrusage(UsageWho::RUSAGE_SELF)?);
    Ok(own + children_cpu()?)
}

/// Returns the processor time of the children that this process has reaped.
pub fn children_cpu() -> Result<Duration> {
    Ok(cpu_time(&getrusage(UsageWho::RUSAGE_CHILDREN)?))
}

/// Returns the processor time of the process `pid` and its descendants. The time of running
/// processes, with all their current and former threads, has a resolution of nanoseconds; the time
/// of children that have been reaped is counted in clock ticks (proc(5), `cutime` and `cstime`).
#[cfg(target_os = "linux")]
pub fn family_cpu(pid: u32) -> Result<Duration> {
    use nix::time::clock_getcpuclockid;
    use nix::unistd::{Pid, SysconfVar, sysconf};

    let [_, _, user, system] = ticks(pid)?;
    let second = sysconf(SysconfVar::CLK_TCK)?
        .context("the system reports no clock ticks per second")?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?;
    let mut used: Duration = clock.now()?.into();
    used += Duration::from_secs_f64((user + system) as f64 / second as f64);
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread or child that ends while this function runs is left out.
        let children = fs::read_to_string(thread?.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            used += family_cpu(child.parse()?).unwrap_or_default();
        }
    }
    Ok(used)
}

/// Returns four times in clock ticks: the user and system time of the process `pid`, then the user
/// and system time of the children that it has reaped.
#[cfg(target_os = "linux")]
pub fn ticks(pid: u32) -> Result<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The times are columns 14 to 17 of /proc/PID/stat (proc(5)). This code counts them
    // from the end of the program's name, because the name may contain spaces and parentheses.
    let columns = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> =
        columns.skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    ticks.try_into().ok().context("/proc/PID/stat is too short")
}
