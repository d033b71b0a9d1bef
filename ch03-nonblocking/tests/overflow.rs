//! The contract again, with no room in the queue of signals: everything is told by a
//! plain SIGIO. A program of its own, since the limit is for a whole process.
#![cfg(target_os = "linux")]

mod contract;

use ch03_nonblocking::sigio::Sigio;
use contract::contract;
use nix::sys::resource::{Resource, setrlimit};

fn overflowing() -> Sigio {
    setrlimit(Resource::RLIMIT_SIGPENDING, 0, 0).expect("a lower limit");
    Sigio::new().expect("signals")
}

contract!(sigio, overflowing());
