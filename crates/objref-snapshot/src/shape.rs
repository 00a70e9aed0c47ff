//! Where a type holds references: its fields flattened into slots that name the way to each pointer.

use std::sync::Arc;

use crate::types::{Field, Kind, TypeId, TypeModel};

/// One reference held by a type.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Offset of the reference in bytes. Its pointer is here, or for interfaces in the next word.
    pub(crate) offset: u64,
    /// What kind of reference it is.
    pub(crate) hold: Hold,
    /// The declared type of the field.
    pub(crate) ty: TypeId,
    /// The way to it: `conn.bufw.buf`, `[].name`, `[key]`; empty for a type that is itself the reference.
    pub(crate) path: Arc<str>,
}

/// What a slot's pointer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// One value of the type.
    One(TypeId),
    /// A node of a concurrent trie, which is one of two structs that start alike.
    Node(TypeId),
    /// A run of values whose length the words after the pointer tell.
    Slice(TypeId),
    /// As many values as the object has room for: map buckets and groups.
    Many(TypeId),
    /// The bytes of a string.
    String,
    /// {itab, data}.
    Interface,
    /// {type, data}.
    EmptyInterface,
    /// A closure.
    Func,
    /// The directory of a map: a group if the word after it is 0, otherwise an array of pointers to tables.
    Directory {
        /// A group of slots.
        group: TypeId,
        /// Pointer to a table.
        table: TypeId,
    },
    /// The buffer of a channel; the element's type stands this many bytes after the pointer.
    ChanBuffer(u64),
    /// Not said.
    Unknown,
}

/// The references of a type, in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The slots.
    pub(crate) slots: Vec<Slot>,
    /// Arrays too long to unroll: (offset, element size, count, element type, path).
    repeats: Vec<Repeat>,
    /// Bit a word: may hold a pointer. Of types up to 512 bytes.
    pub(crate) mask: Option<u64>,
    /// For each word of a small type the slot it belongs to, or `u16::MAX`.
    by_word: Vec<u16>,
}

#[derive(Debug)]
struct Repeat {
    offset: u64,
    elem_size: u64,
    count: u64,
    elem: TypeId,
    path: Arc<str>,
}

/// A slot found in a shape, or one in an element of an array inside it.
pub(crate) enum Found<'a> {
    /// The slot with this index.
    Slot(usize),
    /// Look in the shape of this element type, at this offset; its paths continue the path given.
    Within(TypeId, u64, &'a Arc<str>),
}

/// Arrays with at most this many elements that hold references are unrolled.
const UNROLL: u64 = 16;
/// Types with at most this many words have a table from word to slot.
const TABLE_WORDS: u64 = 4096;
/// A type with more slots than this is cut there.
const MAX_SLOTS: usize = 1 << 14;
const MAX_DEPTH: u32 = 40;

impl Shape {
    /// The slot that the pointer word at `offset` belongs to.
    #[inline]
    pub(crate) fn at(&self, offset: u64) -> Option<Found<'_>> {
        let word = (offset / 8) as usize;
        if let Some(&slot) = self.by_word.get(word)
            && slot != u16::MAX
        {
            return Some(Found::Slot(usize::from(slot)));
        }
        self.search(offset)
    }

    fn search(&self, offset: u64) -> Option<Found<'_>> {
        let after = self.slots.partition_point(|s| s.offset <= offset);
        if let Some(slot) = self.slots[..after].last()
            && offset < slot.offset + slot.width()
        {
            return Some(Found::Slot(after - 1));
        }
        let repeat = self.repeats.iter().find(|r| {
            r.offset <= offset
                && offset < r.offset.saturating_add(r.elem_size.saturating_mul(r.count))
        })?;
        Some(Found::Within(
            repeat.elem,
            (offset - repeat.offset) % repeat.elem_size,
            &repeat.path,
        ))
    }

    /// Whether a value of the type can hold a reference at all.
    pub(crate) fn has_references(&self) -> bool {
        !self.slots.is_empty() || !self.repeats.is_empty()
    }
}

impl Slot {
    /// Bytes of the field whose pointer words are looked up: interfaces have their pointer in the second word.
    fn width(&self) -> u64 {
        match self.hold {
            Hold::Interface | Hold::EmptyInterface => 16,
            _ => 8,
        }
    }

