//! Repeats system calls that a signal has interrupted.

use std::io::{self, ErrorKind};

// ANCHOR: uninterrupted
/// Makes a system call, again each time that a signal interrupts it (EINTR, signal(7)).
/// Returns the result of the last call, which is never the error `Interrupted`.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
// ANCHOR_END: uninterrupted

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_until_no_signal_interrupts_it() {
        let mut calls = [Err(libc::EINTR), Err(libc::EINTR), Ok(7), Ok(8)].into_iter();
        let mut call = || {
            let result = calls.next().expect("at most four calls");
            result.map_err(io::Error::from_raw_os_error)
        };
        assert_eq!(uninterrupted(&mut call).expect("the third succeeds"), 7);
        assert_eq!(uninterrupted(&mut call).expect("the fourth succeeds"), 8);
    }
}
