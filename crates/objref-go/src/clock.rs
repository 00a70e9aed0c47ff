//! What time it was, on the runtime's own clock.

use objref_mem::{Addr, AddressSpace};

use crate::goroutine::{Globals, Goroutines};
use crate::layout::{StructSource, find_field};
use crate::processor::processors;

/// The latest moment, in nanoseconds on the runtime's monotonic clock, that the runtime has written down anywhere: the
/// dump was taken then or later. `None` if there is none.
pub fn last_known_time(
    space: &AddressSpace,
    source: &dyn StructSource,
    globals: &Globals<'_>,
    goroutines: &Goroutines,
) -> Option<i64> {
    let read = |base: Addr, name, path| {
        let value = find_field(source, name, path)?.read(space, base).ok()?;
        Some(value as i64)
    };
    let mut times: Vec<i64> = goroutines.list.iter().map(|g| g.wait_since).collect();
    let mut global =
        |variable, name, path| times.extend(globals(variable).and_then(|at| read(at, name, path)));
    // runtime/mstats.go: mstats; runtime/runtime2.go: schedt. sysmon looks at the network every 10 ms.
    global("runtime.memstats", "runtime.mstats", "last_gc_nanotime");
    global(
        "runtime.sched",
        "runtime.schedt",
        "lastpoll.value | lastpoll",
    );
    // runtime/proc.go: sysmontick
    if let Some(allp) = globals("runtime.allp")
        && let Ok(processors) = processors(space, allp)
    {
        for p in processors.map_while(Result::ok) {
            times.extend(read(p, "runtime.p", "sysmontick.schedwhen"));
            times.extend(read(p, "runtime.p", "sysmontick.syscallwhen"));
        }
    }
    times.into_iter().filter(|t| *t > 0).max()
}
