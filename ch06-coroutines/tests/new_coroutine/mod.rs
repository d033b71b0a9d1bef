//! Creates coroutines whose bodies all keep the contract of `Coroutine::new`.

use ch06_coroutines::{Coroutine, Stack};

/// Creates a coroutine that does not yet run.
#[allow(unsafe_code)]
pub(crate) fn new_coroutine(
    stack: Stack,
    id: u64,
    body: impl FnOnce() + 'static,
) -> Coroutine {
    // SAFETY: no body in the tests that use this function suspends in a thread-local's initializer
    // or destructor, or holds a reference to a thread-local, and none of their coroutines is
    // leaked.
    unsafe { Coroutine::new(stack, id, body) }
}
