//! All unsafe code of this chapter, except that of the small servers: fork, signal handlers,
//! memory that processes share, and calls that the libraries lack.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
#[cfg(target_os = "linux")]
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
pub use nix::sys::signal::{Signal, kill};
use nix::unistd::ForkResult;
pub use nix::unistd::Pid;
#[cfg(target_os = "linux")]
use nix::unistd::{SysconfVar, sysconf};
#[cfg(not(target_os = "linux"))]
use socket2::SockRef;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::Read as _;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering::SeqCst,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Creates a pipe whose ends are closed on exec and never block, and returns its read
/// end and its write end. A signal handler that writes to a full pipe loses nothing:
/// the pipe is readable, which is all that matters.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` if no descriptor is left.
#[cfg(not(target_vendor = "apple"))]
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::OFlag;
    // If a second call set the flags, a program that another thread starts in between
    // would inherit the pipe.
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?)
}

/// Creates a pipe that is closed on exec and never blocks, in several steps: macOS has no
/// pipe2(2). A program that another thread starts in between inherits the pipe.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` if no descriptor is left; else those of fcntl(2).
#[cfg(target_vendor = "apple")]
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    let (read, write) = nix::unistd::pipe()?;
    for end in [&read, &write] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok((read, write))
}

/// The mode in which an accepted socket is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Calls on the socket block until they can make progress.
    Blocking,
    /// Calls on the socket that would block fail with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    NonBlocking,
}

/// Accepts the next connection with accept4(2), which creates a socket in `mode` that
/// is closed on exec. The listener must be non-blocking.
///
/// # Errors
///
/// Those of accept(2), among them `WouldBlock` if no connection is waiting.
#[cfg(target_os = "linux")]
pub fn accept(listener: BorrowedFd<'_>, mode: Mode) -> io::Result<TcpStream> {
    use nix::sys::socket::{SockFlag, accept4};
    use std::os::fd::FromRawFd;
    let flags = match mode {
        Mode::Blocking => SockFlag::SOCK_CLOEXEC,
        Mode::NonBlocking => SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    };
    let socket = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: the kernel has just created this descriptor, and nothing else owns it.
    Ok(unsafe { TcpStream::from_raw_fd(socket) })
}

/// Accepts the next connection, on systems without accept4(2).
///
/// # Errors
///
/// Those of accept(2) and fcntl(2).
#[cfg(not(target_os = "linux"))]
pub fn accept(listener: BorrowedFd<'_>, mode: Mode) -> io::Result<TcpStream> {
    let socket: TcpStream = SockRef::from(&listener).accept()?.0.into();
    socket.set_nonblocking(mode == Mode::NonBlocking)?;
    Ok(socket)
}

// ANCHOR: self_pipe
/// The write end of the pipe that each signal's handler writes to, by signal number.
static PIPES: [AtomicI32; 32] = [const { AtomicI32::new(0) }; 32];

/// Makes the handler of each of `signals` write a byte to `pipe`, which is never
/// closed.
///
/// # Errors
///
/// Those of sigaction(2).
pub fn write_on_signals(pipe: OwnedFd, signals: &[Signal]) -> io::Result<()> {
    let pipe: RawFd = pipe.into_raw_fd();
    for &signal in signals {
        PIPES[signal as usize].store(pipe, SeqCst);
        handle(signal, SigHandler::Handler(write_byte))?;
    }
    Ok(())
}

