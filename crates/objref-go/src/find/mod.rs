//! Finding the runtime in a binary without symbols: its module data by its structure, its variables by what is in them
//! and by the code that uses them.

mod code;
mod data;
mod module;

use std::ops::RangeInclusive;

use objref_mem::{Addr, AddressSpace};
use rustc_hash::FxHashMap;

use crate::layout::StructSource;
use crate::module::Module;
use crate::pclntab::Pclntab;
use code::Code;
use data::Data;
pub(crate) use module::first_module;

/// The variables of the runtime that are looked for, and the minor versions that have them.
const WANTED: [(&str, RangeInclusive<u32>); 13] = [
    ("runtime.mheap_", ALL),
    ("runtime.allgs", ALL),
    ("runtime.allm", ALL),
    ("runtime.allp", ALL),
    ("runtime.gcphase", ALL),
    ("runtime.memstats", ALL),
    ("runtime.gcController", ALL),
    ("runtime.sched", ALL),
    ("runtime.allfin", ALL),
    // runtime/mcleanup.go
    ("runtime.gcCleanups", 25..=u32::MAX),
    // runtime/mfinal.go
    ("runtime.fingRunning", 0..=19),
    ("runtime.fingStatus", 20..=u32::MAX),
    ("runtime.waitReasonStrings", ALL),
];
const ALL: RangeInclusive<u32> = 0..=u32::MAX;

/// Where variables of the runtime are, as far as they could be found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    addresses: FxHashMap<&'static str, Addr>,
    /// Those that could not be found.
    pub(crate) missing: Vec<&'static str>,
}

impl Found {
    /// The address of the variable called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Addr> {
        self.addresses.get(name).copied()
    }

    /// Looks for the variables of the runtime in the first of `modules`, the one with the runtime. `known` are the
    /// addresses that the binary itself tells.
    pub(crate) fn search(
        space: &AddressSpace,
        source: &dyn StructSource,
        modules: &[Module],
        minor: u32,
        known: &dyn Fn(&str) -> Option<Addr>,
    ) -> Found {
        let mut found = Found::default();
        let Some(module) = modules.first() else {
            return found;
        };
        let pclntab = Pclntab::new(space, source, modules, minor).ok();
        let names = WANTED
            .into_iter()
            .filter_map(|(name, minors)| minors.contains(&minor).then_some(name));
        let mut search = None;
        for name in names {
            let address = known(name).or_else(|| {
                let (data, code) = search.get_or_insert_with(|| {
                    let code = pclntab.as_ref().map(|tab| Code::new(space, tab, module));
                    (Data::new(space, source, module), code.unwrap_or_default())
                });
                find(name, data, code)
            });
            match address {
                Some(address) => {
                    found.addresses.insert(name, address);
                }
                // Without the code that runs cleanups there are none, and the linker has left it out.
                None if name == "runtime.gcCleanups"
                    && search
                        .as_ref()
                        .is_some_and(|(_, code)| code.lacks("runtime.runCleanups")) => {}
                None => found.missing.push(name),
            }
        }
        found
    }
}

fn find(name: &str, data: &Data<'_>, code: &Code) -> Option<Addr> {
    match name {
        // Locks the heap before anything else. runtime/mgc.go: gcSweep
        "runtime.mheap_" => data.mheap().or_else(|| {
            let lock = *code.addresses("runtime.gcSweep").first()?;
            data.locked_mheap(lock)
        }),
        // runtime/proc.go: allgadd appends to it.
        "runtime.allgs" => data.allgs(&code.references("runtime.allgadd")),
        "runtime.allp" => data.allp(&code.loads("runtime.gcMark")),
        "runtime.allm" => data.allm(&code.addresses("runtime.mcommoninit")),
        // `if gcphase != _GCmarktermination { throw(…) }` opens the function.
        // runtime/mgc.go: gcMark
        "runtime.gcphase" => code.compared_with("runtime.gcMark", 2),
        // The first thing it does is to read memstats.heapStats, the first field.
        // runtime/mstats.go: readmemstats_m
        "runtime.memstats" => code.addresses("runtime.readmemstats_m").first().copied(),
        // runtime/mgc.go: gcinit calls gcController.init, readmemstats_m asks it for the limit.
        "runtime.gcController" => {
            let init = code.addresses("runtime.gcinit");
            let asked = code.addresses("runtime.readmemstats_m").into_iter();
            let mut both = asked.filter(|a| init.contains(a));
            both.find(|a| data.is_controller(*a))
        }
        // Locks the scheduler before anything else. runtime/proc.go: mcommoninit
        "runtime.sched" => code
            .addresses("runtime.mcommoninit")
            .into_iter()
            .find_map(|lock| data.sched(lock)),
        // runtime/mfinal.go: queuefinalizer takes a block from finc and links it into allfin.
        "runtime.allfin" => data.allfin(&code.references("runtime.queuefinalizer")),
        // runtime/mcleanup.go: runCleanups takes from the queue what mheap.go: freeSpecial puts there.
        "runtime.gcCleanups" => {
            let put = code.addresses("runtime.freeSpecial");
            code.addresses("runtime.runCleanups")
                .into_iter()
                .find(|a| put.contains(a))
        }
        // runtime/mfinal.go: createfing does nothing but start the goroutine once.
        "runtime.fingStatus" => code.references("runtime.createfing").first().copied(),
        // runtime/traceback.go: isSystemGoroutine uses no other variable, up to go1.19
        "runtime.fingRunning" => code
            .references("runtime.isSystemGoroutine")
            .first()
            .copied(),
        "runtime.waitReasonStrings" => data.wait_reasons(),
        _ => None,
    }
}
