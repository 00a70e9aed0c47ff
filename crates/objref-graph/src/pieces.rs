//! Nodes cut into pieces that take about as long to explore: most nodes have a few edges, some have millions.

use std::ops::Range;

use crate::explore::{Explore, Reached};

/// What a piece weighs, in nodes of the usual weight.
pub const PIECE: usize = 1024;

/// A part of the edges of a node, or of all that is looked at: with this number, of so many of about the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Parts with lower ones come before it.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Part {
    /// All of it.
    pub const WHOLE: Part = Part { number: 0, of: 1 };
}

/// Some nodes, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the nodes stand.
    pub nodes: Range<usize>,
    /// What of them is explored.
    pub part: Part,
}

/// A node that weighs more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heavy {
    /// Where it stands.
    pub at: usize,
    /// How many usual nodes it takes as long to explore as.
    pub weight: usize,
}

/// Cuts nodes into pieces of [`PIECE`], in their order. `heavy` are those among them that weigh more than 1, in that order,
/// too: who weighs more than a piece is cut into parts.
pub fn cut(nodes: Range<usize>, heavy: &[Heavy]) -> impl Iterator<Item = Piece> {
    let mut heavy = heavy.iter().peekable();
    let (mut at, mut parts) = (nodes.start, 0..0);
    std::iter::from_fn(move || {
        if parts.is_empty() {
            let start = at;
            let mut room = PIECE;
            while at < nodes.end && room > 0 {
                let next = heavy.peek().map_or(nodes.end, |next| next.at);
                let usual = (next - at).min(room);
                (at, room) = (at + usual, room - usual);
                if at == nodes.end || at < next {
                    continue;
                }
                match heavy.peek() {
                    Some(next) if next.weight <= room => {
                        room -= next.weight;
                        at += 1;
                        heavy.next();
                    }
                    _ => break,
                }
            }
            if start < at {
                return Some(Piece {
                    nodes: start..at,
                    part: Part::WHOLE,
                });
            }
            // It is heavier than a piece.
            parts = 0..heavy.next()?.weight.div_ceil(PIECE) as u32;
            at += 1;
        }
        let of = parts.end;
        let number = parts.next()?;
        Some(Piece {
            nodes: at - 1..at,
            part: Part { number, of },
        })
    })
}

/// What the nodes weigh in all, of which these are heavy.
pub fn weight(nodes: usize, heavy: &[Heavy]) -> usize {
    heavy.iter().map(|heavy| heavy.weight).sum::<usize>() + nodes - heavy.len()
}

/// Which nodes of a graph may be heavy, found by their numbers: they are few, and it would take longer to ask for the weight of
/// each.
#[derive(Debug)]
pub(crate) struct Heavies {
    /// A bit for each 64 numbers, if any is.
    words: Vec<u64>,
}

impl Heavies {
    pub(crate) fn of(graph: &impl Explore) -> Heavies {
        let mut words = Vec::new();
        for nodes in graph.heavy().filter(|nodes| !nodes.is_empty()) {
            words.resize(graph.len().div_ceil(64 * 64), 0);
            for word in nodes.start / 64..=(nodes.end - 1) / 64 {
                words[word as usize / 64] |= 1 << (word % 64);
            }
        }
        Heavies { words }
    }

    /// Adds nodes to those that are reached. Returns those of them that are heavy; the first stands at `first`.
    pub(crate) fn reach(
        &self,
        graph: &impl Explore,
        reached: Reached<'_>,
        nodes: &[u32],
        first: usize,
    ) -> Vec<Heavy> {
        let mut heavy = Vec::new();
        reached.add(nodes, |word, run| {
            let may_be = |words: &u64| words >> (word % 64) & 1 != 0;
            if self.words.get(word / 64).is_some_and(may_be) {
                let nodes = (first + run.start..).zip(&nodes[run]);
                let nodes = nodes.map(|(at, node)| Heavy {
                    at,
                    weight: graph.weight(*node),
                });
                heavy.extend(nodes.filter(|heavy| heavy.weight > 1));
            }
        });
        heavy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_all_of_the_nodes_and_none_weighs_too_much(
            weights in prop::collection::vec(
                prop_oneof![9 => Just(1usize), 1 => 2usize..400, 1 => 400usize..5000], 0..4000,
            ),
            start in 0usize..9,
        ) {
            let all = start..start + weights.len();
            let heavy = all.clone().zip(&weights).filter(|(_, weight)| **weight > 1);
            let heavy: Vec<Heavy> = heavy.map(|(at, &weight)| Heavy { at, weight }).collect();
            let weight_of = |nodes: Range<usize>| -> usize {
                nodes.map(|at| weights[at - start]).sum()
            };
            prop_assert_eq!(weight(weights.len(), &heavy), weight_of(all.clone()));
            let (mut at, mut before) = (start, None::<(usize, bool)>);
            for Piece { nodes, part } in cut(all.clone(), &heavy) {
                let weight = weight_of(nodes.clone());
                if part == Part::WHOLE {
                    prop_assert_eq!(nodes.start, at);
                    prop_assert!(nodes.start < nodes.end && weight <= PIECE);
                    // The one before was full.
                    let next = weight_of(nodes.start..nodes.start + 1);
                    prop_assert!(before.is_none_or(|(weight, parted)| parted || weight + next > PIECE));
                    at = nodes.end;
                } else {
                    prop_assert_eq!(nodes.clone(), at..at + 1);
                    prop_assert_eq!(part.of as usize, weight.div_ceil(PIECE));
                    at += usize::from(part.number + 1 == part.of);
                }
                before = Some((weight, part != Part::WHOLE));
            }
            prop_assert_eq!(at, all.end);
        }
    }
}
