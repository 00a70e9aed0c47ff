//! What is read from DWARF 4 and 5 as other writers than Go's would write it.

mod common;

use common::program::{Program, add_unit, sample};
use objref_dwarf::{DebugInfo, DwarfError, Kind, LinkAddr, Local, Place, TypeIdx, TypeTable};

fn both(check: impl Fn(&DebugInfo)) {
    for version in [4, 5] {
        let info = common::load(&sample(version).elf()).expect("the sample loads");
        assert_eq!(info.version(), version);
        assert_eq!(info.damage(), Default::default());
        check(&info);
    }
}

fn named(types: &TypeTable, name: &str) -> TypeIdx {
    types
        .by_name(name)
        .unwrap_or_else(|| panic!("no type {name}"))
}

#[test]
fn kinds() {
    both(|info| {
        let types = info.types();
        for (name, kind, size) in [
            ("int", Kind::Int, 8),
            ("uint8", Kind::Uint, 1),
            ("bool", Kind::Bool, 1),
            ("float64", Kind::Float, 8),
            ("complex128", Kind::Complex, 16),
            ("string", Kind::String, 16),
            ("unsafe.Pointer", Kind::UnsafePointer, 8),
            ("interface {}", Kind::EmptyInterface, 16),
            ("error", Kind::Interface, 16),
            ("example.com/a.b.Node", Kind::Struct, 48),
            ("*example.com/a.b.Node", Kind::Pointer, 8),
            ("[3]example.com/a.b.Node", Kind::Array, 144),
            ("[]uint8", Kind::Slice, 24),
            ("main.Cache", Kind::Map, 8),
            ("chan int", Kind::Chan, 8),
            ("func(int)", Kind::Func, 8),
            ("struct { F uintptr }", Kind::Struct, 8),
        ] {
            let ty = types.get(named(types, name));
            assert_eq!((ty.kind, ty.size), (kind, size), "{name}");
        }
        assert_eq!(types.name(TypeTable::UNKNOWN), "?");
        assert_eq!(types.get(TypeTable::UNKNOWN).kind, Kind::Other);
    });
}

#[test]
fn references_between_types() {
    both(|info| {
        let types = info.types();
        let get = |name| types.get(named(types, name));
        let node = named(types, "example.com/a.b.Node");
        let pointer = named(types, "*example.com/a.b.Node");
        assert_eq!(types.get(pointer).elem, Some(node));
        let fields: Vec<_> = types
            .fields(node)
            .iter()
            .map(|f| (types.field_name(f), f.offset, types.name(f.ty), f.embedded))
            .collect();
        let expected = [
            ("next", 0, "*example.com/a.b.Node", false),
            ("Embedded", 8, "string", true),
            ("data", 24, "[]uint8", false),
        ];
        assert_eq!(fields, expected);
        let array = get("[3]example.com/a.b.Node");
        assert_eq!((array.elem, array.count), (Some(node), 3));
        let cache = get("main.Cache");
        assert_eq!(cache.key, Some(named(types, "string")));
        assert_eq!(cache.elem, Some(pointer));
        assert_eq!(cache.inner, types.by_name("map<string,*Node>"));
        let chan = get("chan int");
        assert_eq!(chan.elem, types.by_name("int"));
        assert_eq!(chan.inner, types.by_name("hchan<int>"));
        let error = named(types, "error");
        assert_eq!(types.field(error, "tab").map(|f| f.offset), Some(0));
        assert_eq!(types.by_runtime_type(0x80), types.by_name("main.Cache"));
        assert_eq!(types.by_runtime_type(0), None);
    });
}

#[test]
fn a_named_type_is_one_type() {
    both(|info| {
        let types = info.types();
        let count = |name| {
            types
                .iter()
                .filter(|&(at, _)| types.name(at) == name)
                .count()
        };
        assert_eq!(count("example.com/a.b.Node"), 1);
        assert_eq!(count("error"), 1);
        assert_eq!(count("main.Cache"), 1);
    });
}

#[test]
fn variables_and_constants() {
    both(|info| {
        let types = info.types();
        let globals: Vec<_> = info
            .globals()
            .iter()
            .map(|v| (&*v.name, v.addr, types.name(v.ty)))
            .collect();
        let head = ("main.head", LinkAddr(0x50_0000), "*example.com/a.b.Node");
        let cache = ("main.cache", LinkAddr(0x50_0010), "main.Cache");
        assert_eq!(globals, [head, cache]);
        assert_eq!(info.constant("main.Answer"), Some(42));
        assert_eq!(info.constant("main.Negative"), Some(-7));
        assert_eq!(info.constant("main.None"), None);
    });
}

