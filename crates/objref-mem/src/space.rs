//! The address space of the dumped process: which bytes were at which address.
//!
//! The core does not have all of it. Read-only pages of files are left out by the kernel, since
//! the file still has them; a core may be truncated. So several layers lie over each other, and
//! an address gets what the uppermost one has there:
//!
//! ```text
//!   address            0x400000   0x49f000        0x579000 0x584000              0xc000000000
//!                      |          |               |        |                     |
//!   bytes in the core  ##         .               ######## ############          ######????
//!   binary, read-only  ==#========#=============#=                              truncated ^
//!   lost in truncation                                                                 ####
//!   binary, writable                              #=======
//!   tails, anonymous                                                 0000
//!   tails, of files                     ??
//!                      -----------------------------------------------------------------------
//!   what a read gets   CCIIIIIIIIIIIIIIIIIIIIIIII CCCCCCCC CCCCCCCCCC0000  unmapped  CCCCCC????
//!
//!   C core   I image   0 zero   ? missing: a fault, never zero
//! ```
//!
//! 1. What is really in the core is the truth.
//! 2. A read-only segment of the binary at its bias: the process could not change it.
//! 3. What the core promised but lost by truncation is missing, even where a *writable* segment
//!    of the binary has an initial value, for that is not what the process had.
//! 4. A writable segment of the binary, where the core promised nothing: the kernel leaves out
//!    private pages of files that were never written to, so the file is right.
//! 5. The rest of a segment beyond what the core promised (`p_memsz > p_filesz`):
//!    * covered by the file table (`NT_FILE`): missing;
//!    * no permissions at all: reserved, which the process could not read either;
//!    * a tail after bytes that were promised: zero, as ELF has it;
//!    * nothing promised at all: left out. The kernel does so for memory that was never touched,
//!      which is zero, but as well for `MADV_DONTDUMP` and for what the dump's filter excludes;
//!      the core does not tell one from the other, so a read is a fault.

use std::borrow::Cow;
use std::sync::Arc;

use crate::addr::{Addr, LoadBias};
use crate::arch::Arch;
use crate::core::Core;
use crate::elf::Permissions;
use crate::encoding::Encoding;
use crate::fault::{Fault, FaultKind};
use crate::image::Image;
use crate::input::Input;
use crate::layers::{self, Piece, Source};
use crate::map::prefetch;

/// Where the bytes of a region come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum RegionKind {
    /// The core.
    Core,
    /// A binary.
    Image,
    /// All zero: never touched, or a tail.
    Zero,
    /// Memory whose contents nobody has: lost by truncation or left out of the dump.
    Missing,
    /// Memory that the writer left out on purpose: never touched, or excluded from dumps. The core
    /// does not tell which, so this is not zero.
    LeftOut,
    /// Address space without permissions: the process could not read it either.
    Reserved,
}

/// A part of the address space of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Region {
    /// First address.
    pub start: Addr,
    /// Bytes; never 0.
    pub len: u64,
    /// Where its bytes come from.
    pub kind: RegionKind,
    /// As the core says; as the binary says for what only the binary has.
    pub flags: Permissions,
}

/// The largest slice that a zero region can serve.
const ZERO_BLOCK: usize = 1 << 20;
static ZEROS: [u8; ZERO_BLOCK] = [0; ZERO_BLOCK];

/// The largest copy that [`AddressSpace::bytes`] assembles.
const MAX_COPY: usize = 1 << 30;

/// The bytes of the dumped process by address. Immutable and `Sync`: any number of threads reads.
#[derive(Debug)]
pub struct AddressSpace {
    arch: Arch,
    encoding: Encoding,
    /// First address of each span, sorted; a separate array to keep the search in few cache lines.
    starts: Box<[u64]>,
    spans: Box<[Span]>,
    sources: Box<[Arc<Input>]>,
    pieces: Box<[Piece]>,
    /// The span that is tried before the search: most reads of a process with one large heap go
    /// there. The one with the largest writable piece, unless [`AddressSpace::prefer`] was told.
    heap: (u64, Span),
}

