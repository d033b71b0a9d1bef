//! Tests of one future in two forms, as an `async fn` and written by hand. The future waits for two
//! words, one after the other, and joins them.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

// ANCHOR: letterbox
/// A slot for one word, and the waker of the task that waits for it.
#[derive(Default)]
struct Letterbox {
    news: Cell<Option<&'static str>>,
    waiter: RefCell<Option<Waker>>,
}
// ANCHOR_END: letterbox

// ANCHOR: leaf
impl Letterbox {
    fn put(&self, news: &'static str) {
        self.news.set(Some(news));
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    fn poll_take(&self, context: &mut Context<'_>) -> Poll<&'static str> {
        match self.news.take() {
            Some(news) => Poll::Ready(news),
            None => {
                *self.waiter.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
// ANCHOR_END: leaf

// ANCHOR: function
async fn both(letterbox: Rc<Letterbox>) -> String {
    let first = poll_fn(|context| letterbox.poll_take(context)).await;
    let second = poll_fn(|context| letterbox.poll_take(context)).await;
    format!("{first} {second}")
}
// ANCHOR_END: function

// ANCHOR: by_hand
enum Both {
    WaitsForFirst { letterbox: Rc<Letterbox> },
    WaitsForSecond { letterbox: Rc<Letterbox>, first: &'static str },
    Done,
}

impl Future for Both {
    type Output = String;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<String> {
        loop {
            match &*self {
                Both::WaitsForFirst { letterbox } => {
                    let Poll::Ready(first) = letterbox.poll_take(context) else {
                        return Poll::Pending;
                    };
                    let letterbox = letterbox.clone();
                    *self = Both::WaitsForSecond { letterbox, first };
                }
                Both::WaitsForSecond { letterbox, first } => {
                    let Poll::Ready(second) = letterbox.poll_take(context) else {
                        return Poll::Pending;
                    };
                    let both = format!("{first} {second}");
                    *self = Both::Done;
                    return Poll::Ready(both);
                }
                Both::Done => panic!("polled after it was ready"),
            }
        }
    }
}
// ANCHOR_END: by_hand

/// Polls a future before, between and after the arrival of its two words, and checks each result.
fn polled(make: impl FnOnce(Rc<Letterbox>) -> Pin<Box<dyn Future<Output = String>>>) {
    let letterbox = Rc::new(Letterbox::default());
    let mut future = make(letterbox.clone());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(context).is_pending());
    letterbox.put("good");
    assert!(future.as_mut().poll(context).is_pending());
    assert!(future.as_mut().poll(context).is_pending()); // no new word has arrived
    letterbox.put("morning");
    assert_eq!(future.as_mut().poll(context), Poll::Ready("good morning".to_owned()));
}

#[test]
fn async_fn_and_hand_written_future_do_the_same() {
    polled(|letterbox| Box::pin(both(letterbox)));
    polled(|letterbox| Box::pin(Both::WaitsForFirst { letterbox }));
}

/// The future of an `async fn` holds little more than the variables that the code behind its
/// current `.await` needs.
#[test]
fn async_fn_is_little_larger_than_hand_written_future() {
    let letterbox = || Rc::new(Letterbox::default());
    let ours = size_of_val(&Both::WaitsForFirst { letterbox: letterbox() });
    let theirs = size_of_val(&both(letterbox()));
    assert!(theirs <= 3 * ours, "{theirs} bytes, and {ours} by hand");
}

/// The code of an `async fn` does not run before the first poll of its future.
#[test]
fn a_future_that_is_not_polled_does_nothing() {
    let letterbox = Rc::new(Letterbox::default());
    letterbox.put("good");
    let future = both(letterbox.clone());
    assert_eq!(letterbox.news.take(), Some("good"));
    drop(future);
}

// ANCHOR: sizes
async fn holds_it_across(letterbox: &Letterbox) -> usize {
    let buffer = [0; 1000];
    poll_fn(|context| letterbox.poll_take(context)).await;
    buffer.iter().filter(|&&byte| byte == 0_u8).count()
}

async fn is_done_with_it_before(letterbox: &Letterbox) -> usize {
    let zeros = {
        let buffer = [0; 1000];
        buffer.iter().filter(|&&byte| byte == 0_u8).count()
    };
    poll_fn(|context| letterbox.poll_take(context)).await;
    zeros
}

#[test]
fn what_lives_across_an_await_is_part_of_the_future() {
    let letterbox = Letterbox::default();
    assert!(size_of_val(&holds_it_across(&letterbox)) > 1000);
    assert!(size_of_val(&is_done_with_it_before(&letterbox)) < 100);
}
// ANCHOR_END: sizes

/// A word that is put into the letterbox wakes the task that waits for it, once: the letterbox does
/// not keep the task's waker.
#[test]
fn a_word_wakes_the_waiter() {
    let letterbox = Letterbox::default();
    let mut take = pin!(poll_fn(|context| letterbox.poll_take(context)));
    assert!(take.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(letterbox.waiter.borrow().is_some());
    letterbox.put("good");
    assert!(letterbox.waiter.borrow().is_none());
}
