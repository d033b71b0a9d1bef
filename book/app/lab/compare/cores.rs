//! Which core is the server's, and which the client's.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Two cores, where the system lets us choose.
pub(super) struct Cores(Option<[usize; 2]>);

impl Cores {
    /// The first two that this process may use.
    pub(super) fn of_this_process(remarks: &mut Vec<String>) -> Cores {
        let this = Pid::from_raw(0);
        let Ok(allowed) = sched_getaffinity(this) else {
            remarks
                .push("this system does not let us choose cores: they all share".into());
            return Cores(None);
        };
        let mut allowed =
            (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true));
        match (allowed.next(), allowed.next()) {
            (Some(server), Some(client)) => Cores(Some([server, client])),
            _ => {
                remarks.push("there is one core only: client and server share it".into());
                Cores(None)
            }
        }
    }

    /// Starts something on the server's core, and goes on on the client's. (A child is
    /// born on its parent's cores, and so are its threads.)
    pub(super) fn start<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        let Cores(Some([server, client])) = *self else { return start() };
        move_to(server)?;
        let started = start();
        move_to(client)?;
        started
    }
}

fn move_to(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &only)?)
}
