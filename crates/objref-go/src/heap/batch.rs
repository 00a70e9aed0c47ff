//! The references of many objects at once.
//!
//! A heap is larger than any cache, and from an object to what it refers to it is five loads from main memory, each of
//! which tells where the next one is. For a single object the processor waits for them one after the other. Here every
//! step is taken for some dozens of objects before the next one, in loops whose loads do not wait for each other.

use std::iter;
use std::ops::Range;

use objref_mem::{Addr, AddressSpace};

use super::bits::max_in_span;
use super::table::{Object, ObjectTable, Slot};
use super::{Heap, ObjId};

/// Pointers that are taken to their objects together.
const POINTERS: usize = 512;

/// Objects that keep their bits in the span are not larger.
const HEAD: u64 = max_in_span(8);
/// How much of an object is fetched ahead, line by line: more is seldom looked at, and the processor guesses it.
const AHEAD: u64 = 4 * LINE;
const LINE: u64 = 64;

/// Bytes that parts of objects are multiples of: words whose bits make up one word.
const PART: u64 = 64 * 8;

/// A reference from one object to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference {
    /// Whose it is: index into the objects of the batch.
    pub holder: u16,
    /// Whether the target is known to hold no pointers.
    pub to_leaf: bool,
    /// The object that it points into.
    pub target: ObjId,
    /// Offset of the pointer in bytes from where the program's data starts in the holder's slot.
    pub offset: u64,
    /// The pointer.
    pub value: u64,
    slot: Slot,
}

impl Reference {
    /// The object that it points into, which is in `heap`.
    #[inline]
    pub fn object<'h>(&self, heap: &'h Heap) -> Object<'h> {
        heap.object(self.target, self.slot)
    }
}

/// Some dozens of objects whose references are wanted, and memory to find them in.
#[derive(Debug, Default)]
pub struct Batch<'h> {
    objects: Vec<Object<'h>>,
    /// Where in each slot references are wanted, in bytes from its start.
    within: Range<u64>,
    found: Found,
}

/// What has been found, up to `len`.
#[derive(Debug)]
struct Found {
    references: Box<[Reference; POINTERS]>,
    len: usize,
}

impl<'h> Batch<'h> {
    /// Takes up the objects `ids`.
    pub fn load(
        &mut self,
        heap: &'h Heap,
        space: &'h AddressSpace,
        ids: impl Iterator<Item = ObjId>,
    ) {
        let little = space.little_stretch();
        let mut near = 0;
        self.within = 0..u64::MAX;
        self.objects.clear();
        self.objects.extend(ids.map(|id| {
            let object = heap.object_near(id, &mut near);
            let Object { span, at, .. } = object;
            for line in (0..span.elem_size.min(AHEAD)).step_by(LINE as usize) {
                little.prefetch(Addr(at + line));
            }
            Heap::prefetch_mask(&little, span, at);
            object
        }));
    }

    /// Takes up the object `id` alone, of whose references those are wanted that are in the part with this number of as many
    /// parts; [`Heap::has_parts`].
    pub fn load_part(
        &mut self,
        heap: &'h Heap,
        space: &'h AddressSpace,
        id: ObjId,
        (number, parts): (u64, u64),
    ) {
        self.load(heap, space, iter::once(id));
        let size = heap.size(id).div_ceil(parts).next_multiple_of(PART);
        self.within = number * size..(number + 1) * size;
    }

    /// Where in each slot references are wanted, in bytes from its start.
    pub fn within(&self) -> Range<u64> {
        self.within.clone()
    }

    /// The objects of the batch.
    #[inline]
    pub fn objects(&self) -> &[Object<'h>] {
        &self.objects
    }

    /// Calls `visit` with the references of all objects of the batch: those of the first before those of the second, and
    /// those of one in the order of their offsets. They come some hundred at a time.
    pub fn references(
        &mut self,
        heap: &Heap,
        space: &AddressSpace,
        visit: &mut dyn FnMut(&[Reference]),
    ) {
        let Batch {
            objects,
            within,
            found,
        } = self;
        let little = space.little_stretch();
        for (holder, object) in (0..).zip(objects) {
            let Object { span, at, .. } = *object;
            if span.noscan {
                continue;
            }
            // What is not as simple as most takes longer.
            if span.elem_size <= HEAD
                && let Some(bytes) = little.get(Addr(at), span.elem_size as usize)
                && let Some(mask) = heap.pointer_mask_in(&little, space, span, at)
            {
                if found.len > POINTERS - 64 {
                    visit(found.resolve(heap));
                }
                found.gather(holder, bytes, mask);
                continue;
            }
            let start = heap.data_offset(span);
            heap.pointers_within(space, span, at, within.clone(), |offset, value| {
                if found.len == POINTERS {
                    visit(found.resolve(heap));
                }
                found.push(holder, offset.wrapping_sub(start), value);
            });
        }
        visit(found.resolve(heap));
    }
}

impl Default for Found {
    fn default() -> Self {
        Found {
            references: Box::new([Reference::default(); POINTERS]),
            len: 0,
        }
    }
}

impl Found {
    /// Takes up the words of `bytes`, lowest byte first, whose bit is set, unless they are nil. There is room for 64.
    #[inline]
    fn gather(&mut self, holder: u16, bytes: &[u8], mut mask: u64) {
        let (words, _) = bytes.as_chunks::<8>();
        let mut len = self.len;
        while mask != 0 {
            let word = mask.trailing_zeros();
            mask &= mask - 1;
            let Some(raw) = words.get(word as usize) else {
                break;
            };
            let value = u64::from_le_bytes(*raw);
            self.put(len, holder, u64::from(word) * 8, value);
            // Whether a pointer is nil cannot be guessed.
            len += usize::from(value != 0);
        }
        self.len = len;
    }

    #[inline]
    fn put(&mut self, at: usize, holder: u16, offset: u64, value: u64) {
        let reference = &mut self.references[at % POINTERS];
        (reference.holder, reference.offset, reference.value) = (holder, offset, value);
    }

    fn push(&mut self, holder: u16, offset: u64, value: u64) {
        self.put(self.len, holder, offset, value);
        self.len += 1;
    }

    /// Takes the pointers to their objects, as [`ObjectTable::resolve`] does for one, and forgets them.
    fn resolve(&mut self, heap: &ObjectTable) -> &[Reference] {
        let references = &mut self.references[..self.len];
        self.len = 0;
        let mut objects = 0;
        for i in 0..references.len() {
            if let Some((target, slot, is_leaf)) = heap.place(references[i].value) {
                let reference = keep(references, i, objects);
                (reference.target, reference.slot) = (target, slot);
                reference.to_leaf = is_leaf;
                objects += 1;
            }
        }
        &references[..objects]
    }
}

/// Moves what is at `from` down to `to`, which is nearly always the same place.
#[inline]
fn keep(references: &mut [Reference], from: usize, to: usize) -> &mut Reference {
    if from != to {
        references[to] = references[from];
    }
    &mut references[to]
}
