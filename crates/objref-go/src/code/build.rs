//! Making the [`Graph`] of a function from its code.

use objref_mem::Addr;
use rustc_hash::FxHashMap;

use super::abi::Abi;
use super::graph::{Block, Call, Callee, Graph, Memory, Place, Rest, Store, Value, ValueId};
use super::op::{Mem, Op, Reg, Target, VECTOR};

/// What is unusual about functions that are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// All registers but these keep what they have.
    Keeps(u64),
    /// It does not return.
    Ends,
}

/// A function's code, and what is needed to understand it.
pub(crate) struct Source<'a> {
    /// Address of the first instruction.
    pub(crate) entry: Addr,
    /// The instructions.
    pub(crate) code: &'a [u8],
    /// How far the stack pointer lies below its value at the entry: where each range ends, and the distance.
    pub(crate) sp: &'a [(u32, i32)],
    /// Functions that do not change all registers.
    pub(crate) effects: &'a FxHashMap<Addr, Effect>,
}

const OTHER: ValueId = ValueId(0);
const REGS: usize = 64;

impl Graph {
    /// The graph of a function. Code that is not understood ends it early.
    pub(crate) fn build(source: &Source<'_>, abi: &Abi) -> Graph {
        let ops = decode(source, abi);
        let mut graph = Graph {
            values: vec![Value::Other],
            blocks: blocks(source, &ops),
            ..Graph::default()
        };
        let starts: Vec<u32> = graph.blocks.iter().map(|b| b.start).collect();
        let mut builder = Builder {
            source,
            abi,
            graph: &mut graph,
            block: 0,
            regs: [None; REGS],
            slots: FxHashMap::default(),
            rest: Rest::Entry,
            at: 0,
            next: 0,
            distance: 0,
        };
        let (mut steps, mut block) = (source.sp, 0);
        for op in &ops {
            while let Some((end, _)) = steps.first()
                && *end <= op.at
            {
                steps = &steps[1..];
            }
            builder.distance = steps
                .first()
                .map_or(0, |(_, distance)| i64::from(*distance));
            if starts.get(block + 1) == Some(&op.at) {
                builder.finish();
                block += 1;
                builder.block = block as u32;
            }
            (builder.at, builder.next) = (op.at, op.next);
            builder.step(op);
        }
        builder.finish();
        graph
    }
}

/// An instruction with its place.
struct Placed {
    at: u32,
    next: u32,
    op: Op,
}

fn decode(source: &Source<'_>, abi: &Abi) -> Vec<Placed> {
    let mut ops = Vec::new();
    let mut at = 0;
    while let Some(bytes) = source.code.get(at as usize..)
        && let Some(instruction) = (abi.decode)(bytes, source.entry.add(u64::from(at)))
    {
        let next = at + u32::from(instruction.len.max(1));
        let mut op = instruction.op;
        if let Op::Call(target) = op
            && source.effects.get(&target) == Some(&Effect::Ends)
        {
            op = Op::Stop;
        }
        ops.push(Placed { at, next, op });
        at = next;
    }
    ops
}

/// Offset of an address in the function.
fn inside(source: &Source<'_>, at: Addr) -> Option<u32> {
    let offset = at.0.checked_sub(source.entry.0)?;
    (offset < source.code.len() as u64).then_some(offset as u32)
}

