//! Leaving out all but shape, types and sizes.

use crate::diagnose::Diagnostic;
use crate::facts::Facts;

/// What stands where something was left out.
const REDACTED: &str = "(redacted)";

/// Leaves out who ran what where.
pub(super) fn facts(facts: &mut Facts) {
    facts.core.path = REDACTED.to_owned();
    facts.core.pid = None;
    facts.core.command = None;
    facts.binary.path = REDACTED.to_owned();
    facts.binary.debug_file = None;
}

/// Leaves out what may name files.
pub(super) fn diagnostics(diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        if diagnostic.message.contains('/') {
            diagnostic.message = REDACTED.to_owned();
        }
    }
}
