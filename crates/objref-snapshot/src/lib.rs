//! The whole heap as one value: scan, type inference, names.
