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

#[cfg(target_os = "linux")]
mod reports {
    use super::*;
    use ch03_nonblocking::poller::{Interest, Poller as _, Token};
    use std::io::{self, Write as _};
    use std::net::Shutdown;
    use std::os::{fd::AsFd as _, unix::net::UnixStream};
    use std::time::Duration;

    /// Tests that the arrival of bytes is reported without `eof` and `broken`, an end of file with
    /// `eof`, and a hang-up with both. If an end of file were reported only as readable, an
    /// edge-triggered event loop would miss it: after a short read the loop waits for another
    /// event, and no event follows the end of file.
    #[test]
    fn the_end_and_a_hang_up_are_told_from_bytes() -> io::Result<()> {
        for trigger in [Trigger::Level, Trigger::Edge] {
            let mut poller = Epoll::new(trigger)?;
            let (ours, mut theirs) = UnixStream::pair()?;
            let token = Token { index: 7, generation: 1 };
            poller.register(ours.as_fd(), token, Interest::READ)?;
            let mut report = || {
                let mut ready = Vec::new();
                poller.wait(&mut ready, Some(Duration::from_secs(1)))?;
                assert_eq!(
                    (ready.len(), ready[0].token),
                    (1, token),
                    "events in a report"
                );
                io::Result::Ok((ready[0].readable, ready[0].eof, ready[0].broken))
            };
            theirs.write_all(b"!")?;
            assert_eq!(
                report()?,
                (true, false, false),
                "readable, `eof`, `broken`: one byte"
            );
            theirs.shutdown(Shutdown::Write)?;
            assert_eq!(
                report()?,
                (true, true, false),
                "readable, `eof`, `broken`: the end"
            );
            drop(theirs);
            assert_eq!(
                report()?,
                (true, true, true),
                "readable, `eof`, `broken`: hung up"
            );
        }
        Ok(())
    }
}
