//! Tests of the runtime's promises to coroutines.
#![allow(unsafe_code)]

use crate::tools::{Finally, pair};
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch03_nonblocking::spin::Spin;
use ch04_select_poll::poll::Poll;
use ch06_coroutines::{
    Coroutine, Handle, Join, Readiness, Resumed, Runtime, StackPool, Woken, suspend,
};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const SMALL: usize = 32 * 1024;

/// Spawns coroutines without `unsafe`: all bodies in this file keep the contract of
/// `Handle::spawn_coroutine`.
trait Spawn {
    /// Spawns a coroutine whose body uses no thread-local variable.
    fn spawn<T: 'static>(
        &self,
        body: impl FnOnce(&Handle) -> T + 'static,
    ) -> io::Result<Join<T>>;
}

impl Spawn for Handle {
    fn spawn<T: 'static>(
        &self,
        body: impl FnOnce(&Handle) -> T + 'static,
    ) -> io::Result<Join<T>> {
        // SAFETY: no coroutine's body in this file uses a thread-local variable.
        unsafe { self.spawn_coroutine(body) }
    }
}

/// Runs a first coroutine in a new runtime with the given poller.
fn run_on<T: 'static>(
    poller: Box<dyn Poller>,
    first: impl FnOnce(&Handle) -> T + 'static,
) -> io::Result<thread::Result<T>> {
    let runtime = Runtime::with_stacks(poller, StackPool::new(SMALL)?)?;
    // SAFETY: no coroutine's body in this file uses a thread-local variable.
    unsafe { runtime.run_coroutine(first) }
}

/// Runs a first coroutine in a new runtime, and passes the coroutine's panic on to the test.
fn run<T: 'static>(first: impl FnOnce(&Handle) -> T + 'static) -> io::Result<T> {
    match run_on(Box::new(Poll::default()), first)? {
        Ok(result) => Ok(result),
        Err(panic) => resume_unwind(panic),
    }
}

#[test]
fn ten_thousand_sleep_at_once() -> io::Result<()> {
    const TIME: Duration = Duration::from_millis(300);
    run(|handle| {
        let sleepers: Vec<_> = (0..10_000)
            .map(|_| {
                handle.spawn(|handle| {
                    let start = Instant::now();
                    handle.sleep(TIME);
                    start.elapsed()
                })
            })
            .collect::<io::Result<_>>()?;
        for sleeper in sleepers {
            let slept = sleeper.join().expect("it does not panic");
            assert!(slept >= TIME, "{slept:?}");
        }
        let (used, _) = handle.stacks_used().expect("it has stacks");
        assert_eq!(used, 10_001, "all slept at once, each on its stack");
        Ok(())
    })?
}

#[test]
fn a_stack_is_given_back_at_every_kind_of_end() -> io::Result<()> {
    run(|handle| {
        for round in 0..300 {
            let ends = handle.spawn(|_| ())?;
            let sleeps = handle.spawn(|handle| handle.yield_now())?;
            let panics = handle.spawn(|_| panic_any(7))?;
            ends.join().expect("no panic");
            sleeps.join().expect("no panic");
            panics.join().expect_err("a panic");
            let (used, _) = handle.stacks_used().expect("it has stacks");
            assert!(used <= 4, "{used} in round {round}");
        }
        Ok(())
    })?
}

#[test]
fn a_panic_ends_its_coroutine_and_no_other() -> io::Result<()> {
    run(|handle| {
        let panics = handle.spawn(|handle| {
            handle.yield_now();
            panic_any("alas")
        })?;
        let nobody_waits_for_this = handle.spawn(|_| panic_any("unheard"))?;
        drop(nobody_waits_for_this);
        let other = handle.spawn(|handle| {
            handle.sleep(Duration::from_millis(5));
            42
        })?;
        let panic: Result<(), _> = panics.join();
        let said = panic.expect_err("a panic").downcast_ref::<&str>().copied();
        assert_eq!(said, Some("alas"));
        assert_eq!(other.join().expect("no panic"), 42);
        Ok(())
    })?
}

