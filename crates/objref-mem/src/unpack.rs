//! Compressed input: told by its magic, decompressed into an unlinked, sparse temporary file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How an input file was compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard frames (`zstd`, systemd-coredump's default).
    Zstd,
    /// RFC 1952 members (`gzip`).
    Gzip,
    /// LZ4 frames (`lz4`).
    Lz4,
    /// XZ streams (`xz`).
    Xz,
}

impl Compression {
    /// How many bytes [`Compression::sniff`] wants to see.
    pub(crate) const MAGIC_LEN: usize = 6;

    /// Tells the format by the first bytes of a file; `None` when it is none that we know.
    pub(crate) fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable zstd frame; pzstd writes one in front. LZ4 has the same magic for its
            // own skippable frames, but nothing puts one at the start.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// The name of the format as its tool is called: `"zstd"`, `"gzip"`, `"lz4"`, `"xz"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What went wrong: the side matters, since the way out differs.
pub(crate) enum UnpackError {
    /// The input could not be read or is not what its magic says.
    Read(io::Error),
    /// The temporary file could not be written, most often because the disk is full.
    Write(io::Error),
}

/// Decompresses all of `input` into `out`, skipping blocks of zeros so that they stay holes.
pub(crate) fn unpack(how: Compression, input: impl Read, out: &File) -> Result<(), UnpackError> {
    let mut sink = SparseWriter::new(out);
    match how {
        Compression::Zstd => unzstd(input, &mut sink)?,
        Compression::Gzip => copy(flate2::read::MultiGzDecoder::new(input), &mut sink)?,
        Compression::Lz4 => unlz4(input, &mut sink)?,
        Compression::Xz => copy(lzma_rust2::XzReader::new(input, true), &mut sink)?,
    }
    sink.finish()
}

/// Copies `input` as it is: for pipes, which cannot be mapped.
pub(crate) fn spool(input: impl Read, out: &File) -> Result<(), UnpackError> {
    let mut sink = SparseWriter::new(out);
    copy(input, &mut sink)?;
    sink.finish()
}

fn copy(mut from: impl Read, sink: &mut SparseWriter<'_>) -> Result<(), UnpackError> {
    loop {
        match from.read(sink.spare()) {
            Ok(0) => return Ok(()),
            Ok(n) => sink.filled(n)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
}

/// The largest window that `zstd --ultra --long=31` can ask for.
const MAX_ZSTD_WINDOW: u64 = 1 << 31;

/// All frames of a zstd file, one after the other, skippable ones skipped.
fn unzstd(mut input: impl Read, sink: &mut SparseWriter<'_>) -> Result<(), UnpackError> {
    let bad = |e: FrameDecoderError| UnpackError::Read(io::Error::other(e));
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_ZSTD_WINDOW);
    let mut frames = 0u64;
    loop {
        // Peek one byte: the end of the file between frames is the regular end.
        let mut first = [0u8; 1];
        match input.read(&mut first) {
            Ok(0) if frames > 0 => return Ok(()),
            Ok(0) => return Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(UnpackError::Read(e)),
        }
        let mut frame = first.as_slice().chain(&mut input);
        frames += 1;
        match decoder.reset(&mut frame) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let skipped = io::copy(&mut frame.take(length.into()), &mut io::sink())
                    .map_err(UnpackError::Read)?;
                if skipped < u64::from(length) {
                    return Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                continue;
            }
            Err(e) => return Err(bad(e)),
        }
        while !decoder.is_finished() {
            decoder
                .decode_blocks(&mut frame, BlockDecodingStrategy::UptoBytes(BUFFER))
                .map_err(bad)?;
            while decoder.can_collect() > 0 {
                let n = decoder.read(sink.spare()).map_err(UnpackError::Read)?;
                if n == 0 {
                    break;
                }
                sink.filled(n)?;
            }
        }
        while decoder.can_collect() > 0 {
            let n = decoder.read(sink.spare()).map_err(UnpackError::Read)?;
            sink.filled(n)?;
        }
    }
}

/// All frames of an LZ4 file; the decoder stops after each of them.
fn unlz4(input: impl Read, sink: &mut SparseWriter<'_>) -> Result<(), UnpackError> {
    let mut decoder = lz4_flex::frame::FrameDecoder::new(input);
    let mut ended = false;
    loop {
        match decoder.read(sink.spare()) {
            // The end of a frame and the end of the file both read as 0: two in a row is the end.
            Ok(0) if ended => return Ok(()),
            Ok(0) => ended = true,
            Ok(n) => {
                ended = false;
                sink.filled(n)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
}

const BUFFER: usize = 1 << 20;
const BLOCK: usize = 4096;

/// Writes at increasing offsets and leaves holes where whole blocks are zero.
struct SparseWriter<'a> {
    out: &'a File,
    buffer: Vec<u8>,
    used: usize,
    /// Offset in the file of the first byte of `buffer`; a multiple of [`BLOCK`].
    offset: u64,
}

impl<'a> SparseWriter<'a> {
    fn new(out: &'a File) -> Self {
        Self {
            out,
            buffer: vec![0; BUFFER],
            used: 0,
            offset: 0,
        }
    }

    /// Where to put the next bytes; never empty.
    fn spare(&mut self) -> &mut [u8] {
        &mut self.buffer[self.used..]
    }

    /// Takes over `n` bytes that were put into [`SparseWriter::spare`].
    fn filled(&mut self, n: usize) -> Result<(), UnpackError> {
        self.used += n;
        if self.used == self.buffer.len() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), UnpackError> {
        let data = &self.buffer[..self.used];
        let mut run = 0;
        for (i, block) in data.chunks(BLOCK).enumerate() {
            if block.iter().all(|&b| b == 0) {
                self.write(run, i * BLOCK)?;
                run = i * BLOCK + block.len();
            }
        }
        self.write(run, data.len())?;
        self.offset += self.used as u64;
        self.used = 0;
        Ok(())
    }

    fn write(&self, from: usize, to: usize) -> Result<(), UnpackError> {
        self.out
            .write_all_at(&self.buffer[from..to.max(from)], self.offset + from as u64)
            .map_err(UnpackError::Write)
    }

    fn finish(mut self) -> Result<(), UnpackError> {
        self.flush()?;
        self.out.set_len(self.offset).map_err(UnpackError::Write)
    }
}
