//! What is the Go runtime's state? Version, layout, moduledata, pclntab, types, spans, pointer bits, goroutines, stacks, roots.