/// Adjacent pieces whose bytes are adjacent too, merged.
#[derive(Clone, Copy, Debug)]
struct Span {
    len: u64,
    source: Source,
    /// Offset in the source's bytes of the first one.
    offset: u64,
}

/// Adjacent bytes of one file by address, for loops that read words all over a large part of memory: what has to be
/// looked up for every read is looked up once.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> Stretch<'a> {
    /// `len` bytes at `a`, if all are in the stretch.
    #[inline]
    pub fn get(&self, a: Addr, len: usize) -> Option<&'a [u8]> {
        let from = usize::try_from(a.0.wrapping_sub(self.start)).ok()?;
        self.bytes.get(from..)?.get(..len)
    }

    /// Has the processor fetch what is at `a`, for later.
    #[inline]
    pub fn prefetch(&self, a: Addr) {
        let from = usize::try_from(a.0.wrapping_sub(self.start));
        if let Some(byte) = from.ok().and_then(|from| self.bytes.get(from)) {
            prefetch(byte);
        }
    }

    /// The 64-bit integer at `a`, lowest byte first, if all of it is in the stretch.
    #[inline]
    pub fn little_u64(&self, a: Addr) -> Option<u64> {
        let from = usize::try_from(a.0.wrapping_sub(self.start)).ok()?;
        let raw = self.bytes.get(from..)?.first_chunk()?;
        Some(u64::from_le_bytes(*raw))
    }
}

/// What is at an address: the rest of its span.
enum Rest<'a> {
    Bytes(&'a [u8]),
    Zeros(u64),
}

impl AddressSpace {
    /// Lays the core over its binaries; see the module's drawing for the order.
    pub fn new(core: &Core, images: &[(Arc<Image>, LoadBias)]) -> Self {
        let mut sources = vec![core.input().clone()];
        sources.extend(images.iter().map(|(image, _)| image.input().clone()));
        let pieces = layers::build(core, images);
        let mut starts: Vec<u64> = Vec::new();
        let mut spans: Vec<Span> = Vec::new();
        for p in &pieces {
            if let (Some(span), Some(&start)) = (spans.last_mut(), starts.last())
                && start.checked_add(span.len) == Some(p.start)
                && span.source == p.source
                && (!p.source.has_bytes() || span.offset + span.len == p.offset)
            {
                span.len += p.len();
                continue;
            }
            starts.push(p.start);
            spans.push(Span {
                len: p.len(),
                source: p.source,
                offset: p.offset,
            });
        }
        let largest = pieces
            .iter()
            .filter(|p| p.source.has_bytes() && p.flags.writable())
            .max_by_key(|p| p.len())
            .and_then(|p| starts.partition_point(|&s| s <= p.start).checked_sub(1));
        let none = (
            0,
            Span {
                len: 0,
                source: Source::MISSING,
                offset: 0,
            },
        );
        Self {
            arch: core.arch(),
            encoding: core.arch().encoding(),
            heap: largest.map_or(none, |i| (starts[i], spans[i])),
            starts: starts.into(),
            spans: spans.into(),
            sources: sources.into(),
            pieces: pieces.into(),
        }
    }

    /// The architecture of the process.
    #[inline]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// How the process writes numbers.
    #[inline]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes of a word of the process: of a pointer, a `uintptr`, an `int`.
    #[inline]
    pub fn word_size(&self) -> u64 {
        self.encoding.word_size()
    }

    /// The span that covers `a`, and how far into it `a` is.
    #[inline]
    fn locate(&self, a: u64) -> Option<(&Span, u64)> {
        let (start, span) = &self.heap;
        let inside = a.wrapping_sub(*start);
        if inside < span.len {
            return Some((span, inside));
        }
        let i = self.index(a)?;
        Some((&self.spans[i], a - self.starts[i]))
    }

