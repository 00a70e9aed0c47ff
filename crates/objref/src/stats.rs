//! What each phase of the work cost (`--stats`).

use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use objref_analysis::{iec, thousands};
use objref_mem::spilled;
use serde::Serialize;

use crate::args::StatsFormat;

/// How often memory is looked at: what is in use between two looks for less than this is not seen.
const LOOK: Duration = Duration::from_millis(5);

/// Of a shorter phase, in seconds, it says nothing how many objects a second it would do.
const TELLING: f64 = 0.005;

/// What this process has used so far, as the kernel counts it.
// Linux, Documentation/filesystems/proc.rst
#[derive(Clone, Copy, Default)]
struct Usage {
    /// User and system time of all threads, in seconds.
    cpu: f64,
    /// Bytes that had to be fetched from disks.
    read: u64,
    /// Bytes of mapped files that are in memory and were looked at.
    mapped: u64,
    /// Bytes of anonymous memory in use.
    anonymous: u64,
}

impl Usage {
    fn now() -> Usage {
        let (mapped, anonymous) = resident();
        let [read] = numbers("io", ["read_bytes:"]);
        Usage {
            cpu: cpu_seconds().unwrap_or(0.0),
            read: read.unwrap_or(0),
            mapped,
            anonymous,
        }
    }
}

/// The numbers behind these names in a file of `/proc/self`.
fn numbers<const N: usize>(file: &str, names: [&str; N]) -> [Option<u64>; N] {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    names.map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    })
}

/// The most memory we have used so far, in bytes.
pub(crate) fn peak_memory() -> Option<u64> {
    let [kib] = numbers("status", ["VmHWM:"]);
    Some(kib? * 1024)
}

