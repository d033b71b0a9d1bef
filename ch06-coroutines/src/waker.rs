//! Waking: how a task gets back into its executor's run queue, from this thread or another.
//!
//! The rule that no wake-up is lost: **the mark is taken off before the task is polled**.
//! Who wakes it during the poll sets the mark again, and so it is polled once more.

use crate::injector::{Basket, Outside, ring};
use ch03_nonblocking::poller::Token;
use std::cell::RefCell;
use std::fs::File;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::task::Wake;

// ANCHOR: mark
/// Whether a task has been woken since its last poll began. What is written before
/// [`set`](Mark::set) is seen by the poll that comes after [`take_off`](Mark::take_off).
#[derive(Debug)]
pub(crate) struct Mark(AtomicBool);

impl Mark {
    /// Of a task that is in the run queue from the beginning.
    pub(crate) fn new() -> Mark {
        Mark(AtomicBool::new(true))
    }

    /// Says whether it was not set: then, and only then, put the task into the run queue.
    /// Who finds it set may rely on whoever came first.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, AcqRel)
    }

    /// Before the poll. **Not after it**: what is told between the task's last look and
    /// then would be wiped away with the mark.
    pub(crate) fn take_off(&self) {
        self.0.swap(false, AcqRel);
    }
}
// ANCHOR_END: mark

/// Where an executor is reached from outside. There is one for each.
pub(crate) type Post = Outside<Token>;

// ANCHOR: signal
/// What is behind a task's waker. A waker may be kept for as long as one likes, and may be
/// used on any thread; so this knows the task by its token only, and outlives it.
pub(crate) struct Signal {
    mark: Mark,
    task: Token,
    home: Arc<Post>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.mark.set() && !Here::push(&self.home, self.task) {
            self.home.send(self.task);
        }
    }
}
// ANCHOR_END: signal

impl Signal {
    /// Of a task that is in the run queue.
    pub(crate) fn new(task: Token, home: Arc<Post>) -> Arc<Signal> {
        Arc::new(Signal { mark: Mark::new(), task, home })
    }

    /// The same for another task, without an allocation, unless somebody has kept a waker of
    /// the last one's: that shall not wake a stranger.
    pub(crate) fn again(mut self: Arc<Self>, task: Token) -> Arc<Signal> {
        match Arc::get_mut(&mut self) {
            Some(signal) => (signal.mark, signal.task) = (Mark::new(), task),
            None => self = Signal::new(task, self.home.clone()),
        }
        self
    }

    /// The task is about to be polled.
    pub(crate) fn begin(&self) {
        self.mark.take_off();
    }

    /// It has ended: who wakes it from now on need not go to any trouble.
    pub(crate) fn end(&self) {
        self.mark.set();
    }
}

impl Post {
    pub(crate) fn new(bell: File) -> Post {
        Outside { basket: Arc::new(Basket::new()), bell }
    }

    /// From another thread. If the executor has ended, there is nobody left to be woken.
    fn send(&self, task: Token) {
        if let Ok(true) = self.basket.lay(task) {
            let _ = ring(&self.bell);
        }
    }
}

thread_local! {
    /// The executor that runs on this thread, and who was woken here.
    static HERE: RefCell<Here> = const { RefCell::new(Here { post: None, woken: Vec::new() }) };
}

// ANCHOR: here
/// What makes waking cheap where it is most frequent: who is woken on the executor's own
/// thread is written down there, without a lock and without a ring.
pub(crate) struct Here {
    post: Option<Arc<Post>>,
    woken: Vec<Token>,
}

impl Here {
    /// Says whether this is the thread on which that executor runs now.
    fn push(home: &Arc<Post>, task: Token) -> bool {
        HERE.with_borrow_mut(|here| {
            let at_home = here.post.as_ref().is_some_and(|post| Arc::ptr_eq(post, home));
            if at_home {
                here.woken.push(task);
            }
            at_home
        })
    }
    // ANCHOR_END: here

    /// An executor begins to run on this thread. If there was one before, which waits
    /// meanwhile, its tasks are woken as from outside.
    pub(crate) fn enter(post: &Arc<Post>) -> Outer {
        let here = Here { post: Some(post.clone()), woken: Vec::new() };
        Outer(HERE.replace(here))
    }

    /// Who was woken, for `each`. Says whether anybody was.
    pub(crate) fn take(mut each: impl FnMut(Token)) -> bool {
        let mut woken = HERE.with_borrow_mut(|here| take(&mut here.woken));
        let any = !woken.is_empty();
        woken.drain(..).for_each(&mut each);
        HERE.with_borrow_mut(|here| {
            if here.woken.is_empty() {
                here.woken = woken; // for its memory
            }
        });
        any
    }
}

/// What ran here before; it is put back when this is dropped.
pub(crate) struct Outer(Here);

impl Drop for Outer {
    fn drop(&mut self) {
        let outer = Here { post: self.0.post.take(), woken: take(&mut self.0.woken) };
        drop(HERE.replace(outer));
    }
}
