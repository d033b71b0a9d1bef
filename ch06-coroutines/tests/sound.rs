//! Tests of uses of the library that a review found to be unsound; each test failed before the
//! library was fixed.
#![allow(unsafe_code)]

use crate::new_coroutine::new_coroutine;
use crate::tools::{Finally, pair};
use ch01_blocking::Site;
use ch01_blocking::app::site::Routes;
use ch01_blocking::http::{Inbox, Limits, Parsed, Request, Response};
use ch03_nonblocking::poller::Interest;
use ch04_select_poll::poll::Poll;
use ch06_coroutines::{
    Handle, Join, Readiness, Resumed, Runtime, StackPool, Woken, suspend, yield_now,
};
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::{self, Waker};
use std::time::{Duration, Instant};

fn spawn<T: 'static>(
    handle: &Handle,
    body: impl FnOnce(&Handle) -> T + 'static,
) -> io::Result<Join<T>> {
    // SAFETY: no body in this file uses a thread-local.
    unsafe { handle.spawn_coroutine(body) }
}

fn run<T: 'static>(first: impl FnOnce(&Handle) -> T + 'static) -> io::Result<T> {
    let stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let runtime = Runtime::with_stacks(Box::new(Poll::default()), stacks)?;
    // SAFETY: no body in this file uses a thread-local.
    let ran = unsafe { runtime.run_coroutine(first) }?;
    Ok(ran.unwrap_or_else(|panic| resume_unwind(panic)))
}

/// A value that sets a flag when it is dropped.
struct Sets(Rc<Cell<bool>>);

