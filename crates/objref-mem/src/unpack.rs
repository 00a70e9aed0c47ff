//! Compressed input: told by its magic, decompressed into an unlinked, sparse temporary file.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::sparse::{BUFFER, Sink, write_sparse};

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
    /// It expands to more than this many bytes, which is more than it is trusted with.
    TooMuch(u64),
}

/// How much may come out of a compressed file.
#[derive(Clone, Copy)]
pub(crate) struct Trust {
    /// Bytes other than zeros that any file may expand to. Cores of small programs are small, but a hundredth of
    /// their size when compressed, or less.
    pub(crate) anyway: u64,
}

impl Trust {
    /// Any file may fill 4 GiB of the disk.
    pub(crate) const USUAL: Trust = Trust { anyway: 4 << 30 };
    /// What is not zero expands no further: text that says the same over and over becomes a hundredth.
    const TIMES: u64 = 1024;
    /// Zeros take no room but time: there may be more of them.
    const WITH_ZEROS: u64 = 4;
    /// Memory that any file may have for the window: that of `zstd --ultra -22`, twice that of `xz -9`.
    const WINDOW: u64 = 128 << 20;
    /// The window may be larger in large files, up to that of `zstd --ultra --long=31`.
    const WINDOW_TIMES: u64 = 16;

    /// Bytes that are not zero, after `taken` compressed ones.
    pub(crate) fn stored(self, taken: u64) -> u64 {
        self.anyway.max(taken.saturating_mul(Self::TIMES))
    }

    /// Bytes in all, after `taken` compressed ones.
    pub(crate) fn whole(self, taken: u64) -> u64 {
        self.stored(taken).saturating_mul(Self::WITH_ZEROS)
    }

    /// The largest window of a file of `packed` bytes; of a pipe, nobody knows how many there are.
    fn window(packed: Option<u64>) -> u64 {
        let wanted = packed.unwrap_or(0).saturating_mul(Self::WINDOW_TIMES);
        wanted.clamp(Self::WINDOW, 1 << 31)
    }
}

/// How many compressed bytes were taken so far.
pub(crate) type Taken = Rc<Cell<u64>>;

/// A reader that counts what is taken from it.
struct Counted<R> {
    inner: R,
    taken: Taken,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.taken.set(self.taken.get() + n as u64);
        Ok(n)
    }
}

/// Decompresses `input` into `out`, skipping blocks of zeros so that they stay holes. Without
/// `how` it is copied as it is: for pipes, which cannot be mapped.
///
/// When the data ends early or is damaged, what came before is kept and the error is returned as
/// the damage; it is a failure only when nothing came before. `packed` is the number of compressed
/// bytes, where it is known.
pub(crate) fn unpack(
    how: Option<Compression>,
    input: impl Read,
    packed: Option<u64>,
    trust: Trust,
    out: &File,
) -> Result<Option<io::Error>, UnpackError> {
    let taken = Taken::default();
    let input = Counted {
        inner: input,
        taken: Rc::clone(&taken),
    };
    let window = Trust::window(packed);
    let (done, written) = write_sparse(out, taken, trust, |sink| match how {
        None => copy(input, sink),
        Some(Compression::Zstd) => unzstd(input, window, sink),
        Some(Compression::Gzip) => copy(flate2::read::MultiGzDecoder::new(input), sink),
        Some(Compression::Lz4) => unlz4(input, sink),
        Some(Compression::Xz) => {
            // It wants somewhat more than its window, in KiB.
            let memory = (window + window / 4) >> 10;
            let reader = lzma_rust2::XzReader::new_mem_limit(input, true, memory as u32);
            copy(reader, sink)
        }
    })?;
    match done.map_err(plain) {
        Ok(()) => Ok(None),
        Err(UnpackError::Read(damage)) if written > 0 => Ok(Some(damage)),
        Err(e) => Err(e),
    }
}

