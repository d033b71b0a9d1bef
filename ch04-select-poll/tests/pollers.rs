//! Tests this chapter's pollers against the contract of `Poller`.

#[path = "../../ch03-nonblocking/tests/contract/mod.rs"]
mod contract;

use ch04_select_poll::poll::Poll;
use ch04_select_poll::select::Select;
use contract::contract;

contract!(select, Select::default());
contract!(poll, Poll::default());
