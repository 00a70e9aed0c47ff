//! Which words of a type hold pointers, as the runtime's own masks have it.

use crate::types::{Kind, TypeId, TypeModel};

/// Types contain one another by value at most this deep; deeper is taken for damage.
const MAX_DEPTH: u32 = 128;

/// A bit a word for the first `len * 64` words of `ty`.
pub(crate) fn pointer_mask(model: &TypeModel<'_>, ty: TypeId, len: usize) -> Vec<u64> {
    let mut bits = Bits {
        model,
        words: vec![0; len],
        steps: Steps::default(),
    };
    bits.mark(ty, 0, 0);
    bits.words
}

struct Bits<'m, 'p> {
    model: &'m TypeModel<'p>,
    words: Vec<u64>,
    steps: Steps,
}

/// How much of a type is looked at: damaged types that consist of one another many times over have no end.
pub(crate) struct Steps(u32);

impl Default for Steps {
    fn default() -> Self {
        Steps(1 << 16)
    }
}

impl Steps {
    /// Whether one more part may be looked at.
    pub(crate) fn take(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

impl Bits<'_, '_> {
    fn mark(&mut self, ty: TypeId, at: u64, depth: u32) {
        if depth > MAX_DEPTH || !self.steps.take() || at >= self.words.len() as u64 * 512 {
            return;
        }
        let model = self.model;
        let ty = model.get(ty);
        match ty.kind {
            Kind::Scalar => {}
            // An interface's first word leads to its type, which may have been made at run time.
            Kind::Interface | Kind::EmptyInterface => {
                self.set(at);
                self.set(at + 8);
            }
            Kind::Pointer(_)
            | Kind::UnsafePointer
            | Kind::Slice(_)
            | Kind::String
            | Kind::Map { .. }
            | Kind::Chan { .. }
            | Kind::Func => self.set(at),
            Kind::Array(elem, count) => {
                let size = model.get(elem).size;
                if size == 0 || !has_pointers(model, elem, depth, &mut self.steps) {
                    return;
                }
                let room = (self.words.len() as u64 * 512 - at).div_ceil(size);
                for i in 0..count.min(room) {
                    self.mark(elem, at + i * size, depth + 1);
                }
            }
            Kind::Struct => {
                for field in &ty.fields {
                    self.mark(field.ty, at.saturating_add(field.offset), depth + 1);
                }
            }
        }
    }

    fn set(&mut self, at: u64) {
        if let Some(word) = self.words.get_mut((at / 512) as usize) {
            *word |= 1 << (at / 8 % 64);
        }
    }
}

/// Whether values of `ty`, which is `depth` deep in another type, hold pointers.
pub(crate) fn has_pointers(
    model: &TypeModel<'_>,
    ty: TypeId,
    depth: u32,
    steps: &mut Steps,
) -> bool {
    if depth > MAX_DEPTH || !steps.take() {
        return false;
    }
    let ty = model.get(ty);
    match ty.kind {
        Kind::Scalar => false,
        Kind::Array(elem, count) => count > 0 && has_pointers(model, elem, depth + 1, steps),
        Kind::Struct => ty
            .fields
            .iter()
            .any(|f| has_pointers(model, f.ty, depth + 1, steps)),
        _ => true,
    }
}
