//! The cores on which a server and its client run.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The process ID 0, which stands for the calling thread in sched_setaffinity(2).
const THIS: Pid = Pid::from_raw(0);

/// Two cores, one for the server and one for the client, if the system allows a choice. Dropping
/// the value lets the process use all its cores again.
pub(crate) struct Cores {
    /// The server's core and the client's core; `None` if there was no choice.
    chosen: Option<[usize; 2]>,
    /// The cores that this process could use before two of them were chosen.
    before: Option<CpuSet>,
}

impl Cores {
    /// Chooses the first two cores that this process may use. If no choice is possible, appends the
    /// reason to `remarks`.
    pub(crate) fn of_this_process(remarks: &mut Vec<String>) -> Cores {
        let before = sched_getaffinity(THIS).ok();
        let mut allowed = (0..CpuSet::count())
            .filter(|core| before.is_some_and(|set| set.is_set(*core) == Ok(true)));
        let chosen = match (allowed.next(), allowed.next()) {
            (Some(server), Some(client)) => Some([server, client]),
            (Some(_), None) => {
                remarks.push("There is one core only: client and server share it".into());
                None
            }
            _ => {
                remarks.push("This system does not let us choose cores".into());
                None
            }
        };
        Cores { chosen, before }
    }

    /// Calls `start` on the server's core, then moves the calling thread to the client's core. (A
    /// child process inherits its parent's cores, and so do the child's threads.)
    pub(crate) fn start<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some([server, client]) = self.chosen else { return start() };
        move_to(server)?;
        let started = start();
        move_to(client)?;
        started
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = sched_setaffinity(THIS, before); // on failure, fewer cores are used
        }
    }
}

fn move_to(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    Ok(sched_setaffinity(THIS, &only)?)
}
