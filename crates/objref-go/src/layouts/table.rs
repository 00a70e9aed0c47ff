//! The built-in tables: layouts measured on unstripped binaries of every version by `scripts/gen_layouts.py`.

use objref_mem::Arch;
use rustc_hash::FxHashMap;

use crate::layout::{FieldAt, StructSource};
use crate::version::GoVersion;

/// The tables by minor version, ascending.
const TABLES: [(u32, &str); 9] = [
    (19, include_str!("go1.19.txt")),
    (20, include_str!("go1.20.txt")),
    (21, include_str!("go1.21.txt")),
    (22, include_str!("go1.22.txt")),
    (23, include_str!("go1.23.txt")),
    (24, include_str!("go1.24.txt")),
    (25, include_str!("go1.25.txt")),
    (26, include_str!("go1.26.txt")),
    (27, include_str!("go1.27.txt")),
];

/// Layouts of one version, architecture and set of experiments.
#[derive(Debug, Default)]
pub(crate) struct Table {
    minor: u32,
    fields: FxHashMap<&'static str, FxHashMap<&'static str, FieldAt>>,
    sizes: FxHashMap<&'static str, u64>,
    constants: FxHashMap<&'static str, i64>,
}

impl Table {
    /// The table for `version`; a version newer than the newest table gets that, an older one than the oldest nothing.
    pub(crate) fn of(version: &GoVersion, arch: Arch) -> Option<Table> {
        let (minor, text) = TABLES.iter().rfind(|(minor, _)| *minor <= version.minor)?;
        let mut table = Table {
            minor: *minor,
            ..Table::default()
        };
        let mut applies = true;
        for line in text.lines() {
            match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                Some(section) => {
                    applies =
                        section == arch.name() || version.experiments.iter().any(|e| e == section)
                }
                None if applies => table.add(line),
                None => {}
            }
        }
        Some(table)
    }

    /// The minor version that the layouts were measured on.
    pub(crate) fn minor(&self) -> u32 {
        self.minor
    }

    /// All fields: struct, path, where.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str, FieldAt)> {
        let of = |(name, fields): (&&'static str, _)| {
            let fields: &FxHashMap<&'static str, FieldAt> = fields;
            let name = *name;
            fields
                .iter()
                .map(move |(path, at)| (name, *path, *at))
                .collect::<Vec<_>>()
        };
        self.fields.iter().flat_map(of)
    }

    fn add(&mut self, line: &'static str) {
        let words: Vec<&'static str> = line.split(' ').collect();
        match words[..] {
            ["field", name, path, "-"] => {
                self.fields.entry(name).or_default().remove(path);
            }
            ["field", name, path, offset, size] => {
                if let (Ok(offset), Ok(size)) = (offset.parse(), size.parse()) {
                    let fields = self.fields.entry(name).or_default();
                    fields.insert(path, FieldAt { offset, size });
                }
            }
            ["size", name, "-"] => {
                self.sizes.remove(name);
            }
            ["size", name, size] => {
                self.sizes
                    .extend(size.parse().ok().map(|size| (name, size)));
            }
            ["const", name, "-"] => {
                self.constants.remove(name);
            }
            ["const", name, value] => {
                self.constants
                    .extend(value.parse().ok().map(|value| (name, value)));
            }
            _ => {}
        }
    }
}

impl StructSource for Table {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        self.fields.get(name)?.get(path).copied()
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        self.sizes.get(name).copied()
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.constants.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(version: &str, arch: Arch) -> Option<Table> {
        Table::of(&GoVersion::parse(version).unwrap(), arch)
    }

    #[test]
    fn every_line_is_understood() {
        for (minor, text) in TABLES {
            for line in text
                .lines()
                .filter(|l| !l.is_empty() && !l.starts_with(['#', '[']))
            {
                let mut table = Table::default();
                table.add(line);
                let found = table.fields.len() + table.sizes.len() + table.constants.len();
                assert!(found == 1 || line.ends_with(" -"), "go1.{minor}: {line}");
            }
        }
    }

    #[test]
    fn sections_replace_what_differs() {
        let arenas = |version, arch| {
            table(version, arch)
                .unwrap()
                .field("runtime.mheap", "arenas")
                .unwrap()
                .offset
        };
        assert_eq!(arenas("go1.26.6", Arch::Amd64), 66008);
        assert_eq!(arenas("go1.26.6", Arch::Arm64), 66072);
        let size = |version| table(version, Arch::Amd64).unwrap().size_of("runtime.p");
        assert_ne!(size("go1.26.6"), size("go1.26.6-X:nogreenteagc"));
        let bitmap = |version| {
            table(version, Arch::Amd64)
                .unwrap()
                .field("runtime.heapArena", "heapArenaPtrScalar.bitmap")
        };
        assert_eq!(bitmap("go1.22.1"), None);
        assert!(bitmap("go1.22.1 X:noallocheaders").is_some());
    }

    #[test]
    fn newer_versions_get_the_newest_table_and_older_ones_none() {
        assert_eq!(
            table("go1.99.1", Arch::Amd64).unwrap().minor(),
            TABLES[TABLES.len() - 1].0
        );
        assert!(table("go1.18.1", Arch::Amd64).is_none());
    }
}
