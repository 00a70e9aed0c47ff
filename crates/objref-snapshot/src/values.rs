//! Values: what is in the memory of an object, by its type.
//!
//! The only place that reads what a program keeps, rather than how it is held together. Nothing here trusts what it
//! reads: depth, entries and bytes are bounded, and what the dump lacks is [`Value::Missing`].

use objref_dwarf::{Kind as DwarfKind, TypeIdx};
use objref_go::{Kind as RuntimeKind, ObjId};
use objref_mem::Addr;
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dump::Dump;
use crate::flatten::MapPart;
use crate::names::type_name;
use crate::snapshot::Snapshot;
use crate::types::{Kind, TypeId};
use crate::view::{Form, View};

/// How much of a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Structs in structs, elements of slices of slices.
    pub depth: u32,
    /// Elements of a slice, entries of a map.
    pub entries: u64,
    /// Bytes of a string.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 2,
            entries: 10,
            bytes: 200,
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Value {
    /// `true`, `false`.
    Bool {
        /// Which.
        value: bool,
    },
    /// A number, as Go prints it.
    Number {
        /// In decimal.
        text: String,
    },
    /// Bytes of which only the number is known.
    Raw {
        /// In hexadecimal, as they lie in memory.
        bytes: String,
    },
    /// `nil`.
    Nil,
    /// A string.
    Text {
        /// The first bytes of it.
        text: String,
        /// How many bytes these are.
        shown: u64,
        /// How many bytes it has.
        len: u64,
    },
    /// A pointer, a channel or a function, with what it leads to.
    Pointer {
        /// Where.
        address: u64,
        /// The type of the object there, if it is one of the heap's, else what the pointer's own type says.
        to: String,
    },
    /// A slice or array.
    List {
        /// Its first elements.
        items: Vec<Value>,
        /// How many it has.
        len: u64,
        /// For how many it has room; `null` for arrays.
        capacity: Option<u64>,
    },
    /// A slice or array of bytes.
    Bytes {
        /// The first of them, as text.
        text: String,
        /// How many these are.
        shown: u64,
        /// How many it has.
        len: u64,
        /// For how many it has room; `null` for arrays.
        capacity: Option<u64>,
    },
    /// A struct.
    Struct {
        /// Its fields.
        fields: Vec<FieldValue>,
    },
    /// A map.
    Map {
        /// Its first entries, in the order in which they lie in memory.
        entries: Vec<(Value, Value)>,
        /// How many it has.
        len: u64,
    },
    /// A channel.
    Channel {
        /// How many elements wait in it.
        len: u64,
        /// For how many it has room.
        capacity: u64,
    },
    /// An interface.
    Interface {
        /// The type of the value in it.
        type_name: String,
        /// The value.
        value: Box<Value>,
    },
    /// What is not in the dump.
    Missing,
    /// What is not shown: too deep.
    Deeper,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldValue {
    /// Its name.
    pub name: String,
    /// Its offset in the struct.
    pub offset: u64,
    /// Its type.
    pub type_name: String,
    /// What is in it.
    pub value: Value,
}

/// Groups and buckets of a map that are looked at, if they turn out to be empty.
const MAX_PARTS: u64 = 1 << 12;
/// Bytes of a number or of what has no known type.
const MAX_RAW: u64 = 16;

/// Reads values of a dump.
pub struct Values<'a> {
    dump: &'a Dump,
    snapshot: &'a Snapshot,
    by_name: FxHashMap<&'a str, TypeId>,
    limits: Limits,
}

impl<'a> Values<'a> {
    /// A reader of the dump that the snapshot is of.
    pub fn new(dump: &'a Dump, snapshot: &'a Snapshot, limits: Limits) -> Self {
        let mut by_name = FxHashMap::default();
        for (id, ty) in snapshot.types.iter() {
            by_name.entry(ty.name.as_str()).or_insert(id);
        }
        Values {
            dump,
            snapshot,
            by_name,
            limits,
        }
    }

