//! What is read from what Go's own toolchain wrote: see `tests/data/README.md`.

mod common;

use objref_dwarf::{DebugInfo, Kind, LinkAddr, Place, TypeTable};

const GO_1_21: &[u8] = include_bytes!("data/tiny-go1.21.elf");
const GO_1_27: &[u8] = include_bytes!("data/tiny-go1.27.elf");

fn both(check: impl Fn(&DebugInfo)) {
    for (file, version) in [(GO_1_21, 4), (GO_1_27, 5)] {
        let info = common::load(file).expect("loads");
        assert_eq!(info.version(), version);
        assert_eq!(info.damage(), Default::default());
        check(&info);
    }
}

fn fields<'t>(types: &'t TypeTable, name: &str) -> Vec<(&'t str, u64, &'t str)> {
    let index = types
        .by_name(name)
        .unwrap_or_else(|| panic!("no type {name}"));
    let fields = types.fields(index).iter();
    fields
        .map(|field| (types.field_name(field), field.offset, types.name(field.ty)))
        .collect()
}

#[test]
fn structs() {
    both(|info| {
        let node = [
            ("next", 0, "*main.Node"),
            ("val", 8, "int"),
            ("name", 16, "string"),
            ("data", 32, "[]uint8"),
        ];
        assert_eq!(fields(info.types(), "main.Node"), node);
        let everything = [
            ("Node", 0, "*main.Node"),
            ("Pair", 8, "main.Pair[string,int]"),
            ("f", 32, "main.Fn"),
            ("e", 40, "error"),
            ("a", 56, "main.Any"),
            ("i", 72, "main.Iface"),
            ("arr", 88, "[4]main.Node"),
            ("c", 312, "complex128"),
            ("raw", 328, "main.Raw"),
            ("ch", 336, "main.Ch"),
            ("m", 344, "main.Cache"),
            ("s", 352, "main.Chain"),
            ("n", 376, "main.Name"),
            ("anon", 392, "struct { A int; B string }"),
            ("seven", 416, "main.Seven"),
            ("tail", 424, "[0]func()"),
        ];
        assert_eq!(fields(info.types(), "main.Everything"), everything);
        let all = info.types().by_name("main.Everything").expect("is there");
        let embedded = info.types().fields(all).iter().filter(|f| f.embedded);
        assert_eq!(embedded.count(), 2);
    });
}

#[test]
fn kinds_of_named_types() {
    both(|info| {
        let types = info.types();
        for (name, kind, size) in [
            ("main.Cache", Kind::Map, 8),
            ("main.Chain", Kind::Slice, 24),
            ("main.Name", Kind::String, 16),
            ("main.Fn", Kind::Func, 8),
            ("main.Ch", Kind::Chan, 8),
            ("main.Iface", Kind::Interface, 16),
            ("main.Any", Kind::EmptyInterface, 16),
            ("main.Raw", Kind::UnsafePointer, 8),
            ("main.Seven", Kind::Int, 1),
            ("main.Pair[string,int]", Kind::Struct, 24),
            ("unsafe.Pointer", Kind::UnsafePointer, 8),
            ("[4]main.Node", Kind::Array, 224),
            ("uintptr", Kind::Uint, 8),
            ("error", Kind::Interface, 16),
            ("example.com/tiny.v1/pkg.v2.Dotted", Kind::Struct, 24),
        ] {
            let named = types.iter().filter(|&(at, _)| types.name(at) == name);
            let found: Vec<_> = named.map(|(_, ty)| (ty.kind, ty.size)).collect();
            assert_eq!(found, [(kind, size)], "{name}");
        }
    });
}

#[test]
fn maps_and_channels_lead_to_the_runtime() {
    both(|info| {
        let types = info.types();
        let header = |name| {
            let ty = types.get(types.by_name(name).expect("is there"));
            types.name(ty.inner.expect("has a header"))
        };
        let expected = match info.version() {
            4 => "hash<string,*main.Node>",
            _ => "map<string,*main.Node>",
        };
        assert_eq!(header("main.Cache"), expected);
        assert_eq!(header("main.Ch"), "hchan<*main.Node>");
        let length = match info.version() {
            4 => "count",
            _ => "used",
        };
        let map = types.by_name(expected).expect("is there");
        assert!(types.field(map, length).is_some());
    });
}

