//! How the program ends when it cannot do what it was asked to.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done; also when nobody reads the output to its end |
//! | 1 | a rule of `objref check` does not hold, or `objref verify` found a contradiction |
//! | 2 | the command line makes no sense |
//! | 3 | the input cannot be used, or the output not be written |

use std::fmt;
use std::io;
use std::process::ExitCode;

use objref_report::printable;

/// The command line makes no sense: status 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Says on one line what is wrong, and with which status to end.
pub(crate) fn exit(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // Each error spells its cause out itself, so the chain behind it is not printed again.
    eprintln!("objref: {}", one_line(&error.to_string()));
    ExitCode::from(if error.is::<Usage>() { 2 } else { 3 })
}

/// `text` on one line, without characters that steer a terminal: names in it come from the files.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.trim_end().replace('\n', "; ");
    line.chars().map(printable).collect()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io)
}