extern "C" fn write_byte(signal: libc::c_int) {
    let pipe = PIPES[signal as usize].load(SeqCst);
    // write may change errno, which belongs to the interrupted code.
    let errno = Errno::last_raw();
    // SAFETY: write is async-signal-safe (signal-safety(7)); the buffer is one static
    // byte; the descriptor is owned by `PIPES` and never closed. A full pipe is fine,
    // because it is readable already.
    unsafe { libc::write(pipe, b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

fn handle(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers passed here are SIG_IGN, `write_byte` and `terminate`. Both
    // functions do only what is async-signal-safe (signal-safety(7)).
    unsafe { sigaction(signal, &action) }?;
    // In a forked child, SIGTERM was blocked until now: see `fork`.
    Ok(SigSet::from_iter([signal]).thread_unblock()?)
}
// ANCHOR_END: self_pipe

/// Returns whether the calling thread is the only one of this process.
///
/// # Errors
///
/// Those of opening `/proc/self/task`, which has a directory for each thread (proc(5)).
#[cfg(target_os = "linux")]
fn is_single_threaded() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.take(2).count() == 1)
}

/// Returns whether this process has never had a second thread: the system reports no more
/// than that.
#[cfg(not(target_os = "linux"))]
fn is_single_threaded() -> io::Result<bool> {
    #[cfg(target_vendor = "apple")]
    let threads = {
        unsafe extern "C" {
            safe fn pthread_is_threaded_np() -> libc::c_int; // pthread.h
        }
        pthread_is_threaded_np()
    };
    #[cfg(not(target_vendor = "apple"))]
    let threads = {
        unsafe extern "C" {
            static __isthreaded: libc::c_int; // of the BSDs' C libraries
        }
        // SAFETY: the C library writes `__isthreaded` while the process has one thread,
        // before the second thread starts. The first thread cannot write the variable
        // during this read; any other thread started after the write.
        unsafe { __isthreaded }
    };
    Ok(threads == 0)
}

/// Checks that this process has one thread, as [`fork`] demands.
///
/// # Errors
///
/// The process has more threads, or (on Linux) `/proc` cannot be read.
pub fn require_single_thread() -> io::Result<()> {
    if is_single_threaded()? {
        return Ok(());
    }
    Err(io::Error::other("a process that forks must have one thread"))
}

/// Starts a copy of this process. Returns the child's process ID to the parent, and `None`
/// to the child.
///
/// The child must end in [`run_child`] or [`run_connection_child`], which do not return: a
/// return or a panic would continue the parent's code in the child. In the child, SIGTERM
/// is blocked until [`write_on_signals`] or [`run_connection_child`] installs a handler for
/// it; a SIGTERM that arrives earlier is handled then.
///
/// A forked child has only the thread that forked; a lock that another thread held at
/// the moment of the fork would stay locked in the child forever (fork(2)). So each
/// call counts the threads, which costs a few microseconds: an earlier check would miss
/// a thread that was started since.
///
/// # Errors
///
/// Those of [`require_single_thread`]; `EAGAIN` or `ENOMEM` if the system cannot create
/// another process.
pub fn fork() -> io::Result<Option<Pid>> {
    require_single_thread()?;
    // SIGTERM stays blocked until the child has its own handler: see `handle`.
    terminate_signal().thread_block()?;
    PARENT.store(Pid::this().as_raw(), SeqCst);
    // SAFETY: the process has one thread, as `require_single_thread` has checked; only
    // that thread could have started another since, and it is executing this function.
    // So the child may do all that the parent may.
    let forked = unsafe { nix::unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        return Ok(None);
    }
    terminate_signal().thread_unblock()?;
    match forked? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Returns a child that has exited and is not reaped yet, without reaping it, or `None`
/// if there is no such child. If several have exited, each call returns the same child
/// until that child is reaped.
pub fn ended_child() -> Option<Pid> {
    // SAFETY: a `siginfo_t` is made of numbers and pointers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid writes one `siginfo_t` through the pointer, or nothing.
    unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    // SAFETY: waitid sets `si_pid` for a child that has exited; if no child has exited,
    // the field is still zero.
    let pid = unsafe { info.si_pid() };
    (pid > 0).then(|| Pid::from_raw(pid))
}

fn terminate_signal() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM])
}

static PARENT: AtomicI32 = AtomicI32::new(0);
static IDLE: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());
static DRAINING: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());
static SOCKET: AtomicI32 = AtomicI32::new(-1);

