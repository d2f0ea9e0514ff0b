//! The command lines for the private keys of logs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

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
    /// Gives a log its next key, by an entry that both keys sign; sealers must have been given both before
    Change(ChangeKey),
}

#[derive(Debug, Args)]
pub(crate) struct ChangeKey {
    /// The key in force
    #[arg(long, value_name = "FILE")]
    pub(crate) old: PathBuf,
    /// The next key, of the same name
    #[arg(long, value_name = "FILE")]
    pub(crate) new: PathBuf,
    /// The sealers' store: a folder, or s3://bucket/prefix
    #[arg(long)]
    pub(crate) store: String,
    /// Writes without object lock
    #[arg(long)]
    pub(crate) unsafe_no_lock: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}
