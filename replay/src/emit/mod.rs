//! What is read, written out for people and for programs.

mod escape;
pub mod json;
mod table;
pub mod terminal;