    /// Where in the field the pointer to the object is.
    pub(crate) fn pointer_offset(&self) -> u64 {
        self.offset + self.width() - 8
    }
}

/// Shapes by type, made when first asked for.
#[derive(Default)]
pub(crate) struct Shapes {
    by_type: Vec<Option<Arc<Shape>>>,
}

impl Shapes {
    /// Whether `ty` holds references, and its mask.
    pub(crate) fn outline(&mut self, model: &TypeModel<'_>, ty: TypeId) -> (bool, Option<u64>) {
        match self.by_type.get(ty.0 as usize) {
            Some(Some(shape)) => (shape.has_references(), shape.mask),
            _ => {
                let shape = self.get(model, ty);
                (shape.has_references(), shape.mask)
            }
        }
    }

    /// The references of `ty`.
    pub(crate) fn get(&mut self, model: &TypeModel<'_>, ty: TypeId) -> Arc<Shape> {
        if let Some(Some(shape)) = self.by_type.get(ty.0 as usize) {
            return Arc::clone(shape);
        }
        let mut builder = Builder {
            model,
            shape: Shape::default(),
        };
        builder.flatten(ty, 0, "", 0);
        let mut shape = builder.shape;
        shape.slots.sort_by_key(|s| s.offset);
        shape.slots.dedup_by_key(|s| s.offset);
        let words = model.get(ty).size / 8;
        shape.mask = (words <= 64 && shape.repeats.is_empty()).then(|| {
            let pointers = shape
                .slots
                .iter()
                .flat_map(|s| s.offset / 8..(s.offset + s.width()) / 8);
            pointers
                .filter(|word| *word < 64)
                .fold(0, |mask, word| mask | 1 << word)
        });
        if words <= TABLE_WORDS && shape.slots.len() < usize::from(u16::MAX) {
            shape.by_word = vec![u16::MAX; words as usize];
            for (i, slot) in shape.slots.iter().enumerate() {
                for word in slot.offset / 8..(slot.offset + slot.width()) / 8 {
                    if let Some(entry) = shape.by_word.get_mut(word as usize) {
                        *entry = i as u16;
                    }
                }
            }
        }
        let shape = Arc::new(shape);
        if self.by_type.len() <= ty.0 as usize {
            self.by_type.resize(model.types.len(), None);
        }
        self.by_type[ty.0 as usize] = Some(Arc::clone(&shape));
        shape
    }
}

struct Builder<'m, 'p> {
    model: &'m TypeModel<'p>,
    shape: Shape,
}

