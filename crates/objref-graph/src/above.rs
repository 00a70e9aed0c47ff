//! Where the parent of each node stands, in two bits a node.
//!
//! In the order of a breadth-first search the parents of consecutive nodes stand in that order, too. So it is enough to
//! know for each node how much farther its parent stands than that of the node before it (and for each edge beside the tree,
//! how much farther it starts than the one before it):
//!
//! ```text
//! positions of parents:   0  0  2  3  3
//! advance:                0  0  2  1  0
//! bits, from the lowest:  1  1  001  01  1
//! ```

/// Nodes from one that can be gone to at once to the next.
const STRIDE: usize = 256;

/// Positions that never descend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Above {
    bits: Vec<u64>,
    /// How many of `bits` are in use.
    used: usize,
    /// Of every [`STRIDE`]th: where its bits start, and the position before it.
    marks: Vec<(usize, u32)>,
    len: usize,
    last: u32,
}

impl Above {
    /// Appends a position, which is not before the last one.
    #[inline]
    pub(crate) fn push(&mut self, position: u32) {
        self.extend([position]);
    }

    /// Appends positions, none of which is before the one in front of it.
    #[inline]
    pub(crate) fn extend(&mut self, positions: impl IntoIterator<Item = u32>) {
        let Above { used, last, .. } = *self;
        let (mut used, mut last, mut len) = (used, last, self.len);
        // What is in the word that is being filled is written when it is full.
        let mut at = used / 64;
        let mut word = self.bits.get(at).copied().unwrap_or(0);
        for position in positions {
            if len.is_multiple_of(STRIDE) {
                self.marks.push((used, last));
            }
            let one = used + (position - last) as usize;
            if one / 64 != at {
                self.put(at, word);
                (at, word) = (one / 64, 0);
            }
            word |= 1 << (one % 64);
            (used, last, len) = (one + 1, position, len + 1);
        }
        if word != 0 {
            self.put(at, word);
        }
        (self.used, self.last, self.len) = (used, last, len);
    }

    /// Sets the word with this index; those in front of it that there are not are 0.
    #[inline]
    fn put(&mut self, at: usize, word: u64) {
        match self.bits.get_mut(at) {
            Some(known) => *known = word,
            None => self.grow(at, word),
        }
    }

    #[inline(never)]
    fn grow(&mut self, at: usize, word: u64) {
        self.bits.resize(at, 0);
        self.bits.push(word);
    }

    /// How many positions there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What follows `len` positions none of which is behind `position`, to be appended to them when they are known.
    pub(crate) fn behind(len: usize, position: u32) -> Above {
        Above {
            len,
            last: position,
            ..Above::default()
        }
    }

    /// Appends `next`, which is [`Above::behind`] as many positions as there are, the last of them or a later one.
    pub(crate) fn append(&mut self, next: &Above, position: u32) {
        if next.len == self.len {
            return;
        }
        let start = self.used + (position - self.last) as usize;
        let marks = next.marks.iter().map(|&(bit, before)| match bit {
            // Its bits start with those from the last position on.
            0 => (self.used, self.last),
            _ => (start + bit, before),
        });
        self.marks.extend(marks);
        let (word, shift) = (start / 64, start % 64);
        self.used = start + next.used;
        self.bits.resize(self.used.div_ceil(64), 0);
        for (i, bits) in next.bits.iter().enumerate() {
            self.bits[word + i] |= bits << shift;
            if let Some(high) = self.bits.get_mut(word + i + 1) {
                // In two steps: all 64 bits may be used up.
                *high |= bits >> 1 >> (63 - shift);
            }
        }
        (self.len, self.last) = (next.len, next.last);
    }

    /// How many positions are before `position`.
    pub(crate) fn first_at(&self, position: u32) -> usize {
        // Those before a mark are not behind what it says.
        let mark = self.marks.partition_point(|(_, before)| *before < position);
        let from = mark.saturating_sub(1) * STRIDE;
        from + self.from(from).take_while(|at| *at < position).count()
    }

    /// The positions from the `first` on.
    pub(crate) fn from(&self, first: usize) -> Positions<'_> {
        let mark = self.marks.get(first / STRIDE).copied();
        let (bit, position) = mark.unwrap_or_default();
        let word = self.bits.get(bit / 64).copied().unwrap_or(0);
        let mut positions = Positions {
            bits: self.bits.get(bit / 64 + 1..).unwrap_or_default(),
            word: word & u64::MAX << (bit % 64),
            start: position.wrapping_sub(bit as u32 % 64),
            left: self.len.saturating_sub(first),
        };
        for _ in first / STRIDE * STRIDE..first.min(self.len) {
            positions.step();
        }
        positions
    }
}

