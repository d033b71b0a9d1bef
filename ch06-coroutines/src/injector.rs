//! Work from outside: how another thread hands a scheduler something to do.
//!
//! A scheduler belongs to its thread, and so do its coroutines. What another thread can do
//! is to lay work into a basket, and ring. The bell is a pipe, and the poller hears it as it
//! hears a client.
//!
//! ```
//! use ch04_select_poll::poll::Poll;
//! use ch06_coroutines::injector::Injector;
//! use ch06_coroutines::{Scheduler, Stacks};
//! use std::{io, thread};
//!
//! let stacks = Stacks::new(Stacks::DEFAULT_SIZE)?;
//! let scheduler: Scheduler<Poll> = Scheduler::new(Poll::default(), stacks);
//! let woken = scheduler.run(|handle| {
//!     let injector = Injector::new(handle)?;
//!     let me = handle.current().expect("it runs in a coroutine");
//!     let other = thread::spawn(move || injector.hand_in(move |handle| handle.wake(me)));
//!     handle.park(None);
//!     other.join().expect("no panic")
//! })?;
//! woken.expect("no panic")?;
//! # io::Result::Ok(())
//! ```

use crate::scheduler::{Dormant, Handle};
use crate::source::{Descriptor, Until};
use ch01_blocking::server::sys;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What is handed in.
enum Work<P, D> {
    /// Somebody is to be woken. That needs no stack, so it cannot fail for want of one.
    Wake(Token),
    /// This is to be done, in a coroutine of its own.
    Do(Job<P, D>),
}

type Job<P, D> = Box<dyn FnOnce(&Handle<P, D>) + Send>;

/// Takes work for a scheduler, from any thread.
pub struct Injector<P, D> {
    outside: Arc<Outside<Work<P, D>>>,
}

impl<P, D> Clone for Injector<P, D> {
    fn clone(&self) -> Self {
        Injector { outside: self.outside.clone() }
    }
}

/// What both sides know: the basket, and the end of the pipe that rings.
pub(crate) struct Outside<T> {
    pub(crate) basket: Arc<Basket<T>>,
    pub(crate) bell: File,
}

/// What has been handed in and not been taken; None when nobody will come for it any more.
pub(crate) struct Basket<T>(Mutex<Option<Vec<T>>>);

// ANCHOR: basket
impl<T> Basket<T> {
    pub(crate) fn new() -> Basket<T> {
        Basket(Mutex::new(Some(Vec::new())))
    }

    /// Lays something in. Says whether it was empty: then, and only then, ring. Who lays
    /// something beside other things may rely on whoever came first to ring for both. An
    /// error means that the basket is closed.
    pub(crate) fn lay(&self, work: T) -> io::Result<bool> {
        let mut basket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(basket) = &mut *basket else {
            return Err(io::Error::other("the scheduler has ended"));
        };
        basket.push(work);
        Ok(basket.len() == 1)
    }

    /// Takes all. **After** the bell has been silenced: what is laid in between is taken
    /// now, and its ring is one in vain. The other way round, the ring for what came
    /// between would be silenced with the others, and nobody would come for it.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut basket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        basket.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Closes it, and drops what is in it: whoever waits for that can tell.
    pub(crate) fn close(&self) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(rest); // not under the lock: its destructors may want to hand something in
    }
}

/// Rings, again if a signal came in between: nobody else would. A full pipe is as good: it
/// has not been heard yet.
pub(crate) fn ring(mut bell: impl Write) -> io::Result<()> {
    match bell.write_all(b"!") {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        rung => rung,
    }
}

