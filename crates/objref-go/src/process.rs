//! The inferior as a Go process: its address space joined with what its binary says.

use std::sync::Arc;

use objref_dwarf::{DebugInfo, DwarfError};
use objref_mem::{Addr, AddressSpace, Core, CoreError, Image, ImageError, ImageSegment, LoadBias};
use rustc_hash::FxHashMap;

use crate::buildinfo;
use crate::closure_types::ClosureTypes;
use crate::find::{Found, first_module};
use crate::goroutine::all_stacks;
use crate::heap::{Census, GcPhase, Heap, HeapState, Landmarks, ReadError};
use crate::layout::{FieldAt, LayoutError, StructSource, find_field, slice_at};
use crate::layouts::{BuiltInLayout, DwarfLayout, Layouts};
use crate::memstats::{MemStats, MemStatsError};
use crate::module::{Module, ModuleError, read_modules};
use crate::pclntab::Pclntab;
use crate::processor::processors;
use crate::roots::global_roots;
use crate::rtype::RuntimeTypes;
use crate::type_index::TypeIndex;
use crate::version::{GoVersion, TESTED};

/// The dump and the binary, with the runtime's version, layouts and modules.
pub struct GoProcess {
    /// The dump.
    pub core: Core,
    /// The binary.
    pub image: Arc<Image>,
    /// Where the binary was loaded.
    pub bias: LoadBias,
    /// Memory of the dump, completed from the binary.
    pub space: AddressSpace,
    /// The binary's description of itself; empty where it has no DWARF.
    pub debug: Arc<DebugInfo>,
    /// The Go release.
    pub version: GoVersion,
    /// The main program's module and those of plugins.
    pub modules: Vec<Module>,
    /// Reader for type descriptors.
    pub types: RuntimeTypes,
    /// What stands in for DWARF where the binary has none.
    pub stripped: Option<Stripped>,
}

/// What is known about a binary without DWARF.
pub struct Stripped {
    layout: BuiltInLayout,
    found: Found,
    /// The types that the runtime has descriptors of.
    pub index: TypeIndex,
    /// Whether the binary has symbols.
    pub symbols: bool,
}

impl Stripped {
    /// Variables of the runtime that could not be found.
    pub fn missing(&self) -> &[&'static str] {
        &self.found.missing
    }
}

