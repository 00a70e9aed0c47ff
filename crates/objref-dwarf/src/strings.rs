//! Interned strings: one arena, one number per distinct text.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The number of an interned string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StrId(pub(crate) u32);

const FREE: u32 = u32::MAX;

/// Every distinct string once, in order of first appearance.
///
/// The hash is keyed at random (a crafted binary cannot make it slow) and decides only where a
/// string is looked for, never its number: the same input gives the same numbers.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    text: String,
    /// `ends[i]` is where string `i` ends in `text` and string `i + 1` begins.
    ends: Vec<u32>,
    /// Open addressing, a power of two, at most half full.
    slots: Vec<u32>,
    state: RandomState,
}

impl Strings {
    pub(crate) fn get(&self, id: StrId) -> &str {
        let at = id.0 as usize;
        let start = match at {
            0 => 0,
            _ => self.ends[at - 1] as usize,
        };
        &self.text[start..self.ends[at] as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn find(&self, text: &str) -> Option<StrId> {
        if self.slots.is_empty() {
            return None;
        }
        match self.slots[self.slot(text)] {
            FREE => None,
            id => Some(StrId(id)),
        }
    }

    /// `None` when the arena is full (4 GiB of distinct names).
    pub(crate) fn intern(&mut self, text: &str) -> Option<StrId> {
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.slot(text);
        if self.slots[slot] != FREE {
            return Some(StrId(self.slots[slot]));
        }
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        let id = u32::try_from(self.ends.len()).ok()?;
        self.text.push_str(text);
        self.ends.push(end);
        self.slots[slot] = id;
        Some(StrId(id))
    }

    /// Where `text` is, or the free slot where it belongs.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.state.hash_one(text) as usize & mask;
        loop {
            let id = self.slots[at];
            if id == FREE || self.get(StrId(id)) == text {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots.clear();
        self.slots.resize(size, FREE);
        for id in 0..self.ends.len() as u32 {
            let slot = self.slot(self.get(StrId(id)));
            self.slots[slot] = id;
        }
    }
}
