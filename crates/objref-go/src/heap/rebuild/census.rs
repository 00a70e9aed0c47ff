//! How many spans there are of each kind, by the runtime's own lists and counters: a core that was cut short has these, for
//! they are variables.

use objref_mem::{Addr, AddressSpace};

use super::guess::{Guess, Keeps};
use crate::heap::classes::{CLASS_PAGES, SIZE_CLASSES};
use crate::heap::span::{PAGE, RawSpan};
use crate::layout::{LayoutError, StructSource, layout, slice_at};
use crate::processor::MAX_PROCESSORS;

layout! {
    // runtime/mheap.go: mheap
    struct CentralLayout = "runtime.mheap" {
        central: "central",
        pages_in_use: "pagesInUse.value | pagesInUse",
    }
}

layout! {
    // runtime/mcentral.go: mcentral
    struct ListsLayout = "runtime.mcentral" {
        partial: "partial",
        full: "full",
    }
}

layout! {
    // runtime/mspanset.go: spanSet
    struct SetLayout = "runtime.spanSet" {
        index: "index.u.value | index.u | index",
    }
}

/// Size classes, those of large objects first.
const CLASSES: usize = SIZE_CLASSES.len();
/// Kinds of spans: each class with pointers and without.
// runtime/mheap.go: spanClass
const KINDS: usize = CLASSES * 2;

/// By how much, as a logarithm, another kind may be less likely where there are too many of one; and how likely it is that
/// pages of zeros that something points to were given back.
const UNLIKELY: f64 = 4.0;

/// What the runtime has of spans that hold objects.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Spans by kind, but for those that processors hold. Empty if it is not known.
    spans: Vec<u64>,
    /// Pages of all spans.
    pages: u64,
    /// Bytes of large objects.
    large: u64,
    /// Processors: each may hold a span of each kind.
    processors: u64,
}

impl Census {
    /// What `mheap`, the heap's variable, and `allp` tell; large objects have so many bytes as `large` says.
    // runtime/mcentral.go: what is not in a cache is in one of four sets. Of these the two that await their sweep may have a
    // span that was swept in passing and is in another one, too, so that there are at most so many.
    pub(crate) fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        mheap: Addr,
        allp: Option<Addr>,
        large: u64,
    ) -> Result<Census, LayoutError> {
        let heap = CentralLayout::resolve(source)?;
        let lists = ListsLayout::resolve(source)?;
        let set = SetLayout::resolve(source)?;
        // A kind's lists are padded to lines of the cache, behind them.
        let each = heap.central.size / KINDS as u64;
        let count = |kind: usize| {
            let central = heap.central.at(mheap).add(kind as u64 * each);
            let sets = [lists.partial, lists.full].into_iter().flat_map(|pair| {
                let half = pair.size / 2;
                [0, half].map(|at| pair.at(central).add(at))
            });
            let lengths = sets.map(|at| {
                let index = set.index.read(space, at).ok()?;
                // {head uint32, tail uint32}
                Some((index & u64::from(u32::MAX)).saturating_sub(index >> 32))
            });
            lengths.sum::<Option<u64>>()
        };
        let processors = allp.and_then(|at| slice_at(space, at).ok());
        Ok(Census {
            spans: (0..KINDS)
                .map(count)
                .collect::<Option<_>>()
                .unwrap_or_default(),
            pages: heap.pages_in_use.read(space, mheap).unwrap_or(0),
            large,
            processors: processors.map_or(1, |(_, n)| n.clamp(1, MAX_PROCESSORS)),
        })
    }
}

/// Logarithms of how likely a span is of each kind, and how many there can be.
pub(super) struct Priors {
    kinds: [f64; KINDS],
    /// Pages of a large object, on average.
    large_pages: f64,
    /// How many spans there are of each kind at most; `None` if nobody knows.
    bounds: Option<[u64; KINDS]>,
}

