//! A server under test: how the suite starts it, finds its address, sends it signals, and always
//! reaps it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::cleanup;
use crate::output::Output;
use crate::port::free_port;
use crate::rlimits::Rlimits;
use crate::target::{Program, Target, fill_placeholders};
use crate::timeout::timeout;
use crate::verdict::{Abort, CaseResult};

/// A running server; dropping it kills the whole process group.
#[derive(Debug)]
pub struct Server {
    /// The address that the server listens on.
    pub address: SocketAddr,
    /// The shell command that starts the server by hand on port 8080; empty if the suite did not
    /// start it.
    pub by_hand: String,
    child: Option<Child>,
    stdout: Output,
    stderr: Output,
}

/// A server that exited before it printed `listening on`.
#[derive(Debug)]
pub struct FailedStart {
    /// The exit status of the server.
    pub status: ExitStatus,
    /// The output of the server on standard error.
    pub stderr: String,
    /// The process ID that the server had, which is also the ID of its process group.
    pub pid: u32,
}

type Options<'a> = &'a [(&'a str, &'a str)];

impl Server {
    /// Starts the target with a document root, options, and resource limits.
    pub fn start(
        target: &Target,
        root: &Path,
        options: Options<'_>,
        rlimits: Rlimits,
    ) -> CaseResult<Self> {
        match target {
            Target::Url(url) => {
                if let Some((name, _)) = options.first() {
                    return Err(Abort::skip(format!(
                        "a server that is already running cannot be given --{name}"
                    )));
                }
                Self::existing(url)
            }
            Target::Binary(program) => {
                Self::spawn_binary(program, root, options, rlimits)
            }
            Target::Command(template) => {
                Self::spawn_template(template, root, options, rlimits)
            }
        }
    }

    fn existing(url: &str) -> CaseResult<Self> {
        let authority =
            url.strip_prefix("http://").unwrap_or(url).split('/').next().unwrap_or(url);
        let with_port = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = with_port.to_socket_addrs().ok().and_then(|mut all| all.next());
        let address = address.ok_or_else(|| {
            Abort::skip(format!("the host of {url} cannot be resolved"))
        })?;
        Ok(Self {
            address,
            by_hand: String::new(),
            child: None,
            stdout: Output::default(),
            stderr: Output::default(),
        })
    }

    fn spawn_binary(
        program: &Program,
        root: &Path,
        options: Options<'_>,
        rlimits: Rlimits,
    ) -> CaseResult<Self> {
        let (args, by_hand) = Self::arguments(program, root, options);
        let command = rlimits.command(&program.path, &args);
        let mut server = Self::spawn_within(command, by_hand, rlimits)?;
        server.address = server.read_address()?;
        Ok(server)
    }

    /// Starts a program with resource limits under which it may not be able to serve. Returns the
    /// server, or the way in which it exited before it printed `listening on`.
    pub fn try_start(
        program: &Program,
        root: &Path,
        options: Options<'_>,
        rlimits: Rlimits,
    ) -> CaseResult<Result<Self, FailedStart>> {
        let (args, by_hand) = Self::arguments(program, root, options);
        let command = rlimits.command(&program.path, &args);
        let mut server = Self::spawn_within(command, by_hand, rlimits)?;
        match server.read_address() {
            Ok(address) => {
                server.address = address;
                Ok(Ok(server))
            }
            Err(abort) => match server.exited() {
                Some(status) => {
                    let (stderr, pid) = (server.stderr(), server.pid()?);
                    Ok(Err(FailedStart { status, stderr, pid }))
                }
                None => Err(abort),
            },
        }
    }

    /// Returns the arguments of a server that takes the contract's options, and the command
    /// that starts it by hand. The kernel chooses the port, unless the options have `listen`.
    fn arguments(
        program: &Program,
        root: &Path,
        options: Options<'_>,
    ) -> (Vec<String>, String) {
        let root = root.display().to_string();
        let mut all = vec![("root", root.as_str())];
        if !options.iter().any(|(name, _)| *name == "listen") {
            all.insert(0, ("listen", "127.0.0.1:0"));
        }
        all.extend(options);
        let named = |(name, value): (&str, &str)| [format!("--{name}"), value.to_owned()];
        let options: Vec<String> = all.into_iter().flat_map(named).collect();
        let by_hand = format!("{} {}", program.command, options.join(" "))
            .replace("127.0.0.1:0", "127.0.0.1:8080");
        ([&program.arguments[..], &options].concat(), by_hand)
    }

