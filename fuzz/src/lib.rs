//! What several targets, or one of them and its seeds, need.

mod index;
mod layout;
mod maps;

pub use index::{damage_index, index_of, seal};
pub use layout::{Layout, META, OBJECTS};
pub use maps::Maps;
