//! Every order of steps: two threads and a runtime, at the queue and at a task's flag. The
//! order that the runtime keeps loses nothing; and so that this may be believed, the other
//! order does.

#[allow(dead_code)]
#[path = "../src/runtime/remote.rs"]
mod remote;

mod inbox {
    use super::remote::Inbox;
    use ch01_blocking::server::stop::is_readable;
    use ch03_nonblocking::poller::Token;
    use std::io;
    use std::os::fd::AsFd;
    use std::time::Duration;

    const TASK: Token = Token { index: 0, generation: 0 };

    /// What the runtime does before it sleeps, in this order.
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

    /// Two threads that wake a task each, and the runtime, each at some step.
    struct World {
        order: [Step; 2],
        inbox: Inbox,
        /// What each thread has still to push, and its next step.
        senders: [(u32, Next); 2],
        /// The runtime's next step before it sleeps; 2 is sleeping.
        runtime: usize,
        /// How many the step `Take` has found since it last slept.
        found: usize,
        taken: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> io::Result<World> {
            let senders = [(1, Next::Push), (1, Next::Push)];
            let inbox = Inbox::new()?;
            Ok(World { order, inbox, senders, runtime: 0, found: 0, taken: 0 })
        }

        /// Returns whether this one of the three can do something.
        fn can(&self, actor: usize) -> bool {
            match self.senders.get(actor) {
                Some((left, next)) => *left > 0 || *next != Next::Push,
                None => self.runtime < 2 || self.is_woken(),
            }
        }

        fn is_woken(&self) -> bool {
            is_readable(&[self.inbox.as_fd()], Some(Duration::ZERO))[0]
        }

        fn act(&mut self, actor: usize) {
            let Some((left, next)) = self.senders.get_mut(actor) else {
                return self.run();
            };
            *next = match next {
                Next::Push => {
                    *left -= 1;
                    self.inbox.push(TASK);
                    Next::Claim
                }
                Next::Claim if self.inbox.claim_wakeup() => Next::Write,
                Next::Claim => Next::Push,
                Next::Write => {
                    self.inbox.write_wakeup();
                    Next::Push
                }
            };
        }

        fn run(&mut self) {
            match self.order.get(self.runtime) {
                Some(Step::Announce) => self.inbox.announce_sleep(),
                Some(Step::Take) => self.inbox.take(|_| self.found += 1),
                None => {
                    self.inbox.claim_wakeup(); // it no longer sleeps
                    self.inbox.drain_wakeups();
                    self.runtime = 0;
                    return;
                }
            }
            self.runtime += 1;
            if self.runtime == 2 && self.found > 0 {
                // It has something to do, and does not sleep.
                self.taken += std::mem::take(&mut self.found);
                self.inbox.claim_wakeup();
                self.runtime = 0;
            }
        }
    }

    /// Tries every order in which the three can take their steps. Returns how many end with
    /// a task that was woken and is not run, and how many there are.
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
    fn to_take_before_the_announcement_would_lose_some() -> io::Result<()> {
        let (lost, all) = explore([Step::Take, Step::Announce])?;
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
        Ok(())
    }
}

mod flag {
    use super::remote::ScheduledFlag;

    /// What the runtime does with a task that has been woken, in this order.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Clear,
        Run,
    }

    /// Two threads that have news for a task, twice and once, and the runtime, each at some
    /// step. The task looks at all news when it is run.
    struct World {
        order: [Step; 2],
        flag: ScheduledFlag,
        /// News that there are, and how many the task has seen.
        news: u32,
        seen: u32,
        /// How often the task lies in the run queue.
        queued: u32,
        /// What each thread has still to tell, and whether it has to wake the task now.
        senders: [(u32, bool); 2],
        /// The runtime's next step; 0 is the run queue.
        runtime: usize,
    }

    impl World {
        fn new(order: [Step; 2]) -> World {
            let senders = [(2, false), (1, false)];
            let flag = ScheduledFlag::default();
            flag.set(); // it is queued from the beginning
            World { order, flag, news: 0, seen: 0, queued: 1, senders, runtime: 0 }
        }

        /// Whether this one of the three can do something.
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
        let (lost, all) = explore([Step::Clear, Step::Run]);
        assert!(all > 100, "only {all} orders were tried");
        assert_eq!(lost, 0, "of {all} orders");
    }

    #[test]
    fn to_run_before_the_flag_is_clear_would_lose_some() {
        let (lost, all) = explore([Step::Run, Step::Clear]);
        assert!(lost > 0, "of {all} orders none loses: the other test tests nothing");
    }
}
