//! `objref`: who keeps what alive in a core of a Go program.
//!
//! Glue only. What happens, in order: [`args`] says what is wanted, [`inputs`] finds the core and
//! its binary among the files, [`pipeline`] makes the snapshot of the heap and asks it, and
//! [`report`], [`picture`], [`page`], [`listing`], [`investigate`], [`check`] and
//! [`compare`] write the answer to [`output`].
//! [`progress`] tells the user how far that is, [`stats`] what it cost.

mod args;
mod check;
mod compare;
mod debug_file;
mod explain;
mod failure;
mod inputs;
mod investigate;
mod listing;
mod manual;
mod output;
mod page;
mod picture;
mod pipeline;
mod progress;
mod report;
mod stats;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static MEMORY: objref_mem::Spilling = objref_mem::Spilling;

/// Pieces of memory of so many bytes are given back as soon as nobody needs them.
const GIVEN_BACK: usize = 1 << 20;

fn main() -> ExitCode {
    let args = args::Args::parse();
    objref_mem::give_back_from(GIVEN_BACK);
    objref_mem::end_cleanly_on_signals();
    match report::run(&args) {
        Ok(status) => status,
        Err(error) => failure::exit(&error),
    }
}