/// What a decoder says, in words: some give nothing but the names of their own types.
fn plain(error: UnpackError) -> UnpackError {
    match error {
        UnpackError::Read(e) if format!("{e:?} {e}").contains("UnexpectedEof") => {
            let text = "the compressed data ends early";
            UnpackError::Read(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
        UnpackError::Read(e) => {
            let text = e.to_string();
            match text.split_once(['(', '{']) {
                Some((before, _)) => {
                    let text = before
                        .trim_end_matches(|c: char| !c.is_lowercase())
                        .to_owned();
                    let text = text.rsplit_once(": ").map_or(&*text, |(start, _)| start);
                    UnpackError::Read(io::Error::new(e.kind(), text.to_owned()))
                }
                None => UnpackError::Read(e),
            }
        }
        error => error,
    }
}

fn copy(mut from: impl Read, sink: &mut Sink) -> Result<(), UnpackError> {
    // A decoder that fails keeps to itself what it has put into the slice so far: keep it short.
    const CHUNK: usize = 64 << 10;
    loop {
        let spare = sink.spare();
        let len = spare.len().min(CHUNK);
        match from.read(&mut spare[..len]) {
            Ok(0) => return Ok(()),
            Ok(n) => sink.filled(n)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
}

/// A reader that knows whether somebody wanted more than there was.
struct Watched<R> {
    inner: R,
    exhausted: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.exhausted |= n == 0 && !out.is_empty();
        Ok(n)
    }
}

/// Calls `frame` for each of the frames that follow each other in `input`.
fn each_frame<R: Read>(
    input: R,
    mut frame: impl FnMut(&mut dyn Read, &mut Watched<R>) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let mut input = Watched {
        inner: input,
        exhausted: false,
    };
    loop {
        // Peek one byte: the end of the file between frames is the regular end.
        let mut first = [0u8; 1];
        match input.read(&mut first) {
            Ok(0) => return Ok(()),
            Ok(_) => frame(&mut first.as_slice(), &mut input)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
}

/// All frames of a zstd file, one after the other, skippable ones skipped.
fn unzstd(input: impl Read, window: u64, sink: &mut Sink) -> Result<(), UnpackError> {
    let bad = |e: FrameDecoderError| UnpackError::Read(io::Error::other(e));
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(window);
    each_frame(input, |first, input| {
        match decoder.reset(first.chain(&mut *input)) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut input.take(length), &mut io::sink());
                return match skipped {
                    Ok(n) if n == length => Ok(()),
                    Ok(_) => Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into())),
                    Err(e) => Err(UnpackError::Read(e)),
                };
            }
            Err(e) => return Err(bad(e)),
        }
        while !decoder.is_finished() {
            let decoded =
                decoder.decode_blocks(&mut *input, BlockDecodingStrategy::UptoBytes(BUFFER));
            if let Err(e) = decoded {
                if input.exhausted && !decoder.is_finished() {
                    // The decoder holds back a window of good bytes until the last block: give it
                    // an empty one, and four bytes for a checksum.
                    let last_block = [1, 0, 0, 0, 0, 0, 0];
                    let _ = decoder.decode_blocks(&last_block[..], BlockDecodingStrategy::All);
                }
                drain(&mut decoder, sink)?;
                return Err(bad(e));
            }
            drain(&mut decoder, sink)?;
        }
        let sums = decoder
            .get_checksum_from_data()
            .zip(decoder.get_calculated_checksum());
        if sums.is_some_and(|(stored, calculated)| stored != calculated) {
            return Err(UnpackError::Read(io::Error::other("checksum mismatch")));
        }
        Ok(())
    })
}

fn drain(decoder: &mut FrameDecoder, sink: &mut Sink) -> Result<(), UnpackError> {
    while decoder.can_collect() > 0 {
        match decoder.read(sink.spare()).map_err(UnpackError::Read)? {
            0 => break,
            n => sink.filled(n)?,
        }
    }
    Ok(())
}

