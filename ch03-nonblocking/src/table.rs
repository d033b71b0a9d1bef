//! A table of values that are found by their tokens in constant time (a slab).
//!
//! ```
//! use ch03_nonblocking::table::Table;
//!
//! let mut table = Table::new();
//! let first = table.insert("first");
//! table.remove(first);
//! let second = table.insert("second"); // reuses the index
//! assert_eq!(first.index, second.index);
//! assert_eq!(table.get_mut(first), None); // the token is stale
//! assert_eq!(table.get_mut(second), Some(&mut "second"));
//! ```

use crate::poller::Token;

// ANCHOR: table
/// A table of values, which reuses the indices of removed values. A generation tells
/// the successive values at an index apart.
#[derive(Debug)]
pub struct Table<T> {
    places: Vec<Place<T>>,
    /// Indices of the empty places.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}
// ANCHOR_END: table

impl<T> Table<T> {
    /// The size of a place in the table, occupied or free, in bytes.
    pub const PLACE: usize = size_of::<Place<T>>();

    /// Returns an empty table.
    pub fn new() -> Table<T> {
        Table { places: Vec::new(), free: Vec::new() }
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Returns whether the table has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ANCHOR: lookup
    /// Inserts a value, and returns its token.
    pub fn insert(&mut self, value: T) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            // The cast assumes fewer than 2^32 values. Each belongs to a connection or
            // a task, of which a process has far fewer.
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        Token { index, generation: place.generation }
    }

    /// Returns the value with this token, or `None` if the value has been removed.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let place = self.places.get_mut(token.index as usize)?;
        place.value.as_mut().filter(|_| place.generation == token.generation)
    }

    /// Removes and returns the value with this token, and so makes the token stale.
    /// Returns `None` if the token is stale already.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.places.get_mut(token.index as usize)?;
        if place.generation != token.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.index);
        Some(value)
    }
    // ANCHOR_END: lookup

    /// Returns the token of the value that has this index now, or `None` if the place
    /// is free.
    pub fn token(&self, index: u32) -> Option<Token> {
        let place = self.places.get(index as usize)?;
        place.value.as_ref().map(|_| Token { index, generation: place.generation })
    }

    /// Returns the tokens of all values.
    pub fn tokens(&self) -> Vec<Token> {
        (0..self.places.len() as u32).filter_map(|index| self.token(index)).collect()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table::new()
    }
}
