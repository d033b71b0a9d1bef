//! Three blocking HTTP servers, and the HTTP and the application of all later servers.
//!
//! Chapter 1: what does it cost to wait for one client?
//!
//! ```text
//!   Listener::accept ──► which thread or process serves it?
//!                            iterative   this thread
//!                            fork        a new process
//!                            thread      a new thread
//!                            │
//!                            ▼
//!                  handle_connection ──► serve, again and again:
//!
//!        ┌────► Stream::fill ──► Inbox::next ──► Site::respond ──► Outbox::push ─┐
//!        │      waits            never waits     never waits       never waits   │
//!        │                                                                       ▼
//!        └──────────────────── idle ◄──────────────────────────── Outbox::flush, waits
//!                               │
//!                               └──► linger ──► close
//! ```
//!
//! Each of the three servers is one file: [`iterative`], [`fork`], [`thread`].
//! Everything that waits for a client is in [`serve()`] and its [`stream`], with the
//! [`deadlines`]. Everything that decides is in [`http`] and [`app`], and waits for no client;
//! only [`Outbox::flush`](http::Outbox::flush) calls the stream, which may wait. Later
//! chapters drive the same decisions in other ways. [`server`] holds the rest of a server:
//! options, the listening socket, the shutdown, child processes, the log and the trace.
//!
//! ```
//! use ch01_blocking::program::Cli;
//! use ch01_blocking::{Listener, Options, Stop, thread};
//! use clap::Parser;
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! let options: Options = Cli::parse_from(["server"]).options;
//! let site = options.site()?;
//! let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
//! let address = listener.address()?;
//! let (stop, trigger) = Stop::pipe()?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| thread::run(listener, &site, &options, &stop));
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"GET /plaintext HTTP/1.0\r\n\r\n")?;
//!     let mut response = String::new();
//!     client.read_to_string(&mut response)?;
//!     assert!(response.ends_with("Hello, World!"));
//!     trigger.stop()
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! The chapter begins with small servers, which share no code with these three:
//! `src/bin/small-*.rs`, and [`small`].

pub mod app;
pub mod connection;
pub mod deadlines;
pub mod fork;
pub mod http;
pub mod iterative;
pub mod serve;
pub mod server;
pub mod small;
pub mod stream;
pub mod thread;

pub use app::site::Site;
pub use serve::serve;
pub use server::listener::Listener;
pub use server::options::Options;
pub use server::program;
pub use server::stop::Stop;
