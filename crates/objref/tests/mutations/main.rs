//! Real dumps, damaged where it hurts: none may panic, hang, take much memory, or lose a byte.
//!
//! Every case is made from its number, so that one can be had again:
//!
//! ```sh
//! OBJREF_MUTATE_ONLY=zoo-1.26.6:1234 cargo test -p objref --test mutations
//! OBJREF_MUTATE_DUMPS=~/.cache/objref/matrix OBJREF_MUTATE_SECONDS=36000 cargo test -p objref --test mutations
//! ```
//!
//! What damages only the core is read beside the undamaged dump: its binary need not be read again.

mod damage;
mod objects;
mod run;
mod types;
mod victim;

use std::env;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use objref_mem::Input;
use objref_snapshot::Dump;

use crate::damage::Damager;
use crate::run::Ask;
use crate::victim::Victim;

/// A case that takes more of the processors' time hangs, one that takes much longer with less waits for something.
const PATIENCE: Duration = Duration::from_secs(10);
/// A damaged dump may take as much memory as its undamaged self, this many times.
const TIMES: u64 = 3;

/// Time and memory are measured for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// `fixtures/dumps`.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps")
}

/// A dump, and its own binary.
struct Sound {
    name: String,
    core: PathBuf,
    exe: PathBuf,
}

/// The committed dumps whose own binary lies beside them, and those that `scripts/matrix.py` made in `$OBJREF_MUTATE_DUMPS`.
///
/// Not those without symbols, in which the places to damage are not found; not large ones, since many are wanted; not
/// those that programs with a runtime of ours wrote, which differ from others in what they say of themselves only.
fn sound() -> Vec<Sound> {
    const MOST: u64 = 64 << 20;
    let mut all = Vec::new();
    for entry in folder()
        .read_dir()
        .expect("fixtures/dumps; scripts/make_fixtures.py makes it")
    {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".exe.zst") {
            let path = |suffix: &str| folder().join(format!("{name}.{suffix}.zst"));
            all.push(Sound {
                name: name.to_owned(),
                core: path("core"),
                exe: path("exe"),
            });
        }
    }
    if let Some(matrix) = env::var_os("OBJREF_MUTATE_DUMPS") {
        for entry in Path::new(&matrix).read_dir().unwrap() {
            let folder = entry.unwrap().path();
            let (core, exe) = (folder.join("core.kernel"), folder.join("exe"));
            // The blocks that it takes, without its holes.
            if core
                .metadata()
                .is_ok_and(|core| core.blocks() * 512 <= MOST)
                && exe.exists()
            {
                let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
                all.push(Sound { name, core, exe });
            }
        }
    }
    all.retain(|dump| !dump.name.contains("stripped") && !dump.name.ends_with("oracle"));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What came out of many cases.
#[derive(Default)]
struct Tally {
    cases: u64,
    /// Those that ended in a report; the others ended in one line.
    read: u64,
    /// The longest, in time of the processors.
    longest: Duration,
    /// The most memory, in percent of the undamaged dump's.
    memory: u64,
    failures: Vec<String>,
}

#[test]
fn damaged_dumps_are_read_as_far_as_they_go() {
    let _alone = alone();
    let dumps = sound();
    let only = env::var("OBJREF_MUTATE_ONLY").ok();
    let only = only
        .as_deref()
        .map(|only| only.split_once(':').expect("NAME:CASE"));
    let cases = number("OBJREF_MUTATE_CASES", 10_000).div_ceil(dumps.len() as u64);
    let all = Duration::from_secs(number("OBJREF_MUTATE_SECONDS", 60));
    let begun = Instant::now();
    let mut tally = Tally::default();
    for (i, dump) in dumps.iter().enumerate() {
        let numbers = match only {
            Some((name, case)) if name == dump.name => {
                let case = case.parse().unwrap();
                case..case + 1
            }
            Some(_) => continue,
            None => 0..cases,
        };
        // What the others have left over is for those that come after them.
        let left = all.saturating_sub(begun.elapsed()) / (dumps.len() - i) as u32;
        damage(dump, numbers, Instant::now() + left, &mut tally);
    }
    eprintln!(
        "{} cases of {} dumps in {:.0} s: {} ended in a report, {} in one line; the longest took {:.1} s, the most memory \
         was {} % of the undamaged dump's; {} failures",
        tally.cases,
        dumps.len(),
        begun.elapsed().as_secs_f64(),
        tally.read,
        tally.cases - tally.read - tally.failures.len() as u64,
        tally.longest.as_secs_f64(),
        tally.memory,
        tally.failures.len(),
    );
    assert!(tally.cases > 0, "there is no such dump");
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
}

