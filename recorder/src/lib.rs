//! What an agent written in Rust records itself with.
