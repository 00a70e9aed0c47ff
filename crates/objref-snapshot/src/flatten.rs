//! Flattening a type into the slots of its [`Shape`].

use crate::mask::{Steps, has_pointers};
use crate::shape::{Hold, Repeat, Shape, Slot};
use crate::types::{Field, Kind, TypeId, TypeModel};

/// Arrays with at most this many elements that hold references are unrolled.
const UNROLL: u64 = 16;
/// A type with more slots than this is cut there.
const MAX_SLOTS: usize = 1 << 14;
const MAX_DEPTH: u32 = 40;

/// The references of `ty`, in the order in which its fields name them.
pub(crate) fn flatten(model: &TypeModel<'_>, ty: TypeId) -> Shape {
    let mut builder = Builder {
        model,
        shape: Shape::default(),
        steps: Steps::default(),
    };
    builder.flatten(ty, 0, "", 0);
    builder.shape
}

struct Builder<'m, 'p> {
    model: &'m TypeModel<'p>,
    shape: Shape,
    steps: Steps,
}

impl Builder<'_, '_> {
    fn flatten(&mut self, ty: TypeId, offset: u64, path: &str, depth: u32) {
        if depth > MAX_DEPTH || self.shape.slots.len() > MAX_SLOTS || !self.steps.take() {
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
        // runtime/mgc.go: gcBgMarkWorker
        if name == "runtime.gcBgMarkWorkerNode" {
            let padded = self.model.by_name("runtime.gcBgMarkWorkerNodePadded");
            return Hold::One(padded.unwrap_or(elem));
        }
        if name == "runtime.timer" {
            return Hold::Timer(elem);
        }
        self.trie_node(name).unwrap_or(Hold::One(elem))
    }

    /// Nodes of a concurrent trie start with a flag that tells which of two structs they are. Where the binary does not
    /// describe the struct for these types, the code that is shared by types of the same shape does.
    // internal/sync/hashtriemap.go: node (1.24+), internal/concurrent/hashtriemap.go (1.23), unique/canonmap.go
    fn trie_node(&self, name: &str) -> Option<Hold> {
        let (package, arguments) = name.split_once(".node[")?;
        if !["internal/sync", "internal/concurrent", "unique"].contains(&package) {
            return None;
        }
        let find = |generic: &str| {
            let shapes = || format!("go.shape.{}", arguments.replace(',', ",go.shape."));
            self.model
                .by_name(&format!("{package}.{generic}[{arguments}"))
                .or_else(|| {
                    self.model
                        .by_name(&format!("{package}.{generic}[{}", shapes()))
                })
        };
        Some(Hold::Node {
            entry: find("entry"),
            indirect: find("indirect"),
        })
    }

    fn array(&mut self, elem: TypeId, count: u64, offset: u64, path: &str, depth: u32) {
        let size = self.model.get(elem).size;
        if size == 0 || count == 0 || !has_pointers(self.model, elem, depth + 1, &mut self.steps) {
            return;
        }
        let path = format!("{path}[]");
        if count <= UNROLL {
            for i in 0..count {
                self.flatten(elem, element(offset, i, size), &path, depth + 1);
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

    fn fields(&mut self, ty: TypeId, offset: u64, path: &str, depth: u32) {
        let this = self.model.get(ty);
        let part = MapPart::of(&this.name);
        if self.is_atomic_pointer(ty) {
            return self.atomic_pointer(ty, offset, path);
        }
        // sync/poolqueue.go: eface
        if this.name == "sync.eface" {
            return self.shape.slots.push(Slot {
                offset,
                hold: Hold::EmptyInterface,
                ty: self.model.by_name("interface {}").unwrap_or(ty),
                path: path.into(),
            });
        }
        if is_weak_pointer(&this.name) {
            return self.weak_pointer(ty, offset, path);
        }
        for field in &this.fields {
            let at = offset.saturating_add(field.offset);
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
                // From 1.26 on a wrapper hides the pointer's type.
                // runtime/runtime2.go: sudog, maybeTraceableChan
                (None, "c") if this.name == "runtime.sudog" => self.known(
                    field,
                    at,
                    path,
                    Hold::One,
                    self.model.by_name("runtime.hchan"),
                ),
                // runtime/pprof/runtime.go: SetGoroutineLabels
                (None, "labels") if this.name == "runtime.g" => {
                    let labels = self.model.by_name("runtime/pprof.labelMap");
                    self.known(field, at, path, Hold::One, labels)
                }
                // sync/pool.go: Pool: an array of poolLocal
                (None, "local" | "victim") if this.name == "sync.Pool" => {
                    let local = self.model.by_name("sync.poolLocal");
                    self.known(field, at, path, Hold::Many, local)
                }
                // sync/map.go: entry: an *interface{}; an `atomic.Pointer` from 1.20 on
                (None, "p") if this.name == "sync.entry" && self.is_untyped(field.ty) => self
                    .known(
                        field,
                        at,
                        path,
                        Hold::One,
                        self.model.by_name("interface {}"),
                    ),
                _ => self.flatten(field.ty, at, &way(path, field), depth + 1),
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
                self.flatten(
                    field.ty,
                    element(offset, i, size).saturating_add(field.offset),
                    path,
                    depth + 1,
                );
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
            self.flatten(elem, element(offset, i, size), path, depth + 1);
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

    /// A field whose type does not say what it leads to, which is always the same.
    fn known(
        &mut self,
        field: &Field,
        offset: u64,
        path: &str,
        hold: fn(TypeId) -> Hold,
        target: Option<TypeId>,
    ) {
        let pointer = target.and_then(|ty| {
            let name = format!("*{}", self.model.get(ty).name);
            self.model.by_name(&name)
        });
        self.shape.slots.push(Slot {
            offset,
            hold: target.map_or(Hold::Unknown, hold),
            ty: pointer.unwrap_or(field.ty),
            path: way(path, field).into(),
        });
    }

    /// `struct { _ [0]*T; u unsafe.Pointer }`
    // weak/pointer.go: Pointer; 1.23: internal/weak
    fn weak_pointer(&mut self, ty: TypeId, offset: u64, path: &str) {
        let hold = self.model.weak_handle().map_or(Hold::Unknown, Hold::One);
        self.shape.slots.push(Slot {
            offset,
            hold,
            ty,
            path: path.into(),
        });
    }

    fn is_untyped(&self, ty: TypeId) -> bool {
        matches!(self.model.get(ty).kind, Kind::UnsafePointer)
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
        // The runtime's own pointer names its element by its name only.
        let elem = elem.or_else(|| {
            let (_, argument) = model.get(ty).name.split_once(".Pointer[")?;
            model.by_name(&format!("*{}", argument.strip_suffix(']')?))
        });
        let (hold, ty) = match elem {
            Some(pointer) => match model.get(pointer).kind {
                Kind::Pointer(elem) => (self.pointer(elem), pointer),
                _ => (Hold::Unknown, value.ty),
            },
            None => (Hold::Unknown, value.ty),
        };
        self.shape.slots.push(Slot {
            offset: offset.saturating_add(value.offset),
            hold,
            ty,
            path: path.into(),
        });
    }
}

/// Where an element of an array is: damaged sizes have no bounds.
fn element(offset: u64, index: u64, size: u64) -> u64 {
    offset.saturating_add(index.saturating_mul(size))
}

/// The way to a field of what `path` leads to.
fn way(path: &str, field: &Field) -> String {
    match path {
        "" => field.name.clone(),
        _ => format!("{path}.{}", field.name),
    }
}

fn is_weak_pointer(name: &str) -> bool {
    name.starts_with("weak.Pointer[") || name.starts_with("internal/weak.Pointer[")
}

/// `runtime.hchan`, or the struct that the linker describes for a channel type.
// cmd/link/internal/ld/dwarf.go: synthesizechantypes
pub fn is_channel(name: &str) -> bool {
    name == "runtime.hchan" || name.starts_with("hchan<")
}

/// A struct that the linker describes for the inside of a map type.
// cmd/link/internal/ld/dwarf.go: synthesizemaptypes
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapPart {
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
    pub fn of(name: &str) -> Option<MapPart> {
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