    /// The index of the span that covers `a`.
    fn index(&self, a: u64) -> Option<usize> {
        let after = self.starts.partition_point(|&s| s <= a);
        let i = after.checked_sub(1)?;
        (a - self.starts.get(i)? < self.spans.get(i)?.len).then_some(i)
    }

    /// The bytes of one file behind `len` addresses from `a`; `None` sends the caller to a slower
    /// way that finds out why.
    #[inline]
    pub(crate) fn direct(&self, a: Addr, len: usize) -> Option<&[u8]> {
        let (span, inside) = self.locate(a.0)?;
        if span.len - inside < len as u64 {
            return None;
        }
        let source = self.sources.get(span.source.0 as usize)?;
        let from = (span.offset + inside) as usize;
        source.bytes().get(from..from.checked_add(len)?)
    }

    /// Most reads will be near these addresses: the stretch that the most of them are in is the
    /// [main one](AddressSpace::main_stretch).
    pub fn prefer(&mut self, addresses: impl IntoIterator<Item = Addr>) {
        let mut counts = vec![0u64; self.spans.len()];
        for a in addresses {
            if let Some(i) = self.index(a.0)
                && self.spans[i].source.has_bytes()
            {
                counts[i] += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        if most > 0
            && let Some(i) = counts.iter().position(|count| *count == most)
        {
            self.heap = (self.starts[i], self.spans[i]);
        }
    }

    /// The stretch that most reads are in: as long as nobody said more, the one with the largest part
    /// that the process could write to.
    #[inline]
    pub fn main_stretch(&self) -> Stretch<'_> {
        let (start, span) = self.heap;
        let source = self.sources.get(span.source.0 as usize);
        let bytes = source.map_or(&[][..], |source| source.bytes());
        Stretch {
            start,
            bytes: crate::bytes::available(bytes, span.offset, span.len),
        }
    }

    /// The main stretch, if words are 64 bits long with the lowest byte first; otherwise one with nothing in it.
    #[inline]
    pub fn little_stretch(&self) -> Stretch<'_> {
        match self.encoding == Encoding::LITTLE_64 {
            true => self.main_stretch(),
            false => Stretch {
                start: 0,
                bytes: &[],
            },
        }
    }