/// Silences the bell. Says whether anybody is left who could ring it again.
pub(crate) fn silence(mut bell: &File) -> bool {
    loop {
        match bell.read(&mut [0; 64]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}
// ANCHOR_END: basket

impl<P: Poller + 'static, D: Dormant> Injector<P, D> {
    /// For this scheduler, which has a coroutine more from now on: it waits for the bell,
    /// until all who can ring are gone.
    /// An error means that there are no descriptors for
    /// the bell, or no stack.
    pub fn new(handle: &Handle<P, D>) -> io::Result<Injector<P, D>> {
        let (read, write) = sys::pipe()?;
        let bell = Descriptor::new(File::from(read), Interest::READ, handle)
            .map_err(|(_, error)| error)?;
        let basket = Arc::new(Basket::new());
        let theirs = Receiver(basket.clone());
        handle.spawn(move |handle| receive(&bell, &theirs, handle))?;
        Ok(Injector { outside: Arc::new(Outside { basket, bell: File::from(write) }) })
    }

    /// Hands in work. An error means that the scheduler has ended; the work will not be
    /// done. If it ends later, the work is dropped without having been done.
    pub fn hand_in(
        &self,
        work: impl FnOnce(&Handle<P, D>) + Send + 'static,
    ) -> io::Result<()> {
        self.lay(Work::Do(Box::new(work)))
    }

    /// Has a coroutine woken. An error means that the scheduler has ended.
    pub(crate) fn wake(&self, who: Token) -> io::Result<()> {
        self.lay(Work::Wake(who))
    }

    fn lay(&self, work: Work<P, D>) -> io::Result<()> {
        let first = self.outside.basket.lay(work)?;
        if first { ring(&self.outside.bell) } else { Ok(()) }
    }
}

/// The one who takes. When it is no more, and be it unwound, nobody comes for the rest.
pub(crate) struct Receiver<T>(pub(crate) Arc<Basket<T>>);

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn receive<P: Poller + 'static, D: Dormant>(
    bell: &Descriptor<File, Handle<P, D>>,
    Receiver(basket): &Receiver<Work<P, D>>,
    handle: &Handle<P, D>,
) {
    let mut more = true;
    while more {
        // First, and then wait: who handed in before this ran has rung when nobody listened.
        more = silence(bell.get());
        bell.read_would_block();
        for work in basket.take() {
            match work {
                Work::Wake(who) => handle.wake(who),
                // Without a stack for it, it is dropped: whoever waits for it can tell.
                Work::Do(work) => drop(handle.spawn(move |handle| work(handle))),
            }
        }
        more = more && bell.wait(Until::Readable, None).is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ch01_blocking::server::stop::is_readable;
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// What the receiver does when it is woken, in this order.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Silence,
        Take,
    }

    /// Two threads that hand in, three times and twice, and the scheduler, each at some step.
    struct World {
        order: [Step; 2],
        basket: Basket<u32>,
        bell: File,
        rope: File,
        /// What each thread has still to hand in, and whether it has to ring now.
        senders: [(u32, bool); 2],
        /// The receiver's next step; 0 is waiting.
        receiver: usize,
        taken: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> io::Result<World> {
            let (read, write) = sys::pipe()?;
            Ok(World {
                order,
                basket: Basket::new(),
                bell: File::from(read),
                rope: File::from(write),
                senders: [(3, false), (2, false)],
                receiver: 0,
                taken: 0,
            })
        }

        /// Whether this one of the three can do something.
        fn can(&self, actor: usize) -> bool {
            match self.senders.get(actor) {
                Some((left, rings)) => *left > 0 || *rings,
                None => self.receiver > 0 || self.rings(),
            }
        }

        fn rings(&self) -> bool {
            is_readable(&[self.bell.as_fd()], Some(Duration::ZERO))[0]
        }

        fn act(&mut self, actor: usize) -> io::Result<()> {
            match self.senders.get_mut(actor) {
                Some((_, rings @ true)) => {
                    *rings = false;
                    ring(&self.rope)?;
                }
                Some((left, rings)) => {
                    *left -= 1;
                    *rings = self.basket.lay(1)?;
                }
                None => {
                    match self.order[self.receiver] {
                        Step::Silence => drop(silence(&self.bell)),
                        Step::Take => self.taken += self.basket.take().len(),
                    }
                    self.receiver = (self.receiver + 1) % 2;
                }
            }
            Ok(())
        }
    }

    /// Tries every order in which the three can take their steps. Says how many end with
    /// work that nobody will come for, and how many there are.
    fn explore(order: [Step; 2]) -> io::Result<(usize, usize)> {
        let (mut lost, mut all) = (0, 0);
        let mut prefixes = vec![Vec::new()];
        while let Some(prefix) = prefixes.pop() {
            let mut world = World::new(order)?;
            prefix.iter().try_for_each(|&actor| world.act(actor))?;
            let next: Vec<usize> = (0..3).filter(|&actor| world.can(actor)).collect();
            if next.is_empty() {
                all += 1;
                lost += usize::from(world.taken < 5);
            }
            for actor in next {
                prefixes.push([&prefix[..], &[actor]].concat());
            }
        }
        Ok((lost, all))
    }

    /// As pipes do that are waited for with a lock, where a signal comes in between.
    #[test]
    fn a_signal_does_not_swallow_the_ring() -> io::Result<()> {
        struct Interrupted<'b>(bool, &'b mut Vec<u8>);
        impl Write for Interrupted<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match std::mem::take(&mut self.0) {
                    true => Err(ErrorKind::Interrupted.into()),
                    false => self.1.write(bytes),
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut heard = Vec::new();
        ring(Interrupted(true, &mut heard))?;
        assert_eq!(heard.len(), 1);
        Ok(())
    }

    #[test]
    fn no_order_of_steps_loses_work() -> io::Result<()> {
        let (lost, all) = explore([Step::Silence, Step::Take])?;
        assert!(all > 100, "only {all} orders were tried");
        assert_eq!(lost, 0, "of {all} orders");
        Ok(())
    }

    #[test]
    fn to_take_before_the_bell_is_silent_would_lose_some() -> io::Result<()> {
        let (lost, all) = explore([Step::Take, Step::Silence])?;
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
        Ok(())
    }
}
