//! Tests that coroutines may be resumed in any order. All coroutines record their steps in one log,
//! which a model without coroutines predicts: each coroutine does what it would do if it ran alone.
#![allow(unsafe_code)]

mod new_coroutine;

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use new_coroutine::new_coroutine;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// A step of the test.
#[derive(Clone, Debug)]
enum Event {
    /// Create a coroutine that suspends this many times, and then returns or panics.
    Spawn { suspensions: u8, panics: bool },
    /// Resume one of the existing coroutines.
    Resume(prop::sample::Index),
    /// Drop one of the existing coroutines.
    Drop(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..6_u8, any::<bool>())
            .prop_map(|(suspensions, panics)| Event::Spawn { suspensions, panics }),
        6 => any::<prop::sample::Index>().prop_map(Event::Resume),
        1 => any::<prop::sample::Index>().prop_map(Event::Drop),
    ]
}

/// The log of what happened, in order: the number of a coroutine, and what the coroutine did.
type Log = Vec<(u64, &'static str)>;

/// A value that writes to the log when it is dropped.
struct Gone(u64, Rc<RefCell<Log>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.1.borrow_mut().push((self.0, "gone"));
    }
}

fn body(id: u64, suspensions: u8, panics: bool, log: Rc<RefCell<Log>>) {
    let gone = Gone(id, log);
    let mut sum = id as f64;
    for step in 0..suspensions {
        gone.1.borrow_mut().push((id, "step"));
        sum += f64::from(step) / 8.0;
        suspend();
    }
    let steps = f64::from(suspensions);
    assert_eq!(sum, id as f64 + steps * (steps - 1.0).max(0.0) / 16.0);
    gone.1.borrow_mut().push((id, "end"));
    if panics {
        std::panic::resume_unwind(Box::new(id));
    }
}

/// The expected state of a coroutine.
struct Model {
    id: u64,
    left: u8,
    panics: bool,
    begun: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn equals_a_model(events in prop::collection::vec(event(), 1..200)) {
        let mut stacks = StackPool::new(StackPool::LEAST_SIZE).expect("stacks");
        let log = Rc::new(RefCell::new(Log::new()));
        let mut expected = Log::new();
        let mut alive: Vec<(Coroutine, Model)> = Vec::new();
        for (id, event) in events.into_iter().enumerate() {
            let id = id as u64;
            match event {
                Event::Spawn { suspensions, panics } => {
                    let logs = Rc::clone(&log);
                    let stack = stacks.take().expect("a stack");
                    let body = move || body(id, suspensions, panics, logs);
                    let model = Model { id, left: suspensions, panics, begun: false };
                    alive.push((new_coroutine(stack, id, body), model));
                }
                Event::Resume(which) if !alive.is_empty() => {
                    let at = which.index(alive.len());
                    let (coroutine, model) = &mut alive[at];
                    model.begun = true;
                    let resumed = coroutine.resume();
                    if let Some(left) = model.left.checked_sub(1) {
                        model.left = left;
                        expected.push((model.id, "step"));
                        prop_assert!(matches!(resumed, Resumed::Suspended));
                    } else {
                        expected.extend([(model.id, "end"), (model.id, "gone")]);
                        match resumed {
                            Resumed::Panicked(panic) => {
                                prop_assert!(model.panics);
                                prop_assert_eq!(panic.downcast_ref(), Some(&model.id));
                            }
                            Resumed::Finished => prop_assert!(!model.panics),
                            Resumed::Suspended => prop_assert!(false, "it has ended"),
                        }
                        let (coroutine, _) = alive.swap_remove(at);
                        stacks.give_back(coroutine.into_stack());
                    }
                }
                Event::Drop(which) if !alive.is_empty() => {
                    let (coroutine, model) = alive.swap_remove(which.index(alive.len()));
                    if model.begun {
                        expected.push((model.id, "gone"));
                    }
                    stacks.give_back(coroutine.into_stack());
                }
                Event::Resume(_) | Event::Drop(_) => {}
            }
            prop_assert_eq!(&*log.borrow(), &expected);
        }
    }
}
