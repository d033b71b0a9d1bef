//! The table of connections: a place for each, found by its token in one step.
//!
//! ```
//! use ch03_nonblocking::table::Table;
//!
//! let mut table = Table::new();
//! let first = table.insert("first");
//! table.remove(first);
//! let second = table.insert("second"); // in the same place
//! assert_eq!(first.index, second.index);
//! assert_eq!(table.get_mut(first), None); // a late event finds nobody
//! assert_eq!(table.get_mut(second), Some(&mut "second"));
//! ```

use crate::poller::Token;

/// Values in numbered places.
#[derive(Debug)]
pub struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Table<T> {
    /// Bytes of a place, taken or free.
    pub const PLACE: usize = size_of::<Place<T>>();

    /// An empty table.
    pub fn new() -> Table<T> {
        Table { places: Vec::new(), free: Vec::new() }
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a value a place.
    pub fn insert(&mut self, value: T) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, tenant: None });
            self.places.len() as u32 - 1 // there are fewer descriptors than numbers
        });
        let place = &mut self.places[index as usize];
        place.tenant = Some(value);
        Token { index, generation: place.generation }
    }

    /// The value that was given this token, if it is still there.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let place = self.places.get_mut(token.index as usize)?;
        place.tenant.as_mut().filter(|_| place.generation == token.generation)
    }

    /// Takes it out; its token is worth nothing any more.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.places.get_mut(token.index as usize)?;
        if place.generation != token.generation {
            return None;
        }
        let value = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.index);
        Some(value)
    }

    /// The token of whoever is in this place now.
    pub fn token(&self, index: u32) -> Option<Token> {
        let place = self.places.get(index as usize)?;
        place.tenant.as_ref().map(|_| Token { index, generation: place.generation })
    }

    /// The tokens of all.
    pub fn tokens(&self) -> Vec<Token> {
        (0..self.places.len() as u32).filter_map(|index| self.token(index)).collect()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table::new()
    }
}