    /// What is in an object that is seen as `view`.
    pub fn object(&self, object: ObjId, view: View) -> Value {
        let (span, at) = self.dump.heap.locate(object);
        let start = self.dump.heap.data_offset(span);
        let room = span.elem_size - start;
        let at = Addr(at + start);
        match view.form {
            Form::One => self.value(view.ty, at, self.limits.depth),
            Form::Many => {
                let size = self.snapshot.types.get(view.ty).size.max(1);
                self.list(view.ty, at, room / size, None, self.limits.depth)
            }
            Form::Text => self.text(at, room),
            Form::Opaque => self.pointer(at, ""),
        }
    }

    /// The type of an object that nothing reaches, if the allocator itself keeps it.
    pub fn stored(&self, object: ObjId) -> Option<TypeId> {
        let (span, at) = self.dump.heap.locate(object);
        let stored = self
            .dump
            .heap
            .stored_type(&self.dump.process.space, span, at)?;
        self.described(stored)
    }

    /// The value of type `ty` at `at`.
    fn value(&self, ty: TypeId, at: Addr, depth: u32) -> Value {
        let this = self.snapshot.types.get(ty);
        match this.kind {
            Kind::Scalar => self.scalar(ty, at),
            Kind::String => match (self.word(at), self.word(at.add(8))) {
                (Some(data), Some(len)) => self.text(Addr(data), len),
                _ => Value::Missing,
            },
            Kind::Slice(elem) => {
                let words = [0, 8, 16].map(|offset| self.word(at.add(offset)));
                match words {
                    [Some(0), _, _] => Value::Nil,
                    [Some(data), Some(len), Some(capacity)] => {
                        self.list(elem, Addr(data), len, Some(capacity), depth)
                    }
                    _ => Value::Missing,
                }
            }
            Kind::Array(elem, count) => self.list(elem, at, count, None, depth),
            Kind::Interface | Kind::EmptyInterface => self.interface(this.kind, at, depth),
            Kind::Map { header } => match (self.word(at), header) {
                (Some(0), _) => Value::Nil,
                (Some(map), Some(header)) => self.map(header, Addr(map), depth),
                _ => self.pointer(at, &this.name),
            },
            Kind::Chan { .. } => match self.word(at) {
                Some(0) => Value::Nil,
                Some(channel) => self
                    .channel(Addr(channel))
                    .unwrap_or_else(|| self.pointer(at, &this.name)),
                None => Value::Missing,
            },
            Kind::Pointer(elem) => self.pointer(at, &self.name(elem)),
            Kind::UnsafePointer | Kind::Func => self.pointer(at, &self.name(ty)),
            Kind::Struct if MapPart::of(&this.name) == Some(MapPart::Header) => {
                self.map(ty, at, depth)
            }
            Kind::Struct => self.fields(ty, at, depth),
        }
    }

    fn fields(&self, ty: TypeId, at: Addr, depth: u32) -> Value {
        if depth == 0 {
            return Value::Deeper;
        }
        let fields = &self.snapshot.types.get(ty).fields;
        let fields = fields.iter().map(|field| FieldValue {
            name: field.name.clone(),
            offset: field.offset,
            type_name: self.name(field.ty),
            value: self.value(field.ty, at.add(field.offset), depth - 1),
        });
        Value::Struct {
            fields: fields.collect(),
        }
    }

    fn list(&self, elem: TypeId, at: Addr, len: u64, capacity: Option<u64>, depth: u32) -> Value {
        let this = self.snapshot.types.get(elem);
        if this.name == "uint8" {
            return match self.text(at, len) {
                Value::Text { text, shown, len } => Value::Bytes {
                    text,
                    shown,
                    len,
                    capacity,
                },
                missing => missing,
            };
        }
        let size = this.size;
        let shown = match depth {
            0 => 0,
            _ => len.min(self.limits.entries),
        };
        let item = |i: u64| match i.checked_mul(size).and_then(|by| at.0.checked_add(by)) {
            Some(at) => self.value(elem, Addr(at), depth - 1),
            None => Value::Missing,
        };
        Value::List {
            items: (0..shown).map(item).collect(),
            len,
            capacity,
        }
    }

