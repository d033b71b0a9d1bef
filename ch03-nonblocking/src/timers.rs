//! Deadlines: a timing wheel, which sets, moves and clears one in the same few steps
//! however many there are.
//!
//! Think of a counter of milliseconds that has 64 instead of ten digits, and for each of
//! its positions a dial with 64 slots. A deadline whose number differs from now in
//! the last digit only lies on the first dial, in the slot of that digit. One that
//! differs in the second digit lies on the second dial, and so on. When time comes to a
//! slot of a higher dial, what lies in it is laid out anew, one dial lower.
//!
//! ```text
//!            now   …  7  3 12          the dials' slots, each a list
//!  in 20 ms        …  7  3 32   ──►    dial 0, slot 32
//!  in a second     …  7 18 52   ──►    dial 1, slot 18
//!  in a minute     … 21 44 44   ──►    dial 2, slot 21
//! ```
//!
//! A slot is four seconds wide on dial 2, and four minutes on dial 3: too wide to be woken
//! by. So each also knows the earliest deadline in it, and who waits until then is woken
//! once, for a reason. What left a slot may have been its earliest, and that it does not
//! know: to find the next one would mean to look at all. So it may be that somebody is
//! woken for nothing, once; then the slot is laid out anew, and known exactly.
//!
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987. A sorted tree
//! would do too, at a few more steps for each request.)
//!
//! ```
//! use ch03_nonblocking::timers::Timers;
//! use std::time::{Duration, Instant};
//!
//! let start = Instant::now();
//! let mut timers = Timers::new(start);
//! timers.set(7, start + Duration::from_millis(20));
//! let mut late = Vec::new();
//! timers.expired(start + Duration::from_millis(19), &mut late);
//! assert_eq!(late, []);
//! timers.expired(start + Duration::from_millis(20), &mut late);
//! assert_eq!(late, [7]);
//! ```

use ch01_blocking::deadlines::milliseconds;
use std::time::{Duration, Instant};

/// Slots of a dial, and bits of a digit.
const SLOTS: usize = 64;
const BITS: u32 = SLOTS.ilog2();
/// Digits of the largest number of milliseconds, so that every deadline has a slot.
const DIALS: usize = u64::BITS.div_ceil(BITS) as usize;
/// The end of a list, and the place of what is on none.
const NONE: u32 = u32::MAX;

/// At most one deadline for each index.
#[derive(Debug)]
pub struct Timers {
    start: Instant,
    /// Milliseconds since `start` that are over and done with.
    now: u64,
    entries: Vec<Entry>,
    /// Those of all dials, one dial after another.
    slots: [Slot; SLOTS * DIALS],
    /// For each dial, a bit for each slot that is not empty.
    occupied: [u64; DIALS],
}

/// The first entry of a list, and not later than the earliest deadline in it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    earliest: u64,
}

const EMPTY: Slot = Slot { first: NONE, earliest: u64::MAX };

/// A deadline, and its neighbours in its slot's list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    due: u64,
    next: u32,
    previous: u32,
    /// Of all dials' slots.
    slot: u32,
}

impl Timers {
    /// Bytes for each index, whether it has a deadline or not.
    pub const ENTRY: usize = size_of::<Entry>();

    /// No deadlines; time begins at `start`.
    pub fn new(start: Instant) -> Timers {
        Timers {
            start,
            now: 0,
            entries: Vec::new(),
            slots: [EMPTY; SLOTS * DIALS],
            occupied: [0; DIALS],
        }
    }

    // ANCHOR: set
    /// Sets or moves the deadline of `index`, rounded up to a millisecond.
    pub fn set(&mut self, index: u32, at: Instant) {
        self.set_all([index], at);
    }