    #[inline]
    fn rest_at(&self, a: Addr) -> Result<Rest<'_>, Fault> {
        let Some((span, inside)) = self.locate(a.0) else {
            return Err(Fault {
                addr: a,
                kind: FaultKind::Unmapped,
            });
        };
        let len = span.len - inside;
        match span.source {
            Source::ZERO => Ok(Rest::Zeros(len)),
            Source::MISSING | Source::RESERVED => Err(Fault {
                addr: a,
                kind: FaultKind::NotInCore,
            }),
            Source(n) => {
                let bytes = self.sources.get(n as usize).map_or(&[][..], |s| s.bytes());
                match crate::bytes::available(bytes, span.offset + inside, len) {
                    [] => Err(Fault {
                        addr: a,
                        kind: FaultKind::NotInCore,
                    }),
                    bytes => Ok(Rest::Bytes(bytes)),
                }
            }
        }
    }

    /// `len` bytes at `a` without copying.
    ///
    /// # Errors
    ///
    /// A fault at the first address that cannot be read; [`FaultKind::Split`] when all can but
    /// not in one piece, or when more than 1 MiB of zeros are wanted.
    #[inline]
    pub fn slice(&self, a: Addr, len: usize) -> Result<&[u8], Fault> {
        match self.direct(a, len) {
            Some(bytes) => Ok(bytes),
            None => self.slice_slow(a, len),
        }
    }

    #[cold]
    fn slice_slow(&self, a: Addr, len: usize) -> Result<&[u8], Fault> {
        if len == 0 {
            return Ok(&[]);
        }
        self.check(a, len)?;
        match self.rest_at(a)? {
            Rest::Zeros(n) if len as u64 <= n && len <= ZERO_BLOCK => Ok(&ZEROS[..len]),
            Rest::Zeros(n) => Err(Fault {
                addr: a.add(n.min(len as u64 - 1)),
                kind: FaultKind::Split,
            }),
            Rest::Bytes(b) => Err(Fault {
                addr: a.add(b.len() as u64),
                kind: FaultKind::Split,
            }),
        }
    }

    /// Whether all of `len` bytes can be read; how far is told by the fault.
    fn check(&self, a: Addr, len: usize) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        if a.0.checked_add(len as u64 - 1).is_none() {
            return Err(Fault {
                addr: a,
                kind: FaultKind::Overflow,
            });
        }
        let mut done = 0u64;
        while done < len as u64 {
            done += match self.rest_at(a.add(done))? {
                Rest::Bytes(b) => b.len() as u64,
                Rest::Zeros(n) => n,
            };
        }
        Ok(())
    }

    /// `len` bytes at `a`, copied only when they are not in one piece.
    ///
    /// # Errors
    ///
    /// A fault at the first address that cannot be read; [`FaultKind::Overflow`] also for a copy
    /// of more than 1 GiB.
    pub fn bytes(&self, a: Addr, len: usize) -> Result<Cow<'_, [u8]>, Fault> {
        match self.slice(a, len) {
            Ok(bytes) => return Ok(Cow::Borrowed(bytes)),
            Err(Fault {
                kind: FaultKind::Split,
                ..
            }) => {}
            Err(fault) => return Err(fault),
        }
        if len > MAX_COPY {
            return Err(Fault {
                addr: a,
                kind: FaultKind::Overflow,
            });
        }
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let wanted = len - out.len();
            match self.rest_at(a.add(out.len() as u64))? {
                Rest::Bytes(b) => out.extend_from_slice(&b[..b.len().min(wanted)]),
                Rest::Zeros(n) => out.resize(out.len() + n.min(wanted as u64) as usize, 0),
            }
        }
        Ok(Cow::Owned(out))
    }

    /// What can be read from `a` on in one piece: at least one byte, at most to the end of its
    /// region, and at most 1 MiB where all is zero.
    ///
    /// # Errors
    ///
    /// A fault when not even the byte at `a` can be read.
    pub fn rest(&self, a: Addr) -> Result<&[u8], Fault> {
        Ok(match self.rest_at(a)? {
            Rest::Bytes(b) => b,
            Rest::Zeros(n) => &ZEROS[..n.min(ZERO_BLOCK as u64) as usize],
        })
    }

    /// Whether the process had something at `a`, be it readable here or not.
    #[inline]
    pub fn is_mapped(&self, a: Addr) -> bool {
        self.locate(a.0).is_some()
    }

    /// The first address from `a` on that some file has a byte for; `None` when there is none. What lies
    /// between can not be read or is zero: whoever looks for something there need not go word by word.
    pub fn data_from(&self, a: Addr) -> Option<Addr> {
        let first = self.starts.partition_point(|&s| s <= a.0).saturating_sub(1);
        let spans = self.starts[first..].iter().zip(&self.spans[first..]);
        spans
            .filter(|(_, span)| span.source.has_bytes())
            .find_map(|(&start, span)| {
                let inside = a.0.saturating_sub(start);
                (inside < span.len).then(|| Addr(start.max(a.0)))
            })
    }

    /// All regions, by address, without overlaps.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        self.pieces.iter().map(|p| Region {
            start: Addr(p.start),
            len: p.len(),
            kind: p.kind(),
            flags: p.flags,
        })
    }

    /// The regions that the process could write to and that the core has, by address.
    pub fn written(&self) -> impl Iterator<Item = Region> {
        self.regions()
            .filter(|region| region.kind == RegionKind::Core && region.flags.writable())
    }

    /// Bytes that the process could read but that neither the core nor a binary has: those lost
    /// by truncation ([`Core::missing`]) and those of files that were not given. What the writer
    /// left out on purpose is not counted.
    pub fn missing_bytes(&self) -> u64 {
        let missing = self.pieces.iter().filter(|p| p.source == Source::MISSING);
        missing.fold(0, |n, p| n.saturating_add(p.len()))
    }
}