    fn text(&self, at: Addr, len: u64) -> Value {
        if len == 0 {
            return Value::Text {
                text: String::new(),
                shown: 0,
                len,
            };
        }
        let shown = len.min(self.limits.bytes) as usize;
        match self.dump.process.space.bytes(at, shown) {
            Ok(bytes) => Value::Text {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                shown: shown as u64,
                len,
            },
            Err(_) => Value::Missing,
        }
    }

    /// The word at `at` as a pointer to `declared`.
    fn pointer(&self, at: Addr, declared: &str) -> Value {
        let Some(address) = self.word(at) else {
            return Value::Missing;
        };
        if address == 0 {
            return Value::Nil;
        }
        let objects = &self.snapshot.objects;
        let seen = objects
            .find(address)
            .and_then(|object| self.snapshot.type_name(object.0));
        let process = &self.dump.process;
        let function = || {
            let functions = process.functions().ok()?;
            let code = process.space.ptr(Addr(address)).ok()?;
            let found = [Addr(address), code]
                .into_iter()
                .find_map(|at| functions.find(at))?;
            Some(format!("func {}", found.name()))
        };
        let is_func = declared.starts_with("func") || declared.is_empty();
        let function = is_func.then(function).flatten();
        Value::Pointer {
            address,
            to: crate::short(&function.or(seen).unwrap_or_else(|| declared.to_owned())),
        }
    }

    // runtime/runtime2.go: iface, eface; internal/abi/iface.go: ITab
    fn interface(&self, kind: Kind, at: Addr, depth: u32) -> Value {
        let (Some(first), Some(data)) = (self.word(at), self.word(at.add(8))) else {
            return Value::Missing;
        };
        if first == 0 {
            return Value::Nil;
        }
        let process = &self.dump.process;
        let descriptor = match kind {
            Kind::EmptyInterface => Some(Addr(first)),
            _ => {
                let field = process.field("internal/abi.ITab | runtime.itab", "Type | _type");
                let offset = field.map_or(8, |f| f.offset);
                process.space.ptr(Addr(first.wrapping_add(offset))).ok()
            }
        };
        let Some(ty) = descriptor.and_then(|at| self.described(at)) else {
            return Value::Interface {
                type_name: "?".to_owned(),
                value: Box::new(self.pointer(at.add(8), "?")),
            };
        };
        let value = match self.snapshot.types.get(ty).kind {
            // No interface holds another one: damage, which might go round in circles.
            Kind::Interface | Kind::EmptyInterface => Value::Deeper,
            _ if self.is_direct(ty) => self.value(ty, at.add(8), depth),
            _ => self.value(ty, Addr(data), depth),
        };
        Value::Interface {
            type_name: self.name(ty),
            value: Box::new(value),
        }
    }

    /// Whether an interface holds a value of the type itself rather than a pointer to it.
    // cmd/compile/internal/types/type.go: IsDirectIface
    fn is_direct(&self, ty: TypeId) -> bool {
        let types = &self.snapshot.types;
        let mut ty = ty;
        // A struct or an array of one such element.
        for _ in 0..8 {
            let this = types.get(ty);
            ty = match this.kind {
                Kind::Pointer(_)
                | Kind::UnsafePointer
                | Kind::Map { .. }
                | Kind::Chan { .. }
                | Kind::Func => return true,
                Kind::Array(elem, 1) => elem,
                Kind::Struct if this.size == 8 => {
                    let Some(field) = this.fields.iter().find(|f| types.get(f.ty).size == 8) else {
                        return false;
                    };
                    field.ty
                }
                _ => return false,
            };
        }
        false
    }

