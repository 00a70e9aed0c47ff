//! The file with the debug information, where a binary was parted from it.
//!
//! The places and their order are gdb's ("Debugging Information in Separate Files"), and beside the
//! binary one more: its name with `.debug` behind it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use objref_mem::{Core, Image, Input};

use crate::args::CommonArgs;
use crate::inputs::perhaps_compressed;
use crate::progress::Reporter;

/// Attaches to `image` the file that was named, or one that is found; none where there is no need.
pub(crate) fn attach(
    image: &mut Image,
    core: &Core,
    args: &CommonArgs,
    reporter: &Reporter,
) -> Result<()> {
    if let Some(path) = &args.debug_file {
        let debug = Image::parse(Input::open(path)?)?;
        return Ok(image.attach_debug_file(debug, args.force)?);
    }
    if image.has_debug_info() {
        return Ok(());
    }
    for candidate in candidates(image, core, &args.debug_dir) {
        match try_attach(image, &candidate) {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => reporter.warn(&format!("left out: {error}")),
        }
    }
    Ok(())
}

/// A place to look, and whether only the very file that the binary's link means will do.
struct Candidate {
    path: PathBuf,
    linked: bool,
}

fn try_attach(image: &mut Image, candidate: &Candidate) -> Result<bool> {
    for path in perhaps_compressed(&candidate.path) {
        if !path.is_file() || same_file(&path, image.input().path()) {
            continue;
        }
        let input = Input::open(&path)?;
        if candidate.linked && image.debug_link().is_some_and(|link| !link.is_of(&input)) {
            let (path, image) = (path.display(), image.input().path().display());
            anyhow::bail!("{path}: not the file that the debug link of {image} means (CRC)");
        }
        image.attach_debug_file(Image::parse(input)?, false)?;
        return Ok(true);
    }
    Ok(false)
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(a).is_some_and(|a| Some(a) == real(b))
}

fn candidates(image: &Image, core: &Core, debug_dirs: &[PathBuf]) -> Vec<Candidate> {
    let mut found = Vec::new();
    if let Some([first, rest @ ..]) = image.gnu_build_id()
        && !rest.is_empty()
    {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!(".build-id/{first:02x}/{rest}.debug");
        let path = |dir: &PathBuf| dir.join(&name);
        found.extend(debug_dirs.iter().map(|dir| (path(dir), false)));
    }
    let exe = image.input().path();
    let exe = exe.canonicalize().unwrap_or_else(|_| exe.to_owned());
    if let (Some(link), Some(home)) = (image.debug_link(), exe.parent()) {
        found.push((home.join(&link.name), true));
        found.push((home.join(".debug").join(&link.name), true));
        let ran = core
            .executable_path()
            .and_then(|path| Path::new(path).parent());
        for dir in debug_dirs {
            for home in [Some(home), ran].into_iter().flatten() {
                let inside = home.strip_prefix("/").unwrap_or(home);
                found.push((dir.join(inside).join(&link.name), true));
            }
        }
    }
    let mut beside = exe.into_os_string();
    beside.push(".debug");
    found.push((beside.into(), false));
    let candidate = |(path, linked)| Candidate { path, linked };
    found.into_iter().map(candidate).collect()
}
