//! What became of each object, of two dumps of one process.
//!
//! Go's heap does not move: what is still there is where it was. But slots are used again, so that an object of the
//! same size and type, held along the same path, may still be another one.

use super::sighting::Seen;
use crate::{Amount, Fates};

/// What is the same in two dumps of a slot that has a live object in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Survived,
    Moved,
    Replaced,
}

/// How to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// The number of the type of objects of which nothing is known.
    pub(super) unknown: Option<u32>,
    /// Whether a slot may have been used again: not without a collection in between.
    pub(super) reuse: bool,
}

/// Sums over all objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) all: Fates,
    /// By number of the type.
    pub(super) types: Vec<Fates>,
    /// By frame.
    pub(super) frames: Vec<Fates>,
}

impl Judge {
    fn judge(self, before: Seen, after: Seen) -> Verdict {
        let same_type = before.ty == after.ty;
        // What is known of one side only does not contradict the other.
        let unknown = Some(before.ty) == self.unknown || Some(after.ty) == self.unknown;
        match before.frame == after.frame {
            _ if before.size != after.size => Verdict::Replaced,
            true if same_type => Verdict::Survived,
            _ if same_type || unknown || !self.reuse => Verdict::Moved,
            _ => Verdict::Replaced,
        }
    }

    /// Adds up what became of objects. There are so many types and frames.
    pub(super) fn tell(
        self,
        before: &impl Side,
        after: &impl Side,
        types: usize,
        frames: usize,
    ) -> Tally {
        let mut tally = Tally {
            types: vec![Fates::default(); types],
            frames: vec![Fates::default(); frames],
            ..Tally::default()
        };
        // Those after that are the same as one before, a bit each.
        let mut known = vec![0u64; after.len().div_ceil(64)];
        before.each(|_, old| {
            let found = after
                .at(old.address)
                .map(|(id, new)| (id, new, self.judge(old, new)));
            let Some((id, new, verdict @ (Verdict::Survived | Verdict::Moved))) = found else {
                return tally.add(old, |fates| &mut fates.freed);
            };
            known[id as usize / 64] |= 1 << (id % 64);
            if verdict == Verdict::Survived {
                return tally.add(old, |fates| &mut fates.survived);
            }
            tally.add(old, |fates| &mut fates.moved_away);
            tally.add(new, |fates| &mut fates.moved_here);
        });
        after.each(|id, new| {
            if known[id as usize / 64] & 1 << (id % 64) == 0 {
                tally.add(new, |fates| &mut fates.new);
            }
        });
        tally
    }
}

/// The live objects of a dump.
pub(super) trait Side {
    /// More than any number of an object.
    fn len(&self) -> usize;

    /// Calls `visit` for each, with its number.
    fn each(&self, visit: impl FnMut(u32, Seen));

    /// The one at an address, with its number.
    fn at(&self, address: u64) -> Option<(u32, Seen)>;
}

impl Tally {
    fn add(&mut self, seen: Seen, what: impl Fn(&mut Fates) -> &mut Amount) {
        let fates = [
            &mut self.all,
            &mut self.types[seen.ty as usize],
            &mut self.frames[seen.frame as usize],
        ];
        for fates in fates {
            let amount = what(fates);
            amount.bytes += seen.size;
            amount.objects += 1;
        }
    }
}