/// Runs `work` in a forked child, and exits the process afterwards, even if `work` fails or
/// panics.
///
/// The exit status is 0 if `work` succeeds, and 101 otherwise; an error of `work` is dropped.
/// The destructors of the caller's values and the exit handlers (atexit(3)) do not run.
///
/// SIGINT is ignored: Ctrl-C reaches the parent too, which then sends the child
/// SIGTERM. A parent that has died can send nothing, so on Linux this function asks the
/// kernel to send the child SIGTERM when the parent dies (PR_SET_PDEATHSIG, prctl(2)).
pub fn run_child(work: impl FnOnce() -> io::Result<()>) -> ! {
    let run = || {
        handle(Signal::SIGINT, SigHandler::SigIgn)?;
        #[cfg(target_os = "linux")]
        {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
            // If the parent died before the call to `set_pdeathsig`, the kernel sends no
            // signal (prctl(2)), so the child sends SIGTERM to itself.
            if Pid::parent().as_raw() != PARENT.load(SeqCst) {
                kill(Pid::this(), Signal::SIGTERM)?;
            }
        }
        work()
    };
    // A panic must not leave this function: the stack frames below are copies of the
    // parent's.
    let worked = matches!(catch_unwind(AssertUnwindSafe(run)), Ok(Ok(())));
    // SAFETY: _exit has no preconditions. _exit does not run the exit handlers that the
    // parent has registered.
    unsafe { libc::_exit(if worked { 0 } else { 101 }) }
}

/// Runs `work` like [`run_child`], in a child that serves one connection. SIGTERM sets
/// `draining`, and ends the current or the next read of `socket` if `idle` is set.
pub fn run_connection_child(
    socket: BorrowedFd<'_>,
    idle: &AtomicBool,
    draining: &AtomicBool,
    work: impl FnOnce(),
) -> ! {
    SOCKET.store(socket.as_raw_fd(), SeqCst);
    IDLE.store(std::ptr::from_ref(idle).cast_mut(), SeqCst);
    DRAINING.store(std::ptr::from_ref(draining).cast_mut(), SeqCst);
    // The pointers to the borrows stay valid, because `run_child` does not return.
    run_child(|| {
        handle(Signal::SIGTERM, SigHandler::Handler(terminate))?;
        work();
        Ok(())
    })
}

extern "C" fn terminate(_: libc::c_int) {
    // Loading and storing an atomic are async-signal-safe.
    // SAFETY: the pointer in `IDLE` was made from a reference in `run_connection_child`,
    // before this handler was installed, and that function never returns.
    let idle = unsafe { &*IDLE.load(SeqCst) };
    // SAFETY: the pointer in `DRAINING` was made from a reference in
    // `run_connection_child`, before this handler was installed, and that function
    // never returns.
    let draining = unsafe { &*DRAINING.load(SeqCst) };
    draining.store(true, SeqCst);
    if idle.load(SeqCst) {
        let errno = Errno::last_raw();
        // The handler shortens the read timeout and does not shut the socket down:
        // read(2) may just have received half a request, and a shutdown would cut off
        // the other half.
        let at_once = libc::timeval { tv_sec: 0, tv_usec: 1 };
        // SAFETY: setsockopt is async-signal-safe; `run_connection_child` borrows the
        // descriptor in `SOCKET`, so it is open; the option takes a timeval of this
        // size.
        unsafe {
            libc::setsockopt(
                SOCKET.load(SeqCst),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const at_once).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
        };
        Errno::set_raw(errno);
    }
}

/// Reads the bytes that have arrived on a socket, without blocking, whatever the socket's
/// mode. Returns the number of bytes.
///
/// # Errors
///
/// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; else those of recv(2).
pub fn read_now(socket: &impl AsRawFd, into: &mut [u8]) -> io::Result<usize> {
    use nix::sys::socket::{MsgFlags, recv};
    Ok(recv(socket.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT)?)
}

