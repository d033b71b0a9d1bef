//! Tests the contract of `Poller` with a signal queue that always overflows, so that every event is
//! reported by a plain SIGIO. The test is a separate program, because the limit on queued signals
//! applies to the whole process.
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