/// Why a dump could not be opened as a Go process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The binary's place in memory is unknown.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The dump cannot be read.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The program is not written in Go.
    #[error("{0} is not a Go program: it has neither Go build information nor a Go runtime")]
    NotGo(String),
    /// Without DWARF, and too old for the built-in tables.
    #[error(
        "{path} is stripped, and {version} is older than go1.{oldest}, the oldest version whose layouts are built in; \
         give the unstripped binary of the same build with --exe"
    )]
    NoTable {
        /// The binary.
        path: String,
        /// Its version.
        version: String,
        /// The oldest version with a table.
        oldest: u32,
    },
    /// The binary's debug information is damaged.
    #[error("debug information of {path}: {source}")]
    Dwarf {
        /// The binary.
        path: String,
        /// What is wrong.
        source: DwarfError,
    },
    /// The dump was written by another build of the program.
    #[error(
        "the dump was not written by this binary: the dump says {core}; the binary says {binary} (--force goes on)"
    )]
    WrongBinary {
        /// Build id found in the dump.
        core: String,
        /// Build id of the binary.
        binary: String,
    },
    /// A variable of the runtime cannot be found.
    #[error("{0} cannot be found (wrong binary, or the dump is cut short)")]
    NoVariable(&'static str),
    /// The version text cannot be read.
    #[error("the Go version cannot be read from the dump (wrong binary, or the dump is cut short)")]
    NoVersion,
    /// The modules cannot be read.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// A struct of the runtime has an unknown shape.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The heap cannot be read.
    #[error(transparent)]
    Heap(#[from] ReadError),
}

impl GoProcess {
    /// Joins a dump with the binary that wrote it. `force` goes on when their build ids differ.
    pub fn open(core: Core, image: Arc<Image>, force: bool) -> Result<GoProcess, OpenError> {
        Self::join(core, image, None, force)
    }

    /// Joins another dump with the binary of this one, which is not read again.
    pub fn open_beside(&self, core: Core, force: bool) -> Result<GoProcess, OpenError> {
        let debug = self.stripped.is_none().then(|| Arc::clone(&self.debug));
        Self::join(core, Arc::clone(&self.image), debug, force)
    }

    /// `debug` is what `image` says of itself, if that is known already.
    fn join(
        core: Core,
        image: Arc<Image>,
        debug: Option<Arc<DebugInfo>>,
        force: bool,
    ) -> Result<GoProcess, OpenError> {
        core.check_arch()?;
        let bias = image.load_bias(&core)?;
        let space = AddressSpace::new(&core, &[(Arc::clone(&image), bias)]);
        let path = image.input().path().display().to_string();
        if !force {
            let (theirs, ours) = (core.executable_ids(), image.build_ids());
            if theirs.agree_with(&ours) == Some(false) {
                return Err(OpenError::WrongBinary {
                    core: theirs.to_string(),
                    binary: ours.to_string(),
                });
            }
        }
        let load = || DebugInfo::load(image.debug_input()).map(Arc::new);
        match debug.map_or_else(load, Ok) {
            Ok(debug) => Self::described(core, image, bias, space, debug),
            Err(DwarfError::NoDwarf | DwarfError::NoGoUnits) => match buildinfo::version(&image) {
                Some(version) => Self::stripped(core, image, bias, space, version),
                None => Err(OpenError::NotGo(path)),
            },
            Err(source) => Err(OpenError::Dwarf {
                path: image.debug_input().path().display().to_string(),
                source,
            }),
        }
    }

    /// A process whose binary has DWARF.
    fn described(
        core: Core,
        image: Arc<Image>,
        bias: LoadBias,
        space: AddressSpace,
        debug: Arc<DebugInfo>,
    ) -> Result<GoProcess, OpenError> {
        let source = DwarfLayout(&debug);
        let global = |name| source.global(name).map(|a| bias.to_addr(a));
        let Some(build_version) = global("runtime.buildVersion") else {
            return Err(OpenError::NotGo(image.input().path().display().to_string()));
        };
        let version = read_version(&space, build_version).ok_or(OpenError::NoVersion)?;
        let first = global("runtime.firstmoduledata")
            .ok_or(OpenError::NoVariable("runtime.firstmoduledata"))?;
        let modules = read_modules(&space, &source, first)?;
        let types = RuntimeTypes::new(&source, &version, &modules)?;
        Ok(GoProcess {
            core,
            image,
            bias,
            space,
            debug,
            version,
            modules,
            types,
            stripped: None,
        })
    }

    /// A process whose binary has no DWARF, but perhaps symbols.
    fn stripped(
        core: Core,
        image: Arc<Image>,
        bias: LoadBias,
        space: AddressSpace,
        version: GoVersion,
    ) -> Result<GoProcess, OpenError> {
        let arch = core.arch();
        let mut layout = BuiltInLayout::new(&version, arch).ok_or_else(|| OpenError::NoTable {
            path: image.input().path().display().to_string(),
            version: version.text.clone(),
            oldest: *TESTED.start(),
        })?;
        let symbols: FxHashMap<&str, Addr> = image
            .symbols()
            .filter(|s| s.name.starts_with("runtime."))
            .map(|s| (s.name, bias.to_addr(s.addr)))
            .collect();
        let known = |name: &str| symbols.get(name).copied();
        let first = known("runtime.firstmoduledata")
            .or_else(|| first_module(&space, &image, bias, &layout))
            .ok_or(OpenError::NoVariable("runtime.firstmoduledata"))?;
        let modules = read_modules(&space, &layout, first)?;
        let mut types = RuntimeTypes::new(&layout, &version, &modules)?;
        let index = TypeIndex::read(&space, &layout, &mut types, &modules);
        layout.describe(&space, &types, &index);
        let found = Found::search(&space, &layout, &modules, version.minor, &known);
        let stripped = Stripped {
            layout,
            found,
            index,
            symbols: !symbols.is_empty(),
        };
        Ok(GoProcess {
            core,
            image,
            bias,
            space,
            debug: Arc::new(DebugInfo::none()),
            version,
            modules,
            types,
            stripped: Some(stripped),
        })
    }

    /// Layouts of the runtime's structs.
    pub fn layouts(&self) -> Layouts<'_> {
        match &self.stripped {
            Some(stripped) => Layouts::BuiltIn(&stripped.layout),
            None => Layouts::Dwarf(DwarfLayout(&self.debug)),
        }
    }

    /// The field at the first of the alternatives in `paths` of the first known of the structs in `names`.
    pub fn field(&self, names: &'static str, paths: &'static str) -> Option<FieldAt> {
        find_field(&self.layouts(), names, paths)
    }

    /// Address of the package-level variable `name` (full package path).
    pub fn global(&self, name: &str) -> Option<Addr> {
        match &self.stripped {
            Some(stripped) => stripped.found.get(name),
            None => DwarfLayout(&self.debug)
                .global(name)
                .map(|a| self.bias.to_addr(a)),
        }
    }

    /// The functions of all modules.
    pub fn functions(&self) -> Result<Pclntab<'_>, LayoutError> {
        Pclntab::new(
            &self.space,
            &self.layouts(),
            &self.modules,
            self.version.minor,
        )
    }

    /// What closures captured, by the code that makes them.
    pub fn closure_types(&self) -> ClosureTypes {
        ClosureTypes::read(&self.space, self.core.arch(), &self.types, &self.modules)
    }

    /// What the collector was doing.
    pub fn gc_phase(&self) -> GcPhase {
        match self
            .global("runtime.gcphase")
            .and_then(|a| self.space.u32(a).ok())
        {
            Some(1) => GcPhase::Mark,
            Some(2) => GcPhase::MarkTermination,
            _ => GcPhase::Off,
        }
    }

    /// The runtime's own counters.
    pub fn memstats(&self) -> Result<MemStats, MemStatsError> {
        MemStats::read(&self.space, &self.layouts(), &|name| self.global(name))
    }

    /// Reads the heap.
    pub fn heap(&self) -> Result<Heap, OpenError> {
        Ok(Heap::read(
            &self.space,
            &self.layouts(),
            &self.types,
            self.heap_state()?,
            &|| self.landmarks(),
        )?)
    }

    /// What variables and goroutines tell of where the heap is.
    fn landmarks(&self) -> Landmarks {
        // That of the first thread is a variable.
        // runtime/proc.go: g0
        let in_image = |at: Addr| {
            let at = self.bias.to_link(at).0;
            let around = |s: &ImageSegment| at.wrapping_sub(s.addr.0) < s.mem_size;
            self.image.segments().iter().any(around)
        };
        let goroutines = all_stacks(&self.space, &self.layouts(), &|name| self.global(name));
        // The heap's own variable leads to its records.
        let source = self.layouts();
        let own = self.global("runtime.mheap_").map_or(0, |at| at.0);
        let size = source.size_of("runtime.mheap").unwrap_or(0);
        let mut pointed_to = Vec::new();
        for module in &self.modules {
            global_roots(&self.space, module, &mut |root| {
                if root.slot.0.wrapping_sub(own) >= size && !in_image(Addr(root.value)) {
                    pointed_to.push(root.value);
                }
            });
        }
        Landmarks {
            pointed_to,
            inside: goroutines
                .iter()
                .map(|(g, _)| *g)
                .filter(|g| !in_image(*g))
                .map(|g| g.0)
                .collect(),
            stacks: goroutines.into_iter().map(|(_, stack)| stack).collect(),
            descriptor: source.size_of("runtime.g").unwrap_or(0),
            sized: self.processors(source.size_of("runtime.p").unwrap_or(0)),
            text: self.modules.iter().map(|m| m.text).collect(),
            census: self.census().unwrap_or_default(),
        }
    }

    /// Where the descriptors of processors are, each of `size` bytes.
    fn processors(&self, size: u64) -> Vec<(u64, u64)> {
        let list = self.global("runtime.allp");
        let listed = list.and_then(|at| processors(&self.space, at).ok());
        let there = listed.into_iter().flatten().map_while(Result::ok);
        there.map(|at| (at.0, size)).collect()
    }

    /// What the runtime has of spans, where its variables are in the dump.
    fn census(&self) -> Option<Census> {
        let source = self.layouts();
        let memstats = self.global("runtime.memstats")?;
        let large = MemStats::large_bytes(&self.space, &source, memstats).ok()?;
        let (mheap, allp) = (self.global("runtime.mheap_")?, self.global("runtime.allp"));
        Census::read(&self.space, &source, mheap, allp, large).ok()
    }

    /// Where the heap is, and what was going on.
    pub fn heap_state(&self) -> Result<HeapState, OpenError> {
        Ok(HeapState {
            mheap: self
                .global("runtime.mheap_")
                .ok_or(OpenError::NoVariable("runtime.mheap_"))?,
            phase: self.gc_phase(),
            minor: self.version.minor,
        })
    }
}

fn read_version(space: &AddressSpace, variable: Addr) -> Option<GoVersion> {
    let (data, len) = slice_at(space, variable).ok()?;
    let text = space
        .string(data, usize::try_from(len).ok().filter(|n| *n < 256)?)
        .ok()?;
    GoVersion::parse(&text)
}