impl Priors {
    /// By what the census tells beside the spans that are known.
    pub(super) fn new(census: &Census, known: &[&RawSpan]) -> Priors {
        let is_known = census.spans.len() == KINDS;
        let mut spans = [0u64; KINDS];
        let counted = spans.iter_mut().zip(&census.spans);
        counted.for_each(|(spans, counted)| *spans = *counted);
        let pages_of = |kind: usize| u64::from(CLASS_PAGES[kind / 2]);
        let listed = spans.iter().enumerate();
        let listed = listed.fold(census.large / PAGE, |sum, (kind, n)| {
            sum.saturating_add(n.saturating_mul(pages_of(kind)))
        });
        // What is in no list a processor holds; no large object ever is.
        let held = census.pages.saturating_sub(listed);
        let mut bounds: [u64; KINDS] = std::array::from_fn(|kind| {
            let held = held.checked_div(pages_of(kind)).unwrap_or(0);
            spans[kind].saturating_add(held.min(census.processors))
        });
        let mut large = census.large;
        for span in known {
            let kind = usize::from(span.spanclass);
            for counts in [&mut spans, &mut bounds] {
                if let Some(n) = counts.get_mut(kind) {
                    *n = n.saturating_sub(1);
                }
            }
            if span.size_class() == 0 {
                large = large.saturating_sub(span.elem_size);
            }
        }
        // Counts are of one instant, the rest of the dump may be of the next.
        let weights = spans.map(|n| n as f64 + 1.0);
        let all: f64 = weights.iter().sum();
        let objects = (spans[0] + spans[1]).max(1);
        Priors {
            kinds: weights.map(|n| (n / all).ln()),
            large_pages: (large as f64 / PAGE as f64 / objects as f64).clamp(5.0, 1e6),
            bounds: is_known.then_some(bounds),
        }
    }

    /// Of a span of one of the size classes, or of one large object of so many pages.
    pub(super) fn of(&self, guess: &Guess) -> f64 {
        let likely = self.kinds[kind(guess)];
        match guess.class {
            0 => likely - self.large_pages.ln() - guess.npages as f64 / self.large_pages,
            _ => likely,
        }
    }

    /// Where there are more spans of a kind than the runtime counted, takes some for others: those for which another kind,
    /// of which there can be more, is nearly as likely. Pages that were given back to the system read as zeros, and old
    /// pointers lead to where objects were; so those that are nothing but zeros may be in no span at all. That much
    /// in use is all zeros, too, so that zeros alone say nothing. `others` tells of a span of one page how likely it is as
    /// each kind, and whether it is zeros.
    // runtime/mgcscavenge.go: (*pageAlloc).scavengeOne
    pub(super) fn settle(
        &self,
        guesses: &mut Vec<Guess>,
        others: impl Fn(&Guess) -> (Vec<(f64, Guess)>, bool),
    ) {
        let Some(bounds) = &self.bounds else {
            return;
        };
        let mut counts = [0u64; KINDS];
        for guess in guesses.iter() {
            counts[kind(guess)] += 1;
        }
        let mut moves: Vec<(f64, usize, Option<Guess>)> = Vec::new();
        for (i, guess) in guesses.iter().enumerate() {
            if guess.npages != 1 || counts[kind(guess)] <= bounds[kind(guess)] {
                continue;
            }
            let (others, is_zero) = others(guess);
            let own = others.iter().find(|(_, other)| other == guess);
            let own = own.map_or(0.0, |(score, _)| *score);
            let others = others.iter().filter(|(score, other)| {
                let kind = kind(other);
                *score > own - UNLIKELY && counts[kind] < bounds[kind]
            });
            moves.extend(others.map(|(score, other)| (own - score, i, Some(*other))));
            if is_zero {
                moves.push((UNLIKELY, i, None));
            }
        }
        moves.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut settled: Vec<Option<Guess>> = guesses.iter().copied().map(Some).collect();
        for (_, i, other) in moves {
            let own = kind(&guesses[i]);
            let has_room = other.is_none_or(|other| counts[kind(&other)] < bounds[kind(&other)]);
            if settled[i] != Some(guesses[i]) || counts[own] <= bounds[own] || !has_room {
                continue;
            }
            counts[own] -= 1;
            if let Some(other) = other {
                counts[kind(&other)] += 1;
            }
            settled[i] = other;
        }
        *guesses = settled.into_iter().flatten().collect();
    }
}