/// Positions that are gone through: one by one, or many at once.
#[derive(Clone, Debug)]
pub struct Positions<'a> {
    /// Behind `word`.
    bits: &'a [u64],
    /// The bits of those that are left, of the word that is gone through.
    word: u64,
    /// What the position of a bit is more than the bit's number in the word: there are as many zeros in front of it as
    /// bits, but for the ones.
    start: u32,
    /// How many positions are left.
    left: usize,
}

impl Positions<'_> {
    /// Writes the next positions to the start of `to`, as many as there are room for and left, and returns how many.
    #[inline]
    pub fn fill(&mut self, to: &mut [u32]) -> usize {
        let len = to.len().min(self.left);
        let mut rest = &mut to[..len];
        while !rest.is_empty() {
            self.skip_zeros();
            let ones = self.word.count_ones() as usize;
            let (now, later) = rest.split_at_mut(ones.min(rest.len()));
            for position in now {
                *position = self.take();
            }
            rest = later;
        }
        self.left -= len;
        len
    }

    #[inline]
    fn step(&mut self) -> u32 {
        self.skip_zeros();
        self.take()
    }

    /// Goes on to a word with a one.
    #[inline]
    fn skip_zeros(&mut self) {
        while self.word == 0 {
            (self.word, self.bits) = (self.bits[0], &self.bits[1..]);
            self.start = self.start.wrapping_add(64);
        }
    }

    /// The position of the next one in the word.
    #[inline]
    fn take(&mut self) -> u32 {
        let position = self.start.wrapping_add(self.word.trailing_zeros());
        self.word &= self.word.wrapping_sub(1);
        self.start = self.start.wrapping_sub(1);
        position
    }
}

impl Iterator for Positions<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        Some(self.step())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Positions; an interpreter takes a while for each.
    const MOST: usize = if cfg!(miri) { 300 } else { 3000 };

    proptest! {
        #[test]
        fn gives_back_what_it_was_given(
            advances in prop::collection::vec(prop_oneof![0u32..3, 60u32..70, 0u32..5000], 0..MOST),
            first in 0..MOST + MOST / 10,
            rooms in prop::collection::vec(1usize..150, 1..5),
        ) {
            let mut above = Above::default();
            let mut positions = Vec::new();
            let mut position = 0;
            for advance in advances {
                position += advance;
                positions.push(position);
            }
            let (some, rest) = positions.split_at(first.min(positions.len()));
            some.iter().for_each(|position| above.push(*position));
            above.extend(rest.iter().copied());
            let all: Vec<u32> = above.from(0).collect();
            prop_assert_eq!(&all, &positions);
            let expected = positions.get(first..).unwrap_or_default();
            let rest: Vec<u32> = above.from(first).collect();
            prop_assert_eq!(&rest[..], expected);
            let (mut walk, mut rest) = (above.from(first), Vec::new());
            for room in rooms.iter().cycle() {
                let mut some = vec![0; *room];
                let filled = walk.fill(&mut some);
                rest.extend(&some[..filled]);
                rest.extend(walk.next());
                if filled < *room {
                    break;
                }
            }
            prop_assert_eq!(&rest[..], expected);
            let position = positions.get(first).copied().unwrap_or(first as u32);
            for position in [position, position + 1] {
                let before = positions.partition_point(|at| *at < position);
                prop_assert_eq!(above.first_at(position), before);
            }
        }

        #[test]
        fn pieces_make_up_the_whole(
            advances in prop::collection::vec(prop_oneof![0u32..3, 60u32..70, 0u32..5000], 0..MOST),
            pieces in prop::collection::vec(0usize..600, 0..12),
        ) {
            let (mut whole, mut appended) = (Above::default(), Above::default());
            let (mut position, mut left) = (0, &advances[..]);
            for piece in pieces.into_iter().chain([MOST]) {
                let (these, rest) = left.split_at(piece.min(left.len()));
                left = rest;
                // A piece is known to start somewhere between what is before it and its own first position.
                let start = position + these.first().map_or(0, |advance| advance / 2);
                let mut next = Above::behind(appended.len, start);
                for advance in these {
                    position += advance;
                    whole.push(position);
                    next.push(position);
                }
                appended.append(&next, start);
            }
            prop_assert_eq!(whole, appended);
        }
    }
}
