//! Tries every order of the steps of two threads that wake a task and of the task's runtime, once
//! at the remote queue and once at the task's flag. If the runtime takes its own steps in their
//! real order, no wake-up is lost. In the opposite order some are lost, which shows that the test
//! can fail.

#[allow(dead_code)]
#[path = "../src/runtime/remote.rs"]
mod remote;

mod remote_queue {
    use super::remote::RemoteQueue;
    use ch01_blocking::server::stop::is_readable;
    use ch03_nonblocking::poller::Token;
    use std::io;
    use std::os::fd::AsFd;
    use std::time::Duration;

    const TASK: Token = Token { index: 0, generation: 0 };

    /// A step of the runtime before it sleeps.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Announce,
        Take,
    }

    /// The next step of a thread that wakes a task.
    #[derive(Clone, Copy, PartialEq)]
    enum Next {
        Push,
        Claim,
        Write,
    }

    /// The state of the three actors: two threads that wake a task once each, and the
    /// runtime.
    struct World {
        order: [Step; 2],
        remote: RemoteQueue,
        /// For each thread, the number of wake-ups that are still to be pushed, and its
        /// next step.
        senders: [(u32, Next); 2],
        /// The runtime's next step, an index into `order`; 2 while the runtime sleeps.
        runtime: usize,
        /// The number of wake-ups that `Step::Take` has found since the runtime last slept or ran
        /// tasks.
        found: usize,
        taken: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> io::Result<World> {
            let senders = [(1, Next::Push), (1, Next::Push)];
            let remote = RemoteQueue::new()?;
            Ok(World { order, remote, senders, runtime: 0, found: 0, taken: 0 })
        }

        /// Returns whether an actor can take a step now.
        fn can(&self, actor: usize) -> bool {
            match self.senders.get(actor) {
                Some((left, next)) => *left > 0 || *next != Next::Push,
                None => self.runtime < 2 || self.is_woken(),
            }
        }

        fn is_woken(&self) -> bool {
            is_readable(&[self.remote.as_fd()], Some(Duration::ZERO))[0]
        }

        fn act(&mut self, actor: usize) {
            let Some((left, next)) = self.senders.get_mut(actor) else {
                return self.run();
            };
            *next = match next {
                Next::Push => {
                    *left -= 1;
                    self.remote.push(TASK);
                    Next::Claim
                }
                Next::Claim if self.remote.claim_wakeup() => Next::Write,
                Next::Claim => Next::Push,
                Next::Write => {
                    self.remote.write_wakeup();
                    Next::Push
                }
            };
        }

        fn run(&mut self) {
            match self.order.get(self.runtime) {
                Some(Step::Announce) => self.remote.announce_sleep(),
                Some(Step::Take) => self.remote.take(|_| self.found += 1),
                None => {
                    self.remote.claim_wakeup(); // the runtime is awake
                    self.remote.drain_wakeups();
                    self.runtime = 0;
                    return;
                }
            }
            self.runtime += 1;
            if self.runtime == 2 && self.found > 0 {
                // The runtime has a task to run, so it does not sleep.
                self.taken += std::mem::take(&mut self.found);
                self.remote.claim_wakeup();
                self.runtime = 0;
            }
        }
    }

    /// Tries every order of the three actors' steps. Returns the number of orders in which a
    /// wake-up is lost, and the number of all orders.
    fn explore(order: [Step; 2]) -> io::Result<(usize, usize)> {
        let (mut lost, mut all) = (0, 0);
        let mut prefixes = vec![Vec::new()];
        while let Some(prefix) = prefixes.pop() {
            let mut world = World::new(order)?;
            prefix.iter().for_each(|&actor| world.act(actor));
            let next: Vec<usize> = (0..3).filter(|&actor| world.can(actor)).collect();
            if next.is_empty() {
                all += 1;
                lost += usize::from(world.taken < 2);
            }
            for actor in next {
                prefixes.push([&prefix[..], &[actor]].concat());
            }
        }
        Ok((lost, all))
    }

    #[test]
    fn no_order_of_steps_loses_a_wake_up() -> io::Result<()> {
        let (lost, all) = explore([Step::Announce, Step::Take])?;
        assert!(all > 100, "only {all} orders were tried");
        assert_eq!(lost, 0, "of {all} orders");
        Ok(())
    }

    #[test]
    fn taking_before_the_announcement_would_lose_wake_ups() -> io::Result<()> {
        let (lost, all) = explore([Step::Take, Step::Announce])?;
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
        Ok(())
    }
}

mod flag {
    use super::remote::ScheduledFlag;

    /// A step of the runtime when it runs a task that was woken.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Clear,
        Run,
    }

    /// The state of the three actors: a thread that sends a task two messages, a thread that sends
    /// it one, and the runtime. The task reads all messages when it runs.
    struct World {
        order: [Step; 2],
        flag: ScheduledFlag,
        /// The number of messages that were sent.
        news: u32,
        /// The number of messages that the task has read.
        seen: u32,
        /// The number of entries for the task in the run queue.
        queued: u32,
        /// For each thread, the number of messages that are still to be sent, and whether
        /// its next step is to wake the task.
        senders: [(u32, bool); 2],
        /// The runtime's next step, an index into `order`. Before step 0 the runtime takes an entry
        /// from the run queue.
        runtime: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> World {
            let senders = [(2, false), (1, false)];
            let flag = ScheduledFlag::default();
            flag.set(); // the task is queued at the beginning
            World { order, flag, news: 0, seen: 0, queued: 1, senders, runtime: 0 }
        }

        /// Returns whether an actor can take a step now.
        fn can(&self, actor: usize) -> bool {
            match self.senders.get(actor) {
                Some((left, wakes)) => *left > 0 || *wakes,
                None => self.runtime > 0 || self.queued > 0,
            }
        }

        fn act(&mut self, actor: usize) {
            match self.senders.get_mut(actor) {
                Some((_, wakes @ true)) => {
                    *wakes = false;
                    self.queued += u32::from(self.flag.set());
                }
                Some((left, wakes)) => {
                    *left -= 1;
                    *wakes = true;
                    self.news += 1;
                }
                None => {
                    self.queued -= u32::from(self.runtime == 0);
                    match self.order[self.runtime] {
                        Step::Clear => self.flag.clear(),
                        Step::Run => self.seen = self.news,
                    }
                    self.runtime = (self.runtime + 1) % 2;
                }
            }
        }
    }

    /// Tries every order of the three actors' steps. Returns the number of orders in which the task
    /// misses a message, and the number of all orders.
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
        let (lost, all) = explore([Step::Clear, Step::Run]);
        assert!(all > 100, "only {all} orders were tried");
        assert_eq!(lost, 0, "of {all} orders");
    }

    #[test]
    fn running_before_the_flag_is_clear_would_lose_wake_ups() {
        let (lost, all) = explore([Step::Run, Step::Clear]);
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
    }
}