/// Writes as much as fits to a pipe, terminal, socket or file, without blocking, whatever
/// the descriptor's mode. Returns the number of bytes.
///
/// Terminals do not support a write that never blocks, nor do pipes before Linux 6.5 or
/// on other systems. For these the check for room and the write are two calls; if
/// another process takes the room in between, the write blocks.
///
/// # Errors
///
/// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing fits; else those of write(2).
pub fn write_now(to: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut room = [PollFd::new(to, PollFlags::POLLOUT)];
    if matches!(poll(&mut room, PollTimeout::ZERO), Ok(0)) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    #[cfg(target_os = "linux")]
    {
        let (iov_base, iov_len) = (bytes.as_ptr().cast_mut().cast(), bytes.len());
        let part = libc::iovec { iov_base, iov_len };
        // SAFETY: pwritev2 only reads `bytes`, which outlive the call. The offset -1
        // stands for the file's current offset.
        let wrote = unsafe {
            libc::pwritev2(to.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT)
        };
        match usize::try_from(wrote).map_err(|_| Errno::last()) {
            // The kernel lacks pwritev2(2), or for this kind of file does not support a
            // write that never waits: the plain write(2) below is used.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => {}
            // The write to a regular file would have to wait, for example for memory:
            // the plain write(2) below waits.
            Err(Errno::EAGAIN) if is_file(to) => {}
            wrote => return Ok(wrote?),
        }
    }
    Ok(nix::unistd::write(to, bytes)?)
}

#[cfg(target_os = "linux")]
fn is_file(descriptor: BorrowedFd<'_>) -> bool {
    use nix::sys::stat::{SFlag, fstat};
    fstat(descriptor)
        .is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits())
}

/// Returns whether bytes can be read, as far as the system can tell without poll(2).
/// For a listener the system cannot tell, and `true` means that accepting is worth a
/// try.
pub fn may_be_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD (ioctl_list(2)) writes one int through the pointer.
    let result =
        unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    result != 0 || bytes > 0
}

/// Returns the number of bytes that were sent on this connection and that the peer has not
/// acknowledged; 0 where the system cannot tell.
pub fn unacked_bytes(socket: BorrowedFd<'_>) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ for a socket (tcp(7)), writes one int through
    // the pointer.
    #[cfg(target_os = "linux")]
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    #[cfg(not(target_os = "linux"))]
    let result = (-1, socket).0;
    if result == 0 { usize::try_from(std::mem::take(&mut bytes)).unwrap_or(0) } else { 0 }
}

/// Returns the number of bytes that this connection has received, read or unread; an
/// end of file counts as one byte. Returns `None` where the system does not report the
/// number.
#[cfg(target_os = "linux")]
pub fn received(socket: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: a `tcp_info` is made of numbers, for which zero is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: TCP_INFO writes at most `size` bytes to `info`, and their number to
    // `size` (tcp(7)).
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut size,
        )
    };
    // Before Linux 4.1 the structure is shorter and has no `tcpi_bytes_received`;
    // `size` is then too small for that field, and the result is `None`.
    let end =
        std::mem::offset_of!(libc::tcp_info, tcpi_bytes_received) + size_of::<u64>();
    (result == 0 && size as usize >= end).then_some(info.tcpi_bytes_received)
}

/// Returns `None`: this system does not report the number of received bytes.
#[cfg(not(target_os = "linux"))]
pub fn received(_: BorrowedFd<'_>) -> Option<u64> {
    None
}

/// Returns the allocator's free pages to the system, wherever they lie in its heaps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn release_free_memory() {
    // SAFETY: malloc_trim has no preconditions, and changes no allocation (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other C libraries have no malloc_trim(3).
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn release_free_memory() {}

