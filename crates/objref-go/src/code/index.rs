//! Who refers to what in the code of a program: found once, by looking at every place where a reference may be encoded,
//! without measuring instructions. An instruction may be seen inside another one; whoever looks up a function here reads
//! it properly afterwards.

use objref_mem::{Addr, Arch};
use rayon::prelude::*;

use crate::module::AddrRange;
use crate::pclntab::{Func, FuncId, Pclntab};

/// How code refers to a static word, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Writes it.
    Store,
    /// Takes its address.
    Address,
    /// Reads it.
    Load,
}

/// The functions that refer to functions and to static data.
#[derive(Debug, Default)]
pub(crate) struct CodeIndex {
    /// Sorted.
    statics: Vec<(u64, Use, FuncId)>,
    /// (whose address is taken, by whom), sorted.
    taken: Vec<(FuncId, FuncId)>,
    /// (who is called, by whom), sorted.
    calls: Vec<(FuncId, FuncId)>,
}

/// What one function refers to.
#[derive(Default)]
struct Found {
    statics: Vec<(u64, Use, FuncId)>,
    taken: Vec<(FuncId, FuncId)>,
    calls: Vec<(FuncId, FuncId)>,
}

/// A reference in the code.
pub(super) enum Reference {
    /// A call of this address.
    Call(u64),
    /// A use of what lies there.
    Static(u64, Use),
}

/// Functions per piece of work.
const PIECE: usize = 256;

impl CodeIndex {
    /// Reads the code of all functions. References to data are kept that lead into `data`.
    pub(crate) fn read(tab: &Pclntab<'_>, arch: Arch, data: &[AddrRange]) -> CodeIndex {
        let scan: fn(&[u8], u64, &mut dyn FnMut(Reference)) = match arch {
            Arch::Amd64 => super::amd64_scan::references,
            _ => return CodeIndex::default(),
        };
        let functions: Vec<Func<'_>> = tab.functions().collect();
        let entries = Entries::new(&functions);
        let pieces: Vec<Found> = functions
            .par_chunks(PIECE)
            .map(|functions| {
                let mut found = Found::default();
                for function in functions {
                    let Some(code) = code_of(tab, function) else {
                        continue;
                    };
                    let id = function.id();
                    scan(
                        &code,
                        function.entry().0,
                        &mut |reference| match reference {
                            Reference::Call(at) => {
                                found
                                    .calls
                                    .extend(entries.at(at).map(|callee| (callee, id)));
                            }
                            Reference::Static(at, Use::Address) if entries.covers(at) => {
                                found.taken.extend(entries.at(at).map(|taken| (taken, id)));
                            }
                            Reference::Static(at, how) => {
                                if data.iter().any(|range| range.contains(Addr(at))) {
                                    found.statics.push((at, how, id));
                                }
                            }
                        },
                    );
                }
                found
            })
            .collect();
        let mut index = CodeIndex::default();
        for found in pieces {
            index.statics.extend(found.statics);
            index.taken.extend(found.taken);
            index.calls.extend(found.calls);
        }
        index.statics.par_sort_unstable();
        index.taken.par_sort_unstable();
        index.calls.par_sort_unstable();
        index.statics.dedup();
        index.taken.dedup();
        index.calls.dedup();
        index
    }

    /// The functions that refer to the static word at `at`, those that write it first.
    pub(crate) fn users(&self, at: Addr) -> impl Iterator<Item = (Use, FuncId)> + '_ {
        let first = self.statics.partition_point(|(known, ..)| *known < at.0);
        self.statics[first..]
            .iter()
            .take_while(move |(known, ..)| *known == at.0)
            .map(|(_, how, id)| (*how, *id))
    }

    /// Static addresses at or below `at` that code takes, with the functions that do, the nearest first.
    pub(crate) fn taken_below(&self, at: Addr) -> impl Iterator<Item = (Addr, FuncId)> + '_ {
        let after = self.statics.partition_point(|(known, ..)| *known <= at.0);
        let below = self.statics[..after].iter().rev();
        below
            .filter(|(_, how, _)| *how == Use::Address)
            .map(|(at, _, id)| (Addr(*at), *id))
    }

    /// The functions that take the address of a function.
    pub(crate) fn takers(&self, of: FuncId) -> impl Iterator<Item = FuncId> + '_ {
        sources(&self.taken, of)
    }

    /// The functions that call a function.
    pub(crate) fn callers(&self, of: FuncId) -> impl Iterator<Item = FuncId> + '_ {
        sources(&self.calls, of)
    }
}

fn sources(pairs: &[(FuncId, FuncId)], of: FuncId) -> impl Iterator<Item = FuncId> + '_ {
    let first = pairs.partition_point(|(target, _)| *target < of);
    pairs[first..]
        .iter()
        .take_while(move |(target, _)| *target == of)
        .map(|(_, source)| *source)
}

/// A function's instructions, with the padding after them.
pub(crate) fn code_of<'p>(
    tab: &Pclntab<'p>,
    function: &Func<'_>,
) -> Option<std::borrow::Cow<'p, [u8]>> {
    let len = function.end().0.checked_sub(function.entry().0)?;
    let len = len.min(MAX_CODE);
    tab.space().bytes(function.entry(), len as usize).ok()
}

/// Longer functions are cut.
const MAX_CODE: u64 = 1 << 20;

/// The entries of functions by address: a bit for every place where one may be, and the number of those before.
struct Entries {
    start: u64,
    words: Vec<(u64, u32)>,
    ids: Vec<FuncId>,
}

/// Functions are aligned to this many bytes.
const ALIGN: u64 = 16;
/// Text farther apart is not covered.
const MAX_TEXT: u64 = 1 << 34;

impl Entries {
    fn new(functions: &[Func<'_>]) -> Entries {
        let mut sorted: Vec<(u64, FuncId)> = functions
            .iter()
            .map(|f| (f.entry().0, f.id()))
            .filter(|(entry, _)| entry % ALIGN == 0)
            .collect();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(entry, _)| *entry);
        let start = sorted.first().map_or(0, |(entry, _)| *entry);
        sorted.retain(|(entry, _)| entry - start < MAX_TEXT);
        let last = sorted.last().map_or(0, |(entry, _)| entry - start);
        let mut words = vec![(0u64, 0u32); (last / ALIGN / 64 + 1) as usize];
        for (entry, _) in &sorted {
            let bit = (entry - start) / ALIGN;
            words[(bit / 64) as usize].0 |= 1 << (bit % 64);
        }
        let mut before = 0;
        for word in &mut words {
            word.1 = before;
            before += word.0.count_ones();
        }
        Entries {
            start,
            words,
            ids: sorted.into_iter().map(|(_, id)| id).collect(),
        }
    }

    /// Whether the address is in the text.
    fn covers(&self, at: u64) -> bool {
        at >= self.start && (at - self.start) / ALIGN / 64 < self.words.len() as u64
    }

    /// The function that starts at the address.
    fn at(&self, at: u64) -> Option<FuncId> {
        let offset = at.checked_sub(self.start).filter(|o| o % ALIGN == 0)?;
        let bit = offset / ALIGN;
        let (word, before) = *self.words.get((bit / 64) as usize)?;
        let mask = 1u64 << (bit % 64);
        if word & mask == 0 {
            return None;
        }
        let rank = before + (word & (mask - 1)).count_ones();
        self.ids.get(rank as usize).copied()
    }
}