/// All frames of an LZ4 file. Each gets a decoder of its own, since the decoder asserts in debug
/// builds that the block sizes of all frames are the same.
fn unlz4(input: impl Read, sink: &mut Sink) -> Result<(), UnpackError> {
    each_frame(input, |first, input| {
        copy(
            lz4_flex::frame::FrameDecoder::new(first.chain(&mut *input)),
            sink,
        )?;
        // The decoder takes a file that ends between two blocks for complete; a complete frame
        // ends with a mark and needs no look behind it.
        match input.exhausted {
            true => Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into())),
            false => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    use std::os::unix::fs::{FileExt, MetadataExt};

    /// Some text, a hole of zeros, more text, not ending at a block.
    fn sample() -> Vec<u8> {
        let text: Vec<u8> = (0..300_000u32)
            .flat_map(|i| (i % 9000).wrapping_mul(i).to_le_bytes())
            .collect();
        [&text[..], &[0; 5_000_000], &text[..70_001]].concat()
    }

    fn compress(how: Compression, data: &[u8]) -> Vec<u8> {
        match how {
            Compression::Zstd => {
                ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
            }
            Compression::Gzip => {
                let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                w.write_all(data).unwrap();
                w.finish().unwrap()
            }
            Compression::Lz4 => {
                let info = FrameInfo::new().block_size(BlockSize::Max64KB);
                let mut w = FrameEncoder::with_frame_info(info, Vec::new());
                w.write_all(data).unwrap();
                w.finish().unwrap()
            }
            Compression::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(0);
                let mut w = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                w.write_all(data).unwrap();
                w.finish().unwrap()
            }
        }
    }

    fn unpacked(data: &[u8]) -> Result<(Vec<u8>, bool, File), UnpackError> {
        unpacked_with(data, Trust::USUAL)
    }

    fn unpacked_with(data: &[u8], trust: Trust) -> Result<(Vec<u8>, bool, File), UnpackError> {
        let out = tempfile::tempfile().unwrap();
        let damage = unpack(
            Compression::sniff(data),
            data,
            Some(data.len() as u64),
            trust,
            &out,
        )?;
        let mut bytes = vec![0; out.metadata().unwrap().len() as usize];
        out.read_exact_at(&mut bytes, 0).unwrap();
        Ok((bytes, damage.is_some(), out))
    }

    const ALL: [Compression; 4] = [
        Compression::Zstd,
        Compression::Gzip,
        Compression::Lz4,
        Compression::Xz,
    ];

    #[test]
    fn every_format_comes_back_with_holes() {
        let data = sample();
        for how in ALL {
            let packed = compress(how, &data);
            assert_eq!(Compression::sniff(&packed), Some(how));
            let Ok((bytes, damaged, file)) = unpacked(&packed) else {
                panic!("{how}")
            };
            assert!(bytes == data && !damaged, "{how}");
            let on_disk = file.metadata().unwrap().blocks() * 512;
            assert!(on_disk < 2_000_000, "{how}: {on_disk} bytes on disk");
        }
    }

    #[test]
    fn concatenated_files_are_one() {
        let data = sample();
        for how in ALL {
            let packed = compress(how, &data).repeat(2);
            let Ok((bytes, damaged, _)) = unpacked(&packed) else {
                panic!("{how}")
            };
            assert!(bytes == data.repeat(2) && !damaged, "{how}");
        }
    }

    #[test]
    fn truncated_files_give_what_is_there_and_say_so() {
        let data = sample();
        for how in ALL {
            let packed = compress(how, &data);
            for keep in [packed.len() - 1, packed.len() - 9, packed.len() / 2] {
                let Ok((bytes, damaged, _)) = unpacked(&packed[..keep]) else {
                    panic!("{how}")
                };
                assert!(damaged && data.starts_with(&bytes), "{how} {keep}");
            }
            assert!(unpacked(&packed[..8]).is_err(), "{how}");
        }
    }

    #[test]
    fn bombs_are_not_unpacked() {
        let trust = Trust { anyway: 3 << 20 };
        for how in ALL {
            for (byte, len) in [(b'x', 40 << 20), (0, 40 << 20)] {
                let bomb = compress(how, &vec![byte; len]);
                if matches!(how, Compression::Gzip | Compression::Lz4) {
                    // They cannot expand much further than anything is trusted.
                    assert!(bomb.len() * 1100 > len, "{how}");
                    continue;
                }
                let most = match unpacked_with(&bomb, trust) {
                    Err(UnpackError::TooMuch(most)) => most,
                    Err(UnpackError::Read(e) | UnpackError::Write(e)) => panic!("{how}: {e}"),
                    Ok(_) => panic!("{how}: {} bytes became {len}", bomb.len()),
                };
                let zeros = if byte == 0 { 4 } else { 1 };
                assert!(
                    most >= trust.anyway * zeros && most < len as u64,
                    "{how}: {most}"
                );
                assert!(unpacked(&bomb).is_ok(), "{how}: as much as this is fine");
            }
        }
    }

    #[test]
    fn windows_are_as_large_as_the_file_deserves() {
        // A frame with a window of 2 GiB: RFC 8878, 3.1.1.1.2, exponent 21; one empty block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0];
        assert!(matches!(unpacked(&frame), Err(UnpackError::Read(_))));
        let small = [0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0];
        assert!(unpacked(&small).is_ok());
        assert_eq!(Trust::window(None), 128 << 20);
        assert_eq!(Trust::window(Some(100 << 20)), 1600 << 20);
        assert_eq!(Trust::window(Some(1 << 40)), 1 << 31);
    }

    #[test]
    fn garbage_behind_a_magic_never_panics() {
        let data = sample();
        for how in ALL {
            let packed = compress(how, &data[..50_000]);
            for i in 0..200.min(packed.len()) {
                let mut broken = packed.clone();
                broken[i] ^= 0x55;
                let _ = unpacked(&broken);
            }
        }
    }
}
