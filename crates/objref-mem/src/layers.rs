//! Lays the sources of bytes over each other; the order is explained in `space.rs`.

use std::sync::Arc;

use crate::addr::{Addr, LoadBias};
use crate::core::{Core, Segment};
use crate::elf::Permissions;
use crate::image::{Image, ImageSegment};
use crate::space::RegionKind;

/// Where bytes come from: an index into the sources (0 is the core, then the images), or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source(pub(crate) u32);

impl Source {
    pub(crate) const CORE: Self = Self(0);
    pub(crate) const ZERO: Self = Self(u32::MAX);
    pub(crate) const MISSING: Self = Self(u32::MAX - 1);
    pub(crate) const RESERVED: Self = Self(u32::MAX - 2);

    pub(crate) const LEFT_OUT: Self = Self(u32::MAX - 3);

    pub(crate) fn has_bytes(self) -> bool {
        self.0 < Self::LEFT_OUT.0
    }
}

/// A range of addresses that gets its bytes from one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    /// The last address, inclusive, so that the end of the address space needs no special case.
    pub(crate) last: u64,
    pub(crate) source: Source,
    /// Offset in the source's bytes of the first one; 0 when it has no bytes.
    pub(crate) offset: u64,
    pub(crate) flags: Permissions,
}

impl Piece {
    /// `None` when it is empty or passes the end of the address space.
    fn new(start: u64, len: u64, source: Source, offset: u64, flags: Permissions) -> Option<Self> {
        let last = start.checked_add(len.checked_sub(1)?)?;
        if source.has_bytes() {
            offset.checked_add(len)?;
        }
        // Its length has to fit: a piece of 2^64 bytes cannot be.
        (last - start < u64::MAX).then_some(Self {
            start,
            last,
            source,
            offset,
            flags,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.last - self.start + 1
    }

    pub(crate) fn kind(&self) -> RegionKind {
        match self.source {
            Source::CORE => RegionKind::Core,
            Source::ZERO => RegionKind::Zero,
            Source::MISSING => RegionKind::Missing,
            Source::LEFT_OUT => RegionKind::LeftOut,
            Source::RESERVED => RegionKind::Reserved,
            Source(_) => RegionKind::Image,
        }
    }

    /// The part from `start` to `last`, which must lie inside.
    fn part(&self, start: u64, last: u64) -> Self {
        let skip = if self.source.has_bytes() {
            start - self.start
        } else {
            0
        };
        Self {
            start,
            last,
            offset: self.offset + skip,
            ..*self
        }
    }
}

/// All pieces, sorted and disjoint.
pub(crate) fn build(core: &Core, images: &[(Arc<Image>, LoadBias)]) -> Vec<Piece> {
    let segments = core.segments();
    let read_only = |s: &ImageSegment| !s.flags.writable();
    let writable = |s: &ImageSegment| s.flags.writable();
    let layers = [
        segments.iter().filter_map(present).collect(),
        image_pieces(images, read_only, exact),
        image_pieces(images, read_only, whole_pages),
        segments.iter().filter_map(truncated).collect(),
        image_pieces(images, writable, exact),
        tails(core),
    ];
    let mut pieces = Vec::new();
    for layer in layers {
        pieces = below(pieces, disjoint(layer));
    }
    adopt_flags(&mut pieces, segments);
    pieces
}

fn present(s: &Segment) -> Option<Piece> {
    Piece::new(s.addr.0, s.present, Source::CORE, s.file_offset, s.flags)
}

fn truncated(s: &Segment) -> Option<Piece> {
    Piece::new(
        s.addr.0 + s.present,
        s.file_size - s.present,
        Source::MISSING,
        0,
        s.flags,
    )
}

fn image_pieces(
    images: &[(Arc<Image>, LoadBias)],
    wanted: impl Fn(&ImageSegment) -> bool,
    extent: impl Fn(&ImageSegment, u64) -> (u64, u64),
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (source, (image, bias)) in (1..).zip(images) {
        let file_size = image.input().bytes().len() as u64;
        for s in image.segments().iter().filter(|s| wanted(s)) {
            let (before, len) = extent(s, file_size);
            let start = bias.to_addr(s.addr).0.wrapping_sub(before);
            pieces.extend(Piece::new(
                start,
                len,
                Source(source),
                s.file_offset - before,
                s.flags,
            ));
        }
    }
    pieces
}

/// Bytes before the segment's address, and bytes in total.
fn exact(s: &ImageSegment, _file_size: u64) -> (u64, u64) {
    (0, s.file_size)
}

/// A mapping has whole pages of the file: what stands around the segment's bytes is mapped too.
fn whole_pages(s: &ImageSegment, file_size: u64) -> (u64, u64) {
    const PAGE: u64 = 4096;
    let before = s.addr.0 % PAGE;
    if s.mem_size != s.file_size || s.file_size == 0 || s.file_offset % PAGE != before {
        return (0, 0);
    }
    let end = (s.file_offset + s.file_size)
        .next_multiple_of(PAGE)
        .min(file_size);
    (before, end - (s.file_offset - before))
}

/// What segments have in memory beyond what the core promised.
fn tails(core: &Core) -> Vec<Piece> {
    let segments = core.segments();
    let files = file_ranges(core);
    let mut pieces = Vec::new();
    for s in segments {
        let tail = s.mem_size - s.file_size;
        let start = s.addr.0 + s.file_size;
        let anonymous = if s.flags.none() {
            Source::RESERVED
        } else if s.file_size > 0 {
            Source::ZERO
        } else {
            Source::LEFT_OUT
        };
        let Some(tail) = Piece::new(start, tail, anonymous, 0, s.flags) else {
            continue;
        };
        // Every mapping of a file that reaches into the tail.
        let first = files.partition_point(|&(_, last)| last < tail.start);
        let of_files = files[first..]
            .iter()
            .take_while(|&&(start, _)| start <= tail.last);
        let of_files = of_files.map(|&(start, last)| Piece {
            source: Source::MISSING,
            ..tail.part(start.max(tail.start), last.min(tail.last))
        });
        pieces.extend(below(disjoint(of_files.collect()), vec![tail]));
    }
    pieces
}

/// The addresses where files are mapped: first and last of each range, sorted and disjoint.
fn file_ranges(core: &Core) -> Vec<(u64, u64)> {
    let mut files: Vec<(u64, u64)> = core
        .mapped_files()
        .iter()
        .filter_map(|f| {
            Some((
                f.start.0,
                f.end.0.checked_sub(1).filter(|&l| l >= f.start.0)?,
            ))
        })
        .collect();
    files.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::with_capacity(files.len());
    for (start, last) in files {
        match out.last_mut() {
            Some(previous) if start <= previous.1 => previous.1 = previous.1.max(last),
            _ => out.push((start, last)),
        }
    }
    out
}

/// Sorts one layer and cuts what overlaps inside it: the piece that starts first wins.
fn disjoint(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(|p| p.start);
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    for p in pieces {
        match out.last() {
            Some(previous) if previous.last >= p.last => {}
            Some(previous) if previous.last >= p.start => {
                out.push(p.part(previous.last + 1, p.last))
            }
            _ => out.push(p),
        }
    }
    out
}

/// Puts `lower` under `upper`: its parts show only where `upper` has nothing. Both must be sorted
/// and disjoint, and so is the result.
fn below(upper: Vec<Piece>, lower: Vec<Piece>) -> Vec<Piece> {
    let mut out = Vec::with_capacity(upper.len() + lower.len());
    let mut upper = upper.into_iter().peekable();
    // The first address that no piece of `upper` so far covers; `None` when they reach the end.
    let mut free = Some(0);
    for low in lower {
        while let Some(up) = upper.next_if(|up| up.start <= low.last) {
            if let Some(start) = free
                .map(|f: u64| f.max(low.start))
                .filter(|&s| s < up.start)
            {
                out.push(low.part(start, up.start - 1));
            }
            free = up.last.checked_add(1);
            out.push(up);
        }
        if let Some(start) = free.map(|f| f.max(low.start)).filter(|&s| s <= low.last) {
            out.push(low.part(start, low.last));
        }
    }
    out.extend(upper);
    out
}

/// Gives pieces of images the permissions that the core saw, which `mprotect` may have changed.
fn adopt_flags(pieces: &mut [Piece], segments: &[Segment]) {
    for p in pieces.iter_mut().filter(|p| p.kind() == RegionKind::Image) {
        let after = segments.partition_point(|s| s.addr <= Addr(p.start));
        if let Some(s) = segments[..after].last()
            && p.start - s.addr.0 < s.mem_size
        {
            p.flags = s.flags;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(ranges: &[(u64, u64)], source: u32) -> Vec<Piece> {
        let piece = |&(start, len): &(u64, u64)| {
            Piece::new(start, len, Source(source), start * 1000, Permissions(4))
        };
        ranges.iter().filter_map(piece).collect()
    }

    /// Which byte of which source is at each address.
    fn bytes_of(pieces: &[Piece]) -> Vec<Option<(u32, u64)>> {
        let mut map = vec![None; 300];
        for p in pieces.iter().rev() {
            for a in p.start..=p.last {
                map[a as usize] = Some((p.source.0, p.offset + a - p.start));
            }
        }
        map
    }

    fn is_disjoint(pieces: &[Piece]) -> bool {
        pieces.iter().all(|p| p.start <= p.last)
            && pieces.windows(2).all(|w| w[0].last < w[1].start)
    }

    proptest! {
        #[test]
        fn layers_agree_with_a_byte_map(
            upper in prop::collection::vec((0u64..200, 0u64..40), 0..8),
            lower in prop::collection::vec((0u64..200, 0u64..90), 0..8),
        ) {
            let (mut upper, mut lower) = (pieces(&upper, 1), pieces(&lower, 2));
            // Inside a layer the first start wins; among equal starts the first given.
            upper.sort_by_key(|p| p.start);
            lower.sort_by_key(|p| p.start);
            let want: Vec<_> = bytes_of(&upper)
                .into_iter()
                .zip(bytes_of(&lower))
                .map(|(up, low)| up.or(low))
                .collect();
            let got = below(disjoint(upper), disjoint(lower));
            prop_assert!(is_disjoint(&got));
            prop_assert_eq!(bytes_of(&got), want);
        }
    }
}
