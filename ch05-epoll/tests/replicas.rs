//! Tests a rolling restart of three replicas behind a load balancer, while clients keep
//! sending requests: each replica is drained by SIGTERM, exits, and is started again,
//! and no request fails.
//!
//! The balancers' configurations are those in the book. A test whose balancer is not
//! installed is skipped, or fails if the environment variable NO_SKIP is set.
#![cfg(target_os = "linux")]

#[path = "replicas/balancer.rs"]
mod balancer;
#[path = "replicas/clients.rs"]
mod clients;
#[path = "replicas/orders.rs"]
mod orders;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use balancer::Balancer;
use client_suite::rlimits::Rlimits;
use client_suite::server::Server;
use client_suite::target::Target;
use client_suite::timeout::timeout;
use client_suite::verdict::CaseResult;
use clients::Clients;
use nix::sys::signal::Signal;
use orders::Orders;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The number of clients, which send requests at the same time.
const CLIENTS: usize = 8;
/// The number of new responses after which a replica counts as serving clients.
const SOME: usize = 50;

/// A server with its own file, whose content tells its responses apart from those of
/// other replicas.
struct Replica {
    name: &'static str,
    root: PathBuf,
    address: SocketAddr,
    server: Server,
}

impl Replica {
    fn new(name: &'static str, root: PathBuf, address: SocketAddr) -> Replica {
        fs::create_dir(&root).expect("a directory");
        fs::write(root.join("name.txt"), name).expect("a file");
        let server = Replica::start(&root, address);
        Replica { name, root, address, server }
    }

    fn start(root: &std::path::Path, address: SocketAddr) -> Server {
        let program = Target::Binary(env!("CARGO_BIN_EXE_epoll").into());
        let listen = address.to_string();
        fine(Server::start(&program, root, &[("listen", &listen)], Rlimits::default()))
    }

    /// Sends SIGTERM and waits until the server has drained and exited.
    fn drain(&mut self) {
        fine(self.server.signal(Signal::SIGTERM));
        let status = fine(self.server.wait());
        assert!(status.success(), "{}: {}", self.name, Server::describe_exit(status));
    }

    fn start_again(&mut self) {
        self.server = Replica::start(&self.root, self.address);
    }
}

fn fine<T>(step: CaseResult<T>) -> T {
    step.unwrap_or_else(|stop| panic!("{stop:?}"))
}

/// Waits until a condition holds, for at most the suite's timeout. `what` names the
/// condition in the panic message.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout();
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A load balancer and the three replicas behind it.
struct Deployment {
    balancer: Balancer,
    replicas: Vec<Replica>,
    _directory: tempfile::TempDir,
}

impl Deployment {
    /// Starts the balancer and the replicas, or returns `None` if the balancer is not
    /// installed. `change` may modify the balancer's configuration.
    fn open(program: &str, change: impl FnOnce(String) -> String) -> Option<Deployment> {
        let program = balancer::find(program)?;
        let directory = tempfile::tempdir().expect("a directory");
        let addresses: [SocketAddr; 4] = std::array::from_fn(|_| {
            ([127, 0, 0, 1], fine(client_suite::port::free_port())).into()
        });
        let replicas = NAMES.iter().zip(&addresses[1..]).map(|(name, address)| {
            Replica::new(name, directory.path().join(name), *address)
        });
        let replicas: Vec<Replica> = replicas.collect();
        let mut balancer =
            Balancer::start(&program, directory.path(), &addresses, change);
        until("the balancer listens", || balancer.is_listening());
        Some(Deployment { balancer, replicas, _directory: directory })
    }

    // ANCHOR: roll
    /// Drains and restarts one replica after the other while `clients` send requests.
    /// `before` and `after` notify the balancer before the drain and after the restart.
    fn roll(
        &mut self,
        clients: &Clients,
        before: impl Fn(&Balancer, &str),
        after: impl Fn(&Balancer, &str),
    ) {
        for (at, replica) in self.replicas.iter_mut().enumerate() {
            let served = clients.served(at);
            until("clients are sent to it", || clients.served(at) > served + SOME);
            before(&self.balancer, replica.name);
            replica.drain();
            let all = clients.all();
            until("the others serve all", || clients.all() > all + SOME * NAMES.len());
            replica.start_again();
            after(&self.balancer, replica.name);
            let served = clients.served(at);
            // The next replica is drained only when the balancer sends clients to this
            // replica again.
            until("clients are sent to it again", || clients.served(at) > served + SOME);
        }
    }
    // ANCHOR_END: roll
}

fn nothing(_: &Balancer, _: &str) {}

