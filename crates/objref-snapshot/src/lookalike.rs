//! The last resort for objects that nothing tells the type of: where their slot and pointers are those of one type only,
//! of all types that objects of this heap are known to have, they are called that, and marked as a guess.

use objref_go::ObjId;
use objref_mem::Addr;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::infer::Inference;
use crate::mask::Mask;
use crate::types::TypeId;
use crate::view::{Code, Fit, Form, Source};

/// A type of which there are fewer objects is hardly the type of one more.
const MANY: u32 = 16;
/// Smaller objects look too much alike.
const MIN_SIZE: u64 = 24;

/// Types by their pointer words.
type ByMask = FxHashMap<u64, Vec<TypeId>>;

impl Inference<'_> {
    /// Finds a type for the objects among those reached that have none; returns those for which there is one.
    pub(crate) fn guess(&mut self, reached: impl Fn(u32) -> bool + Sync) -> Vec<u32> {
        let untyped: Vec<u32> = self.views.unknown().filter(|o| reached(*o)).collect();
        if untyped.is_empty() {
            return Vec::new();
        }
        let candidates = self.candidates();
        let mut guessed = Vec::new();
        for object in untyped {
            if let Some(ty) = self.lookalike(object, &candidates) {
                let code = Code::new(Fit::Possible, Source::Layout, Form::One, ty);
                self.views.offer(object, code, &self.model.types);
                guessed.push(object);
            }
        }
        guessed
    }

    /// The types that fill many objects, if they have pointers: without any, one is like the other.
    fn candidates(&self) -> ByMask {
        let types = &self.model.types;
        let mut seen = vec![0u32; types.len()];
        for (code, count) in self.views.counts() {
            if code.form() == Form::One && code.fit() >= Fit::Whole {
                seen[code.ty().0 as usize] += count;
            }
        }
        let mut by_mask = ByMask::default();
        for ty in types.ids().filter(|ty| seen[ty.0 as usize] >= MANY) {
            let Mask { all, type_words } = self.shapes.get(&self.model, ty).mask;
            let mask = all & !type_words;
            let traits = types.traits(ty);
            let telling = self.model.get(ty).size >= MIN_SIZE && mask != 0;
            if telling && !traits.closure && !traits.channel && traits.map_part.is_none() {
                by_mask.entry(mask).or_default().push(ty);
            }
        }
        by_mask
    }

    /// The only type that looks like the object.
    fn lookalike(&self, object: u32, candidates: &ByMask) -> Option<TypeId> {
        let (heap, space) = (self.heap, &self.process.space);
        let (span, at) = heap.locate(ObjId(object));
        let start = heap.data_offset(span);
        let mask = heap.pointer_mask(space, span, at)?;
        // Closures start with the address of code, and are like nothing else.
        let first = space.ptr(Addr(at + start)).ok()?;
        if self.process.modules.iter().any(|m| m.text.contains(first)) {
            return None;
        }
        let mut fitting = candidates.get(&mask)?.iter().copied().filter(|ty| {
            let size = self.model.get(*ty).size;
            span.is_filled_by(size.saturating_add(start))
        });
        let ty = fitting.next()?;
        let name = &self.model.get(ty).name;
        fitting
            .all(|other| self.model.get(other).name == *name)
            .then_some(ty)
    }
}
