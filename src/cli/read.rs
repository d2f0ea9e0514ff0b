//! The command lines of what reads a store.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schemas::{Micros, TraceId};

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
    #[arg(required_unless_present = "trace_id", conflicts_with = "trace_id")]
    pub(crate) session: Option<String>,
    /// A trace instead, wherever its events are
    #[arg(long, value_parser = trace_id, value_name = "HEX")]
    pub(crate) trace_id: Option<TraceId>,
    /// Only the session itself, not what others tell of its traces
    #[arg(long, conflicts_with = "trace_id")]
    pub(crate) only: bool,
    /// Contents in full, not their beginnings
    #[arg(long)]
    pub(crate) full: bool,
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
    /// Where to [default: standard output]; for exchanges a new folder
    #[arg(short, long, value_name = "PATH", required_if_eq("form", "exchanges"))]
    pub(crate) output: Option<PathBuf>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// Each event with its contents
    Jsonl,
    /// Each session as `import openai-chat` takes it
    OpenaiChat,
    /// Recorded HTTP exchanges: an index, and each body byte for byte as a file
    Exchanges,
}

/// 32 hex digits, as trace viewers show them.
fn trace_id(text: &str) -> Result<TraceId, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "it must be 32 hex digits".to_owned())
}

/// RFC 3339, or a day, which begins at midnight UTC.
pub(super) fn time(text: &str) -> Result<Micros, String> {
    let day = || Micros::parse(&format!("{text}T00:00:00Z"));
    let wrong = || "it must be like 2026-11-22T10:00:00Z or 2026-11-22".to_owned();
    Micros::parse(text).or_else(day).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_32_hex_digits() {
        assert_eq!(trace_id(&"AB".repeat(16)), Ok(TraceId([0xab; 16])));
        assert!(trace_id("ab").is_err());
    }

    #[test]
    fn times_are_rfc_3339_or_days() {
        assert_eq!(time("1970-01-02"), Ok(Micros(86_400_000_000)));
        assert_eq!(time("1970-01-01T00:00:01+00:00"), Ok(Micros(1_000_000)));
        assert!(time("soon").is_err());
    }
}
