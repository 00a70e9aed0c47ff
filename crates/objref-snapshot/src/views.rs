//! What all objects are seen as.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use objref_graph::filled;
use objref_mem::{settled, zeros};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::codes::{Codes, SPILLED};
use crate::numbers::Numbers;
use crate::types::Types;
use crate::view::{Code, View};

/// Objects per piece of work.
const PIECE: usize = 1 << 14;
/// Pieces that are counted together, at least: every sum has a place for each number.
const PIECES: usize = 64;
/// Objects that are looked at together.
const FEW: usize = 64;

/// The view of every object, a column that all threads may write to.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// Per object the number of its code, or [`SPILLED`].
    column: Vec<AtomicU16>,
    codes: Codes,
    /// Per object the best code that was offered when there was no number for it; 0 if none was. Made when there are no
    /// numbers left.
    spilled: OnceLock<Vec<AtomicU32>>,
}

impl Views {
    /// All unknown.
    pub(crate) fn new(objects: usize) -> Self {
        Views {
            // Threads that write to the same page first would have it cleared by each of them.
            column: filled(zeros, objects, || AtomicU16::new(0)),
            codes: Codes::default(),
            spilled: OnceLock::new(),
        }
    }

    /// The same once more.
    pub(crate) fn copy(&self) -> Self {
        let numbers = self.column.iter().map(|cell| cell.load(Ordering::Acquire));
        let spilled = self.spilled.get().map(|spilled| {
            let codes = spilled.iter().map(|cell| cell.load(Ordering::Relaxed));
            OnceLock::from(codes.map(AtomicU32::new).collect::<Vec<_>>())
        });
        Views {
            column: numbers.map(AtomicU16::new).collect(),
            codes: self.codes.copy(),
            spilled: spilled.unwrap_or_default(),
        }
    }

    /// What objects are seen as, and how many of them.
    pub(crate) fn counts(&self) -> FxHashMap<Code, u32> {
        let none = || (vec![0u32; usize::from(SPILLED)], Vec::new());
        let pieces = self.column.par_chunks(PIECE).enumerate();
        let counted =
            pieces
                .with_min_len(PIECES)
                .fold(none, |(mut counts, mut spilled), (piece, cells)| {
                    for (object, cell) in ((piece * PIECE) as u32..).zip(cells) {
                        match cell.load(Ordering::Relaxed) {
                            SPILLED => spilled.push(self.read_spilled(object)),
                            number => counts[usize::from(number)] += 1,
                        }
                    }
                    (counts, spilled)
                });
        let mut all = FxHashMap::default();
        for (counts, spilled) in counted.collect::<Vec<_>>() {
            let numbered = self.codes.numbered().zip(counts);
            let numbered = numbered.filter(|(_, count)| *count > 0);
            for (code, count) in numbered.chain(spilled.into_iter().map(|code| (code, 1))) {
                *all.entry(code).or_default() += count;
            }
        }
        all
    }