    /// Sets or moves the deadlines of all `indices` to the same time.
    pub fn set_all(&mut self, indices: impl IntoIterator<Item = u32>, at: Instant) {
        let at = at.saturating_duration_since(self.start);
        let due = milliseconds(at).max(self.now.saturating_add(1));
        let slot = self.slot(due);
        for index in indices {
            if self.entries.len() <= index as usize {
                let none = Entry { due: 0, next: NONE, previous: NONE, slot: NONE };
                self.entries.resize(index as usize + 1, none);
            }
            self.put(index, due, slot);
        }
    }
    // ANCHOR_END: set

    /// Forgets the deadline of `index`, if it has one.
    pub fn clear(&mut self, index: u32) {
        if (index as usize) < self.entries.len() {
            self.unlink(index);
        }
    }

    /// When to look again: at the first deadline. It is earlier only if another that was
    /// cleared or moved would have come first, and then only once.
    pub fn next(&self) -> Option<Instant> {
        let (_, slot) = self.first_slot()?;
        let earliest = Duration::from_millis(self.slots[slot as usize].earliest);
        self.start.checked_add(earliest)
    }

    /// Takes out the deadlines that have passed, and adds their indices to the list.
    pub fn expired(&mut self, now: Instant, late: &mut Vec<u32>) {
        let now = now.saturating_duration_since(self.start).as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        while let Some((at, slot)) = self.first_slot().filter(|slot| slot.0 <= now) {
            // A slot that was found late is emptied as if it were found in time.
            self.now = self.now.max(at);
            let mut index = self.empty(slot).first;
            while index != NONE {
                let entry = &mut self.entries[index as usize];
                let Entry { due, next, .. } = *entry;
                entry.slot = NONE;
                if due <= now {
                    late.push(index);
                } else {
                    self.put(index, due, self.slot(due));
                }
                index = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// The first slot that is not empty, and its time. What is on a lower dial comes
    /// before all that is on a higher one, and on a dial a lower slot before a higher.
    fn first_slot(&self) -> Option<(u64, u32)> {
        let dial = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[dial].trailing_zeros();
        let shift = BITS * dial as u32;
        // Above the last dial there are no digits.
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        let at = self.now & above | u64::from(slot) << shift;
        Some((at, (dial * SLOTS) as u32 + slot))
    }

    /// The slot of a deadline. Its dial is that of the highest digit in which it differs
    /// from now.
    fn slot(&self, due: u64) -> u32 {
        let dial = (self.now ^ due | 1).ilog2() / BITS;
        let slot = (due >> (BITS * dial)) % SLOTS as u64;
        dial * SLOTS as u32 + slot as u32
    }

    /// Puts a deadline into its slot. One that is put off by little is there already, as
    /// most are.
    #[inline]
    fn put(&mut self, index: u32, due: u64, slot: u32) {
        if self.entries[index as usize].slot != slot {
            self.unlink(index);
            self.link(index, slot);
        }
        let entry = &mut self.entries[index as usize];
        entry.due = due;
        let list = &mut self.slots[slot as usize];
        let is_alone = list.first == index && entry.next == NONE;
        list.earliest = if is_alone { due } else { list.earliest.min(due) };
    }

    /// Adds to the slot's list.
    fn link(&mut self, index: u32, slot: u32) {
        let next = std::mem::replace(&mut self.slots[slot as usize].first, index);
        self.occupied[slot as usize / SLOTS] |= 1 << (slot as usize % SLOTS);
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.previous, entry.slot) = (next, NONE, slot);
        if next != NONE {
            self.entries[next as usize].previous = index;
        }
    }

    /// Takes out of the list of its slot, if it is in one.
    fn unlink(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let Entry { next, previous, slot, .. } = *entry;
        if slot == NONE {
            return;
        }
        entry.slot = NONE;
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else if next != NONE {
            self.slots[slot as usize].first = next;
        } else {
            self.empty(slot);
        }
    }

    /// Empties a slot, and returns what it was.
    fn empty(&mut self, slot: u32) -> Slot {
        self.occupied[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
        std::mem::replace(&mut self.slots[slot as usize], EMPTY)
    }
}
