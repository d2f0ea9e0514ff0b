//! The command line of `redact`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Redact {
    /// Shows what rules would do to a file: where they find something, and what would stand there instead
    #[command(after_long_help = TEST_HELP)]
    Test(RedactTest),
}

#[derive(Debug, Args)]
pub(crate) struct RedactTest {
    /// The rules: `default`, or a file
    pub(crate) rules: String,
    /// Events, a line each, as agents send them or as `export` writes them; or any other text or JSON
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) json: Json,
}

const TEST_HELP: &str = "\
Of what is found only the first characters and the length are shown. Rules that hash take their key from the environment
variable CHANCERY_REDACT_KEY.";
