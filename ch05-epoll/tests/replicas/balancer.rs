//! Starts nginx or HAProxy with the book's configuration, or the reader's own balancer.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use client_suite::server::Server;

const NGINX: &str = include_str!("../../../book/src/deploy/nginx.conf");
const HAPROXY: &str = include_str!("../../../book/src/deploy/haproxy.cfg");

/// A running balancer; dropping this value kills the process.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    process: Server,
}

/// The name of the reader's own balancer, whose program the environment variable BALANCER names.
pub(crate) const YOURS: &str = "a balancer of your own";

/// Returns the path of a balancer's program, or `None` if it is not installed. The search includes
/// the directories in which Debian installs nginx and HAProxy, and which only root's PATH has.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if name == YOURS {
        // A reader writes this balancer in the last exercise of `book/src/second-machine.md`. If
        // BALANCER is not set, the tests of the reader's balancer are skipped, even if NO_SKIP is
        // set.
        let program = std::env::var_os("BALANCER").map(PathBuf::from);
        match &program {
            None => eprintln!("skipped: BALANCER names no program"),
            Some(program) => assert!(
                program.is_absolute() && program.is_file(),
                "BALANCER={}: no program (its whole path, from / on, is needed)",
                program.display()
            ),
        }
        return program;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("NO_SKIP").is_none(), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

impl Balancer {
    /// Starts the balancer on the first address, in front of the replicas at the other addresses.
    /// The reader's own balancer gets the addresses as arguments; the other balancers get the
    /// book's configuration, modified by `change`.
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        addresses: &[SocketAddr],
        change: impl FnOnce(String) -> String,
    ) -> Balancer {
        let mut command = Command::new(program);
        command.current_dir(directory);
        let file = directory.join("balancer.conf");
        let configuration = if program.ends_with("nginx") {
            command.arg("-p").arg(directory).args(["-e", "stderr", "-c"]).arg(&file);
            Some(NGINX)
        } else if program.ends_with("haproxy") {
            command.args(["-db", "-f"]).arg(&file);
            Some(HAPROXY)
        } else {
            command.args(addresses.iter().map(SocketAddr::to_string));
            None
        };
        if let Some(configuration) = configuration {
            let mut configuration = configuration.to_owned();
            for (address, port) in addresses.iter().zip(8080..) {
                let written = format!("127.0.0.1:{port}");
                assert!(configuration.contains(&written));
                configuration = configuration.replace(&written, &address.to_string());
            }
            fs::write(&file, change(configuration)).expect("a file");
        }
        let process = Server::spawn(command, program.display().to_string(), true);
        Balancer {
            address: addresses[0],
            directory: directory.to_owned(),
            process: super::fine(process),
        }
    }

    pub(crate) fn is_listening(&mut self) -> bool {
        let ended = self.process.exited();
        assert!(ended.is_none(), "the balancer exited: {}", self.process.stderr());
        TcpStream::connect(self.address).is_ok()
    }

    /// Sends a command to HAProxy's control socket and returns the response.
    pub(crate) fn tell(&self, what: &str) -> String {
        let mut socket =
            UnixStream::connect(self.directory.join("haproxy.sock")).expect("its socket");
        socket.write_all(format!("{what}\n").as_bytes()).expect("it listens");
        socket.shutdown(Shutdown::Write).expect("it listens");
        let mut said = String::new();
        socket.read_to_string(&mut said).expect("it says something");
        said
    }

    /// Returns the number of requests in flight at a replica, from the fifth column of HAProxy's
    /// table of servers.
    pub(crate) fn under_way(&self, name: &str) -> usize {
        let table = self.tell("show stat");
        let line =
            table.lines().find(|line| line.starts_with(&format!("replicas,{name},")));
        let column = line.and_then(|line| line.split(',').nth(4));
        column.and_then(|number| number.parse().ok()).expect("a line of the table")
    }
}
