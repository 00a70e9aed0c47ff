//! Types, one after the other, each read when somebody asks for it: a binary may have a million, of which a heap uses a
//! few.

use std::io;

use super::file::{Reader, Writer};
use super::{IndexError, section};
use crate::column::Column;
use crate::types::{Type, TypeId, Types};

/// The types of an index.
#[derive(Debug)]
pub(crate) struct PackedTypes {
    bytes: Column<u8>,
    /// Where each ends.
    ends: Column<u64>,
}

impl PackedTypes {
    pub(super) fn open(reader: &Reader) -> Result<PackedTypes, IndexError> {
        let packed = PackedTypes {
            bytes: reader.checked_column(section::TYPES, "types")?,
            ends: reader.checked_column(section::TYPE_ENDS, "types")?,
        };
        let end = packed.ends.last().copied().unwrap_or(0);
        match packed.ends.is_sorted() && end == packed.bytes.len() as u64 {
            true => Ok(packed),
            false => Err(IndexError::Damaged { what: "types" }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A type; `None` if that is not one, or leads to types that are not there.
    pub(crate) fn get(&self, id: TypeId) -> Option<Type> {
        let at = id.0 as usize;
        let start = match at {
            0 => 0,
            _ => *self.ends.get(at - 1)?,
        };
        let bytes = self
            .bytes
            .get(start as usize..*self.ends.get(at)? as usize)?;
        let ty: Type = postcard::from_bytes(bytes).ok()?;
        ty.is_sound(self.len()).then_some(ty)
    }
}

pub(super) fn write(types: &Types, out: &mut Writer<'_>) -> io::Result<()> {
    let mut ends = Vec::with_capacity(types.len());
    out.section(section::TYPES, |out| {
        let mut end = 0;
        for id in types.ids() {
            let bytes = postcard::to_allocvec(&*types.passing(id)).map_err(io::Error::other)?;
            end += bytes.len() as u64;
            ends.push(end);
            out.numbers(&bytes)?;
        }
        Ok(())
    })?;
    out.column(section::TYPE_ENDS, &ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Field, Kind};

    fn pair(second: TypeId) -> Type {
        let field = |name: &str, offset, ty| Field {
            name: name.to_owned(),
            offset,
            ty,
            embedded: false,
        };
        Type {
            name: "main.Pair".to_owned(),
            size: 16,
            kind: Kind::Struct,
            fields: vec![field("first", 0, TypeId(0)), field("second", 8, second)],
        }
    }

    fn packed(types: &[Type], ends: impl Fn(u64) -> Vec<u64>) -> PackedTypes {
        let bytes = types.iter().map(|ty| postcard::to_allocvec(ty).unwrap());
        let bytes: Vec<u8> = bytes.flatten().collect();
        PackedTypes {
            ends: ends(bytes.len() as u64).into(),
            bytes: bytes.into(),
        }
    }

    #[test]
    fn types_come_back_one_by_one() {
        let first = postcard::to_allocvec(&Type::unknown()).unwrap().len() as u64;
        let packed = packed(&[Type::unknown(), pair(TypeId(1))], |end| vec![first, end]);
        assert_eq!(packed.len(), 2);
        let pair = packed.get(TypeId(1)).unwrap();
        assert_eq!((&*pair.name, pair.fields.len()), ("main.Pair", 2));
        assert_eq!(packed.get(TypeId(0)).unwrap().name, "?");
        assert!(packed.get(TypeId(2)).is_none());
    }

    #[test]
    fn what_is_none_stands_for_nothing() {
        let dangling = packed(&[pair(TypeId(1))], |end| vec![end]);
        assert!(dangling.get(TypeId(0)).is_none());
        let types = Types::from(dangling);
        assert_eq!((&*types.get(TypeId(0)).name, types.len()), ("?", 1));
        for ends in [vec![3], vec![u64::MAX], vec![9, 4]] {
            let nonsense = packed(&[pair(TypeId(0))], |_| ends.clone());
            let last = TypeId(ends.len() as u32 - 1);
            assert!(nonsense.get(last).is_none(), "{ends:?}");
        }
    }
}
