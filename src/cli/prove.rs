//! The command lines of `prove` and `receipt`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use replay::{Disclose, Sought};
use schemas::{Digest, EventId, Micros};

use super::Store;
use super::read::time;

/// What is to be proven.
#[derive(Debug, Subcommand)]
pub(crate) enum Prove {
    /// That an event was sealed
    Event(ProveEvent),
    /// All that was sealed of a session
    Session(ProveSession),
    /// That nothing was sealed of a session in a time
    Absent(ProveAbsent),
}

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct ProveEvent {
    /// The event's id, a UUID
    #[arg(required_unless_present = "digest", value_parser = EventId::from_str)]
    pub(crate) id: Option<EventId>,
    #[command(flatten)]
    pub(crate) how: ProveHow,
    /// The event's digest instead of its id
    #[arg(long, value_name = "HEX", conflicts_with = "id", value_parser = Digest::from_str)]
    pub(crate) digest: Option<Digest>,
}

#[derive(Debug, Args)]
pub(crate) struct ProveSession {
    /// The session's id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) how: ProveHow,
    /// From the first segment with a message at or after this time on: RFC 3339, or a day [default: the partition's first]
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) from: Option<Micros>,
    /// To the last segment with a message before this time [default: the last that is in the log]
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) to: Option<Micros>,
}

#[derive(Debug, Args)]
pub(crate) struct ProveAbsent {
    /// The session's id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) how: ProveHow,
    /// Begin of the time: RFC 3339, or a day
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) from: Micros,
    /// Its end, not included
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) to: Micros,
}

#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// The event's digest, as whoever sent it keeps it
    #[arg(value_parser = Digest::from_str)]
    pub(crate) digest: Digest,
    #[command(flatten)]
    pub(crate) how: ProveHow,
    /// The event's session: less has to be looked through
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// Where a bundle comes from and goes to, and what of it.
#[derive(Debug, Args)]
pub(crate) struct ProveHow {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Where the bundle goes
    #[arg(short, long, value_name = "BUNDLE")]
    pub(crate) output: PathBuf,
    /// Which bodies go into it: all, none, a role, a kind or a digest; role: and kind: tell the two apart; may be repeated
    #[arg(long, value_name = "WHAT", value_parser = Disclose::from_str)]
    pub(crate) disclose: Vec<Disclose>,
    /// The session's topic; needed where several could be meant
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Its partition; needed where several could be meant
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<u32>,
}

impl ProveEvent {
    /// What is known of the event.
    pub(crate) fn sought(&self) -> Option<Sought> {
        self.id.map(Sought::Id).or(self.digest.map(Sought::Digest))
    }
}