/// Damages a dump, by each number, until it is time to end.
fn damage(sound: &Sound, numbers: Range<u64>, end: Instant, tally: &mut Tally) {
    let name = &sound.name;
    let (mut victim, dump) = Victim::open(&sound.core, &sound.exe);
    let dump = Arc::new(dump);
    run::forget_peak_memory();
    for ask in Ask::ALL {
        let live = run::run(&dump, ask).unwrap_or_else(|e| panic!("{name}, undamaged: {e}"));
        assert!(live > 0, "{name}");
    }
    let usual = run::peak_memory();
    let (begun, before) = (Instant::now(), (tally.cases, tally.read));
    for case in numbers {
        if Instant::now() > end && tally.cases > before.0 {
            break;
        }
        let mut damager = Damager::new(case);
        let (core, exe) = damager.damage(&mut victim);
        let what = format!("{name}:{case}: {}", damager.log.join(", "));
        if env::var_os("OBJREF_MUTATE_VERBOSE").is_some() {
            eprintln!("{what}");
        }
        run::forget_peak_memory();
        let beside = exe.is_none().then(|| Arc::clone(&dump));
        let exe = exe.unwrap_or_else(|| Arc::clone(dump.process.image.input()));
        let ask = Ask::ALL[case as usize % Ask::ALL.len()];
        let time = run::processor_time();
        let mut fail = |why: &str| tally.failures.push(format!("{what} ({ask:?}): {why}"));
        match watched(core, exe, beside, ask) {
            Ok(Ok(_)) => tally.read += 1,
            Ok(Err(line)) if line.contains('\n') || line.len() > 2000 => {
                fail(&format!("not one line: {line}"));
            }
            Ok(Err(_)) => {}
            Err(why) => {
                fail(&why);
                // A thread that hangs cannot be ended; it would slow down the others.
                assert!(why != "hangs", "{}", tally.failures.join("\n"));
            }
        }
        damager.repair(&mut victim);
        tally.cases += 1;
        tally.longest = tally.longest.max(run::processor_time() - time);
        let share = run::peak_memory() * 100 / usual;
        tally.memory = tally.memory.max(share);
        if share > TIMES * 100 {
            tally
                .failures
                .push(format!("{what} ({ask:?}): {share} % of the memory"));
        }
    }
    eprintln!(
        "{name}: {} cases in {:.1} s, {} read",
        tally.cases - before.0,
        begun.elapsed().as_secs_f64(),
        tally.read - before.1,
    );
}

/// Runs in a thread of its own: `Err` when that panics or hangs.
fn watched(
    core: Arc<Input>,
    exe: Arc<Input>,
    beside: Option<Arc<Dump>>,
    ask: Ask,
) -> Result<Result<u64, String>, String> {
    let (to, from) = mpsc::channel();
    let worker = thread::spawn(move || {
        let force = !core.bytes().len().is_multiple_of(3);
        let dump = run::open(core, exe, beside.as_deref(), force);
        // Nobody listens any more if it took too long.
        let _ = to.send(dump.and_then(|dump| run::run(&dump, ask)));
    });
    let (begun, before) = (Instant::now(), run::processor_time());
    let result = loop {
        let result = from.recv_timeout(PATIENCE / 10);
        let busy = run::processor_time() - before > PATIENCE;
        let waiting = !busy && begun.elapsed() < 12 * PATIENCE;
        if result != Err(mpsc::RecvTimeoutError::Timeout) || !waiting {
            break result;
        }
    };
    match result {
        Ok(result) => {
            let _ = worker.join();
            Ok(result)
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Err("hangs".to_owned()),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("a thread that said nothing");
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("?")))
        }
    }
}
