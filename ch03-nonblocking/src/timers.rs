//! Deadlines: a timing wheel, which sets, moves and clears a deadline in constant time,
//! however many there are.
//!
//! Think of every time as a number of milliseconds, written in base 64. Each digit has
//! a dial with 64 slots: the lowest digit has dial 0, the next higher digit dial 1, and
//! so on. A deadline is on the dial of the highest digit in which it differs from the
//! current time, in the slot whose number is the deadline's digit. Once the time of a
//! slot on a higher dial has begun, the next call to [`Timers::expired`] distributes
//! the slot's deadlines over the slots of lower dials.
//!
//! ```text
//!            now   …  7  3 12          the dials' slots, each a list
//!  in 20 ms        …  7  3 32   ──►    dial 0, slot 32
//!  in a second     …  7 18 52   ──►    dial 1, slot 18
//!  in a minute     … 21 44 44   ──►    dial 2, slot 21
//! ```
//!
//! The loop does not have to wake up at the beginning of a slot: a slot is four seconds
//! wide on dial 2 and four minutes on dial 3, so its earliest deadline may be minutes
//! later. Each slot therefore also stores its earliest deadline, and the loop wakes up
//! at that time. The stored value is a lower bound: if the earliest deadline leaves the
//! slot, finding the next one would take a search of the whole list. So the loop may
//! wake up once in vain; then the slot's deadlines are distributed to other slots, whose
//! stored values are exact.
//!
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987. A sorted
//! tree would also do, at a few more steps per request.)
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

/// Number of slots per dial.
const SLOTS: usize = 64;
/// Number of bits in a digit of a time. A digit selects one slot of a dial.
const BITS: u32 = SLOTS.ilog2();
/// Number of dials: one for each digit of the largest number of milliseconds, so that
/// every deadline has a slot.
const DIALS: usize = u64::BITS.div_ceil(BITS) as usize;
/// The index that marks the end of a list. In the field `slot` of an entry, it means
/// that the entry is in no list.
const NONE: u32 = u32::MAX;

// ANCHOR: fields
/// A set of deadlines, at most one for each index. The caller chooses the indices, for
/// example one for each connection; `u32::MAX` is reserved. The memory in use grows
/// with the largest index.
#[derive(Debug)]
pub struct Timers {
    start: Instant,
    /// The time up to which expired deadlines have been removed, in milliseconds since
    /// `start`.
    now: u64,
    entries: Vec<Entry>,
    /// The slots of all dials (wheels of one step size each), one dial after another.
    slots: [Slot; SLOTS * DIALS],
    /// For each dial, one bit per slot: set if the slot is not empty.
    occupied: [u64; DIALS],
}

/// A slot of a dial: a list of deadlines.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The index of the list's first entry.
    first: u32,
    /// A lower bound of the deadlines in the list, in milliseconds since `start`.
    earliest: u64,
}

const EMPTY: Slot = Slot { first: NONE, earliest: u64::MAX };

/// A deadline in milliseconds since `start`, and its neighbors in its slot's list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    due: u64,
    next: u32,
    previous: u32,
    /// The index into the slots of all dials, or `NONE` if no slot's list has the
    /// entry.
    slot: u32,
}
// ANCHOR_END: fields

impl Timers {
    /// Memory that the timers use for each index, with or without a deadline, in bytes.
    pub const ENTRY: usize = size_of::<Entry>();

    /// Returns timers without deadlines, which count time from `start`.
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
    /// Sets or moves the deadline of `index`, rounded up to a millisecond. A time up to
    /// that of the last call to `expired` counts as one millisecond after that call.
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

    /// Removes the deadline of `index`, if `index` has one.
    pub fn clear(&mut self, index: u32) {
        if (index as usize) < self.entries.len() {
            self.unlink(index);
        }
    }

    /// Returns the time at which to call [`expired`](Timers::expired) next: the
    /// earliest deadline, or `None` if there is no deadline that an [`Instant`] can
    /// represent. If the earliest deadline was cleared or moved, the returned time may
    /// be too early, but only once.
    pub fn next(&self) -> Option<Instant> {
        let (_, slot) = self.first_slot()?;
        let earliest = Duration::from_millis(self.slots[slot as usize].earliest);
        self.start.checked_add(earliest)
    }

    // ANCHOR: expired
    /// Removes the deadlines that have passed, and appends their indices to `late`.
    pub fn expired(&mut self, now: Instant, late: &mut Vec<u32>) {
        let now = now.saturating_duration_since(self.start).as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        while let Some((at, slot)) = self.first_slot().filter(|slot| slot.0 <= now) {
            // Even if the event loop is late, the slots are emptied in the order of their
            // times, and meanwhile `self.now` is not later than the slot's time.
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
    // ANCHOR_END: expired

    /// Returns the beginning, in milliseconds since `start`, and the index of the first
    /// slot that is not empty, or `None` if all are empty. Deadlines on a lower dial
    /// are earlier than those on a higher dial, and within a dial the slots are in
    /// order of time.
    fn first_slot(&self) -> Option<(u64, u32)> {
        let dial = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[dial].trailing_zeros();
        let shift = BITS * dial as u32;
        // The last dial has no digits above it, and the shift would overflow.
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        let at = self.now & above | u64::from(slot) << shift;
        Some((at, (dial * SLOTS) as u32 + slot))
    }

    // ANCHOR: slot
    /// Returns the index of the slot for the deadline `due`, in milliseconds since
    /// `start`. The slot is on the dial of the highest digit in which `due` differs
    /// from `now`.
    fn slot(&self, due: u64) -> u32 {
        let dial = (self.now ^ due | 1).ilog2() / BITS;
        let slot = (due >> (BITS * dial)) % SLOTS as u64;
        dial * SLOTS as u32 + slot as u32
    }
    // ANCHOR_END: slot

    // ANCHOR: put
    /// Puts a deadline into its slot. A deadline that moves by little, as most do,
    /// stays in its slot.
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

    /// Adds an entry at the front of a slot's list.
    fn link(&mut self, index: u32, slot: u32) {
        let next = std::mem::replace(&mut self.slots[slot as usize].first, index);
        self.occupied[slot as usize / SLOTS] |= 1 << (slot as usize % SLOTS);
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.previous, entry.slot) = (next, NONE, slot);
        if next != NONE {
            self.entries[next as usize].previous = index;
        }
    }
    // ANCHOR_END: put

    // ANCHOR: unlink
    /// Removes an entry from the list of its slot, if the entry is in a list.
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

    /// Empties a slot, and returns the list that was in it.
    fn empty(&mut self, slot: u32) -> Slot {
        self.occupied[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
        std::mem::replace(&mut self.slots[slot as usize], EMPTY)
    }
    // ANCHOR_END: unlink
}
