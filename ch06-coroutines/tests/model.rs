//! Tests that the scheduler runs coroutines in the same order as a model of the scheduler.
//!
//! A test case is a tree of scripts. It runs once on the scheduler, with a coroutine for each
//! script, and once in the model, which only keeps the number of each script's next step.
#![allow(unsafe_code)]

use ch03_nonblocking::spin::Spin;
use ch06_coroutines::{Handle, Runtime, StackPool};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::rc::Rc;

#[derive(Clone, Debug)]
enum Step {
    Yield,
    Park,
    /// Wake the coroutine with this number, if it exists.
    Wake(usize),
    /// Spawn a coroutine that runs this script.
    Spawn(Vec<Step>),
    /// Join the coroutine that this one has spawned last and not yet joined.
    Join,
    /// End with a panic that does not call the panic hook.
    Panic,
}

/// The executed steps in order: a coroutine's number, and the number of its step. The
/// last step of a coroutine is its end.
type Log = Vec<(usize, usize)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        4 => Just(Step::Yield),
        2 => Just(Step::Park),
        4 => (0..12usize).prop_map(Step::Wake),
        3 => Just(Step::Join),
        1 => Just(Step::Panic),
    ];
    let script = prop::collection::vec(leaf.clone(), 0..6);
    script.prop_recursive(3, 40, 6, move |inner| {
        let step = prop_oneof![2 => leaf.clone(), 1 => inner.prop_map(Step::Spawn)];
        prop::collection::vec(step, 0..8)
    })
}

/// Runs a script on the scheduler. Returns its log, and whether it ended in a deadlock.
fn real(script: Vec<Step>) -> (Log, bool) {
    #[derive(Default)]
    struct Shared {
        log: RefCell<Log>,
        tokens: RefCell<Vec<Option<ch03_nonblocking::poller::Token>>>,
    }

    fn body(handle: &Handle, shared: &Rc<Shared>, number: usize, script: Vec<Step>) {
        let mut children = Vec::new();
        shared.tokens.borrow_mut()[number] = handle.current();
        let end = script.len();
        for (at, step) in script.into_iter().enumerate() {
            shared.log.borrow_mut().push((number, at));
            match step {
                Step::Yield => handle.yield_now(),
                Step::Park => drop(handle.park(None)),
                Step::Wake(other) => {
                    let token = shared.tokens.borrow().get(other).copied().flatten();
                    if let Some(token) = token {
                        handle.wake(token);
                    }
                }
                Step::Spawn(script) => {
                    let child = shared.tokens.borrow().len();
                    shared.tokens.borrow_mut().push(None);
                    let theirs = shared.clone();
                    let run = move |handle: &Handle| body(handle, &theirs, child, script);
                    // SAFETY: no script uses a thread-local.
                    let spawned = unsafe { handle.spawn_coroutine(run) };
                    children.push(spawned.expect("a stack"));
                }
                Step::Join => {
                    if let Some(child) = children.pop() {
                        let _ = child.join();
                    }
                }
                Step::Panic => resume_unwind(Box::new(())),
            }
        }
        shared.log.borrow_mut().push((number, end));
    }

    let shared = Rc::new(Shared::default());
    shared.tokens.borrow_mut().push(None);
    let theirs = shared.clone();
    let stacks = StackPool::new(64 * 1024).expect("stacks");
    let runtime = Runtime::with_stacks(Box::new(Spin::default()), stacks);
    let first = move |handle: &Handle| body(handle, &theirs, 0, script);
    // SAFETY: no script uses a thread-local.
    let ran = unsafe { runtime.expect("a runtime").run_coroutine(first) };
    let stuck = match ran {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Deadlock);
            true
        }
    };
    let log = shared.log.take();
    assert_eq!(Rc::strong_count(&shared), 1, "everything on every stack was dropped");
    (log, stuck)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Queued,
    Parked,
    Ended,
}

struct Script {
    steps: Vec<Step>,
    at: usize,
    state: State,
    children: Vec<usize>,
    /// The number of the coroutine to wake when this one ends, if any.
    waiter: Option<usize>,
    begun: bool,
}

fn model(script: Vec<Step>) -> (Log, bool) {
    let new = |steps| Script {
        steps,
        at: 0,
        state: State::Queued,
        children: Vec::new(),
        waiter: None,
        begun: false,
    };
    let (mut log, mut all, mut queue) =
        (Log::new(), vec![new(script)], VecDeque::from([0]));
    while let Some(number) = queue.pop_front() {
        let mut again = all[number].begun && {
            // A script that is resumed continues after the step in which it waited. Only a join is
            // repeated, to check whether the joined coroutine has ended.
            let script = &all[number];
            matches!(script.steps.get(script.at), Some(Step::Join))
        };
        if all[number].begun && !again {
            all[number].at += 1;
        }
        all[number].begun = true;
        loop {
            let at = all[number].at;
            if !std::mem::take(&mut again) {
                log.push((number, at));
            }
            let wake =
                |all: &mut Vec<Script>, queue: &mut VecDeque<usize>, other: usize| {
                    if all[other].state == State::Parked {
                        all[other].state = State::Queued;
                        queue.push_back(other);
                    }
                };
            let mut ends = false;
            match all[number].steps.get(at).cloned() {
                Some(Step::Yield) => {
                    queue.push_back(number);
                    all[number].state = State::Queued;
                    break;
                }
                Some(Step::Park) => {
                    all[number].state = State::Parked;
                    break;
                }
                Some(Step::Wake(other)) => {
                    if other != number && all.get(other).is_some_and(|other| other.begun)
                    {
                        wake(&mut all, &mut queue, other);
                    }
                }
                Some(Step::Spawn(steps)) => {
                    let child = all.len();
                    all.push(new(steps));
                    all[number].children.push(child);
                    queue.push_back(child);
                }
                Some(Step::Join) => {
                    if let Some(&child) = all[number].children.last() {
                        if all[child].state != State::Ended {
                            all[child].waiter = Some(number);
                            all[number].state = State::Parked;
                            break;
                        }
                        all[number].children.pop();
                    }
                }
                Some(Step::Panic) | None => ends = true,
            }
            if ends {
                all[number].state = State::Ended;
                if number == 0 {
                    return (log, false);
                }
                if let Some(waiter) = all[number].waiter {
                    wake(&mut all, &mut queue, waiter);
                }
                break;
            }
            all[number].at += 1;
        }
    }
    (log, true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_run_in_the_order_of_the_model(script in steps()) {
        prop_assert_eq!(real(script.clone()), model(script));
    }
}
