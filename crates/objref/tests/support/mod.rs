//! Validators for the formats of others.

pub(crate) mod schema;
pub(crate) mod xsd;
