//! Tests this chapter's pollers against the contract of
//! [`Poller`](ch03_nonblocking::poller::Poller).

use crate::contract::contract;

#[cfg(target_os = "linux")]
use ch05_epoll::epoll::{Epoll, Trigger};

#[cfg(target_os = "linux")]
contract!(level, Epoll::new(Trigger::Level).expect("an epoll"));
#[cfg(target_os = "linux")]
contract!(edge, Epoll::new(Trigger::Edge).expect("an epoll"));
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
contract!(kqueue, ch05_epoll::kqueue::Kqueue::new().expect("a kqueue"));
