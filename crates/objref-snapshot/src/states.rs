//! What goroutines do, and since when.

use objref_go::{GStatus, Goroutine};

use crate::Snapshot;

impl Snapshot {
    fn goroutine(&self, g: u32) -> &Goroutine {
        &self.goroutines.list[g as usize]
    }

    /// What the goroutine of that index waits for, or else its status.
    pub fn state(&self, g: u32) -> &str {
        let goroutine = self.goroutine(g);
        let reason = self.goroutines.wait_reason(goroutine);
        reason.unwrap_or(goroutine.status.name())
    }

    /// For how many nanoseconds it has been blocked at least; `None` if it is not or nobody knows.
    pub fn waited(&self, g: u32) -> Option<u64> {
        let goroutine = self.goroutine(g);
        let blocked = matches!(
            goroutine.status,
            GStatus::Waiting | GStatus::Syscall | GStatus::Leaked
        );
        if !blocked || goroutine.wait_since <= 0 {
            return None;
        }
        let waited = self.traces.clock?.checked_sub(goroutine.wait_since)?;
        u64::try_from(waited).ok()
    }
}