/// Adds one sum to another.
pub(super) fn add(to: &mut Fates, fates: &Fates) {
    for (to, amount) in [
        (&mut to.survived, fates.survived),
        (&mut to.new, fates.new),
        (&mut to.freed, fates.freed),
        (&mut to.moved_away, fates.moved_away),
        (&mut to.moved_here, fates.moved_here),
    ] {
        to.bytes += amount.bytes;
        to.objects += amount.objects;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JUDGE: Judge = Judge {
        unknown: Some(0),
        reuse: true,
    };

    fn seen(address: u64, size: u64, ty: u32, frame: u32) -> Seen {
        Seen {
            address,
            size,
            ty,
            frame,
        }
    }

    /// By address.
    impl Side for Vec<Seen> {
        fn len(&self) -> usize {
            self.len()
        }

        fn each(&self, mut visit: impl FnMut(u32, Seen)) {
            (0..).zip(self).for_each(|(id, seen)| visit(id, *seen));
        }

        fn at(&self, address: u64) -> Option<(u32, Seen)> {
            let at = self
                .binary_search_by_key(&address, |seen| seen.address)
                .ok()?;
            Some((at as u32, self[at]))
        }
    }

    fn tell(judge: Judge, before: Seen, after: Seen) -> [u64; 4] {
        let all = judge.tell(&vec![before], &vec![after], 9, 9).all;
        [all.survived, all.new, all.freed, all.moved_here].map(|amount| amount.objects)
    }

    #[test]
    fn slot_type_and_holder_must_agree() {
        let old = seen(0x1000, 64, 1, 3);
        let survived = [1, 0, 0, 0];
        let replaced = [0, 1, 1, 0];
        let moved = [0, 0, 0, 1];
        for (new, expected, without_reuse) in [
            (old, survived, survived),
            (seen(0x1040, 64, 1, 3), replaced, replaced),
            (seen(0x1000, 32, 1, 3), replaced, replaced),
            (seen(0x1000, 64, 2, 3), replaced, moved),
            (seen(0x1000, 64, 1, 4), moved, moved),
            (seen(0x1000, 64, 2, 4), replaced, moved),
            (seen(0x1000, 64, 0, 3), moved, moved),
            (seen(0x1000, 64, 0, 4), moved, moved),
        ] {
            assert_eq!(tell(JUDGE, old, new), expected, "{new:?}");
            let certain = Judge {
                reuse: false,
                ..JUDGE
            };
            assert_eq!(tell(certain, old, new), without_reuse, "{new:?}");
        }
    }

    fn side() -> impl Strategy<Value = Vec<Seen>> {
        prop::collection::btree_map(0u64..40, (1u64..3, 0u32..3, 0u32..4), 0..40).prop_map(|side| {
            let side = side.into_iter();
            side.map(|(slot, (size, ty, frame))| seen(slot * 64, size * 16, ty, frame))
                .collect()
        })
    }

    fn sum(amounts: &[Amount]) -> (u64, u64) {
        let sum = |of: fn(&Amount) -> u64| amounts.iter().map(of).sum();
        (sum(|a| a.bytes), sum(|a| a.objects))
    }

    /// Whether an object belongs to a row.
    type Keep = Box<dyn Fn(&Seen) -> bool>;

    proptest! {
        #[test]
        fn everything_has_one_fate_and_the_way_back_is_the_reverse(a in side(), b in side(), reuse: bool) {
            let judge = Judge { unknown: Some(0), reuse };
            let there = judge.tell(&a, &b, 3, 4);
            let back = judge.tell(&b, &a, 3, 4);
            let whole = |side: &[Seen], keep: &dyn Fn(&Seen) -> bool| {
                let kept = side.iter().filter(|seen| keep(seen));
                kept.fold((0, 0), |(bytes, objects), seen| (bytes + seen.size, objects + 1))
            };
            let rows = |tally: &Tally| {
                let mut rows: Vec<(Fates, Keep)> = vec![(tally.all, Box::new(|_| true))];
                for (ty, fates) in (0..).zip(&tally.types) {
                    rows.push((*fates, Box::new(move |seen: &Seen| seen.ty == ty)));
                }
                for (frame, fates) in (0..).zip(&tally.frames) {
                    rows.push((*fates, Box::new(move |seen: &Seen| seen.frame == frame)));
                }
                rows
            };
            for ((fates, keep), (reverse, _)) in rows(&there).into_iter().zip(rows(&back)) {
                prop_assert_eq!(sum(&[fates.survived, fates.freed, fates.moved_away]), whole(&a, &keep));
                prop_assert_eq!(sum(&[fates.survived, fates.new, fates.moved_here]), whole(&b, &keep));
                prop_assert_eq!(fates.survived, reverse.survived);
                prop_assert_eq!((fates.new, fates.freed), (reverse.freed, reverse.new));
                prop_assert_eq!((fates.moved_here, fates.moved_away), (reverse.moved_away, reverse.moved_here));
            }
            let same = judge.tell(&a, &a, 3, 4).all;
            prop_assert_eq!(sum(&[same.survived]), whole(&a, &|_| true));
        }
    }
}