fn kind(guess: &Guess) -> usize {
    usize::from(guess.class) * 2 + usize::from(guess.keeps == Keeps::NoPointers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(of: &[(usize, u64)]) -> Census {
        let mut census = Census {
            spans: vec![0; KINDS],
            processors: 4,
            ..Census::default()
        };
        for (kind, n) in of {
            census.spans[*kind] = *n;
            census.pages += n * u64::from(CLASS_PAGES[kind / 2]);
        }
        census
    }

    fn guess(class: u8, keeps: Keeps) -> Guess {
        Guess {
            start: 0,
            npages: u64::from(CLASS_PAGES[usize::from(class)]).max(5),
            class,
            keeps,
            slots: 1,
        }
    }

    #[test]
    fn what_there_is_more_of_is_more_likely() {
        let priors = Priors::new(&census(&[(10, 100), (13, 40)]), &[]);
        let of = |class, keeps| priors.of(&guess(class, keeps));
        assert!(of(5, Keeps::Nothing) > of(6, Keeps::Nothing) + 3.0);
        assert!(of(6, Keeps::NoPointers) > of(6, Keeps::Nothing) + 3.0);
        assert_eq!(of(7, Keeps::Nothing), of(8, Keeps::Nothing));
        // Nothing was counted, or nobody knows.
        let unknown = Priors::new(&Census::default(), &[]);
        let of = |class, keeps| unknown.of(&guess(class, keeps));
        assert_eq!(of(5, Keeps::Nothing), of(6, Keeps::NoPointers));
        let large = |npages| {
            unknown.of(&Guess {
                npages,
                ..guess(0, Keeps::Nothing)
            })
        };
        assert!(large(5) > large(500) && large(1 << 40).is_finite());
    }

    #[test]
    fn where_there_are_more_than_were_counted_some_are_others() {
        let at = |i: u64, class: u8| Guess {
            start: i * PAGE,
            npages: 1,
            ..guess(class, Keeps::Nothing)
        };
        let priors = Priors::new(&census(&[(10, 2), (12, 3)]), &[]);
        let before: Vec<Guess> = (0..8).map(|i| at(i, 5 + (i / 6) as u8)).collect();
        // (page, class) of what is left, if page `i` as the other class is by `less[i]` less likely.
        let settled = |priors: &Priors, less: [f64; 8], zeros: bool| {
            let mut left = before.clone();
            priors.settle(&mut left, |guess| {
                let i = guess.start / PAGE;
                let both = vec![(0.0, at(i, 5)), (-less[i as usize], at(i, 6))];
                (both, zeros)
            });
            let mut left: Vec<_> = left.iter().map(|g| (g.start / PAGE, g.class)).collect();
            left.sort_unstable();
            left
        };
        let as_before = |i: u64| (i, 5 + (i / 6) as u8);
        let all: Vec<_> = (0..8).map(as_before).collect();
        // Of the other class there can be one more: the most likely one.
        let less = [3.0, 2.0, 1.0, 3.0, 3.0, 3.0, 9.0, 9.0];
        let mut one = all.clone();
        one[2].1 = 6;
        assert_eq!(settled(&priors, less, false), one);
        assert_eq!(settled(&priors, [9.0; 8], false), all);
        // What is zeros goes, until there are as many as were counted.
        let kept = settled(&priors, [9.0; 8], true);
        assert_eq!(kept, [(4, 5), (5, 5), (6, 6), (7, 6)]);
        let unknown = Priors::new(&Census::default(), &[]);
        assert_eq!(settled(&unknown, less, true), all);
    }

    #[test]
    fn what_processors_hold_is_in_no_list() {
        let bounds = |pages| {
            let mut census = census(&[(10, 2)]);
            census.pages += pages;
            Priors::new(&census, &[]).bounds.unwrap()
        };
        // Of class 35 a span has two pages.
        assert_eq!(bounds(0)[10..13], [2, 0, 0]);
        assert_eq!(bounds(1)[70], 0);
        let three = bounds(3);
        assert_eq!((three[10], three[11], three[70]), (5, 3, 1));
        assert_eq!(bounds(100)[10], 6);
        assert_eq!(bounds(100)[0], 0);
    }
}