    fn spawn_template(
        template: &str,
        root: &Path,
        options: Options<'_>,
        rlimits: Rlimits,
    ) -> CaseResult<Self> {
        let port = free_port()?;
        let filled = fill_placeholders(template, port, root, options)?;
        let by_hand = fill_placeholders(template, 8080, root, options)?;
        let args = ["-c".to_owned(), format!("exec {filled}")];
        let mut server =
            Self::spawn(rlimits.command(Path::new("/bin/sh"), &args), by_hand, false)?;
        server.address = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_until_accepting()?;
        Ok(server)
    }

    fn spawn_within(
        command: Command,
        by_hand: String,
        rlimits: Rlimits,
    ) -> CaseResult<Self> {
        Self::spawn_with(command, by_hand, true, |pipe| match rlimits.stderr_unread {
            true => Output::unread(pipe.into()),
            false => Output::capture(pipe, true),
        })
    }

    /// Starts a command in a new process group, so that the suite can kill all processes of the
    /// server.
    pub fn spawn(
        command: Command,
        by_hand: String,
        keep_stdout: bool,
    ) -> CaseResult<Self> {
        Self::spawn_with(command, by_hand, keep_stdout, |pipe| {
            Output::capture(pipe, true)
        })
    }

    fn spawn_with(
        mut command: Command,
        by_hand: String,
        keep_stdout: bool,
        stderr_of: impl FnOnce(ChildStderr) -> Output,
    ) -> CaseResult<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // With these variables a panic prints a backtrace, and a failure's text would depend on them.
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
        let mut child = cleanup::spawn(&mut command).map_err(|error| {
            Abort::fail("the server starts", format!("{by_hand}: {error}"))
        })?;
        let stdout = child.stdout.take().map(|pipe| Output::capture(pipe, keep_stdout));
        let stderr = child.stderr.take().map(stderr_of);
        let (stdout, stderr) = (stdout.unwrap_or_default(), stderr.unwrap_or_default());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { address, by_hand, child: Some(child), stdout, stderr })
    }

    /// Waits for the line `listening on http://ADDR` and returns the address.
    fn read_address(&mut self) -> CaseResult<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < timeout() {
            let text = self.stdout();
            if let Some(line) = text.lines().next().filter(|_| text.contains('\n')) {
                let address = line
                    .strip_prefix("listening on http://")
                    .and_then(|a| a.parse().ok());
                return address.ok_or_else(|| {
                    Abort::fail("the line `listening on http://ADDRESS:PORT`", line)
                });
            }
            self.ensure_running()?;
            thread::sleep(Duration::from_millis(1));
        }
        Err(Abort::fail(
            "the line `listening on http://ADDRESS:PORT`",
            "nothing on standard output",
        ))
    }

    /// Fails if the server has exited.
    fn ensure_running(&mut self) -> CaseResult<()> {
        let Some(status) = self.exited() else { return Ok(()) };
        self.drain_output();
        let actual = format!("it exited with {status}: {}", self.stderr());
        Err(Abort::fail("the server starts", actual))
    }

    /// Waits until the server accepts connections, for a server that may print nothing.
    fn wait_until_accepting(&mut self) -> CaseResult<()> {
        let start = Instant::now();
        while start.elapsed() < timeout() {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            self.ensure_running()?;
            thread::sleep(Duration::from_millis(5));
        }
        Err(Abort::fail(
            format!("a server that accepts connections at {}", self.address),
            "connecting keeps failing",
        ))
    }

    /// Returns the server's process ID, or skips the case if the suite did not start the server.
    pub fn pid(&self) -> CaseResult<u32> {
        let child = self.child.as_ref().ok_or_else(|| {
            Abort::skip(
                "the suite did not start the server, so it cannot examine its process",
            )
        })?;
        Ok(child.id())
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: Signal) -> CaseResult<()> {
        let pid = Pid::from_raw(self.pid()?.cast_signed());
        kill(pid, signal).map_err(|error| {
            Abort::fail(format!("{signal} can be sent to the server"), error)
        })
    }

    /// Sends a signal to the server and all its child processes.
    pub fn signal_all(&self, signal: Signal) -> CaseResult<()> {
        let group = Pid::from_raw(self.pid()?.cast_signed());
        killpg(group, signal).map_err(|error| {
            Abort::fail(format!("{signal} can be sent to the server"), error)
        })
    }

    /// Returns the exit status, if the server has exited.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Returns the exit status if the server exits within 200 ms. A client may notice the end of
    /// its connection before the exit: a dying process closes its connections a moment before it
    /// can be reaped.
    pub fn exits_soon(&mut self) -> Option<ExitStatus> {
        const MOMENT: Duration = Duration::from_millis(200);
        self.child.as_ref()?;
        let start = Instant::now();
        while start.elapsed() < MOMENT {
            let status = self.exited();
            if status.is_some() {
                self.drain_output();
                return status;
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Waits until the server has exited. Fails after the suite's timeout.
    pub fn wait(&mut self) -> CaseResult<ExitStatus> {
        self.wait_while(|_| Ok(()))
    }

    /// Waits until the server has exited. Fails after the suite's timeout, or as soon as `may_exit`
    /// returns a reason why the server will not exit.
    fn wait_while(
        &mut self,
        may_exit: impl Fn(&Self) -> Result<(), String>,
    ) -> CaseResult<ExitStatus> {
        self.pid()?;
        let start = Instant::now();
        while start.elapsed() < timeout() {
            let may_exit = may_exit(self);
            if let Some(status) = self.exited() {
                self.drain_output();
                return Ok(status);
            }
            may_exit.map_err(|why| Abort::fail("the server exits", why))?;
            thread::sleep(Duration::from_millis(2));
        }
        Err(Abort::fail(
            "the server exits",
            format!("it still runs after {} s", timeout().as_secs()),
        ))
    }

    /// Waits until the output of an exited server has been read, but for no longer than half the
    /// suite's timeout: processes that the server left behind may keep the pipes open.
    fn drain_output(&self) {
        let start = Instant::now();
        while start.elapsed() < timeout() / 2
            && !(self.stdout.is_complete() && self.stderr.is_complete())
        {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns everything written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns everything written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Describes an exit status.
    pub fn describe_exit(status: ExitStatus) -> String {
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(number)) => {
                let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
                format!("killed by signal {number} ({name})")
            }
            (None, None) => "an unknown exit status".to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The whole process group is killed: the group includes children of a forking server,
            // and stopped processes.
            let group = Pid::from_raw(child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.kill();
            let _ = child.wait();
            cleanup::unregister(group);
        }
    }
}

/// Runs a program that is expected to exit. Returns its status, standard output, and standard
/// error.
pub fn run_to_end(
    path: &Path,
    args: &[&str],
) -> CaseResult<(ExitStatus, String, String)> {
    let mut command = Command::new(path);
    command.args(args);
    let mut server = Server::spawn(command, String::new(), true)?;
    let status = server.wait()?;
    Ok((status, server.stdout(), server.stderr()))
}

/// Runs a server under resource limits with which it is expected to fail to start. Returns its
/// status, standard output, and standard error.
///
/// # Errors
///
/// Fails if the server prints `listening on`, or if it does not exit.
pub fn fail_to_start(
    program: &Program,
    args: &[&str],
    rlimits: Rlimits,
) -> CaseResult<(ExitStatus, String, String)> {
    let args = args.iter().map(ToString::to_string);
    let args: Vec<String> = program.arguments.iter().cloned().chain(args).collect();
    let command = rlimits.command(&program.path, &args);
    let mut server = Server::spawn(command, String::new(), true)?;
    let status = server.wait_while(|server| {
        if server.stdout().starts_with("listening on") {
            return Err("it prints `listening on`, and runs".to_owned());
        }
        Ok(())
    })?;
    Ok((status, server.stdout(), server.stderr()))
}
