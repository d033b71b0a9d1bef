//! Tests of the runtime's promises to futures: every wake-up, whatever its source, leads to a poll,
//! and a dropped future releases everything that it holds.
#![allow(unsafe_code)]

use crate::tools::pair;
use ch04_select_poll::poll::Poll as Asks;
use ch06_coroutines::{
    Coroutine, Either, Handle, Readiness, Resumed, Runtime, StackPool, Woken, race,
    suspend, yield_now,
};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{self, Read};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a future in a new runtime and returns the future's output.
fn run<T: 'static, F: Future<Output = T> + 'static>(
    first: impl FnOnce(Handle) -> F,
) -> io::Result<T> {
    let ran = Runtime::new(Box::new(Asks::default()))?.run_future(first)?;
    Ok(ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// A future that passes the task's waker to `to` at its first poll, and is ready at its
/// second poll.
async fn hand_out(to: impl FnOnce(Waker)) {
    let mut to = Some(to);
    poll_fn(|context| match to.take() {
        Some(to) => {
            to(context.waker().clone());
            Poll::Pending
        }
        None => Poll::Ready(()),
    })
    .await;
}

#[test]
fn a_task_that_yields_runs_after_the_queued_ones() -> io::Result<()> {
    let log = run(|handle| async move {
        let log = Rc::new(RefCell::new(Vec::new()));
        for id in 0..3 {
            let log = log.clone();
            handle.spawn_future(async move {
                for _ in 0..2 {
                    log.borrow_mut().push(id);
                    yield_now().await;
                }
            });
        }
        for _ in 0..5 {
            yield_now().await;
        }
        log.take()
    })?;
    assert_eq!(log, [0, 1, 2, 0, 1, 2]);
    Ok(())
}

#[test]
fn woken_by_another_thread() -> io::Result<()> {
    let (send, receive) = mpsc::channel::<Waker>();
    let other = thread::spawn(move || {
        while let Ok(waker) = receive.recv() {
            waker.wake();
        }
    });
    run(|_| async move {
        for _ in 0..1000 {
            hand_out(|waker| send.send(waker).expect("it listens")).await;
        }
    })?;
    other.join().expect("it does not panic");
    Ok(())
}

/// A wake-up that arrives between a future's last check and the return of its `poll` is not lost.
#[test]
fn no_wake_up_from_many_threads_is_lost() -> io::Result<()> {
    const EACH: usize = 5_000;
    let news = Arc::new(AtomicUsize::new(0));
    let theirs = news.clone();
    run(|_| async move {
        hand_out(|waker| {
            for _ in 0..4 {
                let (news, waker) = (theirs.clone(), waker.clone());
                thread::spawn(move || {
                    for _ in 0..EACH {
                        news.fetch_add(1, SeqCst);
                        waker.wake_by_ref();
                    }
                });
            }
        })
        .await;
        // Only the other threads wake this task. If the last wake-up were lost, the test would
        // never end.
        poll_fn(|_| match theirs.load(SeqCst) {
            n if n == 4 * EACH => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    })?;
    assert_eq!(news.load(SeqCst), 4 * EACH);
    Ok(())
}

#[test]
fn a_wake_during_the_poll_is_one_more_poll() -> io::Result<()> {
    let polls = run(|_| async {
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            context.waker().wake_by_ref(); // this second wake-up causes no third poll
            if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        polls
    })?;
    assert_eq!(polls, 3);
    Ok(())
}

/// A waker that outlives its task does not wake the next task at the same table index.
#[test]
fn a_stale_waker_wakes_no_other_task() -> io::Result<()> {
    run(|handle| async move {
        let kept = Rc::new(RefCell::new(None));
        let theirs = kept.clone();
        handle.spawn_future(async move {
            hand_out(|waker| {
                waker.wake_by_ref();
                *theirs.borrow_mut() = Some(waker);
            })
            .await;
        });
        for _ in 0..3 {
            yield_now().await;
        }
        let kept = kept.take().expect("it has run");
        let before = handle.tasks();
        let polls = Rc::new(Cell::new(0));
        let theirs = polls.clone();
        handle.spawn_future(poll_fn(move |_| {
            theirs.set(theirs.get() + 1);
            Poll::<()>::Pending
        }));
        for _ in 0..3 {
            kept.wake_by_ref();
            let abroad = kept.clone();
            thread::spawn(move || abroad.wake()).join().expect("it only wakes");
            yield_now().await;
        }
        assert_eq!(handle.tasks(), before + 1);
        assert_eq!(polls.get(), 1, "the stranger was polled for somebody else's news");
    })
}

#[test]
fn a_waker_may_be_used_after_the_runtimes_end() -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    run(|handle| async move {
        let of_first = sender.clone();
        handle.spawn_future(async move {
            hand_out(|waker| sender.send(waker).expect("it listens")).await;
            unreachable!("nobody wakes it");
        });
        hand_out(|waker| {
            waker.wake_by_ref();
            of_first.send(waker).expect("it listens");
        })
        .await;
        yield_now().await;
    })?;
    let [of_first, kept] = [(); 2].map(|()| receiver.recv().expect("it ran"));
    kept.wake_by_ref();
    thread::spawn(move || (kept.wake(), of_first.wake())).join().expect("no panic");
    Ok(())
}

/// A future may be polled with another waker each time, as combinators do; only the waker of the
/// last poll must be woken.
#[test]
fn the_waker_of_the_last_poll_is_woken() -> io::Result<()> {
    struct Counting(AtomicUsize, Waker);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
            self.1.wake_by_ref();
        }
    }
    let counted = run(|handle| async move {
        let (ours, theirs) = pair(&handle)?;
        let mut ready = pin!(ours.ready(Readiness::Readable));
        let mut counting = None;
        let mut theirs = Some(theirs);
        poll_fn(|context| {
            // The future is polled first with the task's own waker, and later with
            // another waker, which counts how often it is called.
            if counting.is_none() {
                assert!(ready.as_mut().poll(context).is_pending());
                let wake = Counting(AtomicUsize::new(0), context.waker().clone());
                counting = Some(Arc::new(wake));
            }
            let waker = Waker::from(counting.clone().expect("it was made"));
            drop(theirs.take_if(|_| ready_is_pending(ready.as_mut(), &waker)));
            ready.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await?;
        Ok::<_, io::Error>(counting.map_or(0, |counting| counting.0.load(SeqCst)))
    })??;
    assert_eq!(counted, 1);
    Ok(())
}

fn ready_is_pending(ready: std::pin::Pin<&mut impl Future>, waker: &Waker) -> bool {
    ready.poll(&mut Context::from_waker(waker)).is_pending()
}

#[test]
fn readiness_without_a_waiter_is_remembered() -> io::Result<()> {
    run(|handle| async move {
        let (ours, theirs) = pair(&handle)?;
        drop(theirs);
        handle.sleep_until(Instant::now() + Duration::from_millis(5)).await;
        let due = Instant::now() + Duration::from_secs(30);
        assert_eq!(ours.ready_by(Readiness::Readable, due).await?, Woken::Notified);
        Ok(())
    })?
}

#[test]
fn ready_by_ends_at_its_deadline() -> io::Result<()> {
    run(|handle| async move {
        let (ours, _theirs) = pair(&handle)?;
        let due = Instant::now() + Duration::from_millis(20);
        assert_eq!(ours.ready_by(Readiness::Readable, due).await?, Woken::TimedOut);
        assert!(Instant::now() >= due);
        assert_eq!(handle.timers_set(), 0);
        Ok(())
    })?
}

// ANCHOR: cancelled
/// A future that loses a race is dropped while it waits, and releases its timer and its
/// descriptor.
#[test]
fn dropping_a_future_cancels_it() -> io::Result<()> {
    run(|handle| async move {
        let (ours, mut theirs) = pair(&handle)?;
        let far = Instant::now() + Duration::from_secs(3600);
        let waits = async {
            let owned = ours; // moves the descriptor into the block
            let _ = owned.ready_by(Readiness::Readable, far).await;
            unreachable!("nobody writes");
        };
        let lost = race(pin!(waits), pin!(yield_now())).await;
        assert_eq!(lost, Either::<(), ()>::Second(()));
        assert_eq!(handle.timers_set(), 0, "its alarm is still set");
        theirs.set_nonblocking(true)?;
        assert_eq!(theirs.read(&mut [0])?, 0, "its descriptor is still open");
        Ok(())
    })?
}
// ANCHOR_END: cancelled

#[test]
fn a_dropped_waiter_leaves_room_for_another() -> io::Result<()> {
    run(|handle| async move {
        let (ours, theirs) = pair(&handle)?;
        let first = ours.ready(Readiness::Readable);
        let lost = race(first, pin!(yield_now())).await;
        assert!(matches!(lost, Either::Second(())));
        drop(lost);
        // A future that waits for a readiness for which another future already waits is refused.
        let both =
            race(ours.ready(Readiness::Readable), ours.ready(Readiness::Readable)).await;
        assert!(
            matches!(both, Either::Second(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy)
        );
        // The race has dropped both of its futures, so another future may wait for the same
        // readiness. The peer's close makes it ready.
        drop(theirs);
        ours.ready(Readiness::Readable).await
    })?
}

/// A value that keeps the number of existing values of its type in a shared cell.
struct Alive(Rc<Cell<usize>>);

impl Alive {
    fn new(count: &Rc<Cell<usize>>) -> Alive {
        count.set(count.get() + 1);
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn the_runtimes_end_drops_all_futures() -> io::Result<()> {
    let alive = Rc::new(Cell::new(0));
    let count = alive.clone();
    run(|handle| async move {
        for _ in 0..10 {
            let (one, theirs) = (Alive::new(&count), handle.clone());
            handle.spawn_future(async move {
                let _one = one;
                let late = Alive::new(&_one.0);
                theirs.spawn_future(async move {
                    let _late = late;
                    pending::<()>().await;
                });
                pending::<()>().await;
            });
        }
        yield_now().await;
        assert_eq!(count.get(), 20);
    })?;
    assert_eq!(alive.get(), 0);
    Ok(())
}

#[test]
fn a_panic_costs_one_task() -> io::Result<()> {
    let alive = Rc::new(Cell::new(0));
    run(|handle| {
        let alive = alive.clone();
        async move {
            let one = Alive::new(&alive);
            handle.spawn_future(async move {
                let _one = one;
                yield_now().await;
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            let before = handle.tasks();
            while handle.tasks() == before {
                yield_now().await;
            }
            assert_eq!(alive.get(), 0);
        }
    })
}

#[test]
fn a_panic_of_the_first_future_is_returned() -> io::Result<()> {
    let ran = Runtime::new(Box::new(Asks::default()))?.run_future(|_| async {
        yield_now().await;
        std::panic::resume_unwind(Box::new("on purpose"));
    })?;
    let ran: Result<(), _> = ran;
    assert_eq!(
        ran.err().and_then(|panic| panic.downcast_ref().copied()),
        Some("on purpose")
    );
    Ok(())
}

/// A task may run a second runtime. A task of the second runtime wakes the first task through the
/// first task's waker, as another thread would.
#[test]
fn a_runtime_in_a_task() -> io::Result<()> {
    run(|_| async {
        let mut outer = None;
        hand_out(|waker| {
            waker.wake_by_ref();
            outer = Some(waker);
        })
        .await;
        let outer = outer.expect("it was polled");
        run(|_| async move {
            outer.wake();
            yield_now().await;
        })
        .expect("a second one");
        poll_fn({
            let mut first = true;
            move |_| match std::mem::take(&mut first) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    })
}

/// Two runtimes run in two coroutines, each of which is suspended in the middle of a poll. No
/// wake-up is lost when the runtimes end in another order than they began in.
#[test]
fn alternating_runtimes_lose_no_wake_up() -> io::Result<()> {
    let mut stacks = StackPool::new(256 * 1024)?;
    let body = || {
        let ran = run(|handle| async move {
            let (kept, woken) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(false)));
            let (theirs, says) = (kept.clone(), woken.clone());
            handle.spawn_future(async move {
                hand_out(|waker| *theirs.borrow_mut() = Some(waker)).await;
                says.set(true);
            });
            for _ in 0..2 {
                yield_now().await;
                kept.take().into_iter().for_each(Waker::wake);
                suspend(); // the other coroutine is resumed
            }
            for _ in 0..2 {
                yield_now().await;
            }
            assert!(woken.get(), "who was woken has not been polled");
        });
        ran.expect("an executor");
    };
    let mut both = Vec::new();
    for id in 1..=2 {
        // SAFETY: neither body suspends in a thread-local's initializer or destructor, and both
        // coroutines are resumed until they end.
        both.push(unsafe { Coroutine::new(stacks.take()?, id, body) });
    }
    let mut turns = 0;
    while both.iter().any(|one| !one.has_finished()) {
        for one in both.iter_mut().filter(|one| !one.has_finished()) {
            turns += 1;
            if let Resumed::Panicked(panic) = one.resume() {
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert_eq!(turns, 6);
    both.into_iter().for_each(|one| stacks.give_back(one.into_stack()));
    Ok(())
}

/// A foreign waker that panics when it is woken does not keep the other tasks from being woken.
#[test]
fn a_waker_that_panics_does_not_affect_other_tasks() -> io::Result<()> {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    run(|handle| async move {
        let soon = Instant::now() + Duration::from_millis(5);
        let mut first = pin!(handle.sleep_until(soon));
        let panics = Waker::from(Arc::new(Panics));
        assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
        handle.sleep_until(soon).await;
        assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_ready());
    })
}