#[test]
fn behind_nginx_no_client_notices() {
    let Some(mut deployment) = Deployment::open("nginx", |same| same) else { return };
    let clients = Clients::start(deployment.balancer.address, CLIENTS, clients::READING);
    deployment.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

#[test]
fn behind_haproxy_no_client_notices() {
    let Some(mut deployment) = Deployment::open("haproxy", |same| same) else { return };
    let clients = Clients::start(deployment.balancer.address, CLIENTS, clients::READING);
    deployment.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

/// Behind the reader's own balancer, which the environment variable BALANCER names, no client
/// notices a rolling restart.
#[test]
fn behind_yours_no_client_notices() {
    let Some(mut deployment) = Deployment::open(balancer::YOURS, |same| same) else {
        return;
    };
    let clients = Clients::start(deployment.balancer.address, CLIENTS, clients::READING);
    deployment.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

/// If HAProxy is notified before a replica is drained, no request fails, not even one
/// that must not be repeated.
#[test]
fn behind_haproxy_notified_before_the_drain_writers_notice_nothing() {
    let Some(mut deployment) = Deployment::open("haproxy", |same| same) else { return };
    let clients = Clients::start(deployment.balancer.address, CLIENTS, clients::WRITING);
    deployment.roll(
        &clients,
        |balancer, name| {
            balancer.tell(&format!("set server replicas/{name} state drain"));
            until("nothing is under way at it", || balancer.under_way(name) == 0);
        },
        |balancer, name| {
            balancer.tell(&format!("set server replicas/{name} state ready"));
        },
    );
    assert_eq!(clients.stop(), [""; 0]);
}

/// If nginx does not repeat failed requests, a client receives an error, which shows
/// that `behind_nginx_no_client_notices` can fail.
#[test]
fn behind_nginx_without_retries_a_client_notices() {
    let Some(mut deployment) = Deployment::open("nginx", |configuration| {
        let spoiled = configuration
            .replace("proxy_next_upstream error timeout", "proxy_next_upstream off");
        assert_ne!(spoiled, configuration);
        spoiled
    }) else {
        return;
    };
    let clients = Clients::start(deployment.balancer.address, CLIENTS, clients::READING);
    until("clients are served", || clients.all() > SOME);
    deployment.replicas[0].drain();
    until("a client receives 502", || clients.failures() > 0);
    let failures = clients.stop();
    assert!(failures.iter().any(|said| said.contains("502")), "{failures:?}");
}

/// Sends three orders, each once, to a balancer whose replicas accept an order and
/// close the connection without a response. Returns the orders that the replicas
/// accepted, or `None` if the balancer is not installed.
fn orders_taken(
    program: &str,
    change: impl FnOnce(String) -> String,
) -> Option<Vec<String>> {
    let program = balancer::find(program)?;
    let directory = tempfile::tempdir().expect("a directory");
    let replicas = Orders::open();
    let [a, b, c] = replicas.addresses;
    let own = ([127, 0, 0, 1], fine(client_suite::port::free_port())).into();
    let mut balancer =
        Balancer::start(&program, directory.path(), &[own, a, b, c], change);
    until("the balancer listens", || balancer.is_listening());
    for number in 0..NAMES.len() {
        let mut connection = None;
        // The first requests make the balancer open connections to the replicas and
        // keep them, so it sends the order on a connection that was idle. If a replica
        // closes that connection without a response, the balancer may take it for an
        // idle connection that timed out, and repeat the order.
        for _ in NAMES {
            until("a replica is found", || {
                clients::exchange(own, &mut connection, clients::NAME.0)
                    .inspect_err(|_| connection = None)
                    .is_ok()
            });
        }
        let order = format!(
            "POST /order/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nonce"
        );
        let said = clients::exchange(own, &mut connection, &order);
        assert!(said.is_err(), "the order was answered: {said:?}");
    }
    let taken = replicas.taken();
    assert!(!taken.is_empty(), "no order has come to a replica");
    Some(taken)
}

/// Returns the clients' orders (`POST` requests) that the replicas have accepted more than once.
fn twice(taken: &[String]) -> Vec<&String> {
    taken.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect()
}

#[test]
fn behind_nginx_nothing_is_ordered_twice() {
    let Some(taken) = orders_taken("nginx", |same| same) else { return };
    assert_eq!(twice(&taken), [""; 0]);
}

#[test]
fn behind_haproxy_nothing_is_ordered_twice() {
    let Some(taken) = orders_taken("haproxy", |same| same) else { return };
    assert_eq!(twice(&taken), [""; 0]);
}

#[test]
fn behind_yours_nothing_is_ordered_twice() {
    let Some(taken) = orders_taken(balancer::YOURS, |same| same) else { return };
    assert_eq!(twice(&taken), [""; 0]);
}

/// An nginx that is configured to repeat non-idempotent requests sends an order twice,
/// which shows that `behind_nginx_nothing_is_ordered_twice` can fail.
#[test]
fn behind_nginx_that_may_send_an_order_again_it_is_ordered_twice() {
    let Some(taken) = orders_taken("nginx", |configuration| {
        let spoiled = configuration.replace(
            "proxy_next_upstream error timeout",
            "proxy_next_upstream error timeout non_idempotent",
        );
        assert_ne!(spoiled, configuration);
        spoiled
    }) else {
        return;
    };
    assert_ne!(twice(&taken), [""; 0]);
}
