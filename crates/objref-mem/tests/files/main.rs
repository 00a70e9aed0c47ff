//! Reads files that were written for the purpose: whole, truncated, damaged, malicious.

mod common;
mod core;
mod foreign;
mod hostile;
mod space;
