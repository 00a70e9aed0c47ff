//! Which of the files is the core, which the binary, and where the binary is if nobody says.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use objref_mem::{Core, ElfKind, Image, Input};
use objref_snapshot::is_index;

use crate::args::CommonArgs;
use crate::debug_file;
use crate::failure::Usage;
use crate::progress::Reporter;

/// A core and its binary, headers read.
pub(crate) struct Files {
    pub(crate) core: Core,
    pub(crate) image: Arc<Image>,
}

/// What there is to read: at least one of both.
pub(crate) struct Inputs {
    pub(crate) files: Option<Files>,
    pub(crate) index: Option<Arc<Input>>,
}

impl Inputs {
    /// Opens what the command line names, in whatever order.
    pub(crate) fn open(args: &CommonArgs, reporter: &Reporter) -> Result<Self> {
        let named: Vec<&Path> = args
            .files
            .iter()
            .chain(&args.exe)
            .map(PathBuf::as_path)
            .collect();
        let indexes = named.iter().filter(|path| is_index_file(path)).count();
        if named.len() - indexes > 2 || indexes > 1 {
            let files = named.len();
            bail!(Usage(format!(
                "{files} files: give one core and one binary, or one index"
            )));
        }
        let (mut cores, mut others, mut index) = (Vec::new(), Vec::new(), None);
        for path in &named {
            let input = Input::open(path)?;
            match input.elf_kind() {
                Some(ElfKind::Core) => cores.push(input),
                _ if is_index(input.bytes()) => index = Some(input),
                _ => others.push(input),
            }
        }
        if index.is_some() && cores.is_empty() {
            return Ok(Self { files: None, index });
        }
        if cores.len() > 1 {
            let (a, b) = (cores[0].path().display(), cores[1].path().display());
            bail!("{a}, {b}: both are cores; give one core and the binary that was running");
        }
        let Some(core) = cores.pop() else {
            return no_core(others);
        };
        let core = Core::parse(core)?;
        core.check_arch()?;
        let mut image = match others.pop() {
            Some(input) => Image::parse(input)?.into_program()?,
            None => find(&core)?,
        };
        debug_file::attach(&mut image, &core, args, reporter)?;
        Ok(Self {
            files: Some(Files {
                core,
                image: Arc::new(image),
            }),
            index,
        })
    }
}

/// Whether the file is an index.
pub(crate) fn is_index_file(path: &Path) -> bool {
    is_index(&head(path))
}

/// The first bytes of a file; none of one that cannot be read, or could not be read again.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
    {
        // What is wrong with it is said when it is opened.
        let _ = file.take(8).read_to_end(&mut head);
    }
    head
}

/// Says why none of `files` is a core.
fn no_core<T>(mut files: Vec<Arc<Input>>) -> Result<T> {
    // The first is what stood where the core should be.
    let input = files.swap_remove(0);
    let path = input.path().display();
    match input.elf_kind() {
        Some(kind @ (ElfKind::Executable | ElfKind::SharedObject)) => {
            bail!("{path}: {kind}, not a core; name the core: objref CORE --exe {path}")
        }
        // Not ELF, or ELF of a kind that is good for nothing: the parser has the words.
        _ => match Core::parse(input.clone()) {
            Err(error) => Err(error.into()),
            Ok(_) => bail!("{path}: not a core; name the core: objref CORE --exe BIN"),
        },
    }
}

/// The binary of `core`: beside it or where it was when it ran, if it is the one that was running.
fn find(core: &Core) -> Result<Image> {
    let core_path = core.input().path();
    let Some(recorded) = core.executable_path() else {
        bail!(
            "{}: does not say which binary it is of; name it: --exe BIN",
            core_path.display()
        );
    };
    let ids = core.executable_ids();
    let mut seen = Vec::new();
    for path in candidates(core_path, recorded) {
        if !path.is_file() {
            continue;
        }
        let Ok(input) = Input::open(&path) else {
            continue;
        };
        let Ok(image) = Image::parse(input).and_then(Image::into_program) else {
            continue;
        };
        if image.build_ids().agree_with(&ids) != Some(false) {
            return Ok(image);
        }
        seen.push(path.display().to_string());
    }
    let core_path = core_path.display();
    if seen.is_empty() {
        bail!("{core_path}: its binary {recorded} is not here; name it: --exe BIN");
    }
    let seen = seen.join(", ");
    bail!("{core_path}: {seen}: not the binary that was running ({ids}); name it: --exe BIN")
}

/// Where the binary may be: beside the core under its own name or the core's, then at its own path.
fn candidates(core: &Path, recorded: &str) -> Vec<PathBuf> {
    let recorded = Path::new(recorded.strip_suffix(" (deleted)").unwrap_or(recorded));
    let beside = recorded.file_name().map(|name| core.with_file_name(name));
    let renamed = core
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| name.contains(".core"))
        .map(|name| core.with_file_name(name.replacen(".core", ".exe", 1)));
    let mut candidates = Vec::new();
    for path in [beside, renamed, Some(recorded.to_owned())]
        .into_iter()
        .flatten()
    {
        candidates.extend(perhaps_compressed(&path));
    }
    candidates
}

/// `path`, and what it is called once it is compressed.
pub(crate) fn perhaps_compressed(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["", ".zst", ".gz", ".lz4", ".xz"]
        .into_iter()
        .map(|suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            name.into()
        })
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn where_a_binary_may_be() {
        let found = candidates("dumps/a.core.zst".as_ref(), "/srv/bin/a (deleted)");
        let found: Vec<_> = found.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(found[0], "dumps/a");
        assert_eq!(found[1], "dumps/a.zst");
        assert!(found.contains(&"dumps/a.exe.zst"));
        assert!(found.contains(&"/srv/bin/a"));
    }
}
