//! A made-up Go program's DWARF.

use gimli::write::{
    Address, AttributeValue as Value, Dwarf, EndianVec, Expression, LineProgram, Location,
    LocationList, Range, RangeList, Sections, Unit, UnitEntryId, UnitId,
};
use gimli::{DwAt, DwTag, LittleEndian, Register};

pub const GO_KIND: DwAt = DwAt(0x2900);
pub const GO_KEY: DwAt = DwAt(0x2901);
pub const GO_ELEM: DwAt = DwAt(0x2902);
pub const GO_EMBEDDED_FIELD: DwAt = DwAt(0x2903);
pub const GO_RUNTIME_TYPE: DwAt = DwAt(0x2904);
pub const GO_DICT_INDEX: DwAt = DwAt(0x2906);
pub const GO_CLOSURE_OFFSET: DwAt = DwAt(0x2907);

/// Writes entries into one Go unit.
pub struct Program {
    pub dwarf: Dwarf,
    pub unit: UnitId,
}

impl Program {
    pub fn new(version: u16) -> Program {
        let mut dwarf = Dwarf::new();
        let unit = add_unit(&mut dwarf, version, gimli::DW_LANG_Go);
        Program { dwarf, unit }
    }

    /// The finished binary.
    pub fn elf(mut self) -> Vec<u8> {
        super::elf(&sections(&mut self.dwarf))
    }

    pub fn add(&mut self, parent: UnitEntryId, tag: DwTag) -> UnitEntryId {
        self.dwarf.units.get_mut(self.unit).add(parent, tag)
    }

    pub fn top(&mut self, tag: DwTag, name: &str) -> UnitEntryId {
        let root = self.dwarf.units.get(self.unit).root();
        let id = self.add(root, tag);
        self.set(id, gimli::DW_AT_name, Value::String(name.into()));
        id
    }

    pub fn child(&mut self, parent: UnitEntryId, tag: DwTag, name: &str) -> UnitEntryId {
        let id = self.add(parent, tag);
        self.set(id, gimli::DW_AT_name, Value::String(name.into()));
        id
    }

    pub fn set(&mut self, id: UnitEntryId, name: DwAt, value: Value) {
        let unit = self.dwarf.units.get_mut(self.unit);
        unit.get_mut(id).set(name, value);
    }

    pub fn refer(&mut self, id: UnitEntryId, name: DwAt, target: UnitEntryId) {
        let reference = gimli::write::DebugInfoRef::Entry(self.unit, target);
        self.set(id, name, Value::DebugInfoRef(reference));
    }