/// Number of bytes that [`claim_memory`] leaves: more than a new thread of the standard
/// library and its first request take.
const SPARE: u64 = 4 << 20;

/// Checks that the process may map `more` bytes, and a few MiB beyond them.
///
/// An allocation that fails ends the process in the middle of whatever it does. So a
/// server calls `claim_memory` where it can still report an error: at its start, before
/// it creates a thread, and before it says that it is ready. Until the returned guard is
/// dropped, other threads wait in this function, so two threads cannot count the same
/// bytes as free. The check maps nothing, because another thread could not allocate what
/// the check had mapped.
///
/// Only the limit of the address space is checked (RLIMIT_AS, getrlimit(2)), and only
/// on Linux.
///
/// # Errors
///
/// `ENOMEM` if the limit is too close.
pub fn claim_memory(more: usize) -> io::Result<MutexGuard<'static, ()>> {
    static CLAIM: Mutex<()> = Mutex::new(());
    let claim = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    let needed = SPARE.saturating_add(more as u64);
    match address_space_left() {
        Some(left) if left < needed => Err(Errno::ENOMEM.into()),
        _ => Ok(claim),
    }
}

/// Returns the number of bytes that the process may map in addition to those that it has
/// mapped, or `None` if there is no limit or the number is unknown.
#[cfg(target_os = "linux")]
fn address_space_left() -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == RLIM_INFINITY {
        return None;
    }
    // The first number is the size of the address space in pages (proc_pid_statm(5)).
    let mut statm = [0; 64];
    let length =
        File::open("/proc/self/statm").and_then(|mut file| file.read(&mut statm));
    let statm = str::from_utf8(statm.get(..length.ok()?)?).ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(limit.saturating_sub(pages * page as u64))
}

/// Returns `None`: other systems have no `/proc/self/statm`.
#[cfg(not(target_os = "linux"))]
fn address_space_left() -> Option<u64> {
    None
}

/// Returns a zeroed `T` in memory that this process shares with all its children. The memory
/// is never unmapped.
///
/// # Errors
///
/// Those of mmap(2).
pub fn shared<T: Zeroed>() -> io::Result<&'static T> {
    let length = NonZeroUsize::new(size_of::<T>()).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no
    // memory in use.
    let memory = unsafe {
        mmap_anonymous(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        )
    }?;
    // SAFETY: the mapping is at least as large as a T, aligned to a page, filled with
    // zeros, which `Zeroed` says is a valid T, and never unmapped.
    Ok(unsafe { memory.cast::<T>().as_ref() })
}

/// A type that consists of atomics only, and for which all bytes zero is a valid value.
///
/// # Safety
///
/// The type must consist of atomics only, and all bytes zero must be a valid value:
/// several processes change such a value at once.
pub unsafe trait Zeroed: Sync + 'static {}

// SAFETY: an `AtomicUsize` is an atomic, and zero is valid for it.
unsafe impl Zeroed for AtomicUsize {}

// SAFETY: an `AtomicBool` is an atomic, and zero is valid for it: false.
unsafe impl Zeroed for AtomicBool {}

// SAFETY: `Stats` is a `repr(C)` struct of `AtomicU64`s, for which zero is valid.
unsafe impl Zeroed for crate::app::stats::Stats {}

// SAFETY: `Usage` is a `repr(C)` struct of `AtomicUsize`s, for which zero is valid.
unsafe impl Zeroed for crate::server::usage::Usage {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process with several threads is not forked. The test harness has several
    /// threads, and this test starts one more.
    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (stay, other) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || other.recv());
        match fork() {
            // SAFETY: _exit has no preconditions. A child that should not exist ends
            // here.
            Ok(None) => unsafe { libc::_exit(0) },
            forked => {
                drop(stay);
                thread.join().expect("no panic").expect_err("the sender is gone");
                let error = forked.expect_err("it has more than one thread");
                assert!(error.to_string().contains("one thread"), "{error}");
            }
        }
    }
}