    /// The type of a descriptor.
    fn described(&self, at: Addr) -> Option<TypeId> {
        let process = &self.dump.process;
        let types = &self.snapshot.types;
        let debug = process.debug.types();
        let by_offset = process
            .types
            .offset(at)
            .and_then(|o| debug.by_runtime_type(o));
        // The snapshot's types begin with those of the binary.
        if let Some(idx) = by_offset
            && (idx.0 as usize) < types.len()
            && types.get(TypeId(idx.0)).name == debug.name(idx)
        {
            return Some(TypeId(idx.0));
        }
        let ty = process.types.read(&process.space, at)?;
        let full = process.types.full_name(&process.space, &ty);
        let name = full.or_else(|| process.types.name(&process.space, &ty))?;
        let found = self.by_name.get(name.as_str()).copied()?;
        (types.get(found).size == ty.size).then_some(found)
    }

    fn scalar(&self, ty: TypeId, at: Addr) -> Value {
        let size = self.snapshot.types.get(ty).size;
        let Ok(bytes) = self
            .dump
            .process
            .space
            .bytes(at, size.min(MAX_RAW) as usize)
        else {
            return Value::Missing;
        };
        let raw = |size: u64| self.dump.process.space.uint(at, size).unwrap_or(0);
        let text = match (self.number_kind(ty), size) {
            (DwarfKind::Bool, 1) => {
                return Value::Bool { value: raw(1) != 0 };
            }
            (DwarfKind::Int, 1) => (raw(1) as i8).to_string(),
            (DwarfKind::Int, 2) => (raw(2) as i16).to_string(),
            (DwarfKind::Int, 4) => (raw(4) as i32).to_string(),
            (DwarfKind::Int, 8) => (raw(8) as i64).to_string(),
            (DwarfKind::Uint, 1 | 2 | 4 | 8) => raw(size).to_string(),
            (DwarfKind::Float, 4) => f32::from_bits(raw(4) as u32).to_string(),
            (DwarfKind::Float, 8) => f64::from_bits(raw(8)).to_string(),
            _ => {
                return Value::Raw {
                    bytes: bytes.iter().map(|b| format!("{b:02x}")).collect(),
                };
            }
        };
        Value::Number { text }
    }

    /// What a type without references is a number of.
    fn number_kind(&self, ty: TypeId) -> DwarfKind {
        let process = &self.dump.process;
        let name = self.snapshot.types.get(ty).name.as_str();
        let debug = process.debug.types();
        if (ty.0 as usize) < debug.len() && debug.name(TypeIdx(ty.0)) == name {
            return debug.get(TypeIdx(ty.0)).kind;
        }
        let described = || {
            let index = &process.stripped.as_ref()?.index;
            let ty = process.types.read(&process.space, index.by_name(name)?)?;
            Some(match ty.kind {
                RuntimeKind::Bool => DwarfKind::Bool,
                RuntimeKind::Int
                | RuntimeKind::Int8
                | RuntimeKind::Int16
                | RuntimeKind::Int32
                | RuntimeKind::Int64 => DwarfKind::Int,
                RuntimeKind::Float32 | RuntimeKind::Float64 => DwarfKind::Float,
                RuntimeKind::Complex64 | RuntimeKind::Complex128 => DwarfKind::Complex,
                _ => DwarfKind::Uint,
            })
        };
        match name {
            "bool" => DwarfKind::Bool,
            "int" | "int8" | "int16" | "int32" | "int64" => DwarfKind::Int,
            "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "uintptr" => DwarfKind::Uint,
            "float32" | "float64" => DwarfKind::Float,
            _ => described().unwrap_or(DwarfKind::Other),
        }
    }

    // runtime/chan.go: hchan
    fn channel(&self, at: Addr) -> Option<Value> {
        let process = &self.dump.process;
        let read = |field| {
            process
                .field("runtime.hchan", field)?
                .read(&process.space, at)
                .ok()
        };
        Some(Value::Channel {
            len: read("qcount")?,
            capacity: read("dataqsiz")?,
        })
    }