    pub fn base(&mut self, name: &str, encoding: gimli::DwAte, size: u8, kind: u8) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_base_type, name);
        self.set(id, gimli::DW_AT_encoding, Value::Encoding(encoding));
        self.set(id, gimli::DW_AT_byte_size, Value::Data1(size));
        self.set(id, GO_KIND, Value::Data1(kind));
        id
    }

    /// A `DW_TAG_structure_type`: a struct, slice or string by `kind`.
    pub fn structure(
        &mut self,
        name: &str,
        size: u64,
        kind: u8,
        fields: &[(&str, u64, UnitEntryId)],
    ) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_structure_type, name);
        self.set(id, gimli::DW_AT_byte_size, Value::Udata(size));
        self.set(id, GO_KIND, Value::Data1(kind));
        for &(name, offset, ty) in fields {
            self.member(id, name, offset, ty);
        }
        id
    }

    pub fn member(&mut self, parent: UnitEntryId, name: &str, offset: u64, ty: UnitEntryId) {
        let field = self.child(parent, gimli::DW_TAG_member, name);
        self.set(
            field,
            gimli::DW_AT_data_member_location,
            Value::Udata(offset),
        );
        self.refer(field, gimli::DW_AT_type, ty);
        self.set(field, GO_EMBEDDED_FIELD, Value::Flag(name == "Embedded"));
    }

    /// The typedef that the linker puts before a named type.
    pub fn typedef(&mut self, name: &str, target: UnitEntryId) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_typedef, name);
        self.refer(id, gimli::DW_AT_type, target);
        id
    }

    pub fn pointer(&mut self, name: &str, target: UnitEntryId) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_pointer_type, name);
        self.refer(id, gimli::DW_AT_type, target);
        self.set(id, GO_KIND, Value::Data1(22));
        id
    }

    pub fn array(&mut self, name: &str, elem: UnitEntryId, count: u64, size: u64) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_array_type, name);
        self.refer(id, gimli::DW_AT_type, elem);
        self.set(id, gimli::DW_AT_byte_size, Value::Udata(size));
        self.set(id, GO_KIND, Value::Data1(17));
        let range = self.add(id, gimli::DW_TAG_subrange_type);
        self.set(range, gimli::DW_AT_count, Value::Udata(count));
        id
    }

    pub fn variable(&mut self, name: &str, address: u64, ty: UnitEntryId) {
        let id = self.top(gimli::DW_TAG_variable, name);
        let mut location = Expression::new();
        location.op_addr(Address::Constant(address));
        self.set(id, gimli::DW_AT_location, Value::Exprloc(location));
        self.refer(id, gimli::DW_AT_type, ty);
    }

    pub fn constant(&mut self, name: &str, value: i64) {
        let id = self.top(gimli::DW_TAG_constant, name);
        self.set(id, gimli::DW_AT_const_value, Value::Sdata(value));
    }

    pub fn function(&mut self, name: &str, low: u64, size: u64) -> UnitEntryId {
        let id = self.top(gimli::DW_TAG_subprogram, name);
        self.set(
            id,
            gimli::DW_AT_low_pc,
            Value::Address(Address::Constant(low)),
        );
        self.set(id, gimli::DW_AT_high_pc, Value::Udata(size));
        let mut base = Expression::new();
        base.op(gimli::DW_OP_call_frame_cfa);
        self.set(id, gimli::DW_AT_frame_base, Value::Exprloc(base));
        id
    }

    /// A scope (block or inlined call) that covers these addresses.
    pub fn ranges(&mut self, scope: UnitEntryId, ranges: &[(u64, u64)]) {
        let list = ranges.iter().map(|&(begin, end)| Range::StartEnd {
            begin: Address::Constant(begin),
            end: Address::Constant(end),
        });
        let unit = self.dwarf.units.get_mut(self.unit);
        let list = unit.ranges.add(RangeList(list.collect()));
        self.set(scope, gimli::DW_AT_ranges, Value::RangeListRef(list));
    }

    /// A variable's place, by code address.
    pub fn locations(&mut self, variable: UnitEntryId, places: Vec<(u64, u64, Expression)>) {
        let list = places
            .into_iter()
            .map(|(begin, end, data)| Location::StartEnd {
                begin: Address::Constant(begin),
                end: Address::Constant(end),
                data,
            });
        let unit = self.dwarf.units.get_mut(self.unit);
        let list = unit.locations.add(LocationList(list.collect()));
        self.set(
            variable,
            gimli::DW_AT_location,
            Value::LocationListRef(list),
        );
    }
}

pub fn add_unit(dwarf: &mut Dwarf, version: u16, language: gimli::DwLang) -> UnitId {
    let encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version,
    };
    let id = dwarf.units.add(Unit::new(encoding, LineProgram::none()));
    let unit = dwarf.units.get_mut(id);
    let root = unit.root();
    let low_pc = Value::Address(Address::Constant(0));
    unit.get_mut(root)
        .set(gimli::DW_AT_language, Value::Language(language));
    unit.get_mut(root).set(gimli::DW_AT_low_pc, low_pc);
    id
}

pub fn sections(dwarf: &mut Dwarf) -> Vec<(&'static str, Vec<u8>)> {
    let mut written = Sections::new(EndianVec::new(LittleEndian));
    dwarf.write(&mut written).expect("DWARF can be written");
    let mut out = Vec::new();
    let collected: Result<(), ()> = written.for_each(|id, bytes| {
        if !bytes.slice().is_empty() {
            out.push((id.name(), bytes.slice().to_vec()));
        }
        Ok(())
    });
    collected.expect("collecting cannot fail");
    out
}

