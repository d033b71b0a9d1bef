//! This chapter's mechanisms keep the contract of `Poller`.

#[cfg(target_os = "linux")]
#[path = "../../ch03-nonblocking/tests/contract/mod.rs"]
mod contract;

#[cfg(target_os = "linux")]
mod linux {
    use crate::contract;
    use ch05_epoll::epoll::{Epoll, Trigger};
    use contract::contract;

    contract!(level, Epoll::new(Trigger::Level).expect("an epoll"));
    contract!(edge, Epoll::new(Trigger::Edge).expect("an epoll"));
}
