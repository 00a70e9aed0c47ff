//! Debug information in a file of its own: what `objcopy --only-keep-debug` and `eu-strip -f` leave.

use std::path::PathBuf;
use std::sync::Arc;

use object::elf::SHT_NOBITS;

use crate::bytes::until_nul;
use crate::error::ImageError;
use crate::image::Image;
use crate::input::Input;

/// What a binary says about the file that its debug information was moved to (`.gnu_debuglink`).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DebugLink {
    /// The name of the file, without a directory.
    pub name: String,
    /// The CRC-32 of all of its bytes.
    pub crc: u32,
}

impl DebugLink {
    /// Whether these are the bytes that are meant. Reads all of them.
    pub fn is_of(&self, input: &Input) -> bool {
        let mut crc = flate2::Crc::new();
        crc.update(input.bytes());
        crc.sum() == self.crc
    }
}

impl Image {
    /// The link to a file with the debug information; `None` for most binaries.
    pub fn debug_link(&self) -> Option<DebugLink> {
        // The name and a NUL, zeros up to a multiple of 4, then the CRC: binutils, gdb/doc "Separate Debug Files".
        let data = self.section(".gnu_debuglink")?.data;
        let name = str::from_utf8(until_nul(data)).ok()?;
        let at = (name.len() as u64 + 1).next_multiple_of(4);
        let crc = self.arch().encoding().u32(data, at)?;
        let plain = !name.is_empty() && !name.contains('/');
        plain.then(|| DebugLink {
            name: name.to_owned(),
            crc,
        })
    }

    /// Whether debug information is in this very file.
    pub fn has_debug_info(&self) -> bool {
        self.has_section(".debug_info") || self.has_section(".zdebug_info")
    }

    /// Whether all that the program would load was left out of this file.
    fn is_debug_info_only(&self) -> bool {
        let text = self.section(".text");
        self.has_debug_info() && text.is_some_and(|text| text.kind == SHT_NOBITS.0)
    }

    /// This file as the program that ran.
    ///
    /// # Errors
    ///
    /// [`ImageError::DebugInfoOnly`] when it is only what was moved out of the program.
    pub fn into_program(self) -> Result<Self, ImageError> {
        match self.is_debug_info_only() {
            true => Err(ImageError::DebugInfoOnly {
                path: self.input().path().to_path_buf(),
            }),
            false => Ok(self),
        }
    }

    /// The file to read debug information from: the one attached, else this file.
    pub fn debug_input(&self) -> &Arc<Input> {
        self.debug_file().map_or(self.input(), Image::input)
    }

    /// Takes debug information, and symbols where this file has none, from another file; `force`
    /// does so although it is of another build.
    ///
    /// # Errors
    ///
    /// [`ImageError::NoDebugInfo`]; [`ImageError::OtherBuild`] when the build ids differ, or, where
    /// there are none to compare, the places of the sections.
    pub fn attach_debug_file(&mut self, debug: Image, force: bool) -> Result<(), ImageError> {
        let path = |image: &Image| -> PathBuf { image.input().path().to_path_buf() };
        if !debug.has_debug_info() {
            return Err(ImageError::NoDebugInfo { path: path(&debug) });
        }
        if !force && !self.same_build(&debug) {
            return Err(ImageError::OtherBuild {
                path: path(&debug),
                image: path(self),
            });
        }
        self.set_debug_file(debug);
        Ok(())
    }

    fn same_build(&self, other: &Image) -> bool {
        let same_ids = self.build_ids().agree_with(&other.build_ids());
        // Files of debug information keep the headers of the sections that they have no bytes for.
        let text = |image: &Image| image.section(".text").map(|s| (s.addr, s.size));
        self.arch() == other.arch() && same_ids.unwrap_or_else(|| text(self) == text(other))
    }
}