/// Bytes of files and of anonymous memory.
fn resident() -> (u64, u64) {
    let [files, anonymous] = numbers("status", ["RssFile:", "RssAnon:"]);
    (files.unwrap_or(0) * 1024, anonymous.unwrap_or(0) * 1024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which is in parentheses: the state, then numbers; user and system time in hundredths.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks: Option<Vec<f64>> = fields.skip(11).take(2).map(|t| t.parse().ok()).collect();
    Some(ticks?.iter().sum::<f64>() / 100.0)
}

/// One phase, or all of them.
#[derive(Serialize)]
struct Phase {
    name: String,
    wall_seconds: f64,
    cpu_seconds: f64,
    disk_read_bytes: u64,
    mapped_bytes: u64,
    anonymous_bytes: u64,
    anonymous_peak_bytes: u64,
    objects_per_second: Option<u64>,
}

#[derive(Serialize)]
struct Stats {
    schema_version: u32,
    threads: usize,
    objects: u64,
    /// The most bytes that a memory limit put into a file; `null` without one.
    spilled_bytes: Option<u64>,
    phases: Vec<Phase>,
    all: Phase,
}

/// Counts what each phase costs.
pub(crate) struct Meter {
    format: StatsFormat,
    start: Instant,
    phases: Vec<Phase>,
    current: Option<(String, Instant, Usage)>,
    objects: u64,
    /// The most anonymous memory seen in this phase.
    peak: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Meter {
    pub(crate) fn new(format: StatsFormat) -> Self {
        let (peak, done) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let watcher = {
            let (peak, done) = (Arc::clone(&peak), Arc::clone(&done));
            thread::spawn(move || {
                while !done.load(Relaxed) {
                    peak.fetch_max(resident().1, Relaxed);
                    thread::sleep(LOOK);
                }
            })
        };
        Meter {
            format,
            start: Instant::now(),
            phases: Vec::new(),
            current: None,
            objects: 0,
            peak,
            done,
            watcher: Some(watcher),
        }
    }

    /// The phase called `name` begins, and the one before ends.
    pub(crate) fn begin(&mut self, name: &str) {
        self.end();
        self.current = Some((name.to_owned(), Instant::now(), Usage::now()));
    }

    /// So many more objects are looked at.
    pub(crate) fn add_objects(&mut self, objects: u64) {
        self.objects += objects;
    }

    fn end(&mut self) {
        let Some((name, since, before)) = self.current.take() else {
            return;
        };
        let after = Usage::now();
        let peak = self.peak.swap(after.anonymous, Relaxed);
        self.phases.push(Phase {
            name,
            wall_seconds: since.elapsed().as_secs_f64(),
            cpu_seconds: (after.cpu - before.cpu).max(0.0),
            disk_read_bytes: after.read.saturating_sub(before.read),
            mapped_bytes: after.mapped,
            anonymous_bytes: after.anonymous,
            anonymous_peak_bytes: peak.max(after.anonymous),
            objects_per_second: None,
        });
    }

    /// What all phases cost, in the format that was asked for.
    pub(crate) fn finish(mut self) -> String {
        self.end();
        self.done.store(true, Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // It has nothing to say but what it saw.
            let _ = watcher.join();
        }
        let mut phases = std::mem::take(&mut self.phases);
        let peak = phases.iter().map(|p| p.anonymous_peak_bytes).max();
        let last = phases.last();
        let mut all = Phase {
            name: "all".to_owned(),
            wall_seconds: self.start.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds().unwrap_or(0.0),
            disk_read_bytes: phases.iter().map(|p| p.disk_read_bytes).sum(),
            mapped_bytes: last.map_or(0, |p| p.mapped_bytes),
            anonymous_bytes: last.map_or(0, |p| p.anonymous_bytes),
            anonymous_peak_bytes: peak.unwrap_or(0),
            objects_per_second: None,
        };
        for phase in phases.iter_mut().chain([&mut all]) {
            let rate = self.objects as f64 / phase.wall_seconds;
            let tells = self.objects > 0 && phase.wall_seconds >= TELLING;
            phase.objects_per_second = tells.then_some(rate as u64);
        }
        let stats = Stats {
            schema_version: 1,
            threads: rayon::current_num_threads(),
            objects: self.objects,
            spilled_bytes: spilled().map(|spilled| spilled.most),
            phases,
            all,
        };
        match self.format {
            StatsFormat::Text => text(&stats),
            StatsFormat::Json => serde_json::to_string_pretty(&stats).unwrap_or_default() + "\n",
        }
    }
}

fn text(stats: &Stats) -> String {
    let mut out = format!(
        "{} objects, {} threads\n{:<20} {:>8} {:>8} {:>11} {:>11} {:>11} {:>11} {:>13}\n",
        thousands(stats.objects),
        stats.threads,
        "phase",
        "wall s",
        "CPU s",
        "from disk",
        "mapped",
        "anonymous",
        "at most",
        "objects/s",
    );
    for phase in stats.phases.iter().chain([&stats.all]) {
        let rate = phase.objects_per_second.map(thousands);
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{:<20} {:>8.3} {:>8.2} {:>11} {:>11} {:>11} {:>11} {:>13}",
            phase.name,
            phase.wall_seconds,
            phase.cpu_seconds,
            iec(phase.disk_read_bytes),
            iec(phase.mapped_bytes),
            iec(phase.anonymous_bytes),
            iec(phase.anonymous_peak_bytes),
            rate.unwrap_or_default(),
        );
    }
    if let Some(bytes) = stats.spilled_bytes {
        let _ = writeln!(out, "at most {} in a temporary file", iec(bytes));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_there_and_they_add_up() {
        let mut meter = Meter::new(StatsFormat::Json);
        meter.begin("one");
        let memory = vec![1u8; 64 << 20];
        thread::sleep(4 * LOOK);
        meter.begin("two");
        assert_eq!(std::hint::black_box(memory).len(), 64 << 20);
        meter.add_objects(1000);
        let stats: serde_json::Value = serde_json::from_str(&meter.finish()).unwrap();
        let phase = |n: usize| &stats["phases"][n];
        assert_eq!(phase(0)["name"], "one");
        assert_eq!(phase(1)["name"], "two");
        assert!(phase(0)["anonymous_peak_bytes"].as_u64().unwrap() > 64 << 20);
        let wall = |p: &serde_json::Value| p["wall_seconds"].as_f64().unwrap();
        assert!(wall(phase(0)) + wall(phase(1)) <= wall(&stats["all"]));
        assert!(wall(phase(0)) >= LOOK.as_secs_f64());
        assert!(stats["all"]["objects_per_second"].as_u64().unwrap() > 0);
    }

    #[test]
    fn the_kernel_counts_what_we_use() {
        assert!(resident().1 > 100_000);
        assert!(peak_memory().unwrap() > 100_000);
        let begun = cpu_seconds().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::black_box(begun);
        }
        assert!(cpu_seconds().unwrap() > begun);
    }
}
