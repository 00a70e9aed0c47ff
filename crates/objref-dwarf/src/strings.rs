//! Interned strings: one arena, one number per distinct text.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The number of an interned string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StrId(pub(crate) u32);

const FREE: (u32, u32) = (0, u32::MAX);

/// Every distinct string once, in order of first appearance.
///
/// The hash is keyed at random (a crafted binary cannot make it slow) and decides only where a
/// string is looked for, never its number: the same input gives the same numbers.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    text: String,
    /// `ends[i]` is where string `i` ends in `text` and string `i + 1` begins.
    ends: Vec<u32>,
    /// Hash and number: open addressing, a power of two, at most half full.
    slots: Vec<(u32, u32)>,
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
        match self.slots[self.slot(self.hash(text), text)] {
            FREE => None,
            (_, id) => Some(StrId(id)),
        }
    }

    /// `None` when the arena is full (4 GiB of distinct names).
    pub(crate) fn intern(&mut self, text: &str) -> Option<StrId> {
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = self.hash(text);
        let slot = self.slot(hash, text);
        if self.slots[slot] != FREE {
            return Some(StrId(self.slots[slot].1));
        }
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        let id = u32::try_from(self.ends.len()).ok()?;
        self.text.push_str(text);
        self.ends.push(end);
        self.slots[slot] = (hash, id);
        Some(StrId(id))
    }

    fn hash(&self, text: &str) -> u32 {
        self.state.hash_one(text) as u32
    }

    /// Where `text` is, or the free slot where it belongs.
    fn slot(&self, hash: u32, text: &str) -> usize {
        let is_it = |slot: (u32, u32)| slot.0 == hash && self.get(StrId(slot.1)) == text;
        self.probe(hash, |slot| slot == FREE || is_it(slot))
    }

    fn probe(&self, hash: u32, done: impl Fn((u32, u32)) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while !done(self.slots[at]) {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![FREE; size]);
        for taken in old.into_iter().filter(|slot| *slot != FREE) {
            let slot = self.probe(taken.0, |slot| slot == FREE);
            self.slots[slot] = taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Strings;

    #[test]
    fn each_text_has_one_number_in_order_of_appearance() {
        let mut strings = Strings::default();
        assert_eq!(strings.find("7"), None);
        for n in [0, 1, 2].into_iter().flat_map(|_| 0..5000u32) {
            let id = strings.intern(&n.to_string()).expect("there is room");
            assert_eq!(id.0, n);
        }
        assert_eq!(strings.len(), 5000);
        for n in 0..5000u32 {
            let id = strings.find(&n.to_string()).expect("is there");
            assert_eq!((id.0, strings.get(id)), (n, n.to_string().as_str()));
        }
        assert_eq!(strings.find("5000"), None);
    }
}
