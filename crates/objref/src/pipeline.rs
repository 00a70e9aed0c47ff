//! From a core and its binary, or an index, to the snapshot that all answers are made of.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use objref_analysis::thousands;
use objref_mem::{Core, Input};
use objref_snapshot::{
    DominatorTree, Dump, Facts, Index, LoadOptions, Progress, References, Retained, Snapshot,
    write_index,
};

use crate::args::CommonArgs;
use crate::inputs::{Files, Inputs};
use crate::output::Output;
use crate::progress::Reporter;

impl Progress for Reporter {
    fn phase(&self, name: &str) {
        Reporter::phase(self, name);
    }
}

/// What of a heap a command needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Goroutines that stand in the same place as one, or each by itself.
    pub(crate) each_goroutine: bool,
    /// All references with their words, not only those of the shortest paths.
    pub(crate) references: bool,
    /// What everything retains.
    pub(crate) retained: bool,
    /// The dump itself, even if there is an index.
    pub(crate) dump: bool,
    /// The dump beside an index, if it is there.
    pub(crate) values: bool,
}

/// What was opened: the dump, or an index of it, or both.
pub(crate) struct Opened {
    dump: Option<Dump>,
    index: Option<Index>,
    /// Where an index is to be kept.
    keep: Option<PathBuf>,
}

/// What a command has to say something about.
pub(crate) struct Subject<'d> {
    pub(crate) snapshot: Snapshot,
    dump: Option<&'d Dump>,
    index: Option<&'d Index>,
    references: Option<References<'d>>,
    dominators: OnceCell<DominatorTree>,
    retained: OnceCell<Retained>,
}

impl Opened {
    /// Opens what the command line names, and the index beside the core if that is wanted.
    pub(crate) fn open(args: &CommonArgs, needs: Needs, reporter: &Reporter) -> Result<Self> {
        let Inputs { files, index } = Inputs::open(args, reporter)?;
        let mut index = index.map(|input| open_index(&input)).transpose()?;
        let mut keep = None;
        if let Some(files) = &files {
            if let Some(index) = &index {
                let of = index.facts();
                if let Err(why) = belongs(of, files) {
                    bail!(
                        "the index is not of this core: {why}; give the one that it was made from"
                    );
                }
            }
            if args.index && index.is_none() {
                let path = beside(files);
                index = kept(&path, files, reporter);
                keep = index.is_none().then_some(path);
            }
        }
        if needs.each_goroutine && index.is_some() {
            index = None;
            if files.is_none() {
                bail!("an index has goroutines that stand in the same place as one; give the core");
            }
        }
        let dump = match files {
            Some(files) if index.is_none() || needs.dump || needs.values => {
                Some(open_dump(files, args, reporter)?)
            }
            None if needs.dump => bail!("an index has no values; give the core, too"),
            _ => None,
        };
        Ok(Self { dump, index, keep })
    }

    /// Reads the heap, and keeps an index of it if that is wanted.
    pub(crate) fn subject(&self, needs: Needs, reporter: &Reporter) -> Result<Subject<'_>> {
        if let Some(index) = &self.index {
            reporter.phase("open the index");
            let snapshot = index.snapshot()?;
            reporter.objects(snapshot.objects.len());
            let references = match needs.references {
                true => Some(index.references(&snapshot)?),
                false => None,
            };
            return Ok(Subject {
                snapshot,
                dump: self.dump.as_ref(),
                index: Some(index),
                references,
                dominators: OnceCell::new(),
                retained: OnceCell::new(),
            });
        }
        let dump = self
            .dump
            .as_ref()
            .ok_or_else(|| anyhow!("nothing was opened"))?;
        let options = LoadOptions {
            goroutines_each: needs.each_goroutine,
            edges: needs.retained || self.keep.is_some(),
        };
        let (snapshot, references) = if needs.references || self.keep.is_some() {
            let (snapshot, references) = dump.load(&options, reporter)?;
            (snapshot, Some(references))
        } else {
            (dump.snapshot(&options, reporter)?, None)
        };
        reporter.objects(snapshot.objects.len());
        let subject = Subject {
            snapshot,
            dump: Some(dump),
            index: None,
            references,
            dominators: OnceCell::new(),
            retained: OnceCell::new(),
        };
        if let Some(path) = &self.keep {
            reporter.phase("keep the index");
            let mut out = Output::open(Some(path))?;
            subject
                .write_index(false, reporter, &mut out)
                .map_err(|error| Output::explain(Some(path), error))?;
            out.finish()?;
        }
        Ok(subject)
    }
}

