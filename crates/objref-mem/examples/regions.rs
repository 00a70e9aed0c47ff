//! Prints what a core and its binaries have at which address: `regions CORE [BINARY…]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use objref_mem::{AddressSpace, Core, Image, Input};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let start = Instant::now();
    let core = Core::parse(Input::open(Path::new(&args.next().ok_or("no core")?))?)?;
    println!(
        "{} core by {}, opened in {:?}",
        core.arch().name(),
        core.writer().name(),
        start.elapsed()
    );
    println!("process {:?}\nsignal {:?}", core.process(), core.signal());
    println!(
        "missing {:?}, damaged notes {}",
        core.missing(),
        core.damaged_notes()
    );
    println!(
        "executable {:?} {}",
        core.executable_path(),
        core.executable_ids()
    );
    for t in core.threads() {
        let r = &t.regs;
        let (pc, sp, g) = (r.pc(), r.sp(), r.g());
        println!(
            "thread {} signal {} pc {pc:#x} sp {sp:#x} g {g:x?}",
            t.tid, t.signal
        );
    }
    for f in core.mapped_files() {
        println!(
            "file {}-{} +{:#x} {}",
            f.start, f.end, f.file_offset, f.path
        );
    }
    let mut images = Vec::new();
    for path in args {
        let image = Image::parse(Input::open(Path::new(&path))?)?;
        let bias = image.load_bias(&core)?;
        println!(
            "image {path} bias {:#x} go build id {:?}",
            bias.0,
            image.go_build_id()
        );
        let ids = image.build_ids();
        println!(
            "      pie {} {ids} agree {:?}",
            image.is_pie(),
            ids.agree_with(&core.executable_ids())
        );
        println!(
            "      {} sections, {} symbols",
            image.sections().count(),
            image.symbols().count()
        );
        images.push((Arc::new(image), bias));
    }
    let start = Instant::now();
    let space = AddressSpace::new(&core, &images);
    println!(
        "space in {:?}, missing {} bytes",
        start.elapsed(),
        space.missing_bytes()
    );
    for r in space.regions().take(200) {
        println!(
            "{:18} {:#12x} {} {:?}",
            r.start.to_string(),
            r.len,
            r.flags,
            r.kind
        );
    }
    Ok(())
}
