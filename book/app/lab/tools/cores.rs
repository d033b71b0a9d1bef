//! The cores on which a server and its client run.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread, for the kernel.
const THIS: Pid = Pid::from_raw(0);

/// Two cores, where the system lets us choose. Dropping it lets this process use all of its
/// cores again.
pub(crate) struct Cores {
    /// The server's and the client's.
    chosen: Option<[usize; 2]>,
    before: Option<CpuSet>,
}

impl Cores {
    /// Chooses the first two that this process may use; where it cannot, a remark says so.
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

    /// Starts something on the server's core, and continues on the client's. (A child
    /// inherits its parent's cores, and so do its threads.)
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
            let _ = sched_setaffinity(THIS, before); // if it fails, fewer cores are used
        }
    }
}

fn move_to(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    Ok(sched_setaffinity(THIS, &only)?)
}