#[test]
fn join_of_what_has_ended_does_not_park() -> io::Result<()> {
    run(|handle| {
        let before = handle.tasks();
        let early = handle.spawn(|_| "early")?;
        while handle.tasks() > before {
            handle.yield_now();
        }
        assert_eq!(early.join().expect("no panic"), "early");
        Ok(())
    })?
}

/// A value that logs its drop, and uses the scheduler in its destructor.
struct Witness(Handle, Rc<RefCell<Vec<&'static str>>>, &'static str);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.2);
        assert_eq!(self.0.park(None), Woken::TimedOut, "nobody parks any more");
        assert!(self.0.spawn(|_| ()).is_err(), "nobody begins any more");
    }
}

#[test]
fn suspended_coroutines_are_unwound_in_order_at_the_end() -> io::Result<()> {
    let dropped = Rc::new(RefCell::new(Vec::new()));
    let theirs = dropped.clone();
    run(move |handle| {
        for names in [["a1", "a2"], ["b1", "b2"]] {
            let dropped = theirs.clone();
            handle.spawn(move |handle| {
                let _first = Witness(handle.clone(), dropped.clone(), names[0]);
                let _second = Witness(handle.clone(), dropped, names[1]);
                handle.sleep(Duration::from_secs(3600));
            })?;
        }
        let never_run = Witness(handle.clone(), theirs, "never run");
        handle.yield_now();
        handle.spawn(move |_| drop(never_run))?;
        io::Result::Ok(())
    })??;
    assert_eq!(*dropped.borrow(), ["a2", "a1", "b2", "b1", "never run"]);
    Ok(())
}

#[test]
fn a_deadlock_is_an_error() -> io::Result<()> {
    let waits = run_on(Box::new(Poll::default()), |handle| handle.park(None));
    assert_eq!(waits.expect_err("a deadlock").kind(), ErrorKind::Deadlock);
    Ok(())
}

#[test]
fn park_ends_at_its_deadline_or_by_a_wake_up() -> io::Result<()> {
    run(|handle| {
        let late = handle.now() + Duration::from_millis(20);
        assert_eq!(handle.park(Some(late)), Woken::TimedOut);
        assert!(Instant::now() >= late);
        let me = handle.current().expect("inside");
        handle.spawn(move |handle| handle.wake(me))?;
        let far = handle.now() + Duration::from_secs(3600);
        assert_eq!(handle.park(Some(far)), Woken::Notified);
        // The wait above ended before its deadline, by a wake-up. Its deadline must not
        // end the next wait.
        let late = handle.now() + Duration::from_millis(20);
        assert_eq!(handle.park(Some(late)), Woken::TimedOut);
        Ok(())
    })?
}