    /// The objects of which nothing is known.
    pub(crate) fn unknown(&self) -> impl ParallelIterator<Item = u32> + '_ {
        let is_unknown = |cell: &AtomicU16| cell.load(Ordering::Relaxed) == 0;
        let some = self.column.par_chunks(FEW).enumerate();
        let some = some.with_min_len(PIECE / FEW).filter(move |(_, cells)| {
            // There is hardly one, so that all are looked at without a branch for each.
            let any = |any, cell| any | is_unknown(cell);
            cells.iter().fold(false, any)
        });
        some.flat_map_iter(move |(some, cells)| {
            let objects = ((some * FEW) as u32..).zip(cells);
            objects.filter_map(move |(object, cell)| is_unknown(cell).then_some(object))
        })
    }

    /// What the object is seen as.
    #[inline]
    pub(crate) fn get(&self, object: u32) -> Option<View> {
        let code = self.code(object);
        code.is_known().then(|| code.view())
    }

    #[inline]
    pub(crate) fn code(&self, object: u32) -> Code {
        self.of_number(object, self.number(object))
    }

    /// The number of what the object is seen as: 0 if nothing is known, and else of use for [`Views::of_number`] alone.
    #[inline]
    pub(crate) fn number(&self, object: u32) -> u16 {
        self.column[object as usize].load(Ordering::Acquire)
    }

    /// What the object is seen as, whose number this is.
    #[inline]
    pub(crate) fn of_number(&self, object: u32, number: u16) -> Code {
        match number {
            SPILLED => self.read_spilled(object),
            number => self.codes.code(number),
        }
    }

    #[cold]
    fn read_spilled(&self, object: u32) -> Code {
        let cell = self.spilled.get().map(|spilled| &spilled[object as usize]);
        cell.map_or(Code::UNKNOWN, |cell| Code(cell.load(Ordering::Relaxed)))
    }

    /// The codes that have numbers, by number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = Code> + '_ {
        self.codes.numbered()
    }

    /// The numbers of what these objects are seen as; where there is none, more than any.
    #[inline]
    pub(crate) fn numbers(&self, objects: &[u32], to: &mut [u16]) {
        let column = &self.column[..];
        for (to, object) in to.iter_mut().zip(objects) {
            *to = column[*object as usize].load(Ordering::Acquire);
        }
    }

    /// Whether a view that says this could be news of the object.
    #[inline]
    pub(crate) fn open_to(&self, object: u32, code: Code, types: &Types) -> bool {
        let known = self.code(object);
        !known.says_the_same(code) && !known.is_stated() && code.beats(known, types)
            || known.says_the_same(code) && code.0 > known.0
    }

    /// Replaces the object's view if this one is better. Whether it is.
    #[inline]
    pub(crate) fn offer(&self, object: u32, code: Code, types: &Types) -> bool {
        // Of most objects nothing is known yet.
        let (cell, number) = (&self.column[object as usize], self.near(code));
        is_first(cell, number) || self.compete(object, code, types)
    }

    /// Makes known what the object is seen as if nothing was, and says whether that is what it is seen as then; `number` is
    /// what [`Views::near`] said of the view.
    #[inline]
    pub(crate) fn is_now(&self, object: u32, number: u16) -> bool {
        let cell = &self.column[object as usize];
        is_first(cell, number) || number != 0 && cell.load(Ordering::Acquire) == number
    }

    /// The number of this view, if it is found at once; else 0.
    #[inline]
    pub(crate) fn near(&self, code: Code) -> u16 {
        self.codes.near(code)
    }

    /// As [`Views::offer`], where something is known already.
    fn compete(&self, object: u32, code: Code, types: &Types) -> bool {
        let cell = &self.column[object as usize];
        let mut known = cell.load(Ordering::Acquire);
        while known != SPILLED {
            if !code.beats(self.codes.code(known), types) {
                return false;
            }
            let Some(number) = self.codes.number(code) else {
                break;
            };
            match replace(cell, known, number) {
                Ok(_) => return true,
                Err(now) => known = now,
            }
        }
        self.spill(object, code, types)
    }

    /// As [`Views::offer`], where there is no number.
    ///
    /// What is in `spilled` but not marked in the column was not better than what is there, and so is not better than what
    /// replaces that.
    #[cold]
    fn spill(&self, object: u32, code: Code, types: &Types) -> bool {
        let objects = self.column.len();
        let spilled = &self.spilled.get_or_init(|| zeros(objects))[object as usize];
        let cell = &self.column[object as usize];
        let mut number = cell.load(Ordering::Acquire);
        let beats_numbered = |number| code.beats(self.codes.code(number), types);
        if number != SPILLED && !beats_numbered(number) {
            return false;
        }
        let better = |known| code.beats(Code(known), types).then_some(code.0);
        let is_best = spilled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, better);
        while number != SPILLED {
            match replace(cell, number, SPILLED) {
                Ok(_) => break,
                Err(now) if now != SPILLED && !beats_numbered(now) => return false,
                Err(now) => number = now,
            }
        }
        is_best.is_ok()
    }
}

/// Whether nothing was known, and it is this number now; 0 is none.
#[inline]
fn is_first(cell: &AtomicU16, number: u16) -> bool {
    number != 0 && cell.load(Ordering::Relaxed) == 0 && replace(cell, 0, number).is_ok()
}

/// Replaces a number, if it is still there, so that whoever reads the new one finds its code.
#[inline]
fn replace(cell: &AtomicU16, known: u16, number: u16) -> Result<u16, u16> {
    cell.compare_exchange(known, number, Ordering::AcqRel, Ordering::Acquire)
}

/// The view of each object as it is in the end: a column of indices into the distinct ones.
#[derive(Debug)]
pub(crate) struct FinalViews {
    pub(crate) column: Numbers,
    pub(crate) distinct: Vec<View>,
}

