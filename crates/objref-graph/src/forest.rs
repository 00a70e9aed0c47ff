//! The depth-first search that Lengauer and Tarjan's algorithm starts with.

use std::sync::atomic::Ordering::Relaxed;

use rayon::prelude::*;

use crate::NONE;
use crate::columns::{Zeros, close, cut, filled, open};
use crate::outgoing::PIECE;
use crate::rows::Rows;

/// A depth-first search over the places. Numbers are preorder; 0 is the pseudo-root.
pub(crate) struct Forest {
    /// Per place, its number.
    pub(crate) number: Vec<u32>,
    /// Per number, that of the parent.
    pub(crate) parent: Vec<u32>,
}

impl Forest {
    /// Searches the graph, and leaves in its rows the numbers where the edges lead that are not in the forest.
    pub(crate) fn search(rows: &mut Rows, zeros: Zeros<u32>) -> Forest {
        let places = rows.len();
        let mut forest = Forest {
            number: filled(zeros, places, || NONE),
            parent: Vec::with_capacity(places),
        };
        forest.enter(0, 0);
        // The way down to where the search is, without what has nothing left to follow: places, and how far their rows have been
        // followed.
        let mut path: Vec<(u32, u32)> = vec![(0, rows.row(0).start)];
        while let Some((mut place, mut next)) = path.pop() {
            loop {
                next = forest.follow(rows, place, next);
                let end = rows.row(place).end;
                if next == end {
                    break;
                }
                let target = std::mem::replace(&mut rows.targets[next as usize], NONE);
                let number = forest.number[place as usize];
                forest.enter(target, number);
                next = forest.follow(rows, place, next + 1);
                if next < end {
                    path.push((place, next));
                }
                (place, next) = (target, rows.row(target).start);
            }
        }
        forest
    }

    fn enter(&mut self, place: u32, parent: u32) {
        self.number[place as usize] = self.parent.len() as u32;
        self.parent.push(parent);
    }

    /// Follows the edges of `place` from `next` on up to the first that leads to what was not seen yet, which it returns.
    #[inline]
    fn follow(&mut self, rows: &mut Rows, place: u32, next: u32) -> u32 {
        let (from, end) = (self.number[place as usize], rows.row(place).end);
        let row = &mut rows.targets[next as usize..end as usize];
        for (next, target) in (next..).zip(row) {
            let to = self.number[*target as usize];
            if to == NONE {
                return next;
            }
            *target = if to == from { NONE } else { to };
        }
        end
    }
}

/// The edges that are not in the forest, in rows by their ends. The order in a row is any.
pub(crate) struct Incoming {
    /// Per number, where its row starts; then the end of the last.
    starts: Vec<u32>,
    sources: Vec<u32>,
}

impl Incoming {
    /// What [`Forest::search`] left in the rows; `number` as there.
    pub(crate) fn of(mut rows: Rows, number: &[u32], zeros: Zeros<u32>) -> Incoming {
        rows.retain();
        let counts = open(zeros, number.len() + 1, 0);
        rows.targets.par_iter().with_min_len(PIECE).for_each(|to| {
            counts[*to as usize].fetch_add(1, Relaxed);
        });
        // The ends of the rows, which are filled from there down to their starts.
        let mut sum = 0;
        for count in &counts {
            sum += count.load(Relaxed);
            count.store(sum, Relaxed);
        }
        let sources = open(zeros, sum as usize, 0);
        let pieces = number.par_chunks(PIECE).enumerate();
        pieces.for_each(|(piece, numbers)| {
            for (place, &from) in ((piece * PIECE) as u32..).zip(numbers) {
                let row = rows.row(place);
                for &to in &rows.targets[row.start as usize..row.end as usize] {
                    let end = counts[to as usize].fetch_sub(1, Relaxed);
                    sources[end as usize - 1].store(from, Relaxed);
                }
            }
        });
        drop(rows);
        Incoming {
            starts: close(counts),
            sources: close(sources),
        }
    }

    /// What leads to `to`.
    #[inline]
    pub(crate) fn row(&self, to: u32) -> &[u32] {
        &self.sources[self.starts[to as usize] as usize..self.starts[to as usize + 1] as usize]
    }

    /// Forgets the rows from this one on.
    pub(crate) fn cut(&mut self, from: u32) {
        let end = self.starts[from as usize];
        cut(&mut self.sources, end as usize);
        cut(&mut self.starts, from as usize + 1);
    }
}