#[test]
fn one_reads_while_another_writes_the_same_descriptor() -> io::Result<()> {
    run(|handle| {
        let (ours, mut theirs) = pair(handle)?;
        let ours = Rc::new(ours);
        let all = 3_000_000;
        let peer = thread::spawn(move || -> io::Result<usize> {
            let mut read = vec![0; all];
            theirs.read_exact(&mut read[..all / 2])?;
            // The half of the bytes that is still unread is larger than the socket's buffers, so
            // the task that writes them waits for room until this thread reads again. `hello`,
            // sent in the opposite direction, wakes the task that reads.
            theirs.write_all(b"hello")?;
            theirs.read_exact(&mut read[all / 2..])?;
            Ok(read.len())
        });
        let writer = {
            let ours = ours.clone();
            handle.spawn(move |_| -> io::Result<()> {
                let mut left = all;
                while left > 0 {
                    match ours.get().write(&vec![7; left]) {
                        Ok(n) => left -= n,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            ours.would_block(Readiness::Writable);
                            ours.wait(Readiness::Writable, None)?;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })?
        };
        let mut heard = Vec::new();
        while heard.len() < 5 {
            ours.wait(Readiness::Readable, None)?;
            let mut bytes = [0; 5];
            match ours.get().read(&mut bytes) {
                Ok(n) => heard.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        writer.join().expect("no panic")?;
        assert_eq!(heard, b"hello");
        assert_eq!(peer.join().expect("no panic")?, all);
        Ok(())
    })?
}

// ANCHOR: hog
#[test]
fn a_task_that_never_waits_does_not_starve_descriptors() -> io::Result<()> {
    run(|handle| {
        let (ours, mut theirs) = pair(handle)?;
        let over = Rc::new(Cell::new(false));
        let until = over.clone();
        handle.spawn(move |handle| {
            while !until.get() {
                handle.yield_now(); // always in the run queue, never parked
            }
        })?;
        let reader = handle.spawn(move |_| ours.wait(Readiness::Readable, None))?;
        handle.yield_now();
        theirs.write_all(b"!")?;
        assert_eq!(reader.join().expect("no panic")?, Woken::Notified);
        over.set(true);
        Ok(())
    })?
}
// ANCHOR_END: hog

/// Other threads send results over a channel from which a task receives, and wake the task.
#[test]
fn other_threads_wake_tasks() -> io::Result<()> {
    run(|handle| {
        let (sender, receiver) = mpsc::channel();
        let waker = handle.waker();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (waker, sender) = (waker.clone(), sender.clone());
                thread::spawn(move || {
                    for work in 0..500 {
                        sender.send((number, work)).expect("the receiver lives");
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        let mut done = Vec::new();
        while done.len() < 2000 {
            done.extend(receiver.try_iter());
            if done.len() < 2000 {
                handle.park(None); // if a wake-up were lost, the test would never end
            }
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        done.sort_unstable();
        let all = (0..4).flat_map(|number| (0..500).map(move |work| (number, work)));
        assert!(done.iter().copied().eq(all), "each once");
        Ok(())
    })?
}

/// Another thread wakes the task before the first call to the poller, which is edge-triggered and
/// reports this wake-up only once.
#[cfg(target_os = "linux")]
#[test]
fn a_wake_up_before_the_first_wait_is_not_lost() -> io::Result<()> {
    use ch05_epoll::epoll::{Epoll, Trigger};
    let epoll = Epoll::new(Trigger::Edge)?;
    let woken = run_on(Box::new(epoll), |handle| {
        let waker = handle.waker();
        thread::spawn(move || waker.wake()).join().expect("no panic");
        let due = handle.now() + Duration::from_secs(3600);
        handle.park(Some(due))
    })?;
    assert_eq!(woken.expect("no panic"), Woken::Notified);
    Ok(())
}

#[test]
fn a_waker_may_be_used_after_the_end() -> io::Result<()> {
    let waker = run(|handle| {
        let asleep = handle.spawn(|handle| handle.park(None))?;
        handle.yield_now();
        drop(asleep);
        io::Result::Ok(handle.waker())
    })??;
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().expect("no panic");
    Ok(())
}

/// A poller that reports every deregistered descriptor again and again, and no other.
#[derive(Default)]
struct Gossip {
    poller: Spin,
    gone: Vec<Token>,
}

impl Poller for Gossip {
    delegate!(poller: register, reregister);

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.gone.push(token);
        self.poller.deregister(fd, token)
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        ready.extend(self.gone.iter().map(|&token| Ready::maybe(token, Interest::READ)));
        Ok(())
    }
}

#[test]
fn a_stale_event_wakes_no_other_task() -> io::Result<()> {
    let ran = run_on(Box::new(Gossip::default()), |handle| -> io::Result<()> {
        for _ in 0..10 {
            let (gone, _) = UnixStream::pair()?;
            let gone = handle.register(gone, Interest::READ)?;
            drop(gone);
            let (next, _kept) = UnixStream::pair()?;
            let next = handle.register(next, Interest::READ)?;
            let due = Instant::now() + Duration::from_millis(5);
            assert_eq!(next.wait(Readiness::Readable, Some(due))?, Woken::TimedOut);
            assert!(!next.is_ready(Readiness::Readable));
        }
        Ok(())
    })?;
    ran.expect("no panic")
}

#[test]
fn a_stale_wake_up_wakes_no_other_task() -> io::Result<()> {
    run(|handle| {
        let gone = handle.spawn(|_| ())?;
        let stale = gone.task();
        gone.join().expect("no panic");
        let next = handle.spawn(|handle| {
            handle.park(Some(handle.now() + Duration::from_millis(20)))
        })?;
        assert_eq!(next.task().index, stale.index, "it has the place");
        handle.yield_now();
        handle.wake(stale);
        assert_eq!(next.join().expect("no panic"), Woken::TimedOut);
        Ok(())
    })?
}

/// A value that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("a bomb"));
    }
}

/// A coroutine's result or panic payload that is never joined is dropped by the runtime, which
/// continues even if the destructor panics.
#[test]
fn unjoined_results_are_dropped_safely() -> io::Result<()> {
    run(|handle| {
        drop(handle.spawn(|_| Bomb)?);
        drop(handle.spawn(|_| resume_unwind(Box::new(Bomb)))?);
        handle.yield_now();
        handle.yield_now();
        Ok(())
    })?
}

/// At its end, `run` unwinds the coroutines that still wait. If one of them panics during that, the
/// others are unwound all the same.
#[test]
fn panics_during_unwinding_at_the_end_affect_no_other_task() -> io::Result<()> {
    let unwound = Rc::new(Cell::new(0));
    let theirs = unwound.clone();
    run(move |handle| {
        for _ in 0..3 {
            let unwound = theirs.clone();
            handle.spawn(move |handle| {
                let waits = AssertUnwindSafe(|| handle.park(None));
                assert!(catch_unwind(waits).is_err());
                unwound.update(|count| count + 1);
                resume_unwind(Box::new(Bomb))
            })?;
        }
        handle.yield_now();
        io::Result::Ok(())
    })??;
    assert_eq!(unwound.get(), 3);
    Ok(())
}

#[test]
fn joining_in_a_destructor_at_the_end_does_not_block() -> io::Result<()> {
    let join = run(|handle| -> io::Result<_> {
        let (ours, _theirs) = pair(handle)?;
        let child = handle.spawn(|handle| handle.park(None))?;
        let mut child = Some(child);
        let waits = handle.spawn(move |handle| {
            // This destructor joins a coroutine, as the end of a thread scope joins its threads.
            let _scope = Finally(|| {
                let ended = child.take().map(|child| child.join().is_ok());
                assert_eq!(ended, Some(false));
                while ours.wait(Readiness::Readable, None).is_ok() {}
            });
            handle.park(None)
        })?;
        handle.yield_now();
        handle.yield_now();
        Ok(waits)
    })??;
    assert!(join.join().is_err(), "it was unwound, and its scheduler is no more");
    Ok(())
}

/// Code may catch the panic payload that unwinds a dropped coroutine, and raise it in another
/// coroutine. A join of that other coroutine still returns, with an error.
#[test]
fn joining_an_unwound_coroutine_ends() -> io::Result<()> {
    let mut stacks = StackPool::new(SMALL)?;
    let caught = Rc::new(Cell::new(None));
    let catches = caught.clone();
    let body = move || catches.set(catch_unwind(suspend).err());
    // SAFETY: the body uses no thread-local.
    let mut coroutine = unsafe { Coroutine::new(stacks.take()?, 1, body) };
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    drop(coroutine);
    let unwinds = caught.take().expect("it was told to unwind");
    run(|handle| {
        let ends = handle.spawn(|_| resume_unwind(unwinds))?;
        assert!(ends.join().map(|()| "no panic").is_err());
        Ok(())
    })?
}

/// A second waiter for the same readiness is refused, because it would never be woken.
#[test]
fn a_second_waiter_is_refused() -> io::Result<()> {
    run(|handle| {
        let (ours, mut theirs) = pair(handle)?;
        let ours = Rc::new(ours);
        let also = ours.clone();
        let first = handle.spawn(move |_| also.wait(Readiness::Readable, None))?;
        handle.yield_now();
        let due = handle.now() + Duration::from_secs(3600);
        let second = ours.wait(Readiness::Readable, Some(due));
        assert_eq!(second.expect_err("a refusal").kind(), ErrorKind::ResourceBusy);
        theirs.write_all(b"!")?;
        assert_eq!(first.join().expect("no panic")?, Woken::Notified);
        assert_eq!(
            ours.wait(Readiness::Readable, Some(due))?,
            Woken::Notified,
            "it has not read"
        );
        Ok(())
    })?
}
