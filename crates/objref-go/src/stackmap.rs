//! Which words of a frame hold live pointers, as the compiler wrote it down.

use std::borrow::Cow;
use std::rc::Rc;

use objref_mem::{Addr, AddressSpace, Arch};
use rustc_hash::FxHashMap;

use crate::gcprog;
use crate::layout::{LayoutError, StructSource, find_size, layout};
use crate::pclntab::{
    FUNCDATA_ARGS_POINTER_MAPS, FUNCDATA_LOCALS_POINTER_MAPS, FUNCDATA_STACK_OBJECTS, Func, FuncId,
    PCDATA_STACK_MAP_INDEX, Pclntab,
};
use crate::unwind::Frame;

/// One bit a word, least significant first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits<'p> {
    pub(crate) len: u64,
    pub(crate) bytes: Cow<'p, [u8]>,
}

impl Bits<'_> {
    /// One more than the number of the highest bit that is set. Maps of assembly functions are longer than that.
    // cmd/compile/internal/liveness/plive.go: WriteFuncMap
    pub(crate) fn reach(&self) -> u64 {
        match self.bytes.iter().rposition(|byte| *byte != 0) {
            Some(i) => {
                let end = i as u64 * 8 + u64::from(8 - self.bytes[i].leading_zeros());
                end.min(self.len)
            }
            None => 0,
        }
    }

    /// Numbers of the bits that are set.
    pub(crate) fn ones(&self) -> impl Iterator<Item = u64> + '_ {
        let len = self.len;
        let groups = self
            .bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte != 0);
        groups
            .flat_map(|(i, &byte)| {
                (0..8)
                    .filter(move |b| byte >> b & 1 != 0)
                    .map(move |b| i as u64 * 8 + b)
            })
            .take_while(move |&i| i < len)
    }
}

/// A local variable whose address is taken: it is alive only while a live pointer points to it.
#[derive(Clone, Debug)]
pub(crate) struct StackObject<'p> {
    /// Negative: below the end of the locals. Otherwise: above the start of the arguments.
    pub(crate) offset: i32,
    pub(crate) size: u32,
    pub(crate) mask: Bits<'p>,
}

/// The live pointers of a frame.
pub(crate) struct FrameMaps<'p> {
    /// Covers the words below the end of the locals.
    pub(crate) locals: Bits<'p>,
    /// Covers the words from the start of the arguments.
    pub(crate) args: Bits<'p>,
    pub(crate) objects: Rc<[StackObject<'p>]>,
}

/// The compiler's maps are missing or make no sense for this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMap;

layout! {
    // runtime/stack.go: stackObjectRecord, go1.18+; the pointer bytes were negative for GC programs up to go1.23
    struct RecordLayout = "runtime.stackObjectRecord" {
        off: "off",
        size: "size",
        ptr_bytes: "ptrBytes | _ptrdata",
        gcdata: "gcdataoff",
    }
}

layout! {
    // runtime/stkframe.go: reflectMethodValue
    struct MethodValueLayout = "runtime.reflectMethodValue" {
        func: "fn",
        stack: "stack",
        arg_len: "argLen",
    }
}

layout! {
    // internal/abi/abi.go: RegArgs
    struct RegArgsLayout = "internal/abi.RegArgs" {
        ptrs: "Ptrs",
    }
}

