//! Names for data that no variable covers: caches of the compiler, tables of the linker.

use objref_mem::{Addr, Image, LinkAddr, LoadBias, SymbolKind};

use crate::stripped::STRIPPED;

/// The data symbols of the binary, read when the first is asked for.
pub(crate) struct DataSymbols<'a> {
    image: &'a Image,
    bias: LoadBias,
    /// Sorted by address: (start, end, name).
    sorted: Option<Vec<(LinkAddr, LinkAddr, &'a str)>>,
    /// The last name given out, and the range it is good for.
    last: Option<(LinkAddr, LinkAddr, u32)>,
}

impl<'a> DataSymbols<'a> {
    pub(crate) fn new(image: &'a Image, bias: LoadBias) -> Self {
        DataSymbols {
            image,
            bias,
            sorted: None,
            last: None,
        }
    }

    /// Index in `names` of the symbol that covers `slot`; asked for in the order of addresses.
    pub(crate) fn name_index(&mut self, slot: Addr, names: &mut Vec<String>) -> u32 {
        let at = self.bias.to_link(slot);
        if let Some((start, end, index)) = self.last
            && start <= at
            && at < end
        {
            return index;
        }
        let image = self.image;
        let sorted = self.sorted.get_or_insert_with(|| {
            let mut all: Vec<_> = image
                .symbols()
                .filter(|s| s.kind == SymbolKind::Object && s.size > 0)
                .map(|s| (s.addr, s.addr.add(s.size), s.name))
                .collect();
            all.sort_unstable();
            all
        });
        let after = sorted.partition_point(|s| s.0 <= at);
        let (start, end, name) = match sorted[..after].last() {
            Some((start, end, name)) if at < *end => (*start, *end, *name),
            // Nothing has a name: no need to look again.
            _ if sorted.is_empty() => (LinkAddr(0), LinkAddr(u64::MAX), STRIPPED),
            _ => (at, at.add(1), "(unnamed data)"),
        };
        let index = match names.iter().rposition(|n| *n == name) {
            Some(index) => index,
            None => {
                names.push(name.to_owned());
                names.len() - 1
            }
        };
        self.last = Some((start, end, index as u32));
        index as u32
    }
}
