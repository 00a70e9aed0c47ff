/// Why a binary's debugging information cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DwarfError {
    /// The bytes are no ELF file that can be parsed.
    #[error("not a readable ELF file: {0}")]
    Elf(#[from] object::Error),
    /// The file has no `.debug_info`: it was linked with `-w` or stripped.
    #[error("the binary has no DWARF (it was stripped, or linked with -ldflags=-w)")]
    NoDwarf,
    /// There is DWARF, but no unit of it was written by the Go compiler.
    #[error("the binary's DWARF describes no Go code")]
    NoGoUnits,
    /// A section cannot be decompressed, or claims an absurd size.
    #[error("section {name} is damaged: {reason}")]
    Section {
        /// The section's name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A section is larger than the 4 GiB that 32-bit DWARF can address.
    #[error("section {name} has {size} bytes, more than 32-bit DWARF can address")]
    TooLarge {
        /// The section's name.
        name: &'static str,
        /// Its uncompressed size.
        size: u64,
    },
    /// The first unit header or its abbreviations cannot be parsed.
    #[error("damaged DWARF: {0}")]
    Dwarf(#[from] gimli::Error),
}

impl DwarfError {
    /// A stable name of the error's kind, for reports and tests.
    pub fn code(&self) -> &'static str {
        match self {
            DwarfError::Elf(_) => "dwarf.elf",
            DwarfError::NoDwarf => "dwarf.none",
            DwarfError::NoGoUnits => "dwarf.no-go-units",
            DwarfError::Section { .. } => "dwarf.section",
            DwarfError::TooLarge { .. } => "dwarf.too-large",
            DwarfError::Dwarf(_) => "dwarf.damaged",
        }
    }
}
