//! A server under test: how it is started, found, signalled, and always ended.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::bounds::Bounds;
use crate::cleanup;
use crate::output::Output;
use crate::patience::patience;
use crate::port::free_port;
use crate::target::{Target, fill};
use crate::verdict::{Step, Stop};

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The command that starts it by hand, on port 8080.
    pub by_hand: String,
    child: Option<Child>,
    stdout: Output,
    stderr: Output,
}

type Options<'a> = &'a [(&'a str, &'a str)];

impl Server {
    /// Starts the target with a document root and options.
    pub fn start(
        target: &Target,
        root: &Path,
        options: Options<'_>,
        bounds: Bounds,
    ) -> Step<Self> {
        match target {
            Target::Url(url) => {
                if let Some((name, _)) = options.first() {
                    return Err(Stop::skip(format!(
                        "a server that already runs cannot be given --{name}"
                    )));
                }
                Self::running(url)
            }
            Target::Binary(path) => Self::spawn_ours(path, root, options, bounds),
            Target::Command(template) => {
                Self::spawn_template(template, root, options, bounds)
            }
        }
    }

    fn running(url: &str) -> Step<Self> {
        let authority =
            url.strip_prefix("http://").unwrap_or(url).split('/').next().unwrap_or(url);
        let with_port = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = with_port.to_socket_addrs().ok().and_then(|mut all| all.next());
        let address = address.ok_or_else(|| {
            Stop::skip(format!("{url} names no host that is known here"))
        })?;
        Ok(Self {
            address,
            by_hand: String::new(),
            child: None,
            stdout: Output::default(),
            stderr: Output::default(),
        })
    }

    fn spawn_ours(
        path: &Path,
        root: &Path,
        options: Options<'_>,
        bounds: Bounds,
    ) -> Step<Self> {
        let mut args = vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()];
        args.extend(["--root".to_owned(), root.display().to_string()]);
        args.extend(
            options
                .iter()
                .flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]),
        );
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let by_hand =
            format!("{name} {}", args.join(" ")).replace("127.0.0.1:0", "127.0.0.1:8080");
        let mut server = Self::spawn(bounds.command(path, &args), by_hand, true)?;
        server.address = server.announced()?;
        Ok(server)
    }

    fn spawn_template(
        template: &str,
        root: &Path,
        options: Options<'_>,
        bounds: Bounds,
    ) -> Step<Self> {
        let port = free_port()?;
        let filled = fill(template, port, root, options)?;
        let by_hand = fill(template, 8080, root, options)?;
        let args = ["-c".to_owned(), format!("exec {filled}")];
        let mut server =
            Self::spawn(bounds.command(Path::new("/bin/sh"), &args), by_hand, false)?;
        server.address = SocketAddr::from(([127, 0, 0, 1], port));
        server.accepting()?;
        Ok(server)
    }

    /// Starts a command whose process group is its own, so that all of it can be ended.
    pub fn spawn(mut command: Command, by_hand: String, keep_stdout: bool) -> Step<Self> {
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            Stop::fail("a server that starts", format!("{by_hand}: {error}"))
        })?;
        cleanup::started(Pid::from_raw(child.id().cast_signed()));
        let stdout = child.stdout.take().map(|pipe| Output::of(pipe, keep_stdout));
        let stderr = child.stderr.take().map(|pipe| Output::of(pipe, true));
        let (stdout, stderr) = (stdout.unwrap_or_default(), stderr.unwrap_or_default());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { address, by_hand, child: Some(child), stdout, stderr })
    }

    /// Waits for the line `listening on http://ADDR`.
    fn announced(&mut self) -> Step<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < patience() {
            let text = self.stdout();
            if let Some(line) = text.lines().next().filter(|_| text.contains('\n')) {
                let address = line
                    .strip_prefix("listening on http://")
                    .and_then(|a| a.parse().ok());
                return address.ok_or_else(|| {
                    Stop::fail("the line `listening on http://ADDRESS:PORT`", line)
                });
            }
            self.must_run()?;
            thread::sleep(Duration::from_millis(1));
        }
        Err(Stop::fail(
            "the line `listening on http://ADDRESS:PORT`",
            "nothing on standard output",
        ))
    }

    /// A server that ends before it serves will not start any more.
    fn must_run(&mut self) -> Step<()> {
        let Some(status) = self.exited() else { return Ok(()) };
        self.settle();
        let said = format!("it ended with {status}: {}", self.stderr());
        Err(Stop::fail("a server that starts", said))
    }

    /// Waits until connecting works: a server of any origin may print nothing.
    fn accepting(&mut self) -> Step<()> {
        let start = Instant::now();
        while start.elapsed() < patience() {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            self.must_run()?;
            thread::sleep(Duration::from_millis(5));
        }
        Err(Stop::fail(
            format!("a server that accepts at {}", self.address),
            "no connection is taken",
        ))
    }

    /// The process, if the suite started it.
    pub fn pid(&self) -> Step<u32> {
        let child = self
            .child
            .as_ref()
            .ok_or_else(|| Stop::skip("the server's process is not ours to look at"))?;
        Ok(child.id())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Step<()> {
        let pid = Pid::from_raw(self.pid()?.cast_signed());
        kill(pid, signal)
            .map_err(|error| Stop::fail(format!("a server that takes {signal}"), error))
    }

    /// Sends a signal to it and to all processes that it has made.
    pub fn signal_all(&self, signal: Signal) -> Step<()> {
        let group = Pid::from_raw(self.pid()?.cast_signed());
        killpg(group, signal)
            .map_err(|error| Stop::fail(format!("a server that takes {signal}"), error))
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Its exit status, if it ends about now: a process that dies has closed its
    /// connections a moment before it is dead.
    pub fn exits_now(&mut self) -> Option<ExitStatus> {
        const MOMENT: Duration = Duration::from_millis(200);
        self.child.as_ref()?;
        let start = Instant::now();
        while start.elapsed() < MOMENT {
            let status = self.exited();
            if status.is_some() {
                self.settle();
                return status;
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Step<ExitStatus> {
        self.pid()?;
        let start = Instant::now();
        while start.elapsed() < patience() {
            if let Some(status) = self.exited() {
                self.settle();
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(Stop::fail(
            "a server that ends",
            format!("it still runs after {} s", patience().as_secs()),
        ))
    }

    /// Waits until what an ended server said has been read. A process that it
    /// left behind may hold the pipes open: then what there is must do.
    fn settle(&self) {
        let start = Instant::now();
        while start.elapsed() < patience() / 2
            && !(self.stdout.is_whole() && self.stderr.is_whole())
        {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// How it died, in words.
    pub fn describe(status: ExitStatus) -> String {
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(number)) => {
                let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
                format!("death by signal {number} ({name})")
            }
            (None, None) => "an unknown end".to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The whole group: a forking server's children too, and a stopped one as well.
            let group = Pid::from_raw(child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.kill();
            let _ = child.wait();
            cleanup::ended(group);
        }
    }
}

/// A program's output when it is expected to fail at once: status, stdout, stderr.
pub fn run_to_end(path: &Path, args: &[&str]) -> Step<(ExitStatus, String, String)> {
    let mut command = Command::new(path);
    command.args(args);
    let mut server = Server::spawn(command, String::new(), true)?;
    let status = server.wait()?;
    Ok((status, server.stdout(), server.stderr()))
}