pub fn fbreg(offset: i64) -> Expression {
    let mut expression = Expression::new();
    expression.op_fbreg(offset);
    expression
}

pub fn register(number: u16) -> Expression {
    let mut expression = Expression::new();
    expression.op_reg(Register(number));
    expression
}

/// A program with one type of every kind, variables, constants and functions.
pub fn sample(version: u16) -> Program {
    let mut p = Program::new(version);
    let int = p.base("int", gimli::DW_ATE_signed, 8, 2);
    let byte = p.base("uint8", gimli::DW_ATE_unsigned, 1, 8);
    p.base("bool", gimli::DW_ATE_boolean, 1, 1);
    p.base("float64", gimli::DW_ATE_float, 8, 14);
    p.base("complex128", gimli::DW_ATE_complex_float, 16, 16);
    let bytes = p.pointer("*uint8", byte);
    let string = p.structure("string", 16, 24, &[("str", 0, bytes), ("len", 8, int)]);
    p.set(
        string,
        GO_RUNTIME_TYPE,
        Value::Address(Address::Constant(0x40)),
    );
    let raw = p.top(gimli::DW_TAG_pointer_type, "unsafe.Pointer");
    let eface = p.structure(
        "runtime.eface",
        16,
        25,
        &[("_type", 0, raw), ("data", 8, raw)],
    );
    let eface = p.typedef("runtime.eface", eface);
    let iface = p.structure(
        "runtime.iface",
        16,
        25,
        &[("tab", 0, raw), ("data", 8, raw)],
    );
    let iface = p.typedef("runtime.iface", iface);
    for (name, header) in [("interface {}", eface), ("error", iface)] {
        let id = p.top(gimli::DW_TAG_typedef, name);
        p.refer(id, gimli::DW_AT_type, header);
        p.set(id, GO_KIND, Value::Data1(20));
        p.typedef(name, id);
    }

    // type Node struct { next *Node; Embedded; data []byte }, which refers to itself
    let node = p.structure("example.com/a%2eb.Node", 48, 25, &[]);
    let named = p.typedef("example.com/a%2eb.Node", node);
    let pointer = p.pointer("*example.com/a%2eb.Node", named);
    let slice = p.structure(
        "[]uint8",
        24,
        23,
        &[("array", 0, bytes), ("len", 8, int), ("cap", 16, int)],
    );
    p.refer(slice, GO_ELEM, byte);
    p.member(node, "next", 0, pointer);
    p.member(node, "Embedded", 8, string);
    p.member(node, "data", 24, slice);
    p.array("[3]example.com/a%2eb.Node", named, 3, 144);

    // type Cache map[string]*Node
    let header = p.structure("map<string,*Node>", 48, 25, &[("used", 0, int)]);
    let header = p.pointer("*map<string,*Node>", header);
    let cache = p.top(gimli::DW_TAG_typedef, "main.Cache");
    p.refer(cache, gimli::DW_AT_type, header);
    p.set(cache, GO_KIND, Value::Data1(21));
    p.set(
        cache,
        GO_RUNTIME_TYPE,
        Value::Address(Address::Constant(0x80)),
    );
    p.refer(cache, GO_KEY, string);
    p.refer(cache, GO_ELEM, pointer);
    let hchan = p.structure("hchan<int>", 96, 25, &[("qcount", 0, int)]);
    let hchan = p.pointer("*hchan<int>", hchan);
    let chan = p.top(gimli::DW_TAG_typedef, "chan int");
    p.refer(chan, gimli::DW_AT_type, hchan);
    p.set(chan, GO_KIND, Value::Data1(18));
    p.refer(chan, GO_ELEM, int);
    let func = p.top(gimli::DW_TAG_subroutine_type, "func(int)");
    p.set(func, gimli::DW_AT_byte_size, Value::Udata(8));
    p.set(func, GO_KIND, Value::Data1(19));
    p.structure("noalg.struct { F uintptr }", 8, 25, &[]);

    p.variable("main.cache", 0x50_0010, cache);
    p.variable("main.head", 0x50_0000, pointer);
    p.constant("main.Answer", 42);
    p.constant("main.Negative", -7);
    functions(&mut p, int, string, pointer);
    p
}

