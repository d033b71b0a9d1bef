//! Waking: how a task gets back into its executor's run queue, from this thread or another.
//!
//! The rule that no wake-up is lost: **the mark is taken off before the task is polled**.
//! Who wakes it during the poll sets the mark again, and so it is polled once more.

use crate::injector::{Basket, Outside, ring};
use ch01_blocking::server::sys;
use ch03_nonblocking::poller::Token;
use std::cell::RefCell;
use std::fs::File;
use std::io;
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

/// What rings, and where it is heard.
pub(crate) struct Bell {
    pub(crate) bell: File,
    pub(crate) rope: File,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        let (bell, rope) = sys::pipe()?;
        Ok(Bell { bell: bell.into(), rope: rope.into() })
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
    /// The executors that run on this thread. Mostly it is one. The others wait for it to
    /// end, in a task of theirs; or for their turn, in coroutines, and then they end in any
    /// order.
    static HERE: RefCell<Vec<Here>> = const { RefCell::new(Vec::new()) };
}

// ANCHOR: here
/// What makes waking cheap where it is most frequent: who is woken on the executor's own
/// thread is written down there, without a lock and without a ring.
pub(crate) struct Here {
    post: Arc<Post>,
    woken: Vec<Token>,
}

impl Here {
    /// Says whether this is the thread on which that executor runs.
    fn push(home: &Arc<Post>, task: Token) -> bool {
        Here::woken(home, |woken| woken.push(task)).is_some()
    }
    // ANCHOR_END: here

    /// Who was woken, for `each`, which wakes nobody.
    pub(crate) fn take(home: &Arc<Post>, each: impl FnMut(Token)) {
        Here::woken(home, |woken| woken.drain(..).for_each(each));
    }

    /// What to do with an executor's list, if it runs on this thread.
    fn woken<T>(home: &Arc<Post>, what: impl FnOnce(&mut Vec<Token>) -> T) -> Option<T> {
        let done = HERE.try_with(|all| {
            let mut all = all.borrow_mut();
            let here = all.iter_mut().rev().find(|here| Arc::ptr_eq(&here.post, home))?;
            Some(what(&mut here.woken))
        });
        done.unwrap_or(None) // the thread is ending: no executor runs on it any more
    }

    /// An executor begins to run on this thread, until what comes back is dropped.
    pub(crate) fn enter(post: &Arc<Post>) -> Stay {
        let here = Here { post: post.clone(), woken: Vec::new() };
        HERE.with_borrow_mut(|all| all.push(here));
        Stay(post.clone())
    }
}

/// That an executor runs here.
pub(crate) struct Stay(Arc<Post>);

impl Drop for Stay {
    fn drop(&mut self) {
        HERE.with_borrow_mut(|all| all.retain(|here| !Arc::ptr_eq(&here.post, &self.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the executor does with a task that has been woken, in this order.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        TakeOff,
        Poll,
    }

    /// Two threads that have news for a task, twice and once, and the executor, each at some
    /// step. The task looks at all news when it is polled.
    struct World {
        order: [Step; 2],
        mark: Mark,
        /// News that there are, and how many the task has seen.
        news: u32,
        seen: u32,
        /// How often the task lies in the run queue.
        queued: u32,
        /// What each thread has still to tell, and whether it has to wake the task now.
        senders: [(u32, bool); 2],
        /// The executor's next step; 0 is the run queue.
        executor: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> World {
            let senders = [(2, false), (1, false)];
            let mark = Mark::new(); // it is queued from the beginning
            World { order, mark, news: 0, seen: 0, queued: 1, senders, executor: 0 }
        }

        /// Whether this one of the three can do something.
        fn can(&self, actor: usize) -> bool {
            match self.senders.get(actor) {
                Some((left, wakes)) => *left > 0 || *wakes,
                None => self.executor > 0 || self.queued > 0,
            }
        }

        fn act(&mut self, actor: usize) {
            match self.senders.get_mut(actor) {
                Some((_, wakes @ true)) => {
                    *wakes = false;
                    self.queued += u32::from(self.mark.set());
                }
                Some((left, wakes)) => {
                    *left -= 1;
                    *wakes = true;
                    self.news += 1;
                }
                None => {
                    self.queued -= u32::from(self.executor == 0);
                    match self.order[self.executor] {
                        Step::TakeOff => self.mark.take_off(),
                        Step::Poll => self.seen = self.news,
                    }
                    self.executor = (self.executor + 1) % 2;
                }
            }
        }
    }

    /// Tries every order in which the three can take their steps. Says how many end with
    /// news that the task will never see, and how many there are.
    fn explore(order: [Step; 2]) -> (usize, usize) {
        let (mut lost, mut all) = (0, 0);
        let mut prefixes = vec![Vec::new()];
        while let Some(prefix) = prefixes.pop() {
            let mut world = World::new(order);
            prefix.iter().for_each(|&actor| world.act(actor));
            let next: Vec<usize> = (0..3).filter(|&actor| world.can(actor)).collect();
            if next.is_empty() {
                all += 1;
                lost += usize::from(world.seen < world.news);
                assert!(world.queued == 0 && world.news == 3);
            }
            for actor in next {
                prefixes.push([&prefix[..], &[actor]].concat());
            }
        }
        (lost, all)
    }

    #[test]
    fn no_order_of_steps_loses_a_wake_up() {
        let (lost, all) = explore([Step::TakeOff, Step::Poll]);
        assert!(all > 100, "only {all} orders were tried");
        assert_eq!(lost, 0, "of {all} orders");
    }

    #[test]
    fn to_poll_before_the_mark_is_off_would_lose_some() {
        let (lost, all) = explore([Step::Poll, Step::TakeOff]);
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
    }
}
