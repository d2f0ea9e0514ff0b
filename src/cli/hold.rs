//! The command line of legal holds.

use clap::{Args, Subcommand};

use super::read::Store;

pub(crate) const HOLD_HELP: &str = "\
S3 keeps one hold for a version of an object, whoever put it there. A segment holds rows of many sessions: `remove` takes the
hold from it for all of them. Where several sessions are held, add those that stay held again after removing one.";

#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Puts a legal hold on every segment, record, epoch opening and body that a session's trace rests on
    #[command(after_long_help = HOLD_HELP)]
    Add(Held),
    /// Takes the holds of a session away, also from segments that it shares with others
    #[command(after_long_help = HOLD_HELP)]
    Remove(Held),
    /// Lists what a session's trace rests on, and whether it is held
    List(Held),
}

#[derive(Debug, Args)]
pub(crate) struct Held {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The session's id
    pub(crate) session: String,
}
