//! The command lines of the sealer: the service, and what an operator does about a partition that has stopped.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Sealer {
    #[command(flatten)]
    pub(crate) service: Sealing,
    #[command(subcommand)]
    pub(crate) other: Option<SealerCommand>,
}

/// What is sealed, to where, and how it is kept. Required, and yet options: a command below takes its own.
#[derive(Debug, Args)]
pub(crate) struct Sealing {
    /// Bootstrap servers, host:port, with commas between
    #[arg(long, value_name = "BROKERS", required = true)]
    pub(crate) kafka: Option<String>,
    /// The topic to seal
    #[arg(long, required = true)]
    pub(crate) topic: Option<String>,
    /// Where segments go: a folder, or s3://bucket/prefix
    #[arg(long, required = true)]
    pub(crate) store: Option<String>,
    /// Seals without object lock, or into a store that is not fit for it: whoever may write there can change what is sealed
    #[arg(long)]
    pub(crate) unsafe_no_lock: bool,
    /// A file of the log's key, as `chancery key new` makes it; may be repeated while the key is changed. Without it the
    /// settings log.keys name them, or the variable CHANCERY_LOG_KEY holds one
    #[arg(long, value_name = "FILE")]
    pub(crate) log_key: Vec<PathBuf>,
    /// Seals without a log of segments: nobody will see that what was sealed last was taken away
    #[arg(long)]
    pub(crate) unsafe_no_log: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SealerCommand {
    /// Shows why a partition has stopped and what a new epoch would say of it, and with --yes opens it
    Resume(Resume),
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The partition that has stopped
    #[arg(long)]
    pub(crate) partition: u32,
    /// Writes what is shown; it cannot be taken back
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) sealing: Sealing,
}
