//! What can be wrong with a core or a binary as a whole. One line each, the way out in it.

use std::path::PathBuf;

use crate::elf::{ElfKind, HeaderError};

/// Why a file cannot be read as a core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// No ELF magic.
    #[error("{}: not an ELF file; a core file is expected", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// ELF, but no core.
    #[error("{}: this is {kind}, not a core", path.display())]
    NotACore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        kind: ElfKind,
    },
    /// A core of a system that is not supported.
    #[error("{}: linux/{arch} cores are not supported yet", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The name that Go has for its architecture, or what else can be said of it.
        arch: String,
    },
    /// The file ends before the headers do: nothing can be read.
    #[error(
        "{}: truncated: the {what} end at byte {end} but the file has only {size}", path.display()
    )]
    HeaderBeyondEof {
        /// The file.
        path: PathBuf,
        /// Which headers.
        what: &'static str,
        /// Where they end, in bytes.
        end: u64,
        /// The size of the file, in bytes.
        size: u64,
    },
    /// A header contradicts itself.
    #[error("{}: damaged ELF file: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

impl CoreError {
    /// A stable name of the kind of error, for machine-readable output.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotElf { .. } => "core.not-elf",
            Self::NotACore { .. } => "core.not-a-core",
            Self::Unsupported { .. } => "core.unsupported",
            Self::HeaderBeyondEof { .. } => "core.truncated-headers",
            Self::Malformed { .. } => "core.malformed",
        }
    }

    pub(crate) fn from_header(path: PathBuf, error: HeaderError) -> Self {
        match error {
            HeaderError::NotElf => Self::NotElf { path },
            HeaderError::BeyondEof { what, end, size } => Self::HeaderBeyondEof {
                path,
                what,
                end,
                size,
            },
            HeaderError::Malformed(what) => Self::Malformed { path, what },
        }
    }
}

/// Why a file cannot be used as the binary of a process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No ELF magic.
    #[error("{}: not an ELF file; the program's binary is expected", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// ELF, but neither an executable nor a shared object.
    #[error("{}: this is {kind}, not a program's binary", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        kind: ElfKind,
    },
    /// A binary for a system that is not supported.
    #[error("{}: linux/{arch} binaries are not supported yet", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The name that Go has for its architecture, or what else can be said of it.
        arch: String,
    },
    /// The file ends before the headers do.
    #[error(
        "{}: truncated: the {what} end at byte {end} but the file has only {size}", path.display()
    )]
    HeaderBeyondEof {
        /// The file.
        path: PathBuf,
        /// Which headers.
        what: &'static str,
        /// Where they end, in bytes.
        end: u64,
        /// The size of the file, in bytes.
        size: u64,
    },
    /// A header contradicts itself.
    #[error("{}: damaged ELF file: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The core is of another architecture than the binary.
    #[error("{}: a binary for {image}, but the core is of {core}", path.display())]
    OtherArch {
        /// The binary.
        path: PathBuf,
        /// Its architecture.
        image: &'static str,
        /// The core's.
        core: &'static str,
    },
    /// The file has the headers of a binary, but not its code and data.
    #[error(
        "{}: holds debug information only; name the binary too: --exe BIN --debug-file {}", path.display(), path.display()
    )]
    DebugInfoOnly {
        /// The file.
        path: PathBuf,
    },
    /// No debug information in the file that should have it.
    #[error(
        "{}: no debug information in it; give the file that it was moved to, or the binary as it was before", path.display()
    )]
    NoDebugInfo {
        /// The file.
        path: PathBuf,
    },
    /// The debug information is of another build than the binary.
    #[error(
        "{}: not the debug information of {}: its build is another one (--force goes on)", path.display(), image.display()
    )]
    OtherBuild {
        /// The file with the debug information.
        path: PathBuf,
        /// The binary.
        image: PathBuf,
    },
    /// Nothing in the core says where the file was loaded.
    #[error(
        "{}: cannot tell where this file was loaded: the core's auxiliary vector and file table \
         do not agree with it; is it the binary that was running?", path.display()
    )]
    NotLoaded {
        /// The file.
        path: PathBuf,
    },
}

impl ImageError {
    /// A stable name of the kind of error, for machine-readable output.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotElf { .. } => "image.not-elf",
            Self::NotAnImage { .. } => "image.not-an-image",
            Self::Unsupported { .. } => "image.unsupported",
            Self::HeaderBeyondEof { .. } => "image.truncated-headers",
            Self::DebugInfoOnly { .. } => "image.debug-info-only",
            Self::NoDebugInfo { .. } => "image.no-debug-info",
            Self::OtherBuild { .. } => "image.other-build",
            Self::Malformed { .. } => "image.malformed",
            Self::OtherArch { .. } => "image.other-arch",
            Self::NotLoaded { .. } => "image.not-loaded",
        }
    }

    pub(crate) fn from_header(path: PathBuf, error: HeaderError) -> Self {
        match error {
            HeaderError::NotElf => Self::NotElf { path },
            HeaderError::BeyondEof { what, end, size } => Self::HeaderBeyondEof {
                path,
                what,
                end,
                size,
            },
            HeaderError::Malformed(what) => Self::Malformed { path, what },
        }
    }
}
