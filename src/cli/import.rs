//! The command line of `import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) form: ImportForm,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportForm {
    /// Chats with tool calls: JSONL, each line {"session_id", "messages": […], other keys}
    #[command(after_long_help = IMPORT_HELP)]
    OpenaiChat(OpenaiChat),
}

#[derive(Debug, Args)]
pub(crate) struct OpenaiChat {
    /// The sessions; - is standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// Through a running gateway; ends when everything is acknowledged
    #[arg(long, value_name = "URL", required_unless_present = "dir", conflicts_with = "dir")]
    pub(crate) to: Option<String>,
    /// Into a folder as `up` makes it, which must not be running; ends when everything is sealed
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Owner of the sessions [default: with --to whom the key names, with --dir `default`]
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

const IMPORT_HELP: &str = "\
Each line becomes the events that a live agent would have sent; messages and other keys are kept verbatim.
The key for --to comes from the environment variable CHANCERY_KEY.

Times: `created_at`, `timestamp` or `created` of the message, else of the line (RFC 3339, or a number since 1970),
else the time the file was last changed; for standard input, the time of the import. Event ids are derived from the
session and its messages, so an import that is repeated shows nothing twice, as long as it has the same times.

A file is checked as a whole before anything is sent. Standard input is sent as it comes; a bad line ends it,
and nothing of that line is sent.";
