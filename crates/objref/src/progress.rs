//! What the user is told while they wait, all of it on standard error.

use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::CommonArgs;
use crate::failure::one_line;
use crate::stats::{Meter, peak_memory};

/// Shorter waits need no explanation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Follows the phases of the work: lists them with time and memory (`-v`), or shows the current one
/// on a terminal once the work takes more than a second.
pub(crate) struct Reporter {
    verbose: bool,
    quiet: bool,
    start: Instant,
    shared: Arc<Shared>,
    spinner: Mutex<Option<JoinHandle<()>>>,
    meter: Mutex<Option<Meter>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    phase: Option<(String, Instant)>,
    done: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    pub(crate) fn new(args: &CommonArgs) -> Self {
        let shared = Arc::new(Shared::default());
        let wanted = !args.verbose && !args.quiet && std::io::stderr().is_terminal();
        let spinner = wanted.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || spin(&shared))
        });
        let (verbose, quiet) = (args.verbose, args.quiet);
        Self {
            verbose,
            quiet,
            start: Instant::now(),
            shared,
            spinner: Mutex::new(spinner),
            meter: Mutex::new(args.stats.map(Meter::new)),
        }
    }

    /// The next phase of the work begins.
    pub(crate) fn phase(&self, name: &str) {
        let now = Instant::now();
        let last = self.shared.lock().phase.replace((name.to_owned(), now));
        self.tell(last, now);
        if let Some(meter) = &mut *self.meter() {
            meter.begin(name);
        }
    }

    /// So many objects are being looked at.
    pub(crate) fn objects(&self, objects: usize) {
        if let Some(meter) = &mut *self.meter() {
            meter.add_objects(objects as u64);
        }
    }

    fn meter(&self) -> MutexGuard<'_, Option<Meter>> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong, but we go on.
    pub(crate) fn warn(&self, message: &str) {
        if !self.quiet {
            eprintln!("objref: warning: {}", one_line(message));
        }
    }

    /// Shows the current phase no longer: what is written now may go to the same terminal.
    pub(crate) fn clear(&self) {
        self.shared.lock().done = true;
        self.shared.done.notify_all();
        let spinner = self
            .spinner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(spinner) = spinner {
            // It has nothing to say but what it showed.
            let _ = spinner.join();
        }
    }

    /// The work is done: nothing more is shown.
    pub(crate) fn finish(&self) {
        self.clear();
        let last = self.shared.lock().phase.take();
        let now = Instant::now();
        if let Some(last) = last {
            self.tell(Some(last), now);
            self.tell(Some(("all".to_owned(), self.start)), now);
        }
        if let Some(meter) = self.meter().take() {
            eprint!("{}", meter.finish());
        }
    }

    fn tell(&self, phase: Option<(String, Instant)>, now: Instant) {
        if let Some((name, since)) = phase.filter(|_| self.verbose) {
            let seconds = (now - since).as_secs_f64();
            let memory = peak_memory().map(objref_analysis::iec).unwrap_or_default();
            eprintln!("objref: {name:<28} {seconds:>8.3} s   peak {memory:>10}");
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Shows the current phase until the work is done, beginning when it has lasted a while.
fn spin(shared: &Shared) {
    let mut bar: Option<ProgressBar> = None;
    let mut wait = PATIENCE;
    loop {
        let state = shared.lock();
        let waited = shared
            .done
            .wait_timeout_while(state, wait, |state| !state.done);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.done {
            break;
        }
        let phase = state
            .phase
            .as_ref()
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        drop(state);
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                .with_elapsed(PATIENCE)
        });
        bar.set_message(format!("{phase} ({} s)", bar.elapsed().as_secs()));
        bar.tick();
        wait = Duration::from_millis(100);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}
