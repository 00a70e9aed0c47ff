//! Lengauer and Tarjan's algorithm: dominators from the edges by the numbers of a depth-first search.

use crate::columns::cut;
use crate::forest::Incoming;

/// Numbers that are done before the memory of their columns is given back.
const DONE: u32 = 1 << 18;

/// Per number, that of its immediate dominator; 0 for 0. `edges` are those beside the forest of `parents`.
///
/// Numbers are done from the last to the first, and what is known of those that are done replaces what was known before.
pub(crate) fn immediate(mut parents: Vec<u32>, mut edges: Incoming) -> Vec<u32> {
    let nodes = parents.len();
    let mut links = Links {
        last: nodes as u32 - 1,
        links: Vec::with_capacity(nodes),
        path: Vec::new(),
    };
    // Lists of the numbers that have one semidominator; 0 is in none. What came out of its list has its dominator, or one
    // with the same dominator, in place of the next in the list.
    let mut first: Vec<u32> = vec![0; nodes];
    let mut idom: Vec<u32> = vec![0; nodes];
    // A bit per number: that it has one with the same dominator.
    let mut same = vec![0u64; nodes.div_ceil(64)];
    for w in (1..nodes as u32).rev() {
        let parent = parents[w as usize];
        let led_to = edges.row(w).iter().map(|&from| match from < w {
            true => from,
            false => links.eval(from).semi,
        });
        let semi = led_to.fold(parent, u32::min);
        let list = &mut first[semi as usize];
        idom[w as usize] = std::mem::replace(list, w);
        links.push(parent, semi);
        let mut v = std::mem::take(&mut first[parent as usize]);
        while v != 0 {
            let best = links.eval(v);
            // Its own semidominator is the parent.
            let above = if best.semi < parent {
                same[v as usize / 64] |= 1 << (v % 64);
                best.label
            } else {
                parent
            };
            v = std::mem::replace(&mut idom[v as usize], above);
        }
        if w.is_multiple_of(DONE) {
            cut(&mut parents, w as usize);
            cut(&mut first, w as usize);
            edges.cut(w);
        }
    }
    for w in 1..nodes {
        if same[w / 64] >> (w % 64) & 1 != 0 {
            idom[w] = idom[idom[w] as usize];
        }
    }
    idom
}

/// What is known of a number whose semidominator is.
#[derive(Clone, Copy)]
struct Link {
    /// An ancestor: the parent, until a path was made shorter.
    above: u32,
    /// The number with the smallest semidominator from this one up to below `above`.
    label: u32,
    /// That semidominator.
    semi: u32,
}

/// The forest of the numbers whose semidominators are known, with its paths made shorter as they are walked.
struct Links {
    /// The number of the first of `links`; each of the others has the number below that of the one before it.
    last: u32,
    links: Vec<Link>,
    /// Space for a path.
    path: Vec<u32>,
}

impl Links {
    /// Adds the next number.
    fn push(&mut self, parent: u32, semi: u32) {
        self.links.push(Link {
            above: parent,
            label: self.last - self.links.len() as u32,
            semi,
        });
    }

    /// The number with the smallest semidominator from `v`, which is in the forest, up to the root of its tree, and that
    /// semidominator.
    #[inline]
    fn eval(&mut self, v: u32) -> Link {
        let known = self.links.len();
        let mut at = (self.last - v) as usize;
        loop {
            let above = (self.last - self.links[at].above) as usize;
            if above >= known {
                break;
            }
            self.path.push(at as u32);
            at = above;
        }
        // `at` hangs from a number that is not in the forest; all below it now hang from that, too.
        let mut best = self.links[at];
        while let Some(below) = self.path.pop() {
            let link = &mut self.links[below as usize];
            link.above = best.above;
            if best.semi < link.semi {
                *link = best;
            } else {
                best = *link;
            }
        }
        best
    }
}
