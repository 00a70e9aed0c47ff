//! What an address is that no object has.

use std::fmt;

use objref_go::{Miss, ObjId};
use objref_mem::{Addr, SymbolKind};

use crate::dump::Dump;
use crate::snapshot::Snapshot;

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// An object that nothing holds.
    Garbage {
        /// The address of its slot.
        at: u64,
        /// The size of its slot.
        size: u64,
        /// Its type, if the allocator keeps it.
        type_name: Option<String>,
    },
    /// A slot of the heap without an object.
    FreeSlot {
        /// The address of the slot.
        at: u64,
        /// Its size.
        size: u64,
        /// Whether the last collection found the object in it dead, and it was not swept since.
        dead: bool,
    },
    /// Behind the last slot of a span.
    SpanTail {
        /// The size of its slots.
        size: u64,
    },
    /// A page of the heap that no span uses.
    FreePage,
    /// On a goroutine's stack.
    Stack {
        /// The number that tracebacks show.
        goroutine: u64,
    },
    /// Static data.
    Data {
        /// `data`, `bss`, `noptrdata`, `noptrbss`.
        segment: &'static str,
        /// The variable, and how many bytes into it.
        variable: Option<(String, u64)>,
    },
    /// The program's code.
    Text {
        /// The function.
        function: Option<String>,
    },
    /// Something else that the process had mapped.
    Mapped,
    /// Nothing: the process had no memory there.
    Unmapped,
    /// Not the heap; an index alone does not say what else.
    NotHeap,
}

impl Whereabouts {
    /// What is at an address; of what lies outside the heap only the dump says more.
    pub fn of(snapshot: &Snapshot, dump: Option<&Dump>, address: u64) -> Whereabouts {
        let objects = &snapshot.objects;
        if let Some(found) = objects.resolve(address) {
            return Whereabouts::Garbage {
                at: found.at,
                size: found.span.elem_size,
                type_name: dump.and_then(|dump| dump.stored_name(found.id)),
            };
        }
        let stacks = snapshot.goroutines.list.iter();
        if let Some(g) = stacks
            .filter(|g| g.is_live())
            .find(|g| g.stack.contains(Addr(address)))
        {
            return Whereabouts::Stack { goroutine: g.id };
        }
        let miss = dump.and_then(|dump| dump.miss(address));
        match (miss, objects.span_at(address)) {
            (Some((Miss::SpanTail, ..)), Some(span)) => Whereabouts::SpanTail {
                size: span.elem_size,
            },
            (Some((Miss::FreePage, ..)), _) => Whereabouts::FreePage,
            (miss, Some(span)) => {
                let slot = (address - span.start) / span.elem_size;
                match slot < u64::from(span.nelems) {
                    true => Whereabouts::FreeSlot {
                        at: span.start + slot * span.elem_size,
                        size: span.elem_size,
                        dead: matches!(miss, Some((Miss::Unmarked, ..))),
                    },
                    false => Whereabouts::SpanTail {
                        size: span.elem_size,
                    },
                }
            }
            (_, None) => dump.map_or(Whereabouts::NotHeap, |dump| dump.outside(Addr(address))),
        }
    }
}

impl Dump {
    /// The name of the type that the allocator itself keeps for an object.
    pub fn stored_name(&self, object: ObjId) -> Option<String> {
        let (span, at) = self.heap.locate(object);
        let (space, types) = (&self.process.space, &self.process.types);
        let stored = self.heap.stored_type(space, span, at)?;
        let ty = types.read(space, stored)?;
        types
            .full_name(space, &ty)
            .or_else(|| types.name(space, &ty))
    }

    fn miss(&self, address: u64) -> Option<(Miss, u64, u64)> {
        let process = &self.process;
        let state = process.heap_state().ok()?;
        let evidence = self
            .heap
            .evidence(&process.space, &process.layouts(), state);
        evidence.ok()?.miss(&self.heap, address)
    }

    fn outside(&self, at: Addr) -> Whereabouts {
        let process = &self.process;
        for module in &process.modules {
            let segments = [
                ("data", module.data),
                ("bss", module.bss),
                ("noptrdata", module.noptrdata),
                ("noptrbss", module.noptrbss),
            ];
            if let Some((segment, _)) = segments.iter().find(|(_, range)| range.contains(at)) {
                return Whereabouts::Data {
                    segment,
                    variable: self.variable(at),
                };
            }
            if module.text.contains(at) {
                let functions = process.functions().ok();
                let function = functions.and_then(|f| Some(f.find(at)?.name().to_owned()));
                return Whereabouts::Text { function };
            }
        }
        match process.space.is_mapped(at) {
            true => Whereabouts::Mapped,
            false => Whereabouts::Unmapped,
        }
    }

    /// The variable that an address lies in, and how far.
    fn variable(&self, at: Addr) -> Option<(String, u64)> {
        let at = self.process.bias.to_link(at);
        self.process
            .image
            .symbols()
            .filter(|s| s.kind == SymbolKind::Object && s.addr <= at && at < s.addr.add(s.size))
            .map(|s| (s.name.to_owned(), at.0 - s.addr.0))
            .max_by(|(a, _), (b, _)| a.cmp(b))
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whereabouts::Garbage {
                at,
                size,
                type_name,
            } => {
                let name = type_name.as_deref().unwrap_or("unknown type");
                write!(
                    f,
                    "garbage: nothing holds the object at {at:#x} ({name}, {size} B)"
                )
            }
            Whereabouts::FreeSlot { at, size, dead } => {
                let why = match dead {
                    true => "the last collection found the object in it dead",
                    false => "no object is in it",
                };
                write!(f, "a free slot of the heap ({size} B, from {at:#x}): {why}")
            }
            Whereabouts::SpanTail { size } => write!(
                f,
                "behind the last slot of a span of the heap with slots of {size} B"
            ),
            Whereabouts::FreePage => f.write_str("a page of the heap that nothing uses"),
            Whereabouts::Stack { goroutine } => {
                write!(f, "on the stack of goroutine {goroutine}, not in the heap")
            }
            Whereabouts::Data {
                segment,
                variable: Some((name, offset)),
            } => match offset {
                0 => write!(f, "the variable {name} ({segment}), not in the heap"),
                _ => write!(
                    f,
                    "{offset} bytes into the variable {name} ({segment}), not in the heap"
                ),
            },
            Whereabouts::Data { segment, .. } => {
                write!(f, "static data ({segment}), not in the heap")
            }
            Whereabouts::Text {
                function: Some(name),
            } => write!(f, "code of {name}, not in the heap"),
            Whereabouts::Text { function: None } => f.write_str("code, not in the heap"),
            Whereabouts::Mapped => f.write_str("memory of the process that is not in Go's heap"),
            Whereabouts::Unmapped => f.write_str("the process had no memory there"),
            Whereabouts::NotHeap => {
                f.write_str("not in the heap; give the core, too, to learn what else it is")
            }
        }
    }
}
