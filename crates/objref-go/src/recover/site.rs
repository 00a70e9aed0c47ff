//! What was allocated where the memory profile took a sample.

use objref_mem::Addr;

use super::CodeTypes;
use super::known::Role;
use super::meaning::Meaning;
use crate::code::Callee;

impl CodeTypes<'_> {
    /// What the code at the top of a stack allocated: `stack` are return addresses, the innermost first. Frames of the
    /// allocator come first, the call before them tells the type.
    pub fn allocated_at(&mut self, stack: &[Addr]) -> Option<Meaning> {
        self.begin();
        for pc in stack {
            // A return address belongs to the call before it.
            let function = self.tab.find(Addr(pc.0.checked_sub(1)?))?;
            let (id, entry) = (function.id(), function.entry());
            if self.known(id).is_some() {
                continue;
            }
            let graph = self.graph(id)?;
            let call = graph.call_before(u32::try_from(pc.0 - entry.0).ok()?)?;
            let Callee::Code(callee) = call.callee else {
                return None;
            };
            let known = self.known(self.function(callee)?)?;
            // What a map needs for an element may be anything.
            let role = known
                .result
                .filter(|role| !matches!(role, Role::Value | Role::Key | Role::Elem))?;
            return self.role(&graph, call, known, role);
        }
        None
    }
}