impl Drop for Sets {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// A runtime runs in a coroutine, and the coroutine is dropped while it is suspended in the middle
/// of a future's poll. The runtime does not mistake the unwinding for a panic of the future, and
/// does not continue with other tasks.
#[test]
fn a_poll_does_not_swallow_a_cancellation() -> io::Result<()> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let (went_on, dropped) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (goes_on, dropped_sets) = (went_on.clone(), Sets(dropped.clone()));
    let mut coroutine = new_coroutine(stacks.take()?, 1, move || {
        let runtime = Runtime::new(Box::new(Poll::default())).expect("a runtime");
        let sets = goes_on.clone();
        let _ = runtime.run_future(|handle| async move {
            handle.spawn_future(async move {
                let _sets = dropped_sets;
                suspend(); // suspends in the middle of the poll
            });
            for _ in 0..3 {
                yield_now().await;
            }
            sets.set(true);
        });
        goes_on.set(true);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    stacks.give_back(coroutine.into_stack());
    assert!(dropped.get(), "what is on the stack is dropped");
    assert!(!went_on.get(), "it went on after it had been cancelled");
    Ok(())
}

/// A runtime runs in a coroutine, and the coroutine is dropped while it is suspended in the middle
/// of a call to a foreign waker. The runtime does not mistake the unwinding for a panic of the
/// waker.
#[test]
fn a_waker_does_not_swallow_a_cancellation() -> io::Result<()> {
    struct SuspendsWaker;
    impl task::Wake for SuspendsWaker {
        fn wake(self: std::sync::Arc<Self>) {
            suspend();
        }
    }
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let went_on = Rc::new(Cell::new(false));
    let goes_on = went_on.clone();
    let mut coroutine = new_coroutine(stacks.take()?, 1, move || {
        let runtime = Runtime::new(Box::new(Poll::default())).expect("a runtime");
        let sets = goes_on.clone();
        let _ = runtime.run_future(|handle| async move {
            let mut sleep = std::pin::pin!(handle.sleep_until(Instant::now()));
            let suspends = Waker::from(std::sync::Arc::new(SuspendsWaker));
            let context = &mut task::Context::from_waker(&suspends);
            let _ = sleep.as_mut().poll(context);
            handle.sleep_until(Instant::now() + Duration::from_millis(5)).await;
            sets.set(true);
        });
        goes_on.set(true);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    stacks.give_back(coroutine.into_stack());
    assert!(!went_on.get(), "it went on after it had been cancelled");
    Ok(())
}

/// A route that suspends the coroutine in which it is called.
#[derive(Debug)]
struct Suspends;

impl Routes for Suspends {
    fn respond(&self, _: &Request<'_>) -> Option<Response> {
        suspend();
        None
    }
}

/// The site catches a panic of the application, but not the unwinding of a coroutine that is
/// dropped in the middle of a route.
#[test]
fn the_application_does_not_swallow_a_cancellation() -> io::Result<()> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let site = Site::new(None, Limits::default())?.with(Box::new(Suspends));
    let panics = site.stats;
    let went_on = Rc::new(Cell::new(false));
    let goes_on = went_on.clone();
    let mut coroutine = new_coroutine(stacks.take()?, 1, move || {
        let mut inbox = Inbox::new();
        inbox.receive(b"GET /suspends HTTP/1.1\r\nHost: x\r\n\r\n");
        if let Parsed::Complete(request) = inbox.next(&site.limits) {
            site.respond(&request);
        }
        goes_on.set(true);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    stacks.give_back(coroutine.into_stack());
    assert!(!went_on.get(), "it was answered 500");
    assert_eq!(panics.panics.get(), 0);
    Ok(())
}

/// In a destructor that runs because the runtime has ended, a waker does nothing.
#[test]
fn a_waker_after_the_end_wakes_nothing() -> io::Result<()> {
    let asked = Rc::new(Cell::new(false));
    let asks = asked.clone();
    run(move |handle| -> io::Result<()> {
        spawn(handle, move |handle| {
            let _finally = Finally(|| {
                handle.waker().wake();
                asks.set(true);
            });
            handle.park(None)
        })?;
        handle.yield_now();
        Ok(())
    })??;
    assert!(asked.get());
    Ok(())
}

/// A coroutine that waits through another runtime's handle would never be woken. So the call
/// panics, and both runtimes continue.
#[test]
fn another_runtimes_handle_is_refused() -> io::Result<()> {
    run(|outer| -> io::Result<()> {
        let (ours, _theirs) = pair(outer)?;
        let ours = Rc::new(ours);
        for wrong in 0..4 {
            let (theirs, descriptor) = (outer.clone(), ours.clone());
            let refused = run(move |_| {
                let waits = AssertUnwindSafe(|| match wrong {
                    0 => drop(theirs.park(None)),
                    1 => theirs.yield_now(),
                    2 => theirs.sleep(Duration::from_secs(3600)),
                    _ => drop(descriptor.wait(Readiness::Readable, None)),
                });
                catch_unwind(waits).is_err()
            })?;
            assert!(refused, "{wrong}");
        }
        // The call to `wait` that panicked has left no waiter and no timer behind.
        let due = Instant::now() + Duration::from_millis(5);
        assert_eq!(ours.wait(Readiness::Readable, Some(due))?, Woken::TimedOut);
        assert_eq!(outer.timers_set(), 0);
        Ok(())
    })?
}

/// A coroutine that a task has resumed, without the scheduler, cannot park in the task's runtime.
#[test]
fn a_nested_coroutine_cannot_park() -> io::Result<()> {
    run(|handle| -> io::Result<()> {
        let (ours, _theirs) = pair(handle)?;
        let ours = Rc::new(ours);
        let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
        for wrong in 0..3 {
            let (parks, descriptor) = (handle.clone(), ours.clone());
            let body = move || match wrong {
                0 => drop(parks.park(None)),
                1 => parks.yield_now(),
                _ => drop(descriptor.wait(Readiness::Readable, None)),
            };
            let mut nested = new_coroutine(stacks.take()?, 1, body);
            assert!(matches!(nested.resume(), Resumed::Panicked(_)), "{wrong}");
            stacks.give_back(nested.into_stack());
        }
        let due = Instant::now() + Duration::from_millis(5);
        assert_eq!(ours.wait(Readiness::Readable, Some(due))?, Woken::TimedOut);
        handle.yield_now();
        Ok(())
    })?
}

/// A call to `suspend` in a task, instead of `park`, panics, because nothing would wake the task.
#[test]
fn a_bare_suspend_is_refused() -> io::Result<()> {
    run(|handle| -> io::Result<()> {
        let suspends = spawn(handle, |_| suspend())?;
        assert!(suspends.join().is_err(), "it panics");
        assert!(catch_unwind(suspend).is_err(), "and so does the first");
        Ok(())
    })?
}

/// After a runtime has run its coroutines, other coroutines of the thread can suspend as before.
#[test]
fn a_runtime_leaves_no_owner_behind() -> io::Result<()> {
    run(|handle| handle.yield_now())?;
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut coroutine = new_coroutine(stacks.take()?, 1, suspend);
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    stacks.give_back(coroutine.into_stack());
    Ok(())
}

/// A future cannot park, because it has no stack.
#[test]
fn a_future_cannot_park() -> io::Result<()> {
    let runtime = Runtime::new(Box::new(Poll::default()))?;
    let refused = runtime.run_future(|handle| async move {
        catch_unwind(AssertUnwindSafe(|| handle.park(None))).is_err()
    })?;
    assert!(refused.expect("no panic"));
    Ok(())
}

/// A wait in a destructor, after the runtime's end, returns an error that says that the runtime has
/// ended, and not `ResourceBusy`.
#[test]
fn an_unwound_wait_finds_the_end() -> io::Result<()> {
    let found = Rc::new(Cell::new(None));
    let finds = found.clone();
    run(|handle| -> io::Result<()> {
        let (ours, _theirs) = pair(handle)?;
        spawn(handle, move |_| {
            let _finally = Finally(|| {
                let again = ours.wait(Readiness::Readable, None);
                finds.set(again.err().map(|error| error.kind()));
            });
            let _ = ours.wait(Readiness::Readable, None);
        })?;
        handle.yield_now();
        Ok(())
    })??;
    assert_eq!(found.get(), Some(io::ErrorKind::Other));
    Ok(())
}

/// A runtime whose futures all wait, and that nothing can wake, returns an error.
#[test]
fn futures_that_all_wait_are_an_error() -> io::Result<()> {
    let runtime = Runtime::new(Box::new(Poll::default()))?;
    let waits = runtime.run_future(|_| poll_fn(|_| task::Poll::<()>::Pending));
    assert_eq!(waits.expect_err("a deadlock").kind(), io::ErrorKind::Deadlock);
    Ok(())
}

/// A runtime runs in a coroutine. When the runtime ends, a destructor in one of its tasks suspends
/// that coroutine, and the coroutine is then dropped. The runtime's other tasks are still ended,
/// and none is leaked.
#[test]
fn a_cancelled_end_ends_every_task() -> io::Result<()> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let dropped = [(); 2].map(|()| Rc::new(Cell::new(false)));
    let [future_sets, coroutine_sets] = dropped.clone().map(Sets);
    let mut outer = new_coroutine(stacks.take()?, 1, move || {
        let _ = run(move |handle| {
            handle.spawn_future(async move {
                let _sets = future_sets;
                let _finally = Finally(suspend);
                pending::<()>().await;
            });
            let parks = spawn(handle, move |handle| {
                let _sets = coroutine_sets;
                handle.park(None)
            });
            handle.yield_now();
            parks.map(drop)
        });
    });
    assert!(matches!(outer.resume(), Resumed::Suspended), "in the future's destructor");
    stacks.give_back(outer.into_stack());
    assert_eq!(dropped.map(|flag| flag.get()), [true, true]);
    Ok(())
}

/// A socket that lets other coroutines run whenever `as_fd` is called.
struct Yields(UnixStream, Handle);

impl AsFd for Yields {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.yield_now();
        self.0.as_fd()
    }
}

/// The `as_fd` function of a registered value may run any code, so the runtime's data is not
/// borrowed during the call.
#[test]
fn a_descriptor_may_yield() -> io::Result<()> {
    run(|handle| -> io::Result<()> {
        let (ours, _theirs) = UnixStream::pair()?;
        let yields = handle.register(Yields(ours, handle.clone()), Interest::READ)?;
        yields.wait(Readiness::Writable, Some(Instant::now()))?;
        Ok(())
    })?
}
