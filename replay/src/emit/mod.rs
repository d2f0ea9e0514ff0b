//! What is read, written out for people and for programs.

pub(crate) mod escape;
pub mod json;
mod log;
pub mod statement;
mod table;
pub mod terminal;
mod words;
