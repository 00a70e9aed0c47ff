//! Typed regions of static data: package-level variables, and what the compiler laid out behind them.
//!
//! `var store = &Store{...}` is a pointer variable and an unnamed `Store` in the data segment. The second is typed and
//! named through the first, so that what it holds appears under `main.store`.

use std::collections::BTreeMap;
use std::sync::Arc;

use objref_go::{AddrRange, RootPointer};
use objref_mem::Addr;

use crate::infer::Inference;
use crate::shape::Hold;
use crate::stripped::{STRIPPED, segment_offset};
use crate::symbols::DataSymbols;
use crate::types::TypeId;
use crate::view::Form;

/// A piece of static data with a type.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) ty: TypeId,
    /// Size of a value; the region holds one or several.
    pub(crate) size: u64,
    /// Index of the variable that it belongs to.
    pub(crate) variable: u32,
    /// The way from the variable to the region; empty for the variable itself.
    pub(crate) prefix: Arc<str>,
}

/// Typed static data by address.
pub(crate) struct Statics {
    regions: BTreeMap<u64, Region>,
    /// Names of the variables.
    pub(crate) variables: Vec<String>,
}

impl Statics {
    /// The variables of the binary, and what can be reached from them without leaving static data. `pointers` are the
    /// pointer words of static data, sorted by slot.
    pub(crate) fn new(
        infer: &mut Inference<'_>,
        pointers: &[RootPointer],
        symbols: &mut DataSymbols<'_>,
    ) -> Statics {
        let process = infer.process;
        let segments: Vec<AddrRange> = process
            .modules
            .iter()
            .flat_map(|m| [m.data, m.bss])
            .collect();
        let mut statics = Statics {
            regions: BTreeMap::new(),
            variables: Vec::new(),
        };
        let mut work = Vec::new();
        let found = infer.ask(|model| model.found_variables());
        let described = process.debug.globals().iter().map(|v| {
            let start = process.bias.to_addr(v.addr);
            (v.name.to_string(), start, TypeId::of(v.ty))
        });
        for (name, Addr(start), ty) in described.chain(found) {
            let size = infer.model.get(ty).size;
            if size == 0 || !segments.iter().any(|s| s.contains(Addr(start))) {
                continue;
            }
            let index = statics.variables.len() as u32;
            statics.variables.push(name);
            let Some(end) = start.checked_add(size) else {
                continue;
            };
            let region = Region {
                start,
                end,
                ty,
                size,
                variable: index,
                prefix: "".into(),
            };
            if statics.insert(region) {
                work.push(start);
            }
        }
        statics.recover(infer, pointers, symbols, &mut work);
        let mut next = 0;
        while let Some(&start) = work.get(next) {
            next += 1;
            statics.follow(infer, pointers, &segments, start, &mut work);
        }
        statics
    }

    /// Variables that only code knows.
    fn recover(
        &mut self,
        infer: &mut Inference<'_>,
        pointers: &[RootPointer],
        symbols: &mut DataSymbols<'_>,
        work: &mut Vec<u64>,
    ) {
        if infer.code.is_none() {
            return;
        }
        for pointer in pointers {
            if self.at(pointer.slot.0).is_some() || infer.heap.span_at(pointer.value).is_none() {
                continue;
            }
            let Some((start, ty)) = infer.static_variable(pointer.slot) else {
                continue;
            };
            let size = infer.model.get(ty).size;
            let variable = symbols.name_index(start, &mut self.variables);
            let prefix = match self.variables[variable as usize] == STRIPPED {
                true => segment_offset(infer.process, start),
                false => String::new(),
            };
            let region = Region {
                start: start.0,
                end: start.0.saturating_add(size),
                ty,
                size,
                variable,
                prefix: prefix.into(),
            };
            if size > 0 && self.insert(region) {
                work.push(start.0);
            }
        }
    }

    /// Types what the region's pointers lead to in static data.
    fn follow(
        &mut self,
        infer: &mut Inference<'_>,
        pointers: &[RootPointer],
        segments: &[AddrRange],
        start: u64,
        work: &mut Vec<u64>,
    ) {
        let Some(region) = self.regions.get(&start).cloned() else {
            return;
        };
        let first = pointers.partition_point(|p| p.slot.0 < region.start);
        for pointer in pointers[first..]
            .iter()
            .take_while(|p| p.slot.0 < region.end)
        {
            let Some(segment) = segments.iter().find(|s| s.contains(Addr(pointer.value))) else {
                continue;
            };
            if self.at(pointer.value).is_some() {
                continue;
            }
            let offset = (pointer.slot.0 - region.start) % region.size;
            let Some(place) = infer.place(region.ty, offset, pointer.slot) else {
                continue;
            };
            let (hold, at) = (place.slot().hold, place.at);
            let many = region.end - region.start > region.size;
            let path = infer.path(region.ty, offset, &region.prefix, many);
            let Some(said) = infer.settle(hold, at, pointer.value) else {
                continue;
            };
            let size = infer.model.get(said.ty).size;
            let count = match (said.form, hold) {
                (Form::Text | Form::Opaque, _) => continue,
                (Form::One, _) => 1,
                (Form::Many, Hold::Slice(_)) => infer.process.space.u64(at.add(16)).unwrap_or(0),
                (Form::Many, _) => 1,
            };
            let Some(end) = size
                .checked_mul(count)
                .and_then(|len| pointer.value.checked_add(len))
            else {
                continue;
            };
            let new = Region {
                start: pointer.value,
                end,
                ty: said.ty,
                size,
                variable: region.variable,
                prefix: path.into(),
            };
            if size > 0 && count > 0 && end <= segment.end.0 && self.insert(new) {
                work.push(pointer.value);
            }
        }
    }

    /// Adds a region unless another one overlaps it.
    fn insert(&mut self, region: Region) -> bool {
        let clear = self
            .regions
            .range(..region.end)
            .next_back()
            .is_none_or(|(_, r)| r.end <= region.start);
        if clear {
            self.regions.insert(region.start, region);
        }
        clear
    }

    /// The region that covers the address.
    pub(crate) fn at(&self, addr: u64) -> Option<&Region> {
        let (_, region) = self.regions.range(..=addr).next_back()?;
        (addr < region.end).then_some(region)
    }
}
