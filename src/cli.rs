//! The command line: what can be said, and what each thing means. No effects.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use schemas::Micros;

use crate::exit;

/// Records what software agents do, in full, as evidence that can be checked and replayed.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Logs as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
    #[command(subcommand)]
    pub(crate) run: Run,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// Shows it all in a minute: a deployment, agents at work, sealing, verifying, a trace
    Demo(Demo),
    /// Runs a whole deployment on this machine: the gateway, the log and the sealer, in one folder
    #[command(after_long_help = UP_HELP)]
    Up(Up),
    /// Runs a gateway that takes agents' events and writes them to Kafka
    #[command(after_long_help = SERVICE_HELP)]
    Ingest(Ingest),
    /// Runs a sealer that turns a Kafka topic into hashed, chained segments in an object store
    #[command(after_long_help = SERVICE_HELP)]
    Sealer(Sealer),
    /// Imports recorded sessions
    Import(Import),
    /// Makes, lists and revokes the keys that agents authenticate with
    #[command(subcommand)]
    Keys(Keys),
    /// Lists sessions
    Sessions(Sessions),
    /// Shows what happened in a session, and why
    Trace(Trace),
    /// Checks everything that was sealed
    Verify(Verify),
    /// Writes sessions out, as they were captured
    Export(Export),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the deployment is made; must be empty or absent [default: a new temporary folder, kept]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// Where settings come from.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over those of the file
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Holds everything: the log in `spool`, what is sealed in `store`
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Address for agents; port 0 takes a free one and prints it
    #[arg(long, default_value = "127.0.0.1:4280")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Who may send events.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// The file of keys that agents must present; without it every process of this machine may send
    #[arg(long, value_name = "FILE", conflicts_with = "tenant")]
    pub(crate) keys: Option<PathBuf>,
    /// Owner of sessions that come without a key, which only loopback addresses allow
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
}

const UP_HELP: &str = "\
Sections of the settings: [ingest], [sealer], [metrics] (the sealer's; the gateway has its own at /metrics).
Prints `listening on http://…` to standard error when it is ready. SIGTERM and ctrl-c stop it: what it has
acknowledged is sealed first. After kill -9, start it again with the same folder.";

const SERVICE_HELP: &str = "\
One file of settings may serve both services. Its sections: [ingest], [sealer], [kafka], [kafka.properties]
(librdkafka's own, such as security.protocol), [metrics] (listen = address for the sealer's; the gateway has its
own at /metrics). SIGTERM and ctrl-c stop a service.";

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Bootstrap servers, host:port, with commas between
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: String,
    /// The topic that events go to
    #[arg(long)]
    pub(crate) topic: String,
    /// Address for agents
    #[arg(long, default_value = "127.0.0.1:4280")]
    pub(crate) listen: SocketAddr,
    /// The file of keys that agents must present
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Sealer {
    /// Bootstrap servers, host:port, with commas between
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: String,
    /// The topic to seal
    #[arg(long)]
    pub(crate) topic: String,
    /// Where segments go: a folder, or s3://bucket/prefix
    #[arg(long)]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes a key and prints it, once; the file keeps only what recognises it
    Create {
        #[command(flatten)]
        file: KeysFile,
        /// Whose sessions the key may write
        #[arg(long)]
        tenant: String,
    },
    /// Lists the keys' ids and tenants
    List {
        #[command(flatten)]
        file: KeysFile,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a key useless
    Revoke {
        #[command(flatten)]
        file: KeysFile,
        /// Id of the key, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysFile {
    /// The file of keys that the gateway reads
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Data as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is read.
#[derive(Debug, Args)]
pub(crate) struct Store {
    /// A folder made by `up`, or a store's folder or URL
    pub(crate) store: String,
    /// Only sessions of this tenant; needed where several have a session of the same id
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Sessions {
    #[command(flatten)]
    pub(crate) store: Store,
    /// With an event at or after this time: RFC 3339, or a day
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) since: Option<Micros>,
    /// With an event before this time
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) until: Option<Micros>,
    /// In which this agent acted, by id or name
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// In which this tool was called
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// With an event of this status, such as error or denied
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// At most so many, the latest
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The session's id
    pub(crate) session: String,
    /// Contents in full, not their beginnings
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A folder made by `up`, or a store's folder or URL
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Only this session; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) session: Vec<String>,
    /// The form
    #[arg(long = "as", value_enum, default_value_t = ExportForm::Jsonl)]
    pub(crate) form: ExportForm,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// Each event with its contents
    Jsonl,
    /// Each session as `import openai-chat` takes it
    OpenaiChat,
}

impl Cli {
    /// Reads the process's command line; prints help or what is wrong with it, and ends the process there.
    pub(crate) fn read() -> Self {
        let matches = with_exit_codes(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The table of exit codes below every command's help.
fn with_exit_codes(command: Command) -> Command {
    let long = command.get_after_long_help().map(|help| format!("{help}\n\n{}", exit::TABLE));
    let command = command.after_help(exit::TABLE);
    let command = match long {
        Some(long) => command.after_long_help(long),
        None => command,
    };
    command.mut_subcommands(with_exit_codes)
}

/// RFC 3339, or a day, which begins at midnight UTC.
fn time(text: &str) -> Result<Micros, String> {
    let day = || Micros::parse(&format!("{text}T00:00:00Z"));
    let wrong = || "it must be like 2026-11-22T10:00:00Z or 2026-11-22".to_owned();
    Micros::parse(text).or_else(day).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_command_tells_its_exit_codes() {
        fn check(command: &mut Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Exit codes:"), "{}", command.get_name());
            command.get_subcommands_mut().for_each(check);
        }
        let mut command = with_exit_codes(Cli::command());
        command.build();
        check(&mut command);
    }

    #[test]
    fn an_import_goes_to_one_place() {
        let parse = |args: &[&str]| Cli::try_parse_from(args);
        let import = ["chancery", "import", "openai-chat", "-"];
        assert!(parse(&import).is_err());
        assert!(parse(&[&import[..], &["--to", "u"]].concat()).is_ok());
        assert!(parse(&[&import[..], &["--dir", "d"]].concat()).is_ok());
        assert!(parse(&[&import[..], &["--to", "u", "--dir", "d"]].concat()).is_err());
    }

    #[test]
    fn times_are_rfc_3339_or_days() {
        assert_eq!(time("1970-01-02"), Ok(Micros(86_400_000_000)));
        assert_eq!(time("1970-01-01T00:00:01+00:00"), Ok(Micros(1_000_000)));
        assert!(time("soon").is_err());
    }
}
