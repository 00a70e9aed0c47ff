//! Functions of the runtime that are told types: allocators, maps, channels, copies.
// cmd/compile/internal/typecheck/_builtin/runtime.go

/// What an argument or result is, in terms of the type that the function is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pointer to a value.
    Pointer,
    /// A pointer to the first of several values.
    Run,
    /// A pointer to one or more values.
    Any,
    /// A value, which is a map or a channel.
    Value,
    /// A pointer to a key of the map.
    Key,
    /// A pointer to an element of the map.
    Elem,
    /// A pointer to the bytes of a string.
    Text,
    /// A pointer to bytes.
    Bytes,
    /// A pointer to characters.
    Runes,
}

/// A function, with the numbers of registers for arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Which argument is the type.
    pub(super) ty: usize,
    /// What the first word of the result is.
    pub(super) result: Option<Role>,
    /// What arguments are.
    pub(super) args: &'static [(usize, Role)],
}

const fn known(ty: usize, result: Option<Role>, args: &'static [(usize, Role)]) -> Option<Known> {
    Some(Known { ty, result, args })
}

/// What the function of this name is told and does. `minor` is the Go version's second number.
pub(super) fn known_function(name: &str, minor: u32) -> Option<Known> {
    use Role::*;
    let map = |result| known(0, result, &[(1, Value)]);
    let keyed = |result| known(0, result, &[(1, Value), (2, Key)]);
    match name {
        "reflect.typedmemmove"
        | "internal/reflectlite.typedmemmove"
        | "runtime.typedmemmove"
        | "runtime.wbMove" => known(0, None, &[(1, Pointer), (2, Pointer)]),
        "reflect.typedmemclr" | "runtime.typedmemclr" | "runtime.wbZero" => {
            known(0, None, &[(1, Pointer)])
        }
        // runtime/slice.go: bytealg_MakeNoZero
        "internal/bytealg.MakeNoZero" => known(NO_TYPE, Some(Bytes), &[]),
        _ => match name.strip_prefix("runtime.")? {
            "newobject" => known(0, Some(Pointer), &[]),
            name if name.starts_with("mallocgc") => known(1, Some(Any), &[]),
            "makeslice" | "makeslice64" | "makeslicecopy" | "newarray" => known(0, Some(Run), &[]),
            // runtime/slice.go: growslice(oldPtr, newLen, oldCap, num, et), go1.20+; growslice(et, old, cap) before
            name if name.starts_with("growslice") && minor < 20 => known(0, Some(Run), &[(1, Run)]),
            name if name.starts_with("growslice") => known(4, Some(Run), &[(0, Run)]),
            "moveSlice" | "moveSliceNoCap" => known(0, Some(Run), &[(1, Run)]),
            "typedslicecopy" => known(0, None, &[(1, Run), (3, Run)]),
            "convT" | "convTnoptr" => known(0, Some(Pointer), &[(1, Pointer)]),
            "makemap" | "makemap64" | "makechan" | "makechan64" => known(0, Some(Value), &[]),
            "mapaccess1" | "mapaccess2" | "mapaccess1_fat" | "mapaccess2_fat" | "mapassign" => {
                keyed(Some(Elem))
            }
            "mapdelete" => keyed(None),
            "mapclear" | "mapiterinit" | "mapIterStart" => map(None),
            name if name.starts_with("mapdelete_fast") => map(None),
            name if name.starts_with("mapaccess") || name.starts_with("mapassign_fast") => {
                map(Some(Elem))
            }
            name if name.starts_with("concatstring") => known(NO_TYPE, Some(Text), &[]),
            "slicebytetostring" | "slicerunetostring" | "intstring" | "rawstring" => {
                known(NO_TYPE, Some(Text), &[])
            }
            name if name.starts_with("concatbyte") => known(NO_TYPE, Some(Bytes), &[]),
            "stringtoslicebyte" | "rawbyteslice" => known(NO_TYPE, Some(Bytes), &[]),
            "stringtoslicerune" | "rawruneslice" => known(NO_TYPE, Some(Runes), &[]),
            _ => None,
        },
    }
}

/// The function is told no type.
pub(super) const NO_TYPE: usize = usize::MAX;
