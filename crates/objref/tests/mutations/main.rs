//! Real dumps, damaged where it hurts: none may panic, hang, take much memory, or lose a byte.
//!
//! Every case is made from its number, so that one can be had again:
//!
//! ```sh
//! OBJREF_MUTATE_ONLY=zoo-1.26.6:1234 cargo test -p objref --test mutations
//! OBJREF_MUTATE_CASES=10000 OBJREF_MUTATE_SECONDS=3600 cargo test --release -p objref --test mutations
//! ```

mod damage;
mod run;
mod types;
mod victim;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::damage::Damager;
use crate::victim::Victim;

/// A case that takes more of the processors' time hangs, one that takes much longer with less waits for something.
const PATIENCE: Duration = Duration::from_secs(10);
/// A damaged dump may take as much memory as its undamaged self, this many times.
const TIMES: u64 = 3;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// `fixtures/dumps`, or `$OBJREF_DUMPS`.
fn folder() -> PathBuf {
    match env::var_os("OBJREF_DUMPS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"),
    }
}

/// The names of the dumps whose own binary lies beside them.
fn names() -> Vec<String> {
    let mut names: Vec<String> = folder()
        .read_dir()
        .expect("fixtures/dumps; scripts/make_fixtures.py makes it")
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            name.strip_suffix(".exe.zst").map(str::to_owned)
        })
        .filter(|name| !name.contains("stripped"))
        .collect();
    names.sort();
    names
}

#[test]
fn damaged_dumps_are_read_as_far_as_they_go() {
    let names = names();
    let only = env::var("OBJREF_MUTATE_ONLY").ok();
    let cases = number("OBJREF_MUTATE_CASES", 400) / names.len() as u64 + 1;
    let all = Duration::from_secs(number("OBJREF_MUTATE_SECONDS", 60));
    let share = all / names.len() as u32;
    let mut failures = Vec::new();
    for name in &names {
        let path = |suffix: &str| folder().join(format!("{name}.{suffix}.zst"));
        let mut victim = Victim::open(&path("core"), &path("exe"));
        run::forget_peak_memory();
        let first = run::run(&victim.core, &victim.exe, true);
        let live = first.unwrap_or_else(|e| panic!("{name}, undamaged: {e}"));
        assert!(live > 0, "{name}");
        let limit = run::peak_memory() * TIMES;

        let numbers: Vec<u64> = match &only {
            Some(only) => match only.split_once(':') {
                Some((dump, case)) if dump == name => vec![case.parse().unwrap()],
                _ => continue,
            },
            None => (0..cases).collect(),
        };
        let begun = Instant::now();
        let (mut done, mut read, mut most) = (0, 0, 0);
        for case in numbers {
            if begun.elapsed() > share && only.is_none() {
                break;
            }
            let mut damager = Damager::new(case);
            let (core, exe) = damager.damage(&mut victim);
            if only.is_some() || env::var_os("OBJREF_MUTATE_VERBOSE").is_some() {
                eprintln!("{name}:{case}: {}", damager.log.join(", "));
            }
            let what = format!("{name}:{case}: {}", damager.log.join(", "));
            run::forget_peak_memory();
            match watched(core, exe) {
                Ok(Ok(_)) => read += 1,
                Ok(Err(message)) if message.contains('\n') || message.len() > 2000 => {
                    failures.push(format!("{what}: not one line: {message}"));
                }
                Ok(Err(_)) => {}
                Err(why) => {
                    failures.push(format!("{what}: {why}"));
                    // A thread that hangs cannot be ended; it would slow down the others.
                    if why == "hangs" {
                        panic!("{}", failures.join("\n"));
                    }
                }
            }
            damager.repair(&mut victim);
            done += 1;
            let peak = run::peak_memory();
            most = peak.max(most);
            if peak > limit {
                failures.push(format!("{what}: {} MiB of memory", peak >> 20));
            }
        }
        eprintln!(
            "{name}: {done} cases in {:.1} s, {read} read; at most {} of {} MiB of memory",
            begun.elapsed().as_secs_f64(),
            most >> 20,
            limit >> 20
        );
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Runs in a thread of its own: `Err` when that panics or hangs.
fn watched(core: Vec<u8>, exe: Vec<u8>) -> Result<Result<u64, String>, String> {
    let (to, from) = mpsc::channel();
    let worker = thread::spawn(move || {
        let force = !core.len().is_multiple_of(3);
        // Nobody listens any more if it took too long.
        let _ = to.send(run::run(&core, &exe, force));
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
