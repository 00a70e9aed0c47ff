//! The inferior as a Go process: its address space joined with what its binary says.

use std::sync::Arc;

use objref_dwarf::{DebugInfo, DwarfError, Kind as DwarfKind, TypeIdx};
use objref_mem::{Addr, AddressSpace, Core, Image, ImageError, LinkAddr, LoadBias};

use crate::heap::{GcPhase, Heap, ReadError};
use crate::layout::{FieldAt, LayoutError, StructSource, find_field};
use crate::memstats::{MemStats, MemStatsError};
use crate::module::{Module, ModuleError, read_modules};
use crate::rtype::RuntimeTypes;
use crate::version::GoVersion;

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
    /// The binary's description of itself.
    pub debug: DebugInfo,
    /// The Go release.
    pub version: GoVersion,
    /// The main program's module and those of plugins.
    pub modules: Vec<Module>,
    /// Reader for type descriptors.
    pub types: RuntimeTypes,
}

/// Why a dump could not be opened as a Go process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The binary's place in memory is unknown.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The program is not written in Go.
    #[error("{0} is not a Go program: it has neither Go build information nor a Go runtime")]
    NotGo(String),
    /// A Go program without debug information.
    #[error(
        "{0} is stripped: its DWARF is missing (built with -ldflags=-s or -w?); \
         give the unstripped binary of the same build with --exe"
    )]
    Stripped(String),
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
    /// A variable of the runtime is missing from the debug information.
    #[error("the binary's debug information lacks {0}")]
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
        let debug = match DebugInfo::load(image.input().bytes()) {
            Ok(debug) => debug,
            Err(DwarfError::NoDwarf)
                if image.has_section(".go.buildinfo") || image.go_build_id().is_some() =>
            {
                return Err(OpenError::Stripped(path));
            }
            Err(DwarfError::NoDwarf | DwarfError::NoGoUnits) => return Err(OpenError::NotGo(path)),
            Err(source) => return Err(OpenError::Dwarf { path, source }),
        };
        let source = DwarfLayout(&debug);
        let global = |name| source.global(name).map(|a| bias.to_addr(a));
        let Some(build_version) = global("runtime.buildVersion") else {
            return Err(OpenError::NotGo(path));
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
        })
    }

    /// Layouts of the runtime's structs.
    pub fn layouts(&self) -> DwarfLayout<'_> {
        DwarfLayout(&self.debug)
    }

    /// The field at the first of the alternatives in `paths` of the first known of the structs in `names`.
    pub fn field(&self, names: &'static str, paths: &'static str) -> Option<FieldAt> {
        find_field(&self.layouts(), names, paths)
    }

    /// Address of the package-level variable `name` (full package path).
    pub fn global(&self, name: &str) -> Option<Addr> {
        self.layouts().global(name).map(|a| self.bias.to_addr(a))
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
        let mheap = self
            .global("runtime.mheap_")
            .ok_or(OpenError::NoVariable("runtime.mheap_"))?;
        Ok(Heap::read(
            &self.space,
            self.core.arch(),
            &self.layouts(),
            &self.types,
            mheap,
            self.gc_phase(),
        )?)
    }
}

fn read_version(space: &AddressSpace, variable: Addr) -> Option<GoVersion> {
    let (data, len) = (space.ptr(variable).ok()?, space.u64(variable.add(8)).ok()?);
    let text = space
        .string(data, usize::try_from(len).ok().filter(|n| *n < 256)?)
        .ok()?;
    GoVersion::parse(&text)
}

/// Struct layouts, constants and variables as the binary's DWARF gives them.
#[derive(Clone, Copy)]
pub struct DwarfLayout<'a>(&'a DebugInfo);

impl DwarfLayout<'_> {
    /// Link-time address of a package-level variable.
    pub fn global(&self, name: &str) -> Option<LinkAddr> {
        self.0
            .globals()
            .iter()
            .find(|v| *v.name == *name)
            .map(|v| v.addr)
    }

    fn step(&self, ty: TypeIdx, name: &str) -> Option<(u64, TypeIdx)> {
        let types = self.0.types();
        types
            .fields(ty)
            .iter()
            .find(|f| types.field_name(f) == name)
            .map(|f| (f.offset, f.ty))
    }
}

impl StructSource for DwarfLayout<'_> {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let types = self.0.types();
        let mut ty = types.by_name(name)?;
        let mut offset = 0;
        for part in path.split('.') {
            let (at, next) = self.step(ty, part)?;
            offset += at;
            ty = next;
        }
        Some(FieldAt {
            offset,
            size: types.get(ty).size,
        })
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        let types = self.0.types();
        let ty = types.get(types.by_name(name)?);
        (ty.kind != DwarfKind::Other).then_some(ty.size)
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.0.constant(name)
    }
}
