//! The runtime's own counters, added up as `runtime.ReadMemStats` does.

use objref_mem::{Addr, AddressSpace, Fault};
use serde::{Deserialize, Serialize};

use crate::heap::SIZE_CLASSES;
use crate::layout::{FieldAt, LayoutError, StructSource, find_field, layout, pointer_at};
use crate::processor::processors;

layout! {
    // runtime/mstats.go: mstats
    struct StatsLayout = "runtime.mstats" {
        heap_stats: "heapStats.stats",
        numgc: "numgc",
    }
}

layout! {
    // runtime/mstats.go: heapStatsDelta
    struct DeltaLayout = "runtime.heapStatsDelta" {
        in_stacks: "inStacks",
        large_alloc: "largeAlloc",
        large_alloc_count: "largeAllocCount",
        small_alloc_count: "smallAllocCount",
        large_free: "largeFree",
        large_free_count: "largeFreeCount",
        small_free_count: "smallFreeCount",
    }
}

layout! {
    // runtime/mgcpacer.go: gcControllerState
    struct ControllerLayout = "runtime.gcControllerState" {
        gc_percent: "gcPercent.value | gcPercent",
        memory_limit: ? "memoryLimit.value | memoryLimit",
        heap_marked: "heapMarked",
        heap_live: ? "heapLive.value | heapLive",
        goal: ? "gcPercentHeapGoal.value | gcPercentHeapGoal | heapGoal",
        in_use: ? "heapInUse",
        free: ? "heapFree",
        released: ? "heapReleased",
    }
}

layout! {
    // runtime/mheap.go: mspan
    struct CachedSpanLayout = "runtime.mspan" {
        alloc_count: "allocCount",
        before_cache: "allocCountBeforeCache",
        elemsize: "elemsize",
        sweepgen: "sweepgen",
    }
}

/// What the runtime counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemStats {
    /// `HeapAlloc`: bytes in allocated slots.
    pub heap_alloc: u64,
    /// `HeapObjects`: allocated slots.
    pub heap_objects: u64,
    /// `StackInuse`: bytes of goroutine stacks.
    pub stack_inuse: u64,
    /// `NumGC`: completed collections.
    pub num_gc: u64,
    /// `HeapInuse`: bytes of spans that hold objects.
    pub heap_inuse: Option<u64>,
    /// Pages that no span uses and that the system still backs, in bytes.
    pub heap_free: Option<u64>,
    /// Pages that no span uses and that were given back to the system, in bytes.
    pub heap_released: Option<u64>,
    /// Bytes that the last collection found live.
    pub heap_marked: u64,
    /// `heapLive`: `heap_marked` and what was allocated since, spans in processors' caches taken for full.
    pub heap_live: Option<u64>,
    /// `NextGC`, by GOGC alone: the heap size that the next collection aims at.
    pub next_gc: Option<u64>,
    /// GOGC; -1 is off.
    pub gc_percent: i64,
    /// GOMEMLIMIT, if one is set.
    pub memory_limit: Option<u64>,
}

