//! A waker is anybody's code: one that uses the executor whenever it is copied, woken or
//! dropped finds it free to be used.
#![allow(unsafe_code)]

use ch03_nonblocking::poller::Interest;
use ch04_select_poll::poll::Poll as Asks;
use ch06_coroutines::scheduler::Nobody;
use ch06_coroutines::source::{Descriptor, Until};
use ch06_coroutines::{Executor, Spawner};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::ptr;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

type OnPoll = Spawner<'static, Asks, Nobody>;

thread_local! {
    static SPAWNER: RefCell<Option<OnPoll>> = const { RefCell::new(None) };
    /// Whom it wakes.
    static TASK: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static USES: Cell<usize> = const { Cell::new(0) };
}

/// Has a task run; for that the executor's tasks and its run queue are needed.
fn use_it() {
    let spawner = SPAWNER.with_borrow(Clone::clone).expect("there is an executor");
    spawner.spawn(async {});
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
    TASK.with_borrow(Clone::clone).expect("somebody waits").wake();
}

fn foreign() -> Waker {
    // SAFETY: the functions ignore the pointer, which is null, and use nothing but what is
    // their own thread's; on another they panic.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &USES_IT)) }
}

/// Polls a future as one that has a waker of its own for what is in it: as a join of several
/// does.
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
    let ran = Executor::new(Asks::default())?.run(|spawner: OnPoll| async move {
        SPAWNER.set(Some(spawner.clone()));
        let (ours, mut theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = Descriptor::new(ours, Interest::READ, &spawner).map_err(|it| it.1)?;
        let other = theirs.try_clone()?;
        spawner.spawn(async move {
            theirs.write_all(b"!").expect("it is open");
        });
        by_a_foreign_waker(ours.ready(Until::Readable)).await?;
        ours.read_would_block();

        // In vain, since somebody waits already.
        let mut first = pin!(ours.ready(Until::Readable));
        let mut second = pin!(ours.ready(Until::Readable));
        let waker = foreign();
        let context = &mut Context::from_waker(&waker);
        assert!(first.as_mut().poll(context).is_pending());
        let Poll::Ready(Err(error)) = second.as_mut().poll(context) else {
            panic!("there are two at one place");
        };
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);

        let soon = Instant::now() + Duration::from_millis(20);
        by_a_foreign_waker(spawner.sleep(soon)).await;
        drop(other);
        io::Result::Ok(())
    })?;
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    assert!(USES.get() > 10, "it was used {} times only", USES.get());
    drop((SPAWNER.take(), TASK.take()));
    Ok(())
}
