//! Makes the promises of [`TypeTable`] true for damaged and hostile input.

use crate::types::{Kind, Type, TypeIdx, TypeTable};

/// The compiler refuses types of more than 2^50 bytes (the runtime casts to arrays of that size);
/// sums of two sizes below this cannot overflow.
const MAX_SIZE: u64 = 1 << 56;

pub(crate) fn sanitize(table: &mut TypeTable) {
    for at in 0..table.types.len() {
        let elem_size = size_of(table, table.types[at].elem);
        let ty = &mut table.types[at];
        if ty.size > MAX_SIZE {
            cut(ty);
            table.damaged_types += 1;
        } else if ty.kind == Kind::Array && elem_size > 0 && ty.count > ty.size / elem_size {
            ty.count = ty.size / elem_size;
            table.damaged_types += 1;
        }
    }
    for at in 0..table.types.len() {
        keep_sound_fields(table, at);
    }
    cut_cycles(table);
    // Arrays of what was cut have lost the size of their element, which only makes them sparser.
}

/// Drops fields that overlap one before or end outside of their struct.
fn keep_sound_fields(table: &mut TypeTable, at: usize) {
    let ty = &table.types[at];
    let first = ty.first_field as usize;
    let count = ty.field_count as usize;
    let (size, mut kept, mut end) = (ty.size, 0, 0);
    for from in first..first + count {
        let field = &table.fields[from];
        let field_size = table.types[field.ty.0 as usize].size;
        let inside = field.offset >= end
            && field.offset <= size
            && field_size <= size.wrapping_sub(field.offset);
        if inside {
            end = field.offset + field_size;
            table.fields.swap(first + kept, from);
            kept += 1;
        }
    }
    table.types[at].field_count = kept as u32;
    table.damaged_fields += count - kept;
}

const NEW: u32 = 0;
const OPEN: u32 = u32::MAX;

/// Finds types that contain themselves by value, or nest too deep, and empties them.
fn cut_cycles(table: &mut TypeTable) {
    // `NEW`, `OPEN`, or 1 + the depth of nesting below.
    let mut depth = vec![NEW; table.types.len()];
    // The type and how many of its children have been entered.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for root in 0..table.types.len() {
        if depth[root] != NEW {
            continue;
        }
        depth[root] = OPEN;
        stack.push((root, 0));
        while let Some(&mut (at, ref mut child)) = stack.last_mut() {
            let next = child_by_value(table, at, *child);
            *child += 1;
            match next {
                Some(next) if depth[next] == NEW => {
                    depth[next] = OPEN;
                    stack.push((next, 0));
                }
                Some(next) if depth[next] == OPEN => {
                    // The type that closes the circle loses its content; `child` is past its end.
                    cut(&mut table.types[at]);
                    table.damaged_types += 1;
                }
                Some(_) => {}
                None => {
                    let below = deepest_child(table, at, &depth);
                    if below >= TypeTable::MAX_NESTING {
                        cut(&mut table.types[at]);
                        table.damaged_types += 1;
                        depth[at] = 1;
                    } else {
                        depth[at] = below + 1;
                    }
                    stack.pop();
                }
            }
        }
    }
}

fn deepest_child(table: &TypeTable, at: usize, depth: &[u32]) -> u32 {
    let mut deepest = 0;
    let mut child = 0;
    while let Some(next) = child_by_value(table, at, child) {
        deepest = deepest.max(depth[next]);
        child += 1;
    }
    deepest
}

/// The `n`th type that a value of type `at` contains.
fn child_by_value(table: &TypeTable, at: usize, n: usize) -> Option<usize> {
    let ty = &table.types[at];
    if ty.kind == Kind::Array {
        return match n {
            0 => ty.elem.map(|elem| elem.0 as usize),
            _ => None,
        };
    }
    let field = table.fields(TypeIdx(at as u32)).get(n)?;
    Some(field.ty.0 as usize)
}

fn size_of(table: &TypeTable, index: Option<TypeIdx>) -> u64 {
    index.map_or(0, |index| table.get(index).size)
}

/// Leaves the name and nothing to follow.
fn cut(ty: &mut Type) {
    *ty = Type {
        runtime_type: ty.runtime_type,
        ..Type::new(ty.name, Kind::Other)
    };
}