#[test]
fn functions() {
    both(|info| {
        let name_at = |pc| {
            let function = info.function_at(LinkAddr(pc))?;
            Some(info.function_name(function))
        };
        assert_eq!(name_at(0xfff), None);
        assert_eq!(name_at(0x1000).as_deref(), Some("main.work"));
        assert_eq!(name_at(0x10ff).as_deref(), Some("main.work"));
        assert_eq!(name_at(0x1100), None);
        // Named by the abstract function that it is an instance of.
        assert_eq!(name_at(0x1200).as_deref(), Some("main.helper"));
        let closure = info.function_named("main.mk.func1").expect("is there");
        assert_eq!(
            info.function_range(closure),
            LinkAddr(0x1300)..LinkAddr(0x1320)
        );
        assert_eq!(info.function_named("main.none"), None);
        assert_eq!(info.functions().len(), 3);
    });
}

#[test]
fn captures() {
    both(|info| {
        let closure = info.function_named("main.mk.func1").expect("is there");
        let captures: Vec<_> = info
            .captures(closure)
            .into_iter()
            .map(|c| (c.name, c.offset, info.types().name(c.ty).to_owned()))
            .collect();
        let y = ("&y".to_owned(), 8, "*example.com/a.b.Node".to_owned());
        let x = ("x".to_owned(), 16, "int".to_owned());
        assert_eq!(captures, [y, x]);
    });
}

/// `name@place+offset:size`, with the inlined function before a colon.
fn show(local: &Local) -> String {
    let pieces: Vec<String> = local
        .pieces
        .iter()
        .map(|piece| {
            let place = match piece.place {
                Place::Frame(offset) => format!("cfa{offset:+}"),
                Place::Register(number) => format!("r{number}"),
                Place::Address(address) => address.to_string(),
                _ => "?".to_owned(),
            };
            format!(
                "{}..{}={place}",
                piece.offset_in_variable,
                piece.offset_in_variable + piece.size
            )
        })
        .collect();
    let call = local.inlined.as_deref().map(|name| format!("{name}: "));
    format!(
        "{}{} {}",
        call.unwrap_or_default(),
        local.name,
        pieces.join(" ")
    )
}

#[test]
fn locals_depend_on_the_address() {
    both(|info| {
        let at = |pc| {
            let locals = info.locals_at(LinkAddr(pc));
            locals.iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(at(0x1000), ["n 0..8=r0", "s 0..8=r3", "after 0..8=cfa-16"]);
        assert_eq!(
            at(0x1010),
            ["n 0..8=cfa+8", "s 0..8=r3", "after 0..8=cfa-16"]
        );
        assert_eq!(
            at(0x1030),
            [
                "n 0..8=cfa+8",
                "s 0..8=cfa-24 8..16=r5",
                "local 0..8=cfa+0",
                "after 0..8=cfa-16"
            ]
        );
        assert_eq!(at(0x1040), ["n 0..8=cfa+8", "after 0..8=cfa-16"]);
        assert_eq!(
            at(0x1050),
            [
                "n 0..8=cfa+8",
                "local 0..8=cfa+0",
                "main.helper: n 0..8=cfa-8",
                "after 0..8=cfa-16"
            ]
        );
        assert!(at(0x1100).is_empty());
        let locals = info.locals_at(LinkAddr(0x1000));
        let n = &locals[0];
        assert_eq!((info.types().name(n.ty), n.dict_index), ("int", Some(3)));
        assert!(n.is_param && !n.is_result);
        assert!(locals[1].is_result);
        assert!(!locals[2].is_param);
    });
}

#[test]
fn other_languages_are_left_out() {
    let mut program = sample(5);
    let foreign = add_unit(&mut program.dwarf, 5, gimli::DW_LANG_C11);
    let mut program = Program {
        unit: foreign,
        ..program
    };
    let int = program.base("c_int", gimli::DW_ATE_signed, 4, 0);
    program.variable("c_variable", 0x10, int);
    program.function("c_function", 0x9000, 0x10);
    let info = common::load(&program.elf()).expect("loads");
    assert_eq!(info.types().by_name("c_int"), None);
    assert!(
        info.globals()
            .iter()
            .all(|variable| &*variable.name != "c_variable")
    );
    assert_eq!(info.function_at(LinkAddr(0x9000)), None);
}

#[test]
fn what_cannot_be_used_says_so() {
    let load = |bytes: &[u8]| common::load(bytes).map(|_| ());
    assert!(matches!(load(b"no ELF"), Err(DwarfError::Elf(_))));
    assert!(matches!(load(&common::elf(&[])), Err(DwarfError::NoDwarf)));
    let mut foreign = Program::new(4);
    foreign.dwarf = gimli::write::Dwarf::new();
    add_unit(&mut foreign.dwarf, 4, gimli::DW_LANG_C11);
    assert!(matches!(load(&foreign.elf()), Err(DwarfError::NoGoUnits)));
    let cut = common::elf(&[(".debug_info", vec![1, 2, 3])]);
    assert!(matches!(load(&cut), Err(DwarfError::Dwarf(_))));
}
