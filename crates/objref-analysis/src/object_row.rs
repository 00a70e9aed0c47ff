//! One reachable object in a listing.

use serde::Serialize;

/// What holds an object on its shortest way from a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parent<'a> {
    /// The object at this address.
    Object(u64),
    /// A root, by name or kind.
    Root(&'a str),
}

/// One reachable object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectRow<'a> {
    /// The address of its slot.
    pub address: u64,
    /// The size of its slot in bytes.
    pub size: u64,
    /// Its type in Go syntax, `?` if unknown.
    pub type_name: &'a str,
    /// How we know the type.
    pub certainty: &'a str,
    /// How many references it is away from a root; 0 when a root holds it.
    pub distance: u32,
    /// What holds it on that way.
    pub parent: Parent<'a>,
    /// The bytes that the collector would free if it went away, its own included.
    pub retained: u64,
    /// What keeps it alive all alone, if anything does.
    pub dominator: Option<Parent<'a>>,
}
