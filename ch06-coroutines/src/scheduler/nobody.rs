//! For a scheduler, or an executor, at which nobody rests.

use super::Dormant;
use crate::reactor::Resting;
use ch03_nonblocking::poller::Token;
use std::io;
use std::os::fd::BorrowedFd;

/// For who has nobody that rests.
#[derive(Debug)]
pub enum Nobody {}

impl Resting for Nobody {
    fn fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }

    fn source(&self) -> Token {
        match *self {}
    }

    fn number(&self) -> u64 {
        match *self {}
    }
}

impl Dormant for Nobody {
    fn begin(self) {
        match self {}
    }

    fn no_stack(self, _: io::Error) {
        match self {}
    }
}
