//! An input file, mapped: as it is, or decompressed into a temporary file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf::{self, ElfKind};
use crate::map::{Map, map_file};
use crate::unpack::{self, Compression, Trust, UnpackError};

/// An opened input file. Its bytes are mapped, never slurped: opening costs the same for 1 MB and
/// for 100 GB, unless the file is compressed.
#[derive(Debug)]
pub struct Input {
    path: PathBuf,
    map: Map,
    compression: Option<Compression>,
    damage: Option<io::Error>,
}

/// Why an input file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file could not be opened, read or mapped.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a device, a socket.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The file as it was named.
        path: PathBuf,
    },
    /// The file was written to while it was in use.
    #[error(
        "{}: was changed while it was read, so that what was found in it may be wrong; \
         try again when nobody writes it any more",
        path.display()
    )]
    Changed {
        /// The file as it was named.
        path: PathBuf,
    },
    /// The compressed data is damaged or ends before its first byte could be had.
    #[error("{}: cannot decompress as {format}: {source}; try `{format} -t` on it", path.display())]
    Decompress {
        /// The file as it was named.
        path: PathBuf,
        /// What its magic says it is.
        format: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// The compressed data expands to more than a file of its size is trusted with.
    #[error(
        "{}: expands to more than {most} bytes, far more than a dump of its size does; \
         decompress it yourself if you trust it, and give the result",
        path.display()
    )]
    TooMuch {
        /// The file as it was named.
        path: PathBuf,
        /// Bytes that were too many.
        most: u64,
    },
    /// The temporary file for the decompressed bytes could not be written.
    #[error(
        "{}: cannot write its decompressed bytes into {}: {source}; \
         set TMPDIR to a directory with more room",
        path.display(), dir.display()
    )]
    TemporaryFile {
        /// The file as it was named.
        path: PathBuf,
        /// The directory for temporary files.
        dir: PathBuf,
        /// What the system said, for example that no space is left.
        source: io::Error,
    },
}

impl InputError {
    /// A stable name of the kind of error, for machine-readable output.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "input.io",
            Self::NotAFile { .. } => "input.not-a-file",
            Self::Changed { .. } => "input.changed",
            Self::Decompress { .. } => "input.decompress",
            Self::TooMuch { .. } => "input.too-much",
            Self::TemporaryFile { .. } => "input.temporary-file",
        }
    }
}

impl Input {
    /// Opens and maps `path`.
    ///
    /// zstd, gzip, lz4 and xz are recognised by their magic and decompressed into an unlinked
    /// temporary file below `TMPDIR`, in which blocks of zeros take no space. A pipe is copied
    /// there too, since it cannot be mapped. Reading a page of a file that was truncated meanwhile
    /// ends the process: see [`end_cleanly_on_signals`](crate::end_cleanly_on_signals). Whether a
    /// file was written to while it was open, [`inputs_unchanged`](crate::inputs_unchanged) tells.
    ///
    /// # Errors
    ///
    /// [`InputError`]: cannot be opened, is no file, cannot be decompressed, no room to do so.
    /// Compressed data that ends early is no error: see [`Input::damage`].
    pub fn open(path: &Path) -> Result<Arc<Self>, InputError> {
        let path = path.to_path_buf();
        let opened = File::open(&path).and_then(|f| Ok((f.metadata()?.file_type(), f)));
        let (file_type, mut file) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(InputError::Io { path, source }),
        };
        if file_type.is_fifo() {
            let mut head = Vec::new();
            let peeked = (&mut file)
                .take(Compression::MAGIC_LEN as u64)
                .read_to_end(&mut head);
            if let Err(source) = peeked {
                return Err(InputError::Io { path, source });
            }
            let format = Compression::sniff(&head);
            return Self::spool(path, format, io::Cursor::new(head).chain(file), None);
        }
        if !file_type.is_file() {
            return Err(InputError::NotAFile { path });
        }
        let map = match map_file(file, &path) {
            Ok(map) => map,
            Err(source) => return Err(InputError::Io { path, source }),
        };
        match Compression::sniff(&map) {
            Some(format) => Self::spool(path, Some(format), &map[..], Some(map.len() as u64)),
            None => Ok(Arc::new(Self {
                path,
                map,
                compression: None,
                damage: None,
            })),
        }
    }

    /// Bytes that are in no file, under a name for messages. They are taken as they are, not
    /// decompressed.
    ///
    /// # Errors
    ///
    /// [`InputError::Io`] when no memory can be mapped for them.
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Arc<Self>, InputError> {
        let path = name.to_path_buf();
        match Map::of_bytes(bytes) {
            Ok(map) => Ok(Arc::new(Self {
                path,
                map,
                compression: None,
                damage: None,
            })),
            Err(source) => Err(InputError::Io { path, source }),
        }
    }

    /// Tells the system that all of the file will be wanted, so that it is read from its start to its end instead of where
    /// it happens to be looked at first; if there is room for it in memory. Returns at once. What was decompressed is in memory
    /// already.
    pub fn read_ahead(&self) {
        if self.compression.is_none() {
            self.map.read_ahead();
        }
    }

    /// Copies or decompresses `from` into a temporary file and maps that.
    fn spool(
        path: PathBuf,
        format: Option<Compression>,
        from: impl Read,
        packed: Option<u64>,
    ) -> Result<Arc<Self>, InputError> {
        let dir = std::env::temp_dir();
        let file = match tempfile::tempfile_in(&dir) {
            Ok(file) => file,
            Err(source) => return Err(InputError::TemporaryFile { path, dir, source }),
        };
        let damage = match (
            unpack::unpack(format, from, packed, Trust::USUAL, &file),
            format,
        ) {
            (Ok(damage), _) => damage,
            (Err(UnpackError::Read(source)), Some(format)) => {
                return Err(InputError::Decompress {
                    path,
                    format,
                    source,
                });
            }
            (Err(UnpackError::Read(source)), None) => return Err(InputError::Io { path, source }),
            (Err(UnpackError::TooMuch(most)), _) => {
                return Err(InputError::TooMuch { path, most });
            }
            (Err(UnpackError::Write(source)), _) => {
                return Err(InputError::TemporaryFile { path, dir, source });
            }
        };
        match map_file(file, &path) {
            Ok(map) => Ok(Arc::new(Self {
                path,
                map,
                compression: format,
                damage,
            })),
            Err(source) => Err(InputError::Io { path, source }),
        }
    }

    /// All bytes of the file, decompressed.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The path as it was given to [`Input::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file was compressed; `None` when it is read as it is.
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Why the bytes are not all of the file: its compressed data ends early or is damaged. What
    /// came before the damage is there. `None` when all went well.
    pub fn damage(&self) -> Option<&io::Error> {
        self.damage.as_ref()
    }

    /// What kind of ELF file this is, by its first bytes; `None` when it is no ELF file.
    pub fn elf_kind(&self) -> Option<ElfKind> {
        elf::kind(self.bytes())
    }
}
