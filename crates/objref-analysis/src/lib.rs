//! What does it mean? Pure functions from a snapshot to plain serde structs.
