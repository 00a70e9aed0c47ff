//! Why goroutines are blocked, in the runtime's own words.

use objref_mem::{Addr, AddressSpace};
use serde::{Deserialize, Serialize};

use crate::layout::slice_at;

/// Texts by `g.waitreason`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReasons {
    texts: Vec<String>,
}

/// Longer texts are taken for the end of the array.
const MAX_TEXT: u64 = 64;
/// The runtime has fewer reasons than this.
const MAX_REASONS: u64 = 64;

impl WaitReasons {
    /// Reads `runtime.waitReasonStrings` at `array`; without it, the list of Go 1.`minor`.
    // runtime/runtime2.go: waitReasonStrings
    pub fn read(space: &AddressSpace, array: Option<Addr>, minor: u32) -> WaitReasons {
        let text = |i: u64| {
            let at = array?.add(i * 2 * space.word_size());
            let (data, len) = slice_at(space, at).ok().filter(|(_, n)| *n <= MAX_TEXT)?;
            if len == 0 {
                return Some(String::new());
            }
            let text = space.string(data, len as usize).ok()?;
            text.chars()
                .all(|c| c == ' ' || c.is_ascii_graphic())
                .then_some(text)
        };
        let texts: Vec<String> = (0..MAX_REASONS).map_while(text).collect();
        // The first entry is empty, the second has been the same since the beginning.
        if texts.get(1).is_some_and(|t| t == "GC assist marking") {
            WaitReasons { texts }
        } else {
            WaitReasons {
                texts: built_in(minor),
            }
        }
    }

    /// The text of reason `reason`.
    pub fn text(&self, reason: u8) -> &str {
        match self.texts.get(usize::from(reason)) {
            Some(text) => text,
            None => "unknown wait reason",
        }
    }
}

const TO_121: &str = "|GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|\
    garbage collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|\
    GC scavenge wait|chan receive|chan send|finalizer wait|force gc (idle)|";
const FROM_126: &str = "|GC assist marking|IO wait|dumping heap|garbage collection|garbage collection scan|panicwait|\
    GC assist wait|GC sweep wait|GC scavenge wait|finalizer wait|force gc (idle)|GOMAXPROCS updater (idle)|\
    semacquire|sleep|chan receive (nil chan)|chan send (nil chan)|select (no cases)|select|chan receive|chan send|";
const LOCKS: &str = "sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|";
const TRACE: &str = "trace reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|\
    debug call|GC mark termination|stopping the world|";
const FLUSH: &str =
    "flushing proc caches|trace goroutine status|trace proc status|page trace flush|coroutine|";
const SYNCTEST: &str = "GC weak to strong wait|synctest.Run|synctest.Wait|";
const DURABLE: &str = "chan receive (durable)|chan send (durable)|select (durable)|sync.WaitGroup.Wait (durable)|\
    cleanup wait";

// runtime/runtime2.go: waitReason* of each release
fn built_in(minor: u32) -> Vec<String> {
    const WAIT_GROUP: &str = "sync.WaitGroup.Wait|";
    let parts: &[&str] = match minor {
        0..=19 => &[
            TO_121,
            "semacquire|sleep|sync.Cond.Wait|timer goroutine (idle)|trace reader (blocked)|wait for GC cycle|\
             GC worker (idle)|preempted|debug call",
        ],
        20..=21 => &[TO_121, "semacquire|sleep|", LOCKS, TRACE],
        22 => &[TO_121, "semacquire|sleep|", LOCKS, TRACE, FLUSH],
        23 => &[
            TO_121,
            "semacquire|sleep|",
            LOCKS,
            TRACE,
            FLUSH,
            "GC weak to strong wait",
        ],
        24 => &[
            TO_121,
            "semacquire|sleep|",
            LOCKS,
            WAIT_GROUP,
            TRACE,
            FLUSH,
            SYNCTEST,
            "chan receive (synctest)|chan send (synctest)|select (synctest)",
        ],
        25 => &[
            TO_121,
            "GOMAXPROCS updater (idle)|semacquire|sleep|",
            LOCKS,
            WAIT_GROUP,
            TRACE,
            FLUSH,
            SYNCTEST,
            DURABLE,
        ],
        _ => &[FROM_126, LOCKS, WAIT_GROUP, TRACE, FLUSH, SYNCTEST, DURABLE],
    };
    parts.concat().split('|').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_move_from_release_to_release() {
        let at = |minor, i: usize| built_in(minor)[i].clone();
        assert_eq!(at(19, 18), "semacquire");
        assert_eq!(at(19, 26), "debug call");
        assert_eq!(at(21, 21), "sync.Mutex.Lock");
        assert_eq!(at(21, 31), "stopping the world");
        assert_eq!(at(22, 36), "coroutine");
        assert_eq!(at(23, 37), "GC weak to strong wait");
        assert_eq!(at(24, 24), "sync.WaitGroup.Wait");
        assert_eq!(at(24, 43), "select (synctest)");
        assert_eq!(at(25, 18), "GOMAXPROCS updater (idle)");
        assert_eq!(at(25, 46), "cleanup wait");
        assert_eq!(at(26, 15), "chan receive (nil chan)");
        assert_eq!(at(27, 25), "sync.WaitGroup.Wait");
        assert_eq!(at(27, 46), "cleanup wait");
    }

    #[test]
    fn an_unknown_reason_has_a_text() {
        assert_eq!(WaitReasons::default().text(200), "unknown wait reason");
    }
}
