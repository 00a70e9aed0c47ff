//! Machine code, as far as it says where values come from.
//!
//! A binary without debug information still says what its values are: allocators are told types, methods are named
//! after their receivers. What is between such a place and the variable whose type is asked for is code, read here.

mod abi;
mod amd64;
mod amd64_ops;
mod amd64_scan;
mod build;
mod graph;
mod index;
mod op;
mod origin;

pub(crate) use abi::{Abi, never_returns};
pub(crate) use build::{Effect, Source};
pub(crate) use graph::{Call, Callee, Graph, Memory, Place, Value};
pub(crate) use index::{CodeIndex, Use, code_of};
