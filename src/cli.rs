//! The command line: what can be said, and what each thing means. No effects.

mod doctor;
mod hold;
mod import;
mod key;
mod mcp;
mod prove;
mod read;
mod redact;
mod sealing;
mod serve;
mod sources;
mod verify;

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit;

use doctor::DOCTOR_HELP;
pub(crate) use doctor::Doctor;
pub(crate) use hold::Hold;
pub(crate) use import::{Import, ImportForm, OpenaiChat};
pub(crate) use key::{ChangeKey, Key};
use mcp::MCP_HELP;
pub(crate) use mcp::Mcp;
pub(crate) use prove::{Prove, ProveHow, Receipt};
pub(crate) use read::{Export, ExportForm, Json, Sessions, Store, Trace};
pub(crate) use redact::Redact;
pub(crate) use sealing::{Resume, Sealer, SealerCommand, Sealing};
pub(crate) use serve::{Ingest, Keys, SettingsArgs, Up, Who};
use serve::{SERVICE_HELP, UP_HELP};
pub(crate) use sources::Sources;
pub(crate) use verify::{Verify, VerifyHow};

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
    /// Checks a store and a topic before they are trusted, and says what is wrong with them
    #[command(after_long_help = DOCTOR_HELP)]
    Doctor(Doctor),
    /// Imports recorded sessions
    Import(Import),
    /// Makes, lists and revokes the keys that agents authenticate with
    #[command(subcommand)]
    Keys(Keys),
    /// Makes and lists the keys that sources sign events with
    #[command(subcommand)]
    Sources(Sources),
    /// Lists sessions
    Sessions(Sessions),
    /// Shows what happened in a session, and why
    Trace(Trace),
    /// Checks everything that was sealed, or an evidence bundle
    Verify(Verify),
    /// Makes an evidence bundle: a file that proves something to whoever has it
    #[command(subcommand)]
    Prove(Prove),
    /// Makes the evidence bundle of an event whose digest its producer kept
    Receipt(Box<Receipt>),
    /// Makes and shows the keys that logs of segments are signed with
    #[command(subcommand)]
    Key(Key),
    /// Puts legal holds on what a session's trace rests on, or takes them away
    #[command(subcommand)]
    Hold(Hold),
    /// Writes sessions out, as they were captured
    Export(Export),
    /// Tries rules of redaction out
    #[command(subcommand)]
    Redact(Redact),
    /// Runs an MCP server of this machine, and records what it and its client say
    #[command(after_long_help = MCP_HELP)]
    Mcp(Mcp),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the deployment is made; must be empty or absent [default: a new temporary folder, kept]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
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
    fn the_sealer_and_its_resumption_need_to_be_told_from_where_to_where() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["chancery", "sealer"], args].concat());
        let all = ["--kafka", "b", "--topic", "t", "--store", "s"];
        assert!(parse(&all).is_ok() && parse(&all[2..]).is_err());
        let resume = ["resume", "--partition", "3"];
        assert!(parse(&[&resume[..], &all].concat()).is_ok() && parse(&resume).is_err());
        let Run::Sealer(sealer) = parse(&[&resume[..], &all].concat()).unwrap().run else {
            panic!("another command");
        };
        assert!(sealer.other.is_some());
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
}
