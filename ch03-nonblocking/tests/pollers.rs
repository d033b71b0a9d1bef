//! Tests this chapter's pollers against the contract of
//! [`Poller`](ch03_nonblocking::poller::Poller).

mod contract;

use ch03_nonblocking::spin::Spin;
use contract::contract;

contract!(spin, Spin::default());

#[cfg(target_os = "linux")]
contract!(sigio, ch03_nonblocking::sigio::Sigio::new().expect("signals"));
