//! Writing what comes out of a decoder to a sparse file, by another thread than the one that decodes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::unpack::{Taken, Trust, UnpackError};

/// Bytes that are handed over at once.
pub(crate) const BUFFER: usize = 1 << 20;
/// Buffers that there are: one is filled, one is written, one waits for each.
const BUFFERS: usize = 4;
/// Holes are made of blocks of this size.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Decompressed bytes, and how many compressed ones had been taken when they were there.
struct Piece {
    bytes: Vec<u8>,
    taken: u64,
}

/// Where a decoder puts what it has.
pub(crate) struct Sink {
    /// As long as all are; what is behind `used` means nothing.
    buffer: Vec<u8>,
    used: usize,
    /// Bytes handed over before those in `buffer`.
    before: u64,
    taken: Taken,
    full: SyncSender<Piece>,
    empty: Receiver<Vec<u8>>,
}

/// Writes what `decode` puts into a [`Sink`] to `out`, whole blocks of zeros as holes. `taken` tells how many compressed
/// bytes it has come from. Returns what `decode` does, and how many bytes were written.
pub(crate) fn write_sparse(
    out: &File,
    taken: Taken,
    trust: Trust,
    decode: impl FnOnce(&mut Sink) -> Result<(), UnpackError>,
) -> Result<(Result<(), UnpackError>, u64), UnpackError> {
    let (full, pieces) = sync_channel::<Piece>(BUFFERS);
    let (back, empty) = sync_channel(BUFFERS);
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut writer = Writer {
                out,
                offset: 0,
                stored: 0,
                trust,
            };
            for piece in pieces {
                writer.write(&piece)?;
                // Nobody takes the last ones.
                let _ = back.try_send(piece.bytes);
            }
            out.set_len(writer.offset).map_err(UnpackError::Write)?;
            Ok(writer.offset)
        });
        let mut sink = Sink {
            buffer: vec![0; BUFFER],
            used: 0,
            before: 0,
            taken,
            full,
            empty,
        };
        let decoded = decode(&mut sink);
        // What came before an error is kept.
        let handed_over = sink.hand_over();
        drop(sink);
        let written = writer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((decoded.and(handed_over), written))
    })
}

impl Sink {
    /// Where to put the next bytes; never empty.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.buffer[self.used..]
    }

    /// Takes over `n` bytes that were put into [`Sink::spare`].
    pub(crate) fn filled(&mut self, n: usize) -> Result<(), UnpackError> {
        self.used += n;
        match self.used == self.buffer.len() {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    fn hand_over(&mut self) -> Result<(), UnpackError> {
        // There are only so many, since the writer takes no more than it gives back.
        let next = match self.before < (BUFFERS * BUFFER) as u64 {
            true => vec![0; BUFFER],
            false => self.empty.recv().map_err(stopped)?,
        };
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(self.used);
        self.before += self.used as u64;
        self.used = 0;
        let taken = self.taken.get();
        self.full.send(Piece { bytes, taken }).map_err(stopped)
    }
}

/// The writer has ended, and says itself why.
fn stopped<E>(_: E) -> UnpackError {
    UnpackError::Write(io::ErrorKind::BrokenPipe.into())
}

/// Writes at increasing offsets.
struct Writer<'a> {
    out: &'a File,
    /// Where in the file the next bytes go; a multiple of [`BLOCK`].
    offset: u64,
    /// Bytes written, which are those that are not in holes.
    stored: u64,
    trust: Trust,
}

impl Writer<'_> {
    fn write(&mut self, piece: &Piece) -> Result<(), UnpackError> {
        let Piece { bytes, taken } = piece;
        let mut run = 0;
        for (at, block) in (0..).step_by(BLOCK).zip(bytes.chunks(BLOCK)) {
            if *block == ZEROS[..block.len()] {
                self.write_at(run, &bytes[run..at], *taken)?;
                run = at + block.len();
            }
        }
        self.write_at(run, &bytes[run..], *taken)?;
        self.offset += bytes.len() as u64;
        let most = self.trust.whole(*taken);
        match self.offset <= most {
            true => Ok(()),
            false => Err(UnpackError::TooMuch(most)),
        }
    }

    /// Writes bytes that are `at` bytes into a piece.
    fn write_at(&mut self, at: usize, bytes: &[u8], taken: u64) -> Result<(), UnpackError> {
        self.stored += bytes.len() as u64;
        let most = self.trust.stored(taken);
        if self.stored > most {
            return Err(UnpackError::TooMuch(most));
        }
        let written = self.out.write_all_at(bytes, self.offset + at as u64);
        written.map_err(UnpackError::Write)
    }
}