    /// The map whose header is at `at`.
    fn map(&self, header: TypeId, at: Addr, depth: u32) -> Value {
        let mut entries = Entries {
            found: Vec::new(),
            most: match depth {
                0 => 0,
                _ => self.limits.entries,
            },
            parts: MAX_PARTS,
            depth: depth.saturating_sub(1),
        };
        let is_swiss = self.field(header, "dirPtr").is_some();
        let len = match is_swiss {
            true => {
                self.swiss_entries(header, at, &mut entries);
                self.field(header, "used")
                    .and_then(|(o, _)| self.word(at.add(o)))
            }
            false => {
                self.bucket_entries(header, at, &mut entries);
                let process = &self.dump.process;
                let count = process.field("runtime.hmap", "count");
                count.and_then(|f| f.read(&process.space, at).ok())
            }
        };
        match len {
            Some(len) => Value::Map {
                entries: entries.found,
                len,
            },
            None => Value::Missing,
        }
    }

    /// From 1.24 on.
    // internal/runtime/maps/map.go: Map.dirPtr, dirLen; table.go: table.groups; group.go: groupsReference
    fn swiss_entries(&self, header: TypeId, at: Addr, entries: &mut Entries) -> Option<()> {
        let (offset, directory) = self.field(header, "dirPtr")?;
        let start = Addr(self.word(at.add(offset))?);
        let (len_offset, _) = self.field(header, "dirLen")?;
        let tables = self.word(at.add(len_offset))?;
        let table_pointer = self.pointed(directory)?;
        let table = self.pointed(table_pointer)?;
        let (groups_offset, groups) = self.field(table, "groups")?;
        let (data_offset, data) = self.field(groups, "data")?;
        let group = self.pointed(data)?;
        if tables == 0 {
            return self.group_entries(group, start, entries);
        }
        let mut last = 0;
        for i in 0..tables {
            if entries.is_done() {
                break;
            }
            entries.parts -= 1;
            let table = self.word(start.add(i.wrapping_mul(8)))?;
            // A table stands in the directory once for each of its prefixes, one after the other.
            if std::mem::replace(&mut last, table) == table {
                continue;
            }
            let groups = Addr(table).add(groups_offset);
            let start = Addr(self.word(groups.add(data_offset))?);
            let mask = self.word(groups.add(data_offset).add(8))?;
            let size = self.snapshot.types.get(group).size;
            for j in 0..=mask {
                if entries.is_done() {
                    break;
                }
                self.group_entries(group, start.add(j.wrapping_mul(size)), entries);
            }
        }
        Some(())
    }

    /// Eight slots behind a byte of control each, of which the highest bit says that it is empty.
    // internal/runtime/maps/group.go: ctrlEmpty, ctrlDeleted; slots of pairs, or (1.27) keys and elems apart
    fn group_entries(&self, group: TypeId, at: Addr, entries: &mut Entries) -> Option<()> {
        entries.parts = entries.parts.saturating_sub(1);
        for i in 0..8 {
            let control = self.dump.process.space.u8(at.add(i)).ok()?;
            if control & 0x80 != 0 || entries.is_full() {
                continue;
            }
            let (key, value) = match self.field(group, "slots") {
                Some((offset, slots)) => {
                    let slot = self.element(slots)?;
                    let start = at
                        .add(offset)
                        .add(i.wrapping_mul(self.snapshot.types.get(slot).size));
                    let part = |name| self.field(slot, name).map(|(o, ty)| (ty, start.add(o)));
                    (part("key")?, part("elem")?)
                }
                None => (
                    self.column(group, "keys", at, i)?,
                    self.column(group, "elems", at, i)?,
                ),
            };
            self.entry(key, value, entries);
        }
        Some(())
    }

