//! Who is to run: first come, first served.

use ch03_nonblocking::poller::Token;
use std::collections::VecDeque;

/// A turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A coroutine goes on.
    Resume(Token),
    /// Who rests at a descriptor begins.
    Begin(Token),
}

/// Those who are to run, in order.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    turns: VecDeque<Turn>,
    /// Turns that are left of this round.
    round: usize,
}

impl RunQueue {
    pub(crate) fn push(&mut self, turn: Turn) {
        self.turns.push_back(turn);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    // ANCHOR: round
    /// Begins a round: all who are queued now have one turn. Who is queued meanwhile, if
    /// only by itself, waits for the next round, and before that the poller is asked: so
    /// nobody keeps the thread from the others.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.turns.len();
    }

    /// Whose turn is next in this round.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        self.round = self.round.checked_sub(1)?;
        self.turns.pop_front()
    }
    // ANCHOR_END: round

    pub(crate) fn clear(&mut self) {
        self.turns.clear();
        self.round = 0;
    }
}
