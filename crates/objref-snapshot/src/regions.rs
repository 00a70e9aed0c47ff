//! References into the middle of objects: they tell of a part, not of the whole.

use objref_go::ObjId;

use crate::infer::Said;
use crate::types::TypeId;
use crate::view::Form;

/// A part of an object whose type a reference tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region {
    pub(crate) object: u32,
    /// Where it starts, in words from the start of the object's data.
    pub(crate) word: u32,
    pub(crate) ty: TypeId,
    /// Whether there may be several values.
    pub(crate) many: bool,
}

impl Region {
    pub(crate) fn new(object: ObjId, offset: u64, said: Said) -> Region {
        Region {
            object: object.0,
            word: u32::try_from(offset / 8).unwrap_or(u32::MAX),
            ty: said.ty,
            many: said.form != Form::One,
        }
    }
}