/// Cuts the code where it branches and where branches lead.
fn blocks(source: &Source<'_>, ops: &[Placed]) -> Vec<Block> {
    let mut starts = vec![0];
    for op in ops {
        if let Op::Jump(to) | Op::Branch(to) = op.op {
            starts.extend(inside(source, to));
        }
        if matches!(
            op.op,
            Op::Jump(_) | Op::Branch(_) | Op::JumpAway | Op::Return | Op::Stop
        ) {
            starts.push(op.next);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    // A branch into the middle of an instruction is none.
    starts.retain(|start| ops.binary_search_by_key(start, |op| op.at).is_ok());
    let end = ops.last().map_or(0, |op| op.next);
    let mut blocks: Vec<Block> = (0..starts.len())
        .map(|i| Block {
            start: starts[i],
            end: starts.get(i + 1).copied().unwrap_or(end),
            before: Vec::new(),
            regs: Vec::new(),
            rest: Rest::Entry,
        })
        .collect();
    for (i, _) in starts.iter().enumerate() {
        let last = ops.partition_point(|op| op.at < blocks[i].end);
        let Some(last) = last.checked_sub(1).and_then(|last| ops.get(last)) else {
            continue;
        };
        let (jump, falls) = match last.op {
            Op::Jump(to) => (Some(to), false),
            Op::Branch(to) => (Some(to), true),
            Op::JumpAway | Op::Return | Op::Stop => (None, false),
            _ => (None, true),
        };
        let jump = jump
            .and_then(|to| inside(source, to))
            .and_then(|to| starts.binary_search(&to).ok());
        let next = Some(i + 1).filter(|next| falls && *next < starts.len());
        for to in jump.into_iter().chain(next) {
            blocks[to].before.push(i as u32);
        }
    }
    blocks
}

struct Builder<'b, 'a> {
    source: &'b Source<'a>,
    abi: &'b Abi,
    graph: &'b mut Graph,
    block: u32,
    regs: [Option<ValueId>; REGS],
    /// What slots hold that were written or read in this block.
    slots: FxHashMap<i64, ValueId>,
    rest: Rest,
    /// Offset of the instruction.
    at: u32,
    /// Offset of the one after it.
    next: u32,
    /// How far the stack pointer is below its value at the entry.
    distance: i64,
}

impl Builder<'_, '_> {
    fn add(&mut self, value: Value) -> ValueId {
        let id = ValueId(self.graph.values.len() as u32);
        self.graph.values.push(value);
        id
    }

    fn read(&mut self, reg: Reg) -> ValueId {
        if reg == self.abi.sp {
            return self.add(Value::Stack(-self.distance));
        }
        if reg == self.abi.zero {
            return self.add(Value::Constant(0));
        }
        if let Some(known) = self.regs[usize::from(reg)] {
            return known;
        }
        let value = match self.rest {
            Rest::Entry => Value::Entry {
                block: self.block,
                place: Place::Reg(reg),
            },
            Rest::Call(call) => Value::Result { call, reg },
        };
        let id = self.add(value);
        self.regs[usize::from(reg)] = Some(id);
        id
    }

    fn write(&mut self, reg: Reg, value: ValueId) {
        if reg != self.abi.sp && reg != self.abi.zero {
            self.regs[usize::from(reg)] = Some(value);
        }
    }

    fn memory(&mut self, mem: Mem) -> Memory {
        let (disp, indexed) = (mem.disp, mem.indexed);
        let Some(base) = mem.base else {
            return match indexed {
                true => Memory::Unknown,
                false => Memory::Static(disp as u64),
            };
        };
        let base = self.read(base);
        match self.graph.value(base) {
            Value::Stack(_) if indexed => Memory::Unknown,
            Value::Stack(at) => Memory::Slot(at.wrapping_add(disp)),
            Value::Constant(at) if !indexed => Memory::Static(at.wrapping_add(disp as u64)),
            Value::Inside {
                base,
                disp: before,
                indexed: false,
            } => Memory::Through {
                base,
                disp: disp.wrapping_add(before),
                indexed,
            },
            _ => Memory::Through {
                base,
                disp,
                indexed,
            },
        }
    }

    /// The word in memory.
    fn load(&mut self, from: Memory) -> ValueId {
        match from {
            Memory::Slot(slot) => {
                if let Some(known) = self.slots.get(&slot) {
                    return *known;
                }
                let id = self.add(Value::Entry {
                    block: self.block,
                    place: Place::Slot(slot),
                });
                self.slots.insert(slot, id);
                id
            }
            Memory::Static(at) => self.add(Value::Static(at)),
            Memory::Through {
                base,
                disp,
                indexed,
            } => self.add(Value::Load {
                base,
                disp,
                indexed,
            }),
            Memory::Unknown => OTHER,
        }
    }

    fn store(&mut self, to: Memory, value: ValueId) {
        match to {
            Memory::Slot(slot) => {
                self.slots.insert(slot, value);
                let writes = self.graph.slots.entry(slot).or_default();
                writes.push((self.at, value));
            }
            Memory::Static(_) | Memory::Through { .. } => {
                self.graph.stores.push(Store { to, value });
            }
            Memory::Unknown => {}
        }
    }

    fn step(&mut self, placed: &Placed) {
        match placed.op {
            Op::Nothing | Op::Branch(_) | Op::JumpAway | Op::Stop => {}
            Op::Constant { dst, value } => {
                let value = self.add(Value::Constant(value));
                self.write(dst, value);
            }
            Op::Copy { dst, src } => {
                let value = self.read(src);
                self.write(dst, value);
            }
            Op::Address { dst, mem } => {
                let value = match self.memory(mem) {
                    Memory::Slot(at) => Value::Stack(at),
                    Memory::Static(at) => Value::Constant(at),
                    Memory::Through {
                        base,
                        disp,
                        indexed,
                    } => Value::Inside {
                        base,
                        disp,
                        indexed,
                    },
                    Memory::Unknown => Value::Other,
                };
                let value = self.add(value);
                self.write(dst, value);
            }
            Op::Load { dst, mem } if dst >= VECTOR => {
                let pair = self.two(mem);
                let pair = self.add(Value::Pair(pair[0], pair[1]));
                self.write(dst, pair);
            }
            Op::Load { dst, mem } => {
                let from = self.memory(mem);
                let value = self.load(from);
                self.write(dst, value);
            }
            Op::Store { mem, src } => {
                let value = self.read(src);
                if src < VECTOR {
                    let to = self.memory(mem);
                    return self.store(to, value);
                }
                let pair = match self.graph.value(value) {
                    Value::Pair(a, b) => [a, b],
                    Value::Constant(0) => [value, value],
                    _ => [OTHER, OTHER],
                };
                self.store_two(mem, pair);
            }
            Op::StoreNumber { mem, value } => {
                let value = self.add(Value::Constant(value));
                let to = self.memory(mem);
                self.store(to, value);
            }
            Op::Select { dst, from } => {
                let [a, b] = [self.read(from[0]), self.read(from[1])];
                let value = self.add(Value::Either(a, b));
                self.write(dst, value);
            }
            Op::Change(regs) => self.change(regs),
            Op::Call(target) => match self.source.effects.get(&target) {
                Some(Effect::Keeps(changed)) => self.change(*changed),
                _ => self.call(Callee::Code(target)),
            },
            Op::CallThrough(target) => {
                let callee = match target {
                    Target::Reg(reg) => Callee::Value(self.read(reg)),
                    Target::Mem(mem) => {
                        let from = self.memory(mem);
                        Callee::Value(self.load(from))
                    }
                };
                self.call(callee);
            }
            Op::Jump(to) => {
                if inside(self.source, to).is_none() {
                    self.graph.tails.push(self.graph.calls.len() as u32);
                    self.call(Callee::Code(to));
                }
            }
            Op::Return => self.graph.returns.push(self.block),
        }
    }

    fn two(&mut self, mem: Mem) -> [ValueId; 2] {
        let second = Mem {
            disp: mem.disp.wrapping_add(8),
            ..mem
        };
        [mem, second].map(|mem| {
            let from = self.memory(mem);
            self.load(from)
        })
    }

    fn store_two(&mut self, mem: Mem, pair: [ValueId; 2]) {
        let first = self.memory(mem);
        self.store(first, pair[0]);
        let second = self.memory(Mem {
            disp: mem.disp.wrapping_add(8),
            ..mem
        });
        self.store(second, pair[1]);
    }

    fn change(&mut self, regs: u64) {
        for (i, reg) in self.regs.iter_mut().enumerate() {
            if regs >> i & 1 != 0 {
                *reg = Some(OTHER);
            }
        }
    }

    fn call(&mut self, callee: Callee) {
        let known = |reg: &Reg| self.regs[usize::from(*reg)];
        let args = self.abi.args.iter().map(known).collect();
        let call = self.graph.calls.len() as u32;
        self.graph
            .calls
            .push(Call::new((self.block, self.next), callee, args, self.rest));
        self.regs = [None; REGS];
        self.rest = Rest::Call(call);
    }

    /// Keeps what the block leaves behind.
    fn finish(&mut self) {
        if let Some(block) = self.graph.blocks.get_mut(self.block as usize) {
            let changed = self.regs.iter().enumerate();
            block.regs = changed
                .filter_map(|(reg, value)| Some((reg as Reg, (*value)?)))
                .collect();
            block.rest = self.rest;
        }
        self.regs = [None; REGS];
        self.slots.clear();
        self.rest = Rest::Entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use objref_mem::Arch;

    /// `global = new(T)`, with the address of the type's descriptor at 0x2000, the allocator at 0x3000 and the variable at
    /// 0x4000; the pointer waits on the stack while another function is called.
    #[test]
    fn a_stored_value_is_the_result_of_a_call() {
        let code = [
            &[0x48, 0x83, 0xec, 0x18][..],         // 00 sub $0x18,%rsp
            &[0x48, 0x8d, 0x05, 0xf5, 0x0f, 0, 0], // 04 lea 0x2000,%rax
            &[0xe8, 0xf0, 0x1f, 0, 0],             // 0b call 0x3000
            &[0x48, 0x89, 0x44, 0x24, 0x10],       // 10 mov %rax,0x10(%rsp)
            &[0xe8, 0xe6, 0x2f, 0, 0],             // 15 call 0x4000
            &[0x75, 0x05],                         // 1a jne 0x21
            &[0x48, 0x8b, 0x4c, 0x24, 0x10],       // 1c mov 0x10(%rsp),%rcx
            &[0x48, 0x8b, 0x4c, 0x24, 0x10],       // 21 mov 0x10(%rsp),%rcx
            &[0x48, 0x89, 0x0d, 0xd3, 0x2f, 0, 0], // 26 mov %rcx,0x4000
            &[0x31, 0xc0],                         // 2d xor %eax,%eax
            &[0xc3],                               // 2f ret
        ]
        .concat();
        let source = Source {
            entry: Addr(0x1000),
            code: &code,
            sp: &[(4, 0), (0x30, 0x18)],
            effects: &FxHashMap::default(),
        };
        let abi = Abi::of(Arch::Amd64).unwrap();
        let graph = Graph::build(&source, abi);
        let [store] = graph.stores[..] else {
            panic!("{:?}", graph.stores);
        };
        assert_eq!(store.to, Memory::Static(0x4000));
        let made = Value::Result { call: 0, reg: 0 };
        assert_eq!(graph.origins(graph.value(store.value)), [made]);
        let first = &graph.calls[0];
        assert_eq!(first.callee, Callee::Code(Addr(0x3000)));
        assert_eq!(graph.arg(first, abi, 0), Value::Constant(0x2000));
        // The slot while the second call is under way, and before anything is there.
        assert_eq!(graph.origins(graph.slot_at(-8, 0x1a)), [made]);
        let before = Value::Entry {
            block: 0,
            place: Place::Slot(-8),
        };
        assert_eq!(graph.slot_at(-8, 0x10), before);
        let returned: Vec<Value> = graph.returned(0).collect();
        assert_eq!(returned, [Value::Constant(0)]);
    }
}
