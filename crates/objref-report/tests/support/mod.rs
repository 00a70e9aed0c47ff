//! What several tests need.

pub(crate) mod profile;
pub(crate) mod schema;