/// Why the counters could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemStatsError {
    /// A struct of the runtime has an unknown shape.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A variable cannot be found.
    #[error("{0} cannot be found")]
    NoVariable(&'static str),
    /// The counters are not in the dump.
    #[error("the runtime's counters cannot be read: {0}")]
    Fault(#[from] Fault),
}

/// Three deltas, of which each processor writes one at a time; their sum counts.
// runtime/mstats.go: consistentHeapStats
const DELTAS: u64 = 3;
const CLASSES: u64 = SIZE_CLASSES.len() as u64;

impl MemStats {
    /// Adds the counters up. `global` finds the address of a variable of the runtime.
    // runtime/mstats.go: readmemstats_m
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        global: &dyn Fn(&str) -> Option<Addr>,
    ) -> Result<MemStats, MemStatsError> {
        let variable = |name| global(name).ok_or(MemStatsError::NoVariable(name));
        let memstats = variable("runtime.memstats")?;
        let controller = variable("runtime.gcController")?;
        let layout = StatsLayout::resolve(source)?;
        let delta = DeltaLayout::resolve(source)?;
        let pacer = ControllerLayout::resolve(source)?;

        let mut stats = MemStats {
            num_gc: layout.numgc.read(space, memstats)?,
            ..MemStats::default()
        };
        let size = layout.heap_stats.size / DELTAS;
        for i in 0..DELTAS {
            stats.add_delta(space, &delta, layout.heap_stats.at(memstats).add(i * size))?;
        }
        let sweepgen = find_field(source, "runtime.mheap", "sweepgen").ok_or(LayoutError {
            name: "runtime.mheap",
            path: "sweepgen",
        })?;
        let sweepgen = sweepgen.read(space, variable("runtime.mheap_")?)? as u32;
        stats.add_cached(space, source, variable("runtime.allp")?, sweepgen)?;
        stats.gc_percent = i64::from(pacer.gc_percent.read(space, controller)? as u32 as i32);
        stats.heap_marked = pacer.heap_marked.read(space, controller)?;
        let or_unlimited = |v: u64| (v < i64::MAX as u64).then_some(v);
        let optional = |f: Option<FieldAt>| f.map(|f| f.read(space, controller)).transpose();
        stats.heap_live = optional(pacer.heap_live)?;
        stats.heap_inuse = optional(pacer.in_use)?;
        stats.heap_free = optional(pacer.free)?;
        stats.heap_released = optional(pacer.released)?;
        stats.memory_limit = optional(pacer.memory_limit)?.and_then(or_unlimited);
        stats.next_gc = optional(pacer.goal)?.and_then(or_unlimited);
        Ok(stats)
    }

    /// Bytes of large objects.
    pub(crate) fn large_bytes(
        space: &AddressSpace,
        source: &dyn StructSource,
        memstats: Addr,
    ) -> Result<u64, MemStatsError> {
        let layout = StatsLayout::resolve(source)?;
        let delta = DeltaLayout::resolve(source)?;
        let size = layout.heap_stats.size / DELTAS;
        let mut large = 0u64;
        for i in 0..DELTAS {
            let at = layout.heap_stats.at(memstats).add(i * size);
            let get = |f: FieldAt| f.read(space, at);
            large =
                large.wrapping_add(get(delta.large_alloc)?.wrapping_sub(get(delta.large_free)?));
        }
        // More was freed than allocated: overwritten.
        Ok((large as i64).max(0) as u64)
    }

    fn add_delta(&mut self, space: &AddressSpace, l: &DeltaLayout, at: Addr) -> Result<(), Fault> {
        let get = |f: FieldAt| f.read(space, at);
        let counts = |f: FieldAt| -> Result<Vec<u64>, Fault> {
            (0..CLASSES)
                .map(|i| space.word(f.at(at).add(i * (f.size / CLASSES))))
                .collect()
        };
        let mut bytes = get(l.large_alloc)?.wrapping_sub(get(l.large_free)?);
        let mut objects = get(l.large_alloc_count)?.wrapping_sub(get(l.large_free_count)?);
        let (allocated, freed) = (counts(l.small_alloc_count)?, counts(l.small_free_count)?);
        for ((size, allocated), freed) in SIZE_CLASSES.iter().zip(allocated).zip(freed) {
            let slots = allocated.wrapping_sub(freed);
            objects = objects.wrapping_add(slots);
            bytes = bytes.wrapping_add(slots.wrapping_mul(*size));
        }
        self.heap_alloc = self.heap_alloc.wrapping_add(bytes);
        self.heap_objects = self.heap_objects.wrapping_add(objects);
        self.stack_inuse = self.stack_inuse.wrapping_add(get(l.in_stacks)?);
        Ok(())
    }

    /// Slots taken from spans that processors hold: `ReadMemStats` would flush them first. A span that is about to be
    /// replaced has been added up already; it is no longer marked as held.
    // runtime/mcache.go: releaseAll, refill; mheap.go: mspan.sweepgen
    fn add_cached(
        &mut self,
        space: &AddressSpace,
        source: &dyn StructSource,
        allp: Addr,
        sweepgen: u32,
    ) -> Result<(), MemStatsError> {
        let span = CachedSpanLayout::resolve(source)?;
        let field = |name, path| find_field(source, name, path).ok_or(LayoutError { name, path });
        let mcache = field("runtime.p", "mcache")?;
        let alloc = field("runtime.mcache", "alloc")?;
        for p in processors(space, allp)? {
            let p = p?;
            if p.0 == 0 {
                continue;
            }
            let cache = mcache.ptr(space, p)?;
            if cache.0 == 0 {
                continue;
            }
            for class in 0..alloc.size / space.word_size() {
                let at = pointer_at(space, alloc.at(cache), class)?;
                let get = |f: FieldAt| f.read(space, at);
                let ahead = (get(span.sweepgen)? as u32).wrapping_sub(sweepgen);
                if !matches!(ahead, 1 | 3) {
                    continue;
                }
                let slots = get(span.alloc_count)?.saturating_sub(get(span.before_cache)?);
                self.heap_objects = self.heap_objects.wrapping_add(slots);
                self.heap_alloc = self
                    .heap_alloc
                    .wrapping_add(slots.wrapping_mul(get(span.elemsize)?));
            }
        }
        Ok(())
    }
}
