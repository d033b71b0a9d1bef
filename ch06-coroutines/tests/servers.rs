//! The chapter's two servers as functions of one type, for tests that run both.

use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::poller::Poller;
use ch06_coroutines::{StackPool, async_server, coroutine_server};
use clap::Parser;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

/// A function that serves on the calling thread, with the given poller, until the stop is
/// requested.
pub(crate) type Serve =
    fn(Box<dyn Poller>, Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()>;

/// The coroutine server and the async server.
pub(crate) const SERVERS: [Serve; 2] = [coroutine, async_server::run_one];

/// Runs the coroutine server, with stacks of the default size.
pub(crate) fn coroutine(
    poller: Box<dyn Poller>,
    listener: Listener,
    site: &Arc<Site>,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let stack = StackPool::DEFAULT_SIZE;
    coroutine_server::run_one(poller, listener, site, options, stack, stop)
}

/// Runs a server in another thread while `scene` plays the server's clients and requests the stop.
/// Returns the scene's result, which is dropped only after the server has ended.
///
/// # Errors
///
/// The server's error, or that of the scene, which ends the server too.
pub(crate) fn run<T>(
    serve: Serve,
    poller: impl Poller + Send + 'static,
    scene: impl FnOnce(SocketAddr, &Stop) -> io::Result<T>,
) -> io::Result<T> {
    let options: Options = Cli::parse_from(["server"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, _trigger) = Stop::pipe()?;
    let (played, ended) = thread::scope(|scope| {
        let server =
            scope.spawn(|| serve(Box::new(poller), listener, &site, &options, &stop));
        let played = scene(address, &stop).inspect_err(|_| stop.request());
        (played, server.join().expect("the server does not panic"))
    });
    ended?;
    assert_eq!(site.stats.accepted.get(), site.stats.closed.get());
    played
}
