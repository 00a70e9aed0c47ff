//! The references of many objects at once.
//!
//! A heap is larger than any cache, and from an object to what it refers to it is five loads from main memory, each of
//! which tells where the next one is. For a single object the processor waits for them one after the other. Here every
//! step is taken for some dozens of objects before the next one, in loops whose loads do not wait for each other.

use std::hint::black_box;

use objref_mem::{Addr, AddressSpace};

use super::bits::{PointerBits, in_span_word};
use super::table::{Near, Object, Slot};
use super::{Heap, ObjId};

/// Pointers that are taken to their objects together.
const POINTERS: usize = 512;

/// Of an object, what is fetched ahead: more is seldom looked at, and the processor guesses it.
const AHEAD: u64 = 256;
const LINE: usize = 64;

/// A reference from one object to another.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'h> {
    /// Whose it is: index into the objects of the batch.
    pub holder: u32,
    /// Address of the pointer.
    pub word: Addr,
    /// Offset of the pointer in bytes from where the program's data starts in the holder's slot.
    pub offset: u64,
    /// The pointer.
    pub value: u64,
    /// The object that it points into.
    pub target: Object<'h>,
}

/// Some dozens of objects whose references are wanted, and memory to find them in.
#[derive(Debug, Default)]
pub struct Batch<'h> {
    objects: Vec<Object<'h>>,
    near: Near,
    found: Found<'h>,
}

#[derive(Debug, Default)]
struct Found<'h> {
    pointers: Vec<Pointer>,
    slots: Vec<(Pointer, Slot<'h>)>,
    references: Vec<Reference<'h>>,
}

#[derive(Clone, Copy, Debug)]
struct Pointer {
    holder: u32,
    word: Addr,
    offset: u64,
    value: u64,
}

impl<'h> Batch<'h> {
    /// Takes up the objects `ids`.
    pub fn load(&mut self, heap: &'h Heap, space: &AddressSpace, ids: impl Iterator<Item = ObjId>) {
        self.objects.clear();
        let near = &mut self.near;
        self.objects.extend(ids.map(|id| {
            let (span, at) = heap.locate_near(near, id);
            Object { id, span, at }
        }));
        let mut all = 0;
        for object in self.objects.iter().filter(|object| !object.span.noscan) {
            if let PointerBits::InSpan { offset } = object.span.bits {
                let word = in_span_word::<8>(object.span, offset, object.at);
                all ^= space.u8(word).unwrap_or(0);
            }
            for line in (0..object.span.elem_size.min(AHEAD)).step_by(LINE) {
                all ^= space.u8(Addr(object.at + line)).unwrap_or(0);
            }
        }
        black_box(all);
    }

    /// The objects of the batch.
    pub fn objects(&self) -> &[Object<'h>] {
        &self.objects
    }

    /// Calls `visit` with the references of all objects of the batch: those of the first before those of the second, and
    /// those of one in the order of their offsets. They come some hundred at a time.
    pub fn references(
        &mut self,
        heap: &'h Heap,
        space: &AddressSpace,
        mut visit: impl FnMut(&[Reference<'h>]),
    ) {
        let Batch { objects, found, .. } = self;
        for (holder, object) in (0..).zip(&*objects) {
            let start = heap.data_offset(object.span);
            heap.pointers_at(space, object.span, object.at, |offset, value| {
                found.pointers.push(Pointer {
                    holder,
                    word: Addr(object.at + offset),
                    offset: offset.wrapping_sub(start),
                    value,
                });
                if found.pointers.len() == POINTERS {
                    visit(found.resolve(heap));
                }
            });
        }
        visit(found.resolve(heap));
    }
}

impl<'h> Found<'h> {
    /// Takes the pointers to their objects, as [`super::ObjectTable::resolve`] does for one.
    fn resolve(&mut self, heap: &'h Heap) -> &[Reference<'h>] {
        self.slots.clear();
        let pointers = self.pointers.drain(..);
        self.slots
            .extend(pointers.filter_map(|pointer| Some((pointer, heap.slot(pointer.value)?))));
        self.references.clear();
        self.references
            .extend(self.slots.iter().filter_map(|(pointer, slot)| {
                Some(Reference {
                    holder: pointer.holder,
                    word: pointer.word,
                    offset: pointer.offset,
                    value: pointer.value,
                    target: heap.in_slot(*slot)?,
                })
            }));
        &self.references
    }
}
