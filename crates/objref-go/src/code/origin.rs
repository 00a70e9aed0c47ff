//! From a value back to where it was made, through all the ways that lead to it.

use rustc_hash::FxHashSet;

use super::graph::{Graph, Place, Value};

/// The makers of a value, each once, in the order in which they are met. What a register or slot held when the function
/// began is a [`Value::Entry`] of its first block.
pub(crate) type Origins = Vec<Value>;

/// More ways than this are not followed.
const MAX_VISITS: usize = 4096;
const MAX_ORIGINS: usize = 32;

impl Graph {
    /// Where a value was made. Empty where that is not known.
    pub(crate) fn origins(&self, value: Value) -> Origins {
        let mut found = Origins::new();
        let mut seen: FxHashSet<(u32, Place)> = FxHashSet::default();
        let mut work = vec![value];
        let mut visits = 0;
        while let Some(value) = work.pop() {
            visits += 1;
            if visits > MAX_VISITS || found.len() > MAX_ORIGINS {
                return Origins::new();
            }
            match value {
                Value::Other | Value::Pair(..) => {}
                Value::Entry { block, place } if block > 0 => {
                    if seen.insert((block, place)) {
                        let before = self.blocks.get(block as usize).map(|b| &b.before);
                        let before = before.into_iter().flatten();
                        work.extend(before.rev().map(|b| self.at_end(*b, place)));
                    }
                }
                Value::Either(a, b) => {
                    work.extend([self.value(b), self.value(a)]);
                }
                made if found.contains(&made) => {}
                made => found.push(made),
            }
        }
        found
    }
}
