//! How is it shown? Plain structs to bytes.
