//! Three replicas behind a balancer: each is drained by SIGTERM, ends, and is started again
//! while clients go on asking, and no request fails. The configurations are those that the
//! book shows. A test is skipped where its balancer is not installed, unless NO_SKIP is set.
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
/// Clients; and so many answers are a sign that they are being served.
const CLIENTS: usize = 8;
const SOME: usize = 50;

/// A server with files of its own: by them its answers can be told from the others'.
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

    /// It finishes what it has begun, and ends.
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

/// Waits, for no longer than the suite's patience.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout();
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A balancer and three replicas.
struct House {
    balancer: Balancer,
    replicas: Vec<Replica>,
    _directory: tempfile::TempDir,
}

impl House {
    /// Nothing where the balancer is not installed. `change` may spoil its configuration.
    fn open(program: &str, change: impl FnOnce(String) -> String) -> Option<House> {
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
        Some(House { balancer, replicas, _directory: directory })
    }

    // ANCHOR: roll
    /// One replica after the other is drained and started again, while these
    /// clients ask. What the balancer is told, is told by `before` and `after`.
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
            // Only then may the next one go.
            until("clients are sent to it again", || clients.served(at) > served + SOME);
        }
    }
    // ANCHOR_END: roll
}

fn nothing(_: &Balancer, _: &str) {}

#[test]
fn behind_nginx_nobody_notices() {
    let Some(mut house) = House::open("nginx", |same| same) else { return };
    let clients = Clients::start(house.balancer.address, CLIENTS, clients::READING);
    house.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

#[test]
fn behind_haproxy_nobody_notices() {
    let Some(mut house) = House::open("haproxy", |same| same) else { return };
    let clients = Clients::start(house.balancer.address, CLIENTS, clients::READING);
    house.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

/// One that a reader has written, if BALANCER names it.
#[test]
fn behind_yours_nobody_notices() {
    let Some(mut house) = House::open(balancer::YOURS, |same| same) else { return };
    let clients = Clients::start(house.balancer.address, CLIENTS, clients::READING);
    house.roll(&clients, nothing, nothing);
    assert_eq!(clients.stop(), [""; 0]);
}

/// What must not be sent twice is safe if the balancer knows first.
#[test]
fn behind_haproxy_that_is_told_before_nobody_notices_who_writes_either() {
    let Some(mut house) = House::open("haproxy", |same| same) else { return };
    let clients = Clients::start(house.balancer.address, CLIENTS, clients::WRITING);
    house.roll(
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

/// Without the second try somebody notices: so the tests above can fail.
#[test]
fn behind_nginx_that_tries_once_somebody_notices() {
    let Some(mut house) = House::open("nginx", |configuration| {
        let spoiled = configuration
            .replace("proxy_next_upstream error timeout", "proxy_next_upstream off");
        assert_ne!(spoiled, configuration);
        spoiled
    }) else {
        return;
    };
    let clients = Clients::start(house.balancer.address, CLIENTS, clients::READING);
    until("clients are served", || clients.all() > SOME);
    house.replicas[0].drain();
    until("one of them is told 502", || clients.failures() > 0);
    let failures = clients.stop();
    assert!(failures.iter().any(|said| said.contains("502")), "{failures:?}");
}

/// Orders, each sent once to the balancer, at replicas that take it and hang up. Those that
/// were taken; nothing where the balancer is not installed.
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
        // So that it has connections that it keeps, and the order comes on one of them:
        // there a failure is most easily taken for an idle connection's end.
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
        assert!(said.is_err(), "nobody has answered that: {said:?}");
    }
    let taken = replicas.taken();
    assert!(!taken.is_empty(), "no order has come to a replica");
    Some(taken)
}

/// Which of them were taken more than once.
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

/// Nor is that for want of trying: an nginx that is told to does it.
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
