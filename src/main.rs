//! `chancery`: the one binary; parses the command line and calls a crate.

fn main() {}
