//! Which core is the server's, and which the client's.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread, for the kernel.
const THIS: Pid = Pid::from_raw(0);

/// Two cores, where the system lets us choose. This process may use all of its own again
/// when this is dropped.
pub(in crate::lab) struct Cores {
    /// The server's and the client's.
    chosen: Option<[usize; 2]>,
    before: Option<CpuSet>,
}

impl Cores {
    /// The first two that this process may use.
    pub(in crate::lab) fn of_this_process(remarks: &mut Vec<String>) -> Cores {
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

    /// Starts something on the server's core, and goes on on the client's. (A child is
    /// born on its parent's cores, and so are its threads.)
    pub(in crate::lab) fn start<T>(
        &self,
        start: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
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
            let _ = sched_setaffinity(THIS, before); // or it stays on fewer
        }
    }
}

fn move_to(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    Ok(sched_setaffinity(THIS, &only)?)
}
