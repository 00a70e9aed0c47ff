//! What is kept of a dump for a comparison, so that the next can be read when it is gone.

use std::sync::Arc;

use objref_go::{ObjId, ObjectTable};
use objref_snapshot::{Facts, Snapshot};
use rustc_hash::FxHashMap;

use super::fates::Side;
use super::stacks::{StackGroup, stack_groups};
use crate::frames::place;
use crate::measure::{diagnostics, heap, kind_of, runtime};
use crate::root_frames::{RootFrames, root_kind_name};
use crate::types::group_name;
use crate::{Amount, DiffDump, FrameTree, ROOT_FRAME, TypeGroup};

/// In the place of a type: the object cannot be reached.
const UNREACHED: u32 = u32::MAX;

/// A dump, seen once.
pub struct Sighting {
    pub(super) facts: Facts,
    pub(super) clock: Option<i64>,
    pub(super) dump: DiffDump,
    /// Types by name, and what there is of each.
    pub(super) types: Vec<(String, Amount)>,
    /// Who keeps what alive, under names that are the same in every dump.
    pub(super) tree: FrameTree,
    /// Frames of the first level with their kind of root.
    pub(super) root_kinds: Vec<(u32, &'static str)>,
    pub(super) groups: Vec<StackGroup>,
    pub(super) objects: Objects,
}

/// Where each object is, of what type, and held along which path.
pub(super) struct Objects {
    table: Arc<ObjectTable>,
    /// Index of the type, or [`UNREACHED`].
    ty: Vec<u32>,
    frame: Vec<u32>,
}

/// A live object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) ty: u32,
    pub(super) frame: u32,
}

impl Sighting {
    /// Looks at a snapshot.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut roots = RootFrames::names_only(snapshot);
        let (tree, frame) = place(snapshot, &mut roots, true);
        let kinds = roots
            .frames()
            .filter(|(_, frame)| tree.parent(*frame) == ROOT_FRAME)
            .map(|(holder, frame)| (frame, root_kind_name(kind_of(holder))));
        let mut root_kinds: Vec<_> = kinds.collect();
        root_kinds.sort_unstable();
        let (types, ty) = types(snapshot);
        Sighting {
            dump: dump(snapshot),
            facts: snapshot.facts.clone(),
            clock: snapshot.traces.clock,
            types,
            root_kinds,
            tree,
            groups: stack_groups(snapshot),
            objects: Objects {
                table: Arc::clone(&snapshot.objects),
                ty,
                frame,
            },
        }
    }
}

/// The objects of a dump, with types and frames as all dumps have them.
pub(super) struct Joined<'a> {
    pub(super) objects: &'a Objects,
    pub(super) types: &'a [u32],
    pub(super) frames: &'a [u32],
}

impl Joined<'_> {
    #[inline]
    fn seen(&self, id: u32, address: u64, size: u64) -> Option<Seen> {
        let ty = self.objects.ty[id as usize];
        (ty != UNREACHED).then(|| Seen {
            address,
            size,
            ty: self.types[ty as usize],
            frame: self.frames[self.objects.frame[id as usize] as usize],
        })
    }
}

impl Side for Joined<'_> {
    fn len(&self) -> usize {
        self.objects.ty.len()
    }

    fn each(&self, mut visit: impl FnMut(u32, Seen)) {
        self.objects
            .table
            .objects()
            .for_each(|(id, address, span)| {
                if let Some(seen) = self.seen(id.0, address, span.elem_size) {
                    visit(id.0, seen);
                }
            });
    }

    #[inline]
    fn at(&self, address: u64) -> Option<(u32, Seen)> {
        let found = self.objects.table.resolve(address)?;
        if found.at != address {
            return None;
        }
        let seen = self.seen(found.id.0, address, found.span.elem_size)?;
        Some((found.id.0, seen))
    }
}

/// The types with what there is of each, and per object its type.
fn types(snapshot: &Snapshot) -> (Vec<(String, Amount)>, Vec<u32>) {
    let mut types: Vec<(String, Amount)> = Vec::new();
    let mut known: FxHashMap<String, u32> = FxHashMap::default();
    let of_view = snapshot.distinct_views().iter().map(|view| {
        let name = group_name(snapshot, view, TypeGroup::Type);
        *known.entry(name).or_insert_with_key(|name| {
            types.push((name.clone(), Amount::default()));
            types.len() as u32 - 1
        })
    });
    let of_view: Vec<u32> = of_view.collect();
    let mut of = vec![UNREACHED; snapshot.objects.len()];
    for (ObjId(object), _, span) in snapshot.objects.objects() {
        if snapshot.is_reached(object) {
            let ty = of_view[snapshot.view_index(object) as usize];
            of[object as usize] = ty;
            let amount = &mut types[ty as usize].1;
            amount.objects += 1;
            amount.bytes += span.elem_size;
        }
    }
    (types, of)
}

fn dump(snapshot: &Snapshot) -> DiffDump {
    let facts = &snapshot.facts;
    let binary = &facts.binary;
    let runtime = runtime(snapshot);
    DiffDump {
        core: facts.core.path.clone(),
        command: facts.core.command.clone(),
        pid: facts.core.pid,
        go_version: facts.go.version.clone(),
        build_id: binary.build_id.clone().or(binary.go_build_id.clone()),
        heap: heap(snapshot, runtime.heap_idle_bytes),
        goroutines: snapshot.goroutines.list.len() as u64,
        num_gc: runtime.num_gc,
        diagnostics: diagnostics(snapshot),
    }
}
