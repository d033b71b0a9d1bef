//! The operating system's accounts of processes and memory, from `/proc` and getrusage(2).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Returns the value of the line `name: value` in the file `path`.
pub fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    Some(lines.find(|(key, _)| key.trim() == name)?.1.trim().to_owned())
}

/// The same as a number, without its unit (KiB where the kernel says kB).
pub fn number(path: &str, name: &str) -> Option<u64> {
    field(path, name)?.split_whitespace().next()?.parse().ok()
}

/// A line of /proc/meminfo, in KiB; 0 where there is none.
pub fn meminfo(name: &str) -> u64 {
    number("/proc/meminfo", name).unwrap_or(0)
}

/// Returns the number `name` of the process `pid`, or of `self`: from its `status`, or from
/// another of its files, in KiB.
pub fn of_process(pid: impl std::fmt::Display, file: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    number(&path, name).with_context(|| format!("no {name} in {path}"))
}

/// User and system time together.
pub fn cpu_time(usage: &Usage) -> Duration {
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| u64::try_from(time.num_microseconds()).unwrap_or(0));
    Duration::from_micros(micros.iter().sum())
}

/// Processor time of this process and of the children that it has reaped.
pub fn cpu() -> Result<Duration> {
    let own = cpu_time(&getrusage(UsageWho::RUSAGE_SELF)?);
    Ok(own + children_cpu()?)
}

/// Processor time of the children that have been reaped.
pub fn children_cpu() -> Result<Duration> {
    Ok(cpu_time(&getrusage(UsageWho::RUSAGE_CHILDREN)?))
}

/// Processor time of a process with all threads that it has or had, to the nanosecond; of
/// children that it has reaped, in ticks of the clock (proc(5), `cutime` and `cstime`); and
/// the same of each child that lives.
#[cfg(target_os = "linux")]
pub fn family_cpu(pid: u32) -> Result<Duration> {
    use nix::time::clock_getcpuclockid;
    use nix::unistd::{Pid, SysconfVar, sysconf};

    let [_, _, user, system] = ticks(pid)?;
    let second = sysconf(SysconfVar::CLK_TCK)?.context("no ticks in a second")?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?;
    let mut used: Duration = clock.now()?.into();
    used += Duration::from_secs_f64((user + system) as f64 / second as f64);
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // Threads and children may end meanwhile.
        let children = fs::read_to_string(thread?.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            used += family_cpu(child.parse()?).unwrap_or_default();
        }
    }
    Ok(used)
}

/// User and system time of a process, and of the children that it has reaped, in ticks.
#[cfg(target_os = "linux")]
pub fn ticks(pid: u32) -> Result<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name may hold spaces and brackets. Columns 14 to 17 (proc(5)).
    let columns = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> =
        columns.skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    ticks.try_into().ok().context("/proc/PID/stat is too short")
}