/// `main.work` calls `main.helper`, which is inlined; `main.mk.func1` is a closure.
fn functions(p: &mut Program, int: UnitEntryId, string: UnitEntryId, pointer: UnitEntryId) {
    let helper = p.top(gimli::DW_TAG_subprogram, "main.helper");
    p.set(
        helper,
        gimli::DW_AT_inline,
        Value::Inline(gimli::DW_INL_inlined),
    );
    let helper_n = p.child(helper, gimli::DW_TAG_formal_parameter, "n");
    p.refer(helper_n, gimli::DW_AT_type, pointer);

    let work = p.function("main.work", 0x1000, 0x100);
    let shape = p.child(work, gimli::DW_TAG_typedef, ".param3");
    p.refer(shape, gimli::DW_AT_type, int);
    p.set(shape, GO_DICT_INDEX, Value::Udata(3));
    let n = p.child(work, gimli::DW_TAG_formal_parameter, "n");
    p.refer(n, gimli::DW_AT_type, shape);
    p.locations(
        n,
        vec![(0x1000, 0x1010, register(0)), (0x1010, 0x1100, fbreg(8))],
    );
    let s = p.child(work, gimli::DW_TAG_formal_parameter, "s");
    p.refer(s, gimli::DW_AT_type, string);
    p.set(s, gimli::DW_AT_variable_parameter, Value::Flag(true));
    let mut half = Expression::new();
    half.op_reg(Register(3));
    half.op_piece(8);
    half.op_piece(8);
    let mut both = Expression::new();
    both.op_fbreg(-24);
    both.op_piece(8);
    both.op_reg(Register(5));
    both.op_piece(8);
    p.locations(s, vec![(0x1000, 0x1020, half), (0x1020, 0x1040, both)]);
    let block = p.add(work, gimli::DW_TAG_lexical_block);
    p.ranges(block, &[(0x1030, 0x1038), (0x1050, 0x1060)]);
    let local = p.child(block, gimli::DW_TAG_variable, "local");
    p.refer(local, gimli::DW_AT_type, pointer);
    let mut cfa = Expression::new();
    cfa.op(gimli::DW_OP_call_frame_cfa);
    p.set(local, gimli::DW_AT_location, Value::Exprloc(cfa));
    let call = p.add(work, gimli::DW_TAG_inlined_subroutine);
    p.refer(call, gimli::DW_AT_abstract_origin, helper);
    p.ranges(call, &[(0x1050, 0x1054)]);
    let inlined = p.add(call, gimli::DW_TAG_formal_parameter);
    p.refer(inlined, gimli::DW_AT_abstract_origin, helper_n);
    p.set(inlined, gimli::DW_AT_location, Value::Exprloc(fbreg(-8)));
    let after = p.child(work, gimli::DW_TAG_variable, "after");
    p.refer(after, gimli::DW_AT_type, int);
    p.set(after, gimli::DW_AT_location, Value::Exprloc(fbreg(-16)));

    let concrete = p.function("", 0x1200, 0x10);
    let unit = p.dwarf.units.get_mut(p.unit);
    unit.get_mut(concrete).delete(gimli::DW_AT_name);
    p.refer(concrete, gimli::DW_AT_abstract_origin, helper);

    let closure = p.function("main.mk.func1", 0x1300, 0x20);
    for (name, offset, ty) in [("x", 16, int), ("&y", 8, pointer)] {
        let id = p.child(closure, gimli::DW_TAG_variable, name);
        p.refer(id, gimli::DW_AT_type, ty);
        p.set(id, GO_CLOSURE_OFFSET, Value::Udata(offset));
    }
    let plain = p.child(closure, gimli::DW_TAG_variable, "z");
    p.refer(plain, gimli::DW_AT_type, int);
}
