//! The command lines for the private keys of logs.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a key, and prints the line that verifies what it signs
    New {
        /// The log's name, its origin: like a host's with a path, example.org/audit
        name: String,
        /// Where the private key goes; only its owner may read it; must be absent
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Prints the line that verifies what a key signs
    Show {
        /// The private key
        file: PathBuf,
    },
}
