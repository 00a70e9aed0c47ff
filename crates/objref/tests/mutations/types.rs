//! Type descriptors of a stripped binary, all of one kind damaged at once: they lead in circles, nowhere, or promise what
//! is not there. The graph must not be affected beyond the masks that are made of types, and reports must stay in form.

use std::ops::Range;
use std::sync::Arc;

use objref_go::{GoProcess, Kind, RuntimeType};
use objref_mem::{Addr, Core, Image, Input};

use crate::run::{Ask, input};
use crate::{alone, folder, run, watched};

/// A descriptor, and where it lies in the binary.
struct Descriptor {
    ty: RuntimeType,
    at: usize,
}

struct Binary {
    core: Vec<u8>,
    exe: Vec<u8>,
    process: GoProcess,
    descriptors: Vec<Descriptor>,
}

// internal/abi/type.go: Type{Size_, PtrBytes, Hash, TFlag, Align_, FieldAlign_, Kind_, Equal, GCData, Str, PtrToThis}, and
// what follows it
const SIZE: usize = 0;
const KIND: usize = 23;
const NAME: usize = 40;
const ELEM: usize = 48;
const ARRAY_LEN: usize = 64;
const FIELDS: usize = 56;
const FIELD_COUNT: usize = 64;
const FIELD_TYPE: usize = 8;
const FIELD_OFFSET: usize = 16;

impl Binary {
    fn open(name: &str) -> Binary {
        let path = |suffix: &str| folder().join(format!("{name}.{suffix}.zst"));
        let core = Core::parse(Input::open(&path("core")).unwrap()).unwrap();
        let image = Arc::new(Image::parse(Input::open(&path("exe")).unwrap()).unwrap());
        let (core_bytes, exe) = (
            core.input().bytes().to_vec(),
            image.input().bytes().to_vec(),
        );
        let process = GoProcess::open(core, image, false).unwrap();
        let mut binary = Binary {
            core: core_bytes,
            exe,
            process,
            descriptors: Vec::new(),
        };
        let stripped = binary.process.stripped.as_ref().unwrap();
        let read = |at: &Addr| {
            let ty = binary.process.types.read(&binary.process.space, *at)?;
            let at = binary.offset(*at)?;
            Some(Descriptor { ty, at })
        };
        binary.descriptors = stripped.index.all().iter().filter_map(read).collect();
        binary
    }

    /// Where in the binary an address of the process lies.
    fn offset(&self, addr: Addr) -> Option<usize> {
        let at = self.process.bias.to_link(addr);
        let segments = self.process.image.segments();
        let segment = segments
            .iter()
            .find(|s| s.addr <= at && at.0 - s.addr.0 < s.file_size)?;
        Some((segment.file_offset + (at.0 - segment.addr.0)) as usize)
    }

    /// The fields of a struct: where in the binary they are described.
    fn fields(&self, d: &Descriptor) -> Range<usize> {
        let word = |at: usize| u64::from_le_bytes(self.exe[at..at + 8].try_into().unwrap());
        let first = self.offset(Addr(word(d.at + FIELDS)));
        first.map_or(0..0, |first| {
            first..first + 24 * word(d.at + FIELD_COUNT) as usize
        })
    }
}

