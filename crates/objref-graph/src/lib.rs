//! Graph algorithms over dense ids.
