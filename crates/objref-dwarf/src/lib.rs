//! What does the binary say about itself? Symbols, DWARF types, variables, location lists.
