//! Where in objects the things lie that a reader follows or counts by, as their types tell.

use std::collections::BTreeMap;

use objref_go::ObjId;
use objref_mem::Addr;
use objref_snapshot::{Form, Kind, MapPart, Snapshot, TypeId};

/// Where an object begins, where a part of it begins, and how long this is.
type Part = (Addr, Addr, u64);

/// Parts of one kind that are enough.
const MANY: usize = 20_000;
/// Structs in structs.
const DEPTH: u32 = 6;

/// By kind: lengths, pointers to more of the same as lists have them, and the insides of maps.
pub(crate) fn parts(snapshot: &Snapshot) -> BTreeMap<&'static str, Vec<Part>> {
    let mut found = Found {
        snapshot,
        parts: BTreeMap::new(),
    };
    for (id, at, span) in snapshot.objects.objects() {
        let Some(view) = snapshot.view(id.0) else {
            continue;
        };
        let start = Addr(at + snapshot.objects.data_offset(span));
        let size = snapshot.objects.size(ObjId(id.0));
        let own = (view.ty, start);
        if let Some(name) = map_part(snapshot, view.ty, view.form) {
            found.add(name, own.1, start, size);
        }
        if matches!(view.form, Form::One | Form::Many) {
            found.visit(own, view.ty, start, DEPTH);
        }
    }
    found.parts
}

/// The part of a map that an object is.
fn map_part(snapshot: &Snapshot, ty: TypeId, form: Form) -> Option<&'static str> {
    let ty = snapshot.types.get(ty);
    if let (Kind::Pointer(to), Form::Many) = (ty.kind, form) {
        let to = MapPart::of(&snapshot.types.get(to).name);
        return (to == Some(MapPart::Table)).then_some("map directories");
    }
    Some(match MapPart::of(&ty.name)? {
        MapPart::Header => "map headers",
        MapPart::Bucket => "map buckets",
        MapPart::Table => "map tables",
        MapPart::Group => "map groups",
    })
}

struct Found<'s> {
    snapshot: &'s Snapshot,
    parts: BTreeMap<&'static str, Vec<Part>>,
}

impl Found<'_> {
    fn add(&mut self, name: &'static str, whole: Addr, at: Addr, len: u64) {
        let parts = self.parts.entry(name).or_default();
        if parts.len() < MANY {
            parts.push((whole, at, len));
        }
    }

    /// The value of type `ty` at `at`, in an object of the type and at the place that `own` says.
    fn visit(&mut self, own: (TypeId, Addr), ty: TypeId, at: Addr, depth: u32) {
        let ty = self.snapshot.types.get(ty);
        match ty.kind {
            Kind::String => self.add("lengths of strings", own.1, at.add(8), 8),
            Kind::Slice(_) => self.add("lengths of slices", own.1, at.add(8), 16),
            Kind::Pointer(to) if to == own.0 => self.add("links", own.1, at, 8),
            Kind::Struct if depth > 0 => {
                for field in &ty.fields {
                    self.visit(own, field.ty, at.add(field.offset), depth - 1);
                }
            }
            _ => {}
        }
    }
}
