//! Tests of coroutines: suspension, panics, dropping, and nesting.
#![allow(unsafe_code)]

mod new_coroutine;

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use new_coroutine::new_coroutine;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Creates a coroutine on the first stack of a new pool.
fn coroutine(body: impl FnOnce() + 'static) -> Coroutine {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    new_coroutine(stacks.take().expect("a stack"), 1, body)
}

/// Resumes the coroutine until it ends. Returns the number of its suspensions.
fn finish(coroutine: &mut Coroutine) -> usize {
    let mut suspensions = 0;
    while let Resumed::Suspended = coroutine.resume() {
        suspensions += 1;
    }
    suspensions
}

/// A value that appends its number to a list when it is dropped.
struct Drops(Rc<RefCell<Vec<u32>>>, u32);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

// ANCHOR: stops
#[test]
fn suspends_and_resumes() {
    let said = Rc::new(RefCell::new(Vec::new()));
    let says = Rc::clone(&said);
    let mut coroutine = coroutine(move || {
        for word in ["one", "two", "three"] {
            says.borrow_mut().push(word);
            suspend();
        }
    });
    assert!(said.borrow().is_empty(), "it does not begin by itself");
    for words in 1..=3 {
        assert!(matches!(coroutine.resume(), Resumed::Suspended));
        assert_eq!(said.borrow().len(), words);
    }
    assert!(!coroutine.has_finished());
    assert!(matches!(coroutine.resume(), Resumed::Finished));
    assert!(coroutine.has_finished());
    assert_eq!(Rc::strong_count(&said), 1, "the body is gone, and what it had");
}
// ANCHOR_END: stops

#[test]
fn suspend_outside_of_a_coroutine_panics() {
    assert!(catch_unwind(suspend).is_err());
    let mut coroutine = coroutine(suspend);
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    assert!(catch_unwind(suspend).is_err(), "the coroutine does not run");
    assert!(matches!(coroutine.resume(), Resumed::Finished));
    assert!(catch_unwind(suspend).is_err());
}

#[test]
fn a_finished_coroutine_stays_finished() {
    let runs = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&runs);
    let mut coroutine = coroutine(move || *counter.borrow_mut() += 1);
    for _ in 0..3 {
        assert!(matches!(coroutine.resume(), Resumed::Finished));
        assert!(coroutine.has_finished());
    }
    assert_eq!(*runs.borrow(), 1, "the body runs once");
    let mut again = new_coroutine(coroutine.into_stack(), 2, || panic!("once"));
    assert!(matches!(again.resume(), Resumed::Panicked(_)));
    assert!(matches!(again.resume(), Resumed::Finished));
}

#[test]
fn a_panic_is_returned_as_a_value() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let inner = Rc::clone(&drops);
    let mut coroutine = coroutine(move || {
        let _first = Drops(Rc::clone(&inner), 1);
        suspend();
        let second = Drops(inner, 2);
        panic!("what {}", second.1);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    let Resumed::Panicked(panic) = coroutine.resume() else { panic!("it has panicked") };
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("what 2"));
    assert_eq!(*drops.borrow(), [2, 1], "what was on its stack is dropped");
    assert!(coroutine.has_finished());
    assert!(!std::thread::panicking());
    // The stack of the panicked coroutine can be used again.
    let mut again = new_coroutine(coroutine.into_stack(), 2, suspend);
    assert_eq!(finish(&mut again), 1);
}

#[test]
fn dropping_a_suspended_coroutine_unwinds_it() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let inner = Rc::clone(&drops);
    let mut coroutine = coroutine(move || {
        let _first = Drops(Rc::clone(&inner), 1);
        let deeper = || {
            let _second = Drops(Rc::clone(&inner), 2);
            suspend();
            inner.borrow_mut().push(99);
        };
        deeper();
        inner.borrow_mut().push(100);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    drop(coroutine);
    assert_eq!(*drops.borrow(), [2, 1]);
    assert_eq!(Rc::strong_count(&drops), 1);
    assert!(!std::thread::panicking());
}

#[test]
fn dropping_an_unstarted_coroutine_drops_its_body() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let body = Drops(Rc::clone(&drops), 7);
    let coroutine = coroutine(move || body.0.borrow_mut().push(99));
    let _stack = coroutine.into_stack();
    assert_eq!(*drops.borrow(), [7]);
}

#[test]
fn a_coroutine_that_catches_its_unwinding_is_unwound_again() {
    let told = Rc::new(Cell::new(0));
    let tells = Rc::clone(&told);
    let mut coroutine = coroutine(move || {
        for _ in 0..3 {
            assert!(catch_unwind(suspend).is_err());
            tells.set(tells.get() + 1);
        }
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    drop(coroutine);
    assert_eq!(told.get(), 3);
}

#[test]
fn a_panic_during_unwinding_stays_inside() {
    let mut coroutine = coroutine(|| {
        let _ = catch_unwind(suspend);
        panic!("instead of ending");
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    let _stack = coroutine.into_stack();
}

#[test]
fn dropping_during_a_panic_unwinds_the_coroutine() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let inner = Rc::clone(&drops);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut coroutine = coroutine(move || {
            let _first = Drops(inner, 1);
            suspend();
        });
        assert!(matches!(coroutine.resume(), Resumed::Suspended));
        std::panic::resume_unwind(Box::new("the outer one"));
    }));
    let panic = panic.expect_err("the outer one");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the outer one"));
    assert_eq!(*drops.borrow(), [1]);
    assert!(!std::thread::panicking());
}

#[test]
fn a_coroutine_resumed_during_a_panic_may_suspend() {
    struct Runs(Coroutine, Rc<Cell<usize>>);
    impl Drop for Runs {
        fn drop(&mut self) {
            self.1.set(finish(&mut self.0));
        }
    }
    let coroutine = coroutine(|| {
        suspend();
        suspend();
    });
    let suspensions = Rc::new(Cell::new(0));
    let runs = Runs(coroutine, Rc::clone(&suspensions));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _runs = runs;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panic.is_err());
    assert_eq!(suspensions.get(), 2);
}

#[test]
fn a_coroutine_resumes_another() {
    let log = Rc::new(RefCell::new(String::new()));
    let (logs, inner_logs) = (Rc::clone(&log), Rc::clone(&log));
    let mut inner = coroutine(move || {
        for letter in ['a', 'b', 'c'] {
            inner_logs.borrow_mut().push(letter);
            suspend();
        }
    });
    let mut outer = coroutine(move || {
        while let Resumed::Suspended = inner.resume() {
            logs.borrow_mut().push('.');
            suspend(); // suspends the outer coroutine: the inner one is not running
        }
    });
    assert_eq!(finish(&mut outer), 3);
    assert_eq!(*log.borrow(), "a.b.c.");
}

#[test]
fn dropping_the_outer_drops_the_inner() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let (one, two) = (Drops(Rc::clone(&drops), 1), Drops(Rc::clone(&drops), 2));
    let mut outer = coroutine(move || {
        let _one = one;
        let mut inner = coroutine(move || {
            let _two = two;
            suspend();
        });
        assert!(matches!(inner.resume(), Resumed::Suspended));
        suspend();
    });
    assert!(matches!(outer.resume(), Resumed::Suspended));
    drop(outer);
    assert_eq!(*drops.borrow(), [2, 1]);
}
