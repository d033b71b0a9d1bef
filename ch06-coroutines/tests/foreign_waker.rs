//! Tests of foreign wakers, which do not belong to the executor. A foreign waker that uses the
//! executor whenever it is cloned, woken or dropped never finds the executor's data borrowed.
#![allow(unsafe_code)]

use ch03_nonblocking::poller::Interest;
use ch04_select_poll::poll::Poll as Asks;
use ch06_coroutines::{Handle, Readiness, Runtime};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::ptr;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static HANDLE: RefCell<Option<Handle>> = const { RefCell::new(None) };
    /// The real waker of the task, which the foreign waker calls.
    static TASK: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static USES: Cell<usize> = const { Cell::new(0) };
}

/// Uses the executor's table of tasks and its run queue, by spawning a future.
fn use_it() {
    let handle = HANDLE.with_borrow(Clone::clone).expect("there is an executor");
    handle.spawn_future(async {});
    USES.set(USES.get() + 1);
}

static USES_IT: RawWakerVTable = RawWakerVTable::new(
    |_| {
        use_it();
        RawWaker::new(ptr::null(), &USES_IT)
    },
    |_| wake(),
    |_| wake(),
    |_| use_it(),
);

fn wake() {
    use_it();
    TASK.with_borrow(Clone::clone).expect("a task waits").wake();
}

fn foreign() -> Waker {
    // SAFETY: the waker's functions ignore the pointer, which is null, and use only thread-local
    // data, so they are sound on every thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &USES_IT)) }
}

/// Polls a future with a foreign waker, as a combinator for several futures does.
async fn by_a_foreign_waker<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        TASK.set(Some(context.waker().clone()));
        future.as_mut().poll(&mut Context::from_waker(&foreign()))
    })
    .await
}

#[test]
fn a_waker_may_use_the_executor() -> io::Result<()> {
    let ran = Runtime::new(Box::new(Asks::default()))?.run_future(
        |handle: Handle| async move {
            HANDLE.set(Some(handle.clone()));
            let (ours, mut theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let ours = handle.register(ours, Interest::READ)?;
            let other = theirs.try_clone()?;
            handle.spawn_future(async move {
                theirs.write_all(b"!").expect("it is open");
            });
            by_a_foreign_waker(ours.ready(Readiness::Readable)).await?;
            ours.would_block(Readiness::Readable);

            // The second future fails, because the first one already waits for the same readiness.
            let mut first = pin!(ours.ready(Readiness::Readable));
            let mut second = pin!(ours.ready(Readiness::Readable));
            let waker = foreign();
            let context = &mut Context::from_waker(&waker);
            assert!(first.as_mut().poll(context).is_pending());
            let Poll::Ready(Err(error)) = second.as_mut().poll(context) else {
                panic!("there are two at one place");
            };
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);

            let soon = Instant::now() + Duration::from_millis(20);
            by_a_foreign_waker(handle.sleep_until(soon)).await;
            drop(other);
            io::Result::Ok(())
        },
    )?;
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    assert!(USES.get() > 10, "it was used {} times only", USES.get());
    drop((HANDLE.take(), TASK.take()));
    Ok(())
}