    /// Up to 1.23.
    // runtime/map.go: hmap, bmap; tophash values below minTopHash are marks
    fn bucket_entries(&self, header: TypeId, at: Addr, entries: &mut Entries) -> Option<()> {
        const MIN_TOP_HASH: u8 = 5;
        let process = &self.dump.process;
        let bits = process
            .field("runtime.hmap", "B")?
            .read(&process.space, at)
            .ok()?
            & 63;
        let (new, buckets) = self.field(header, "buckets")?;
        let old = self.field(header, "oldbuckets").map(|(offset, _)| offset);
        let bucket = self.pointed(buckets)?;
        let size = self.snapshot.types.get(bucket).size;
        let overflow = self.field(bucket, "overflow").map(|(offset, _)| offset);
        // Before they are moved, entries are in the old buckets, of which there are half as many.
        let arrays = [(Some(new), bits), (old, bits.saturating_sub(1))];
        for (offset, bits) in arrays {
            let Some(start) = offset
                .and_then(|o| self.word(at.add(o)))
                .filter(|a| *a != 0)
            else {
                continue;
            };
            for number in 0..1u64 << bits {
                let mut next = start.wrapping_add(number.wrapping_mul(size));
                while next != 0 && !entries.is_done() {
                    entries.parts -= 1;
                    let at = Addr(next);
                    for i in 0..8 {
                        let hash = process.space.u8(at.add(i)).ok()?;
                        if hash >= MIN_TOP_HASH && !entries.is_full() {
                            let key = self.column(bucket, "keys", at, i)?;
                            let value = self
                                .column(bucket, "values", at, i)
                                .or_else(|| self.column(bucket, "elems", at, i))?;
                            self.entry(key, value, entries);
                        }
                    }
                    next = overflow.and_then(|o| self.word(at.add(o))).unwrap_or(0);
                }
                if entries.is_done() {
                    break;
                }
            }
        }
        Some(())
    }

    fn entry(&self, key: (TypeId, Addr), value: (TypeId, Addr), entries: &mut Entries) {
        let read = |(ty, at)| self.value(ty, at, entries.depth);
        entries.found.push((read(key), read(value)));
    }

    /// Type and place of an element of an array that is a field.
    fn column(&self, ty: TypeId, name: &str, at: Addr, i: u64) -> Option<(TypeId, Addr)> {
        let (offset, array) = self.field(ty, name)?;
        let elem = self.element(array)?;
        let size = self.snapshot.types.get(elem).size;
        Some((elem, at.add(offset).add(i.wrapping_mul(size))))
    }

    fn field(&self, ty: TypeId, name: &str) -> Option<(u64, TypeId)> {
        let fields = &self.snapshot.types.get(ty).fields;
        let field = fields.iter().find(|field| field.name == name)?;
        Some((field.offset, field.ty))
    }

    fn pointed(&self, ty: TypeId) -> Option<TypeId> {
        match self.snapshot.types.get(ty).kind {
            Kind::Pointer(elem) => Some(elem),
            _ => None,
        }
    }

    fn element(&self, ty: TypeId) -> Option<TypeId> {
        match self.snapshot.types.get(ty).kind {
            Kind::Array(elem, _) => Some(elem),
            _ => None,
        }
    }

    fn name(&self, ty: TypeId) -> String {
        type_name(&self.snapshot.types, ty)
    }

    fn word(&self, at: Addr) -> Option<u64> {
        self.dump.process.space.word(at).ok()
    }
}

/// The entries of a map while they are looked for.
struct Entries {
    found: Vec<(Value, Value)>,
    most: u64,
    /// Groups or buckets that may still be looked at.
    parts: u64,
    depth: u32,
}

impl Entries {
    fn is_full(&self) -> bool {
        self.found.len() as u64 >= self.most
    }

    fn is_done(&self) -> bool {
        self.is_full() || self.parts == 0
    }
}
