//! Calls that the compiler inlined, restored for display.

use objref_mem::Addr;

use super::func::{FUNCDATA_INL_TREE, PCDATA_INL_TREE_INDEX};
use super::{Func, FuncKind, c_str};

/// A call as the programmer wrote it: one physical frame holds several when calls were inlined into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalFrame<'p> {
    /// The function's full name.
    pub name: &'p str,
    /// Source file.
    pub file: &'p str,
    /// Line in `file`; 0 if unknown.
    pub line: u32,
    /// Whether the call was inlined into the one after it.
    pub inlined: bool,
    /// Whether the runtime treats the function specially.
    pub kind: FuncKind,
}

/// Inlining nests no deeper than this in real code; a table that loops stops here.
const MAX_INLINE_DEPTH: usize = 200;

impl<'p> Func<'p> {
    /// Appends the calls that are open at `pc`, innermost first, to `out`. A return address must be lowered by one
    /// first.
    // runtime/symtabinl.go: inlineUnwinder
    pub fn logical_frames(&self, pc: Addr, out: &mut Vec<LogicalFrame<'p>>) {
        let mut pc = pc;
        if let Some(tree) = self.funcdata(FUNCDATA_INL_TREE) {
            for _ in 0..MAX_INLINE_DEPTH {
                let Ok(index) = u64::try_from(self.pcdata(PCDATA_INL_TREE_INDEX, pc)) else {
                    break;
                };
                let call = tree.add(index * self.tab.inline_size);
                let Some((name, func_id, parent)) = self.inlined_call(call) else {
                    break;
                };
                let (file, line) = self.file_line(pc);
                out.push(LogicalFrame {
                    name,
                    file,
                    line,
                    inlined: true,
                    kind: self.kind_of(func_id, name),
                });
                pc = self.entry().add(parent);
            }
        }
        let (file, line) = self.file_line(pc);
        out.push(LogicalFrame {
            name: self.name(),
            file,
            line,
            inlined: false,
            kind: self.kind(),
        });
    }

    fn inlined_call(&self, at: Addr) -> Option<(&'p str, u8, u64)> {
        let (l, space) = (&self.tab.inline, self.tab.space);
        let name = space.u32(l.name.at(at)).ok()?;
        let func_id = space.u8(l.func_id.at(at)).ok()?;
        let parent = space.u32(l.parent_pc.at(at)).ok()?;
        Some((
            c_str(&self.module.names, name as usize),
            func_id,
            u64::from(parent),
        ))
    }
}
