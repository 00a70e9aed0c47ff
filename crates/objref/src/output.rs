//! Where the data goes: standard output, or a file that is complete or not there.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use objref_mem::{Unfinished, inputs_unchanged};
use tempfile::NamedTempFile;

/// A place for data. Nothing is seen of a file before [`Output::finish`]: until then it is written
/// under another name beside its place, and removed again if we fail or a signal ends us.
pub(crate) enum Output {
    Stdout(BufWriter<StdoutLock<'static>>),
    /// Something that is no regular file, such as `/dev/null` or a pipe: written as it is.
    Device(BufWriter<fs::File>, PathBuf),
    File(BufWriter<NamedTempFile>, Unfinished, PathBuf),
}

const BUFFER: usize = 1 << 18;

impl Output {
    /// Makes sure that `path`, or standard output without one, can be written.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout(BufWriter::with_capacity(
                BUFFER,
                io::stdout().lock(),
            )));
        };
        // Through a symbolic link, the file behind it is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&target) {
            Ok(found) if found.is_dir() => {
                Err(cannot(path, &io::Error::from(io::ErrorKind::IsADirectory)))
            }
            Ok(found) if !found.is_file() => {
                let file = fs::OpenOptions::new().write(true).open(&target);
                let file = file.map_err(|e| cannot(path, &e))?;
                Ok(Self::Device(BufWriter::with_capacity(BUFFER, file), target))
            }
            found => {
                let dir = match target.parent() {
                    Some(dir) if dir != Path::new("") => dir,
                    _ => Path::new("."),
                };
                let mode = found.map_or(0o666, |found| found.permissions().mode() & 0o777);
                let file = tempfile::Builder::new()
                    .prefix(".objref-")
                    .permissions(Permissions::from_mode(mode))
                    .tempfile_in(dir)
                    .map_err(|e| cannot(path, &e))?;
                let unfinished = Unfinished::new(file.path());
                let file = BufWriter::with_capacity(BUFFER, file);
                Ok(Self::File(file, unfinished, target))
            }
        }
    }

    /// Puts everything in its place, unless what it was made of has changed meanwhile.
    pub(crate) fn finish(self) -> Result<()> {
        if let Err(error) = inputs_unchanged() {
            self.discard();
            return Err(error.into());
        }
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::Device(mut out, path) => out.flush().map_err(|e| cannot(&path, &e)),
            Self::File(out, _unfinished, path) => {
                let file = out.into_inner().map_err(|e| cannot(&path, e.error()))?;
                file.persist(&path).map_err(|e| cannot(&path, &e.error))?;
                Ok(())
            }
        }
    }

    /// Gives up what was not written yet.
    fn discard(self) {
        match self {
            Self::Stdout(out) => drop(out.into_parts()),
            Self::Device(out, _) => drop(out.into_parts()),
            // It goes with its file.
            Self::File(..) => {}
        }
    }

    /// `error` of a write into this place, with its name.
    pub(crate) fn explain(path: Option<&Path>, error: io::Error) -> anyhow::Error {
        match path {
            _ if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
            // Not the place: what there is to say cannot be said in this form.
            _ if error.kind() == io::ErrorKind::InvalidData => {
                anyhow!("{error}; see what was found: objref summary CORE")
            }
            Some(path) => cannot(path, &error),
            None => anyhow!("standard output: {error}"),
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> anyhow::Error {
    // One with something inside tells the path of the temporary file; its kind says enough.
    let error = match error.get_ref() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
    };
    anyhow!(
        "{}: cannot be written: {error}; choose another place with -o",
        path.display()
    )
}

impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(buf),
            Self::Device(out, _) => out.write(buf),
            Self::File(out, ..) => out.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Device(out, _) => out.flush(),
            Self::File(out, ..) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_complete_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ref.svg");
        let mut out = Output::open(Some(&path)).unwrap();
        out.write_all(b"half").unwrap();
        drop(out);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let mut out = Output::open(Some(&path)).unwrap();
        out.write_all(b"whole").unwrap();
        out.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        let mut out = Output::open(Some(&path)).unwrap();
        out.write_all(b"half").unwrap();
        drop(out);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn what_cannot_be_written_is_known_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Output::open(Some(dir.path())).is_err());
        assert!(Output::open(Some(&dir.path().join("none/ref.svg"))).is_err());
        assert!(Output::open(Some(Path::new("/dev/null"))).is_ok());
    }
}
