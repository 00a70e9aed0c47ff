//! Build ids: whether a binary is the one that was running.

use std::fmt;

use object::elf::{PT_LOAD, PT_NOTE, PT_PHDR};

use crate::addr::Addr;
use crate::core::Core;
use crate::elf::ProgramHeader;
use crate::image::Image;
use crate::load_bias::{AT_ENTRY, AT_PHDR, PAGE};
use crate::notes::{Note, Notes};

const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;

/// Bytes of a note with a build id of 20 bytes.
const GNU_NOTE: u64 = 12 + 4 + 20;

/// What linkers write into a binary to identify it. Either may be absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash)]
#[non_exhaustive]
pub struct BuildIds {
    /// `.note.gnu.build-id`, raw bytes; most often 20.
    pub gnu: Option<Vec<u8>>,
    /// `.note.go.buildid`: four parts separated by `/`.
    pub go: Option<String>,
}

impl BuildIds {
    fn add(&mut self, note: &Note<'_>) {
        if note.is_gnu_build_id() {
            self.gnu.get_or_insert_with(|| note.desc.to_vec());
        } else if note.is_go_build_id() {
            self.go
                .get_or_insert_with(|| String::from_utf8_lossy(note.desc).into_owned());
        }
    }

    /// Whether these and those can be of the same file: no id that both have differs. `None` when
    /// they have no id in common, so that nothing can be said.
    pub fn agree_with(&self, other: &Self) -> Option<bool> {
        let gnu = self
            .gnu
            .as_ref()
            .zip(other.gnu.as_ref())
            .map(|(a, b)| a == b);
        let go = self.go.as_ref().zip(other.go.as_ref()).map(|(a, b)| a == b);
        match (gnu, go) {
            (None, None) => None,
            (gnu, go) => Some(gnu.unwrap_or(true) && go.unwrap_or(true)),
        }
    }
}

impl fmt::Display for BuildIds {
    /// `build id 5f19…, Go build id id9h…/…`, or `no build id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gnu) = &self.gnu {
            f.write_str("build id ")?;
            gnu.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        match (&self.gnu, &self.go) {
            (None, None) => f.write_str("no build id"),
            (Some(_), Some(go)) => write!(f, ", Go build id {go}"),
            (None, Some(go)) => write!(f, "Go build id {go}"),
            (Some(_), None) => Ok(()),
        }
    }
}

impl Image {
    /// The build ids in the file.
    pub fn build_ids(&self) -> BuildIds {
        BuildIds {
            gnu: self.gnu_build_id().map(<[u8]>::to_vec),
            go: self.go_build_id().map(str::to_owned),
        }
    }
}

impl Core {
    /// The path of the executable as the core's file table has it: what is mapped where the
    /// auxiliary vector says the program's headers or its entry are.
    pub fn executable_path(&self) -> Option<&str> {
        let inside = [AT_PHDR, AT_ENTRY]
            .into_iter()
            .filter_map(|key| self.auxv(key));
        let file = inside.flat_map(|a| {
            self.mapped_files()
                .iter()
                .filter(move |f| (f.start.0..f.end.0).contains(&a))
        });
        file.map(|f| f.path.as_str()).next()
    }

    /// The build ids of the executable as they were in the process's memory, read from the core
    /// alone. Empty when the core does not have the first page of the executable.
    pub fn executable_ids(&self) -> BuildIds {
        let mut ids = BuildIds::default();
        self.read_executable_ids(&mut ids);
        ids
    }

    fn read_executable_ids(&self, ids: &mut BuildIds) -> Option<()> {
        let e = self.arch().encoding();
        let table = self.auxv(AT_PHDR)?;
        let stride = self.auxv(AT_PHENT)?;
        let count = self.auxv(AT_PHNUM)?.min(u16::MAX.into());
        let headers: Vec<ProgramHeader> = (0..count)
            .map_while(|i| {
                let at = table.checked_add(i.checked_mul(stride)?)?;
                ProgramHeader::parse(self.present_bytes(Addr(at), ProgramHeader::size(e))?, e)
            })
            .collect();
        let find = |kind: u32| headers.iter().find(|ph| ph.kind == kind);
        let bias = match find(PT_PHDR.0) {
            Some(ph) => table.wrapping_sub(ph.vaddr),
            // The table stands on the first page of the file.
            None => (table - table % PAGE).wrapping_sub(
                headers
                    .iter()
                    .find(|p| p.kind == PT_LOAD.0 && p.offset == 0)?
                    .vaddr,
            ),
        };
        for ph in headers.iter().filter(|ph| ph.kind == PT_NOTE.0) {
            let at = Addr(ph.vaddr.wrapping_add(bias));
            // Go's linker puts the GNU note right behind the Go note, but not into its PT_NOTE.
            let sizes = [GNU_NOTE, 0]
                .into_iter()
                .filter_map(|n| ph.filesz.checked_add(n));
            let data = sizes
                .filter_map(|n| self.present_bytes(at, n))
                .next()
                .unwrap_or(&[]);
            Notes::new(data, ph.align, e).for_each(|note| ids.add(&note));
        }
        Some(())
    }
}
