//! Tests this chapter's pollers against the contract of
//! [`Poller`](ch03_nonblocking::poller::Poller).

use crate::contract::contract;
use ch04_select_poll::poll::Poll;
use ch04_select_poll::select::Select;

contract!(select, Select::default());
contract!(poll, Poll::default());