impl Subject<'_> {
    /// The dump, where it is needed.
    pub(crate) fn dump(&self) -> Result<&Dump> {
        self.dump
            .ok_or_else(|| anyhow!("an index has no values; give the core, too"))
    }

    /// The words for all references; only where a command said that it needs them.
    pub(crate) fn references(&self) -> Result<&References<'_>> {
        self.references
            .as_ref()
            .ok_or_else(|| anyhow!("references were not read"))
    }

    /// What dominates what. Who wants to know what everything retains, too, asks for that before.
    pub(crate) fn dominators(&self, reporter: &Reporter) -> Result<&DominatorTree> {
        match (self.retained.get(), self.dump) {
            (None, Some(dump)) if self.index.is_none() => Ok(self.dominators.get_or_init(|| {
                reporter.phase("dominators");
                DominatorTree::of(dump, &self.snapshot)
            })),
            _ => Ok(self.retained(reporter)?.tree()),
        }
    }

    /// What everything retains.
    pub(crate) fn retained(&self, reporter: &Reporter) -> Result<&Retained> {
        if let Some(retained) = self.retained.get() {
            return Ok(retained);
        }
        let retained = match (self.index, self.dump) {
            (Some(index), _) => index.retained(&self.snapshot)?,
            (None, Some(dump)) => {
                reporter.phase("dominators");
                Retained::of(dump, &self.snapshot)
            }
            (None, None) => bail!("nothing was opened"),
        };
        Ok(self.retained.get_or_init(|| retained))
    }

    /// Writes the index.
    pub(crate) fn write_index(
        &self,
        redacted: bool,
        reporter: &Reporter,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let retained = self.retained(reporter).map_err(io::Error::other)?;
        let references = self.references().map_err(io::Error::other)?;
        reporter.phase("write the index");
        write_index(&self.snapshot, references, retained, redacted, out)
    }
}

fn open_dump(files: Files, args: &CommonArgs, reporter: &Reporter) -> Result<Dump> {
    let shortfall = shortfall(&files);
    let dump = Dump::open(files.core, files.image, args.force, reporter);
    match shortfall {
        Some((what, way)) => dump.map_err(|error| anyhow!("{what}, and: {error}; {way}")),
        None => Ok(dump?),
    }
}

fn open_index(input: &Arc<Input>) -> Result<Index> {
    Index::open(input).map_err(|error| anyhow!("{}: {error}", input.path().display()))
}

/// Whether the facts are those of this core and its binary; else why not.
fn belongs(facts: &Facts, files: &Files) -> Result<(), String> {
    let size = files.core.input().bytes().len() as u64;
    if facts.core.bytes != size {
        let theirs = thousands(facts.core.bytes);
        return Err(format!(
            "that one has {theirs} bytes, this has {}",
            thousands(size)
        ));
    }
    let ours = files
        .image
        .gnu_build_id()
        .map(|id| id.iter().map(|b| format!("{b:02x}")).collect());
    let go = files.image.go_build_id().map(str::to_owned);
    if facts.binary.build_id != ours || facts.binary.go_build_id != go {
        return Err("its binary is of another build".to_owned());
    }
    Ok(())
}

/// Where the index of a core is kept.
fn beside(files: &Files) -> PathBuf {
    let mut name = files.core.input().path().as_os_str().to_owned();
    name.push(".objref");
    name.into()
}

/// The index that is kept, if it can be used; a warning if not.
fn kept(path: &Path, files: &Files, reporter: &Reporter) -> Option<Index> {
    if !path.exists() {
        return None;
    }
    let found = || -> Result<Index> {
        let index = open_index(&Input::open(path)?)?;
        match belongs(index.facts(), files) {
            Ok(()) if !index.is_redacted() => Ok(index),
            Ok(()) => bail!("{}: redacted", path.display()),
            Err(why) => bail!("{}: of another core: {why}", path.display()),
        }
    };
    found()
        .inspect_err(|error| reporter.warn(&format!("{error}: it is made again")))
        .ok()
}

/// What the files lack, which may be why they cannot be read, and what to do about it.
fn shortfall(inputs: &Files) -> Option<(String, &'static str)> {
    let (core, image) = (&inputs.core, &inputs.image);
    for input in [core.input(), image.input()] {
        if let Some(damage) = input.damage() {
            let what = format!(
                "{}: cannot be decompressed to its end: {damage}",
                input.path().display()
            );
            return Some((what, "take a whole one"));
        }
    }
    let cut = |input: &Input, lost: u64| {
        let (path, lost) = (input.path().display(), thousands(lost));
        format!("{path}: cut short, {lost} bytes are missing")
    };
    let missing = core.missing();
    match (missing.bytes.saturating_add(missing.notes), image.missing()) {
        (0, 0) => left_out(core),
        (0, lost) => Some((cut(image.input(), lost), "copy the binary again")),
        (lost, _) => Some((
            cut(core.input(), lost),
            "write the core again with room for all of it (ulimit -c unlimited; for systemd, ProcessSizeMax= and \
             ExternalSizeMax= in coredump.conf)",
        )),
    }
}

/// Memory that the process could write and of which the core has nothing.
fn left_out(core: &Core) -> Option<(String, &'static str)> {
    let written = core.segments().iter().filter(|s| s.flags.writable());
    let bytes: u64 = written
        .filter(|s| s.file_size == 0)
        .map(|s| s.mem_size)
        .sum();
    let (path, lost) = (core.input().path().display(), thousands(bytes));
    let what = format!("{path}: {lost} bytes of memory were left out");
    let way = "write the core again with all of it (/proc/PID/coredump_filter is 0x33 where nobody changed it)";
    (bytes > 0).then_some((what, way))
}
