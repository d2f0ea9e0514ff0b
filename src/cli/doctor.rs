//! The command line of `doctor`.

use clap::Args;

use super::{Json, SettingsArgs};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The store to check: a folder, or s3://bucket/prefix
    #[arg(long)]
    pub(crate) store: String,
    /// Bootstrap servers, host:port, with commas between
    #[arg(long, value_name = "BROKERS", requires = "topic")]
    pub(crate) kafka: Option<String>,
    /// The topic to check
    #[arg(long, requires = "kafka")]
    pub(crate) topic: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) json: Json,
}

pub(crate) const DOCTOR_HELP: &str = "\
Run it with the credentials and the settings of the sealer, before a deployment is trusted and after every change to its
bucket or topic. Each check is one line: `ok`, `WRONG` or `could not check`, with what was found, why it matters and what
to do. It writes small objects under `probe/`, one of them locked for two minutes, and leaves them there: in a bucket that
deserves trust it could not remove them. Nothing is written to the topic.";