#[test]
fn descriptors() {
    // moduledata.types + offset, checked against the descriptors in the binary.
    for (file, node, cache) in [(GO_1_21, 0xb380, 0x7540), (GO_1_27, 0xf3c8, 0xe798)] {
        let info = common::load(file).expect("loads");
        let types = info.types();
        let named = |offset| types.by_runtime_type(offset).map(|at| types.name(at));
        assert_eq!(named(node), Some("main.Node"));
        assert_eq!(named(cache), Some("main.Cache"));
    }
}

#[test]
fn variables_and_constants() {
    both(|info| {
        let types = info.types();
        let ty = |name| {
            let variable = info.globals().iter().find(|v| &*v.name == name);
            types.name(variable.expect("is there").ty)
        };
        assert_eq!(ty("main.head"), "*main.Node");
        assert_eq!(ty("main.all"), "main.Everything");
        assert_eq!(ty("main.closures"), "[]func() int");
        let all = "map[string]*example.com/tiny.v1/pkg.v2.Dotted";
        assert_eq!(ty("example.com/tiny.v1/pkg.v2.All"), all);
        assert_eq!(ty("runtime.mheap_"), "runtime.mheap");
        assert!(info.globals().is_sorted_by_key(|variable| variable.addr));
        assert_eq!(info.constant("main.Answer"), Some(42));
        assert_eq!(info.constant("main.Negative"), Some(-7));
        assert_eq!(
            info.constant("example.com/tiny.v1/pkg.v2.Konst"),
            Some(4242)
        );
    });
}

#[test]
fn functions() {
    both(|info| {
        for name in [
            "main.work",
            "main.(*Node).Foo",
            "main.generic[go.shape.string]",
        ] {
            let function = info.function_named(name).expect("is there");
            let range = info.function_range(function);
            assert_eq!(info.function_at(range.start), Some(function));
            assert_eq!(info.function_at(LinkAddr(range.end.0 - 1)), Some(function));
            assert_eq!(info.function_name(function), name);
        }
    });
}

/// Each variable as `name type place place…`.
fn locals(info: &DebugInfo, pc: u64) -> Vec<String> {
    let locals = info.locals_at(LinkAddr(pc)).into_iter();
    locals
        .map(|local| {
            let call = local
                .inlined
                .map(|name| format!("{name}: "))
                .unwrap_or_default();
            let mut out = format!("{call}{} {}", local.name, info.types().name(local.ty));
            for piece in local.pieces {
                out += &match piece.place {
                    Place::Frame(offset) => format!(" {offset:+}"),
                    Place::Register(number) => format!(" r{number}"),
                    place => format!(" {place:?}"),
                };
            }
            out
        })
        .collect()
}

#[test]
fn locals_of_go_1_27() {
    let info = common::load(GO_1_27).expect("loads");
    let expected = [
        "n *main.Node +0",
        "depth int +8",
        "s string +16 +24",
        "bs []uint8 +32 +40 +48",
        "i main.Iface +56 +64",
        "local *main.Node -32",
        "main.helper: n *main.Node -32",
        "main.helper: s string +16 +24",
    ];
    assert_eq!(locals(&info, 0x47_dd80), expected);
    let expected = [
        ".dict *[2]uintptr +0",
        "x go.shape.string r3 r2",
        "n int r5",
    ];
    assert_eq!(locals(&info, 0x47_e450), expected);
    let generic = info.locals_at(LinkAddr(0x47_e450));
    assert_eq!(generic[1].dict_index, Some(0));
}

#[test]
fn locals_of_go_1_21() {
    let info = common::load(GO_1_21).expect("loads");
    let expected = [
        "n *main.Node r0",
        "depth int r3",
        "s string r2 r5",
        "bs []uint8 r4 r8 r9",
        // Go 1.21 writes both words twice.
        "i main.Iface r10 r11",
    ];
    assert_eq!(locals(&info, 0x45_7a90), expected);
    assert_eq!(
        locals(&info, 0x45_7b90).last().map(|s| &**s),
        Some("inner int -64")
    );
}

#[test]
fn captures() {
    let closure = |file| {
        let info = common::load(file).expect("loads");
        let function = info.function_named("main.makeClosure.func1");
        let captures = info.captures(function.expect("is there")).into_iter();
        captures
            .map(|c| (c.offset, c.name, info.types().name(c.ty).to_owned()))
            .map(|(offset, name, ty)| format!("{offset} {name} {ty}"))
            .collect::<Vec<_>>()
    };
    let expected = ["8 &y *int", "16 n *main.Node", "24 s string", "40 x int"];
    assert_eq!(closure(GO_1_27), expected);
    assert!(closure(GO_1_21).is_empty());
}