/// Reads the compiler's maps; remembers those it has read.
pub(crate) struct StackMaps<'p> {
    tab: &'p Pclntab<'p>,
    space: &'p AddressSpace,
    arch: Arch,
    record: RecordLayout,
    record_size: u64,
    method_value: Option<MethodValueLayout>,
    reg_args: Rc<[StackObject<'p>]>,
    maps: FxHashMap<(FuncId, Addr, bool), Result<Rc<FrameMaps<'p>>, NoMap>>,
    objects: FxHashMap<FuncId, Rc<[StackObject<'p>]>>,
}

/// A function has fewer of them; more is taken for damage.
const MAX_STACK_OBJECTS: u64 = 1 << 20;

impl<'p> StackMaps<'p> {
    pub(crate) fn new(
        tab: &'p Pclntab<'p>,
        source: &dyn StructSource,
    ) -> Result<Self, LayoutError> {
        Ok(StackMaps {
            tab,
            space: tab.space(),
            arch: tab.space().arch(),
            record: RecordLayout::resolve(source)?,
            record_size: find_size(source, "runtime.stackObjectRecord")
                .unwrap_or(16)
                .max(1),
            method_value: MethodValueLayout::resolve(source).ok(),
            reg_args: reg_args_object(source, tab.space().word_size()),
            maps: FxHashMap::default(),
            objects: FxHashMap::default(),
        })
    }

    /// The maps of `frame`, which is alive.
    // runtime/stkframe.go: (*stkframe).getStackMap
    pub(crate) fn of(&mut self, frame: &Frame) -> Result<Rc<FrameMaps<'p>>, NoMap> {
        let has_locals = frame.varp.0.saturating_sub(frame.sp.0) > self.arch.empty_frame_size();
        let key = (frame.func, frame.continpc, has_locals);
        if let Some(known) = self.maps.get(&key) {
            return known.clone();
        }
        let f = self.tab.func(frame.func).ok_or(NoMap)?;
        if f.args().is_none()
            && matches!(f.name(), "reflect.makeFuncStub" | "reflect.methodValueCall")
        {
            // What such a frame holds depends on the call: it is not remembered.
            return self.reflect_stub(&f, frame, has_locals).map(Rc::new);
        }
        let maps = self.read(&f, frame.continpc, has_locals).map(Rc::new);
        self.maps.insert(key, maps.clone());
        maps
    }

    fn read(
        &mut self,
        f: &Func<'p>,
        continpc: Addr,
        has_locals: bool,
    ) -> Result<FrameMaps<'p>, NoMap> {
        let index = map_index(f, continpc);
        let locals = if has_locals {
            self.map(f, FUNCDATA_LOCALS_POINTER_MAPS, index)?
        } else {
            Bits::default()
        };
        // Functions whose arguments differ from call to call, and which are not those of reflect, have none.
        let args = match f.args() {
            Some(bytes) if u64::from(bytes) >= self.space.word_size() => {
                self.map(f, FUNCDATA_ARGS_POINTER_MAPS, index)?
            }
            _ => Bits::default(),
        };
        Ok(FrameMaps {
            locals,
            args,
            objects: self.stack_objects(f)?,
        })
    }

    /// Row `index` of a table of bitmaps.
    // runtime/symtab.go: stackmap {n i32, nbit i32, bytedata}, stackmapdata
    fn map(&self, f: &Func<'p>, table: u32, index: u32) -> Result<Bits<'p>, NoMap> {
        let at = f.funcdata(table).ok_or(NoMap)?;
        let rows = self.space.u32(at).map_err(|_| NoMap)?;
        let len = u64::from(self.space.u32(at.add(4)).map_err(|_| NoMap)?);
        if rows == 0 || rows > i32::MAX as u32 || len > i32::MAX as u64 {
            return Err(NoMap);
        }
        if len == 0 {
            return Ok(Bits::default());
        }
        if index >= rows {
            return Err(NoMap);
        }
        let row = len.div_ceil(8);
        let bytes = self
            .space
            .bytes(at.add(8 + u64::from(index) * row), row as usize)
            .map_err(|_| NoMap)?;
        Ok(Bits { len, bytes })
    }

    fn stack_objects(&mut self, f: &Func<'p>) -> Result<Rc<[StackObject<'p>]>, NoMap> {
        if let Some(known) = self.objects.get(&f.id()) {
            return Ok(known.clone());
        }
        let mut objects = Vec::new();
        if let Some(at) = f.funcdata(FUNCDATA_STACK_OBJECTS) {
            let word = self.space.word_size();
            let count = self.space.word(at).map_err(|_| NoMap)?;
            if count > MAX_STACK_OBJECTS {
                return Err(NoMap);
            }
            for i in 0..count {
                let record = at.add(word + i * self.record_size);
                objects.push(self.stack_object(f, record).ok_or(NoMap)?);
            }
        }
        let objects: Rc<[_]> = objects.into();
        self.objects.insert(f.id(), objects.clone());
        Ok(objects)
    }

    fn stack_object(&self, f: &Func<'p>, at: Addr) -> Option<StackObject<'p>> {
        let get = |field: crate::layout::FieldAt| self.space.i32(field.at(at)).ok();
        let ptr_bytes = get(self.record.ptr_bytes)?;
        let words = u64::from(ptr_bytes.unsigned_abs()) / self.space.word_size();
        let gcdata = f
            .rodata()
            .add(self.record.gcdata.read(self.space, at).ok()?);
        let bytes = if ptr_bytes < 0 {
            Cow::Owned(gcprog::expand(self.space, gcdata, words).ok()?)
        } else {
            self.space.bytes(gcdata, words.div_ceil(8) as usize).ok()?
        };
        Some(StackObject {
            offset: get(self.record.off)?,
            size: u32::try_from(get(self.record.size)?).ok()?,
            mask: Bits { len: words, bytes },
        })
    }

    /// reflect's stubs find out from their context how many arguments they have.
    // runtime/stkframe.go: (*stkframe).argMapInternal
    fn reflect_stub(
        &self,
        f: &Func<'p>,
        frame: &Frame,
        has_locals: bool,
    ) -> Result<FrameMaps<'p>, NoMap> {
        let index = map_index(f, frame.continpc);
        let locals = if has_locals {
            self.map(f, FUNCDATA_LOCALS_POINTER_MAPS, index)?
        } else {
            Bits::default()
        };
        let context = frame.sp.add(self.arch.min_frame_size());
        if context.0 >= frame.fp.0.wrapping_sub(self.arch.pushed_by_call()) {
            // Not yet started; then it has no arguments either.
            return Ok(FrameMaps {
                locals,
                args: Bits::default(),
                objects: Rc::new([]),
            });
        }
        let args = self.reflect_args(f, context).ok_or(NoMap)?;
        Ok(FrameMaps {
            locals,
            args,
            objects: self.reg_args.clone(),
        })
    }

    fn reflect_args(&self, f: &Func<'p>, context: Addr) -> Option<Bits<'p>> {
        let layout = self.method_value.as_ref()?;
        let value = self.space.ptr(context).ok()?;
        if layout.func.ptr(self.space, value).ok()? != f.entry() {
            return None;
        }
        let vector = layout.stack.ptr(self.space, value).ok()?;
        let mut len = u64::from(self.space.u32(vector).ok()?);
        // The results are valid once reflect has copied them in.
        // runtime/stkframe.go: at minFrame + 4 words
        let word = self.space.word_size();
        let results_valid = self.space.u8(context.add(4 * word)).ok()? != 0;
        if !results_valid {
            len = len.min(layout.arg_len.read(self.space, value).ok()? / word);
        }
        let bytes = self
            .space
            .bytes(
                self.space.ptr(vector.add(word)).ok()?,
                len.div_ceil(8) as usize,
            )
            .ok()?;
        Some(Bits { len, bytes })
    }
}

/// The row of the function's maps that holds at `continpc`: that of the call before it.
fn map_index(f: &Func<'_>, continpc: Addr) -> u32 {
    if continpc == f.entry() {
        return 0;
    }
    // −1: in the prologue, where the map of the entry holds.
    u32::try_from(f.pcdata(PCDATA_STACK_MAP_INDEX, Addr(continpc.0.wrapping_sub(1)))).unwrap_or(0)
}

/// The register arguments that reflect's stubs keep at the top of their locals.
// runtime/stkframe.go: methodValueCallFrameObjs, stkobjinit
fn reg_args_object<'p>(source: &dyn StructSource, word_size: u64) -> Rc<[StackObject<'p>]> {
    let layout = RegArgsLayout::resolve(source).ok();
    let size = find_size(source, "internal/abi.RegArgs").filter(|s| *s > 0 && *s < 1 << 16);
    let (Some(layout), Some(size)) = (layout, size) else {
        return Rc::new([]);
    };
    let (first, end) = (
        layout.ptrs.offset / word_size,
        (layout.ptrs.offset + layout.ptrs.size).min(size) / word_size,
    );
    let mut bytes = vec![0u8; end.div_ceil(8) as usize];
    for word in first..end {
        if let Some(byte) = bytes.get_mut((word / 8) as usize) {
            *byte |= 1 << (word % 8);
        }
    }
    let offset = -(size.next_multiple_of(word_size) as i32);
    Rc::new([StackObject {
        offset,
        size: size as u32,
        mask: Bits {
            len: end,
            bytes: Cow::Owned(bytes),
        },
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_stop_at_the_length() {
        let bits = Bits {
            len: 12,
            bytes: Cow::Borrowed(&[0b1000_0001, 0b1111_1010]),
        };
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 7, 9, 11]);
        assert_eq!(bits.reach(), 12);
        assert_eq!(Bits::default().ones().count(), 0);
        assert_eq!(Bits::default().reach(), 0);
        let long = Bits {
            len: 16,
            bytes: Cow::Borrowed(&[0b0000_0100, 0]),
        };
        assert_eq!(long.reach(), 3);
    }
}