impl FinalViews {
    /// The distinct ones are numbered in the order in which objects have them.
    pub(crate) fn new(views: Views) -> Self {
        if views.spilled.get().is_some() {
            return FinalViews::of_codes(&views);
        }
        let Views { column, codes, .. } = views;
        let mut column = settled(column);
        // Each number once a piece.
        let pieces = column.par_chunks(PIECE).map(|piece| {
            let (mut found, mut seen) = (Vec::new(), vec![0u64; 1 << 10]);
            // Neighbours are often the same.
            for &number in piece.chunk_by(|a, b| a == b).flat_map(|same| same.first()) {
                let (word, bit) = (usize::from(number / 64), 1 << (number % 64));
                if seen[word] & bit == 0 {
                    seen[word] |= bit;
                    found.push(number);
                }
            }
            found
        });
        let found: Vec<Vec<u16>> = pieces.collect();
        let mut distinct = vec![Code::UNKNOWN.view()];
        let mut index = vec![0; usize::from(SPILLED)];
        for number in found.into_iter().flatten() {
            let index = &mut index[usize::from(number)];
            if number != 0 && *index == 0 {
                *index = distinct.len() as u16;
                distinct.push(codes.code(number).view());
            }
        }
        column.par_chunks_mut(PIECE).for_each(|piece| {
            for number in piece {
                *number = index[usize::from(*number)];
            }
        });
        FinalViews {
            column: Numbers::Short(column),
            distinct,
        }
    }

    /// As [`FinalViews::new`], whatever the number of codes.
    fn of_codes(views: &Views) -> Self {
        let mut distinct = vec![Code::UNKNOWN.view()];
        let mut known = FxHashMap::from_iter([(0, 0)]);
        let column: Vec<u32> = (0..views.column.len() as u32)
            .map(|object| {
                let code = views.code(object);
                *known.entry(code.0).or_insert_with(|| {
                    distinct.push(code.view());
                    distinct.len() as u32 - 1
                })
            })
            .collect();
        FinalViews {
            column: Numbers::new(column, distinct.len()),
            distinct,
        }
    }

    /// What the object is seen as; `None` if unknown.
    pub(crate) fn get(&self, object: u32) -> Option<View> {
        match self.index(object) {
            0 => None,
            index => Some(self.distinct[index as usize]),
        }
    }

    /// Index of what the object is seen as in [`FinalViews::distinct`].
    #[inline]
    pub(crate) fn index(&self, object: u32) -> u32 {
        self.column.get(object as usize)
    }

    /// All distinct views; the first is that of objects nothing is known of.
    pub(crate) fn distinct(&self) -> &[View] {
        &self.distinct
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TypeId;
    use crate::view::{Fit, Form, Source};

    /// What the `n`th object is seen as; of every third nothing is known.
    fn code(n: u32, kinds: u32) -> Code {
        code_with(Fit::Run, n, kinds)
    }

    fn code_with(fit: Fit, n: u32, kinds: u32) -> Code {
        let ty = TypeId(n.wrapping_mul(48271) % kinds);
        match n % 3 {
            0 => Code::UNKNOWN,
            _ => Code::new(fit, Source::Reference, Form::One, ty),
        }
    }

    #[test]
    fn views_are_kept_whatever_their_number() {
        let types = Types::default();
        for kinds in [100, 200_000] {
            let objects = 300_000;
            let views = Views::new(objects as usize);
            (0..objects).into_par_iter().for_each(|n| {
                let code = code(n, kinds);
                assert_eq!(views.offer(n, code, &types), code.is_known());
                assert!(
                    !code.is_known() || !views.offer(n, code_with(Fit::Possible, n, kinds), &types)
                );
            });
            let better = |n: u32| match n % 7 {
                0 => code_with(Fit::Whole, n, kinds),
                _ => code(n, kinds),
            };
            let known = |n: &u32| code(*n, kinds).is_known();
            let again = (0..objects).filter(|n| n % 7 == 0).filter(known);
            for n in again {
                assert!(views.offer(n, better(n), &types));
            }
            let copy = views.copy();
            let seen: Vec<u32> = copy.unknown().collect();
            assert!(seen.into_iter().eq((0..objects).filter(|n| !known(n))));
            let counts = views.counts();
            let expected = |n: u32| match known(&n) {
                true => better(n),
                false => Code::UNKNOWN,
            };
            let mut counted = FxHashMap::default();
            for n in 0..objects {
                *counted.entry(expected(n)).or_default() += 1;
                assert_eq!(views.code(n), expected(n));
                assert_eq!(copy.code(n), expected(n));
            }
            assert_eq!(counts, counted);
            let last = FinalViews::new(views);
            assert_eq!(matches!(last.column, Numbers::Short(_)), kinds == 100);
            let mut most = 0;
            for n in 0..objects {
                let view = known(&n).then(|| expected(n).view());
                assert_eq!(last.get(n), view);
                // Numbered as they come.
                assert!(last.index(n) <= most + 1);
                most = most.max(last.index(n));
            }
        }
    }
}
