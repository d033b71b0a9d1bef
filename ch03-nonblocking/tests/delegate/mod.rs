//! A macro for the pollers that tests wrap around another poller. Later chapters include this file
//! by its path.

/// Generates methods of `Poller`: `delegate!(poller: register, reregister)` generates `register`
/// and `reregister`, which call the same methods of `self.poller`.
macro_rules! delegate {
    (@ $poller:ident register) => {
        fn register(
            &mut self,
            fd: std::os::fd::BorrowedFd<'_>,
            token: ch03_nonblocking::poller::Token,
            interest: ch03_nonblocking::poller::Interest,
        ) -> std::io::Result<()> {
            self.$poller.register(fd, token, interest)
        }
    };
    (@ $poller:ident reregister) => {
        fn reregister(
            &mut self,
            fd: std::os::fd::BorrowedFd<'_>,
            token: ch03_nonblocking::poller::Token,
            interest: ch03_nonblocking::poller::Interest,
        ) -> std::io::Result<()> {
            self.$poller.reregister(fd, token, interest)
        }
    };
    (@ $poller:ident deregister) => {
        fn deregister(
            &mut self,
            fd: std::os::fd::BorrowedFd<'_>,
            token: ch03_nonblocking::poller::Token,
        ) -> std::io::Result<()> {
            self.$poller.deregister(fd, token)
        }
    };
    ($poller:ident: $($method:ident),+) => { $(delegate! { @ $poller $method })+ };
}