impl Builder<'_, '_> {
    fn flatten(&mut self, ty: TypeId, offset: u64, path: &str, depth: u32) {
        if depth > MAX_DEPTH || self.shape.slots.len() > MAX_SLOTS {
            return;
        }
        let hold = match self.model.get(ty).kind {
            Kind::Scalar => return,
            Kind::Pointer(elem) => self.pointer(elem),
            Kind::UnsafePointer => Hold::Unknown,
            Kind::Slice(elem) => Hold::Slice(elem),
            Kind::String => Hold::String,
            Kind::Interface => Hold::Interface,
            Kind::EmptyInterface => Hold::EmptyInterface,
            Kind::Map { header } | Kind::Chan { header, .. } => {
                header.map_or(Hold::Unknown, Hold::One)
            }
            Kind::Func => Hold::Func,
            Kind::Array(elem, count) => return self.array(elem, count, offset, path, depth),
            Kind::Struct => return self.fields(ty, offset, path, depth),
        };
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty,
            path: path.into(),
        });
    }

    /// Map buckets and groups come as runs of which no length is kept beside the pointer; a few types are but the front
    /// of what is allocated.
    fn pointer(&self, elem: TypeId) -> Hold {
        let name = self.model.get(elem).name.as_str();
        match MapPart::of(name) {
            Some(MapPart::Bucket | MapPart::Group) => return Hold::Many(elem),
            Some(_) => return Hold::One(elem),
            None => {}
        }
        // time/sleep.go: newTimer (1.23+); before, there is no such struct.
        if matches!(name, "time.Timer" | "time.Ticker") {
            return Hold::One(self.model.by_name("runtime.timeTimer").unwrap_or(elem));
        }
        // The packages that have such tries: see Inference::trie_node.
        let packages = [
            "internal/sync.node[",
            "internal/concurrent.node[",
            "unique.node[",
        ];
        if packages.iter().any(|p| name.starts_with(p)) {
            return Hold::Node(elem);
        }
        Hold::One(elem)
    }

    fn array(&mut self, elem: TypeId, count: u64, offset: u64, path: &str, depth: u32) {
        let size = self.model.get(elem).size;
        if size == 0 || count == 0 || !self.has_references(elem, depth + 1) {
            return;
        }
        let path = format!("{path}[]");
        if count <= UNROLL {
            for i in 0..count {
                self.flatten(elem, offset + i * size, &path, depth + 1);
            }
        } else {
            self.shape.repeats.push(Repeat {
                offset,
                elem_size: size,
                count,
                elem,
                path: path.into(),
            });
        }
    }

    fn has_references(&self, ty: TypeId, depth: u32) -> bool {
        let ty = self.model.get(ty);
        match ty.kind {
            Kind::Scalar => false,
            Kind::Array(elem, n) => {
                n > 0 && depth < MAX_DEPTH && self.has_references(elem, depth + 1)
            }
            Kind::Struct => {
                depth < MAX_DEPTH
                    && ty
                        .fields
                        .iter()
                        .any(|f| self.has_references(f.ty, depth + 1))
            }
            _ => true,
        }
    }

    fn fields(&mut self, ty: TypeId, offset: u64, path: &str, depth: u32) {
        let this = self.model.get(ty);
        let part = MapPart::of(&this.name);
        if self.is_atomic_pointer(ty) {
            return self.atomic_pointer(ty, offset, path);
        }
        for field in &this.fields {
            let at = offset + field.offset;
            match (part, field.name.as_str()) {
                // internal/runtime/maps/group.go: {ctrl; slots [8]struct{key, elem}}; runtime/map.go: bmap
                (Some(MapPart::Group), "slots") => self.entries(field.ty, at, depth),
                (Some(MapPart::Group | MapPart::Bucket), "keys") => {
                    self.column(field.ty, at, "[key]", depth)
                }
                (Some(MapPart::Group | MapPart::Bucket), "values" | "elems") => {
                    self.column(field.ty, at, "[value]", depth);
                }
                (Some(MapPart::Header), "dirPtr") => self.directory(field.ty, at),
                (None, "buf") if is_channel(&this.name) => self.channel_buffer(ty, field, at),
                (None, "c") if this.name == "runtime.sudog" => self.waited_for(field, at),
                (None, "local" | "victim") if this.name == "sync.Pool" => {
                    self.pool(field.ty, at, &field.name)
                }
                _ => {
                    let path = match path {
                        "" => field.name.clone(),
                        _ => format!("{path}.{}", field.name),
                    };
                    self.flatten(field.ty, at, &path, depth + 1);
                }
            }
        }
    }

    /// `[8]struct{key K; elem V}`.
    fn entries(&mut self, ty: TypeId, offset: u64, depth: u32) {
        let Kind::Array(entry, count) = self.model.get(ty).kind else {
            return;
        };
        let size = self.model.get(entry).size;
        for i in 0..count.min(UNROLL) {
            for field in &self.model.get(entry).fields {
                let path = if field.name == "key" {
                    "[key]"
                } else {
                    "[value]"
                };
                self.flatten(field.ty, offset + i * size + field.offset, path, depth + 1);
            }
        }
    }

    /// `[8]K`.
    fn column(&mut self, ty: TypeId, offset: u64, path: &str, depth: u32) {
        let Kind::Array(elem, count) = self.model.get(ty).kind else {
            return;
        };
        let size = self.model.get(elem).size;
        for i in 0..count.min(UNROLL) {
            self.flatten(elem, offset + i * size, path, depth + 1);
        }
    }

    /// `dirPtr **table<K,V>`, which leads to a group instead while the map is small.
    // internal/runtime/maps/map.go: Map.dirPtr
    fn directory(&mut self, ty: TypeId, offset: u64) {
        let model = self.model;
        let hold = (|| {
            let Kind::Pointer(table_pointer) = model.get(ty).kind else {
                return None;
            };
            let Kind::Pointer(table) = model.get(table_pointer).kind else {
                return None;
            };
            let groups = model
                .get(table)
                .fields
                .iter()
                .find(|f| f.name == "groups")?
                .ty;
            let data = model
                .get(groups)
                .fields
                .iter()
                .find(|f| f.name == "data")?
                .ty;
            let Kind::Pointer(group) = model.get(data).kind else {
                return None;
            };
            Some(Hold::Directory {
                group,
                table: table_pointer,
            })
        })();
        let hold = hold.unwrap_or(Hold::Unknown);
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty,
            path: "dirPtr".into(),
        });
    }

    // runtime/chan.go: hchan
    fn channel_buffer(&mut self, channel: TypeId, buf: &Field, offset: u64) {
        let elemtype = self
            .model
            .get(channel)
            .fields
            .iter()
            .find(|f| f.name == "elemtype");
        let hold = elemtype.map_or(Hold::Unknown, |f| {
            Hold::ChanBuffer(f.offset.wrapping_sub(buf.offset))
        });
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty: buf.ty,
            path: "[buffer]".into(),
        });
    }

    /// `c *hchan`, from 1.26 on behind a wrapper that hides the pointer's type.
    // runtime/runtime2.go: sudog, maybeTraceableChan
    fn waited_for(&mut self, field: &Field, offset: u64) {
        let hold = self
            .model
            .by_name("runtime.hchan")
            .map_or(Hold::Unknown, Hold::One);
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty: field.ty,
            path: "c".into(),
        });
    }

    /// `local unsafe.Pointer`, an array of `poolLocal`.
    // sync/pool.go: Pool
    fn pool(&mut self, ty: TypeId, offset: u64, path: &str) {
        let hold = self
            .model
            .by_name("sync.poolLocal")
            .map_or(Hold::Unknown, Hold::Many);
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty,
            path: path.into(),
        });
    }

    fn is_atomic_pointer(&self, ty: TypeId) -> bool {
        let name = &self.model.get(ty).name;
        name.starts_with("sync/atomic.Pointer[")
            || name.starts_with("internal/runtime/atomic.Pointer[")
            || name.starts_with("runtime/internal/atomic.Pointer[")
    }

    /// `struct { _ [0]*T; _ noCopy; v unsafe.Pointer }`
    // sync/atomic/type.go: Pointer
    fn atomic_pointer(&mut self, ty: TypeId, offset: u64, path: &str) {
        let model = self.model;
        let fields = &model.get(ty).fields;
        let Some(value) = fields
            .iter()
            .find(|f| matches!(model.get(f.ty).kind, Kind::UnsafePointer))
        else {
            return;
        };
        let elem = fields.iter().find_map(|f| match model.get(f.ty).kind {
            Kind::Array(elem, 0) => Some(elem),
            _ => None,
        });
        let (hold, ty) = match elem {
            Some(pointer) => match model.get(pointer).kind {
                Kind::Pointer(elem) => (self.pointer(elem), pointer),
                _ => (Hold::Unknown, value.ty),
            },
            None => (Hold::Unknown, value.ty),
        };
        self.shape.slots.push(Slot {
            offset: offset + value.offset,
            hold,
            ty,
            path: path.into(),
        });
    }
}

/// `runtime.hchan`, or the struct that the linker describes for a channel type.
// cmd/link/internal/ld/dwarf.go: synthesizechantypes
pub(crate) fn is_channel(name: &str) -> bool {
    name == "runtime.hchan" || name.starts_with("hchan<")
}

/// A struct that the linker describes for the inside of a map type.
// cmd/link/internal/ld/dwarf.go: synthesizemaptypes
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapPart {
    /// `hash<K,V>` up to 1.23, `map<K,V>` after.
    Header,
    /// `bucket<K,V>`.
    Bucket,
    /// `table<K,V>`.
    Table,
    /// `map.group[K]V`.
    Group,
}

impl MapPart {
    /// Which part a type of this name is, if any.
    pub(crate) fn of(name: &str) -> Option<MapPart> {
        const PREFIXES: [(&str, MapPart); 6] = [
            ("hash<", MapPart::Header),
            ("map<", MapPart::Header),
            ("bucket<", MapPart::Bucket),
            ("table<", MapPart::Table),
            ("map.group[", MapPart::Group),
            ("group<", MapPart::Group),
        ];
        PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map(|(_, part)| *part)
    }
}