/// Writes into a copy of the binary.
type Write<'a> = &'a mut dyn FnMut(usize, &[u8]);
/// Damages a descriptor.
type Damage = fn(&Binary, usize, &Descriptor, Write<'_>);

fn is_list(kind: Kind) -> bool {
    matches!(kind, Kind::Pointer | Kind::Slice | Kind::Array | Kind::Chan)
}

const DAMAGE: [(&str, Damage); 12] = [
    (
        "elements that are what they are elements of",
        |_, _, d, write| {
            if is_list(d.ty.kind) {
                write(d.at + ELEM, &d.ty.addr.0.to_le_bytes());
            }
        },
    ),
    ("elements that are the next type", |binary, i, d, write| {
        if is_list(d.ty.kind) {
            let next = &binary.descriptors[(i + 1) % binary.descriptors.len()];
            write(d.at + ELEM, &next.ty.addr.0.to_le_bytes());
        }
    }),
    ("elements that are nowhere", |_, i, d, write| {
        const NOWHERE: [u64; 4] = [0, 1, 1 << 47, u64::MAX - 7];
        if is_list(d.ty.kind) {
            write(d.at + ELEM, &NOWHERE[i % 4].to_le_bytes());
        }
    }),
    ("structs that contain themselves", |binary, _, d, write| {
        if d.ty.kind == Kind::Struct {
            for field in binary.fields(d).step_by(24) {
                write(field + FIELD_TYPE, &d.ty.addr.0.to_le_bytes());
            }
        }
    }),
    (
        "structs that contain the next type",
        |binary, i, d, write| {
            let next = &binary.descriptors[(i + 1) % binary.descriptors.len()];
            if d.ty.kind == Kind::Struct {
                for field in binary.fields(d).step_by(24) {
                    write(field + FIELD_TYPE, &next.ty.addr.0.to_le_bytes());
                }
            }
        },
    ),
    ("fields that are far away", |binary, i, d, write| {
        if d.ty.kind == Kind::Struct {
            for field in binary.fields(d).step_by(24) {
                write(field + FIELD_OFFSET, &(u64::MAX >> (i % 64)).to_le_bytes());
            }
        }
    }),
    ("structs of very many fields", |_, _, d, write| {
        if d.ty.kind == Kind::Struct {
            write(d.at + FIELD_COUNT, &u64::MAX.to_le_bytes());
        }
    }),
    ("arrays of very many elements", |_, i, d, write| {
        if d.ty.kind == Kind::Array {
            write(d.at + ARRAY_LEN, &(u64::MAX >> (i % 60)).to_le_bytes());
        }
    }),
    ("absurd sizes", |_, i, d, write| {
        write(d.at + SIZE, &(u64::MAX >> (i % 64)).to_le_bytes());
    }),
    ("other kinds", |_, i, d, write| {
        write(d.at + KIND, &[(i * 7 % 32) as u8]);
    }),
    ("names that are anything", |_, i, d, write| {
        write(
            d.at + NAME,
            &(i as u32).wrapping_mul(0x0101_6b43).to_le_bytes(),
        );
    }),
    ("names of any bytes", |binary, i, d, write| {
        let types = binary.process.modules[0].types.start;
        let name = u32::from_le_bytes(binary.exe[d.at + NAME..d.at + NAME + 4].try_into().unwrap());
        if let Some(at) = binary.offset(types.add(u64::from(name))) {
            let bytes = [0x1b, b'\t', b'\n', 0xff, 0xc0, b';', b'"', b'\\', 0, b' '];
            write(at + 2, &bytes[i % 10..]);
        }
    }),
];

#[test]
fn damaged_types_are_read_as_far_as_they_make_sense() {
    let _alone = alone();
    let binary = Binary::open("zoo-1.26.6-stripped");
    assert!(binary.descriptors.len() > 1000);
    run::forget_peak_memory();
    let core = input("core", &binary.core);
    let read = |exe: &[u8], i: usize| {
        let ask = Ask::ALL[i % Ask::ALL.len()];
        watched(Arc::clone(&core), input("exe", exe), None, ask)
    };
    let live = (0..Ask::ALL.len()).map(|i| read(&binary.exe, i).unwrap().unwrap());
    let live = live.max().unwrap();
    let limit = run::peak_memory() * crate::TIMES;
    for (i, (what, damage)) in DAMAGE.into_iter().enumerate() {
        for every in [1, 7] {
            let mut exe = binary.exe.clone();
            let mut damaged = 0;
            for (i, descriptor) in binary.descriptors.iter().enumerate() {
                if i % every == 0 {
                    damage(&binary, i, descriptor, &mut |at, bytes| {
                        damaged += 1;
                        exe[at..at + bytes.len()].copy_from_slice(bytes);
                    });
                }
            }
            assert!(damaged > 0, "{what}: nothing was damaged");
            run::forget_peak_memory();
            let now = read(&exe, i + every / 2)
                .unwrap_or_else(|why| panic!("{what}, one in {every}: {why}"));
            assert!(
                run::peak_memory() <= limit,
                "{what}, one in {every}: {} MiB of memory",
                run::peak_memory() >> 20
            );
            // Masks of large objects are made of types: without these, less is reached.
            if let Ok(now) = now {
                assert!(now <= live, "{what}, one in {every}: {now} of {live}");
            }
        }
    }
}

/// The rows of the listing of objects, whatever names there are.
#[test]
fn names_of_any_bytes_keep_to_their_column() {
    let _alone = alone();
    let binary = Binary::open("zoo-1.26.6-stripped");
    let mut exe = binary.exe.clone();
    let (_, damage) = DAMAGE[DAMAGE.len() - 1];
    // Not those of the runtime, which are asked for by name.
    let index = &binary.process.stripped.as_ref().unwrap().index;
    let named = index.named().filter(|(name, _)| name.starts_with("main."));
    let own: Vec<Addr> = named.map(|(_, at)| at).collect();
    let descriptors = binary.descriptors.iter().enumerate();
    for (i, descriptor) in descriptors.filter(|(_, d)| own.contains(&d.ty.addr)) {
        damage(&binary, i, descriptor, &mut |at, bytes| {
            exe[at..at + bytes.len()].copy_from_slice(bytes);
        });
    }
    let rows = run::rows(&binary.core, &exe).unwrap();
    let text = String::from_utf8(rows).unwrap();
    let columns = text.lines().next().unwrap().split('\t').count();
    for line in text.lines() {
        assert_eq!(line.split('\t').count(), columns, "{line:?}");
    }
    assert!(text.contains('\u{fffd}'), "no name was damaged");
}
