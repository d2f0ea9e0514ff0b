//! The command line of `verify`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use replay::Since;
use schemas::Micros;

use super::Json;

/// Partitions verified at once.
const JOBS: usize = 4;
const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A folder made by `up`, a store's folder or URL, or an evidence bundle
    pub(crate) store: String,
    /// Of a bundle: a checkpoint of the log that you hold; the bundle's may not be older
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: VerifyHow,
    /// Runs again and again until it is told to stop; tells its log, metrics and a webhook what it finds
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
    /// How often, such as 30m or 1h
    #[arg(long, value_parser = every, value_name = "TIME", default_value = "1h", requires = "watch")]
    pub(crate) every: Duration,
    /// Answers `GET /metrics` on this address
    #[arg(long, value_name = "ADDR", requires = "watch")]
    pub(crate) listen: Option<SocketAddr>,
    /// Posts new findings to this URL, as JSON
    #[arg(long, value_name = "URL", requires = "watch")]
    pub(crate) webhook: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl Verify {
    /// Of one store, with all that has a default; what is remembered of its log lies in `state`.
    pub(crate) fn new(store: String, trust: PathBuf, state: PathBuf) -> Self {
        let (trust, state, jobs) = (Some(trust), Some(state), JOBS);
        let how = VerifyHow { trust, state, jobs, ..VerifyHow::default() };
        let json = Json { json: false };
        let (checkpoint, listen, webhook) = Default::default();
        Self { store, checkpoint, how, watch: false, every: HOUR, listen, webhook, json }
    }

    /// Whether the argument is a file, which no store is.
    pub(crate) fn is_bundle(&self) -> bool {
        Path::new(&self.store).is_file()
    }
}

/// What is looked at, and how closely.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct VerifyHow {
    /// Looks at versions, delete markers and locks too, and finds originals under what was put over them; S3 only
    #[arg(long)]
    pub(crate) storage: bool,
    /// Checks signatures with the keys in this file: a `[[source]]` table for each, with key_id, tenant, public_key (base64
    /// of 32 bytes), and, where all events of a producer must be signed, required = true and its producer_id
    #[arg(long, value_name = "FILE")]
    pub(crate) sources: Option<PathBuf>,
    /// Whom to trust for the log of segments: its verifier key, or a C2SP tlog-policy with witnesses too
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Certificates in PEM of the time-stamp authorities to trust
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: Option<PathBuf>,
    /// Where it is remembered what was seen of each log [default: chancery in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Finds fault with a heartbeat, cosignature or time-stamp that is the newest and older than so many hours
    #[arg(long, value_name = "HOURS")]
    pub(crate) fresh: Option<u64>,
    /// Reads in full only segments with a message of this time or later, or enrolled when the log had this size or more; of
    /// the others compares the record with the log
    #[arg(long, value_parser = since, value_name = "TIME|SIZE")]
    pub(crate) since: Option<Since>,
    /// Reads so many of the others in full too, chosen at random
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<u64>,
    /// Partitions verified at once
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    pub(crate) jobs: usize,
}

impl VerifyHow {
    /// Whether anything was said that means nothing for a bundle.
    pub(crate) fn is_for_stores(&self) -> bool {
        self.storage
            || self.sources.is_some()
            || self.state.is_some()
            || self.fresh.is_some()
            || self.since.is_some()
            || self.sample.is_some()
    }
}

/// A number is a size of the log; all else is a time.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(size) = text.parse() {
        return Ok(Since::Size(size));
    }
    super::read::time(text).map(|Micros(micros)| Since::Time(micros.div_euclid(1000)))
}

/// A number and a unit.
fn every(text: &str) -> Result<Duration, String> {
    let wrong = || "it must be like 30m, 1h or 1d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let number = number.ok_or_else(wrong)?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_size_and_all_else_a_time() {
        assert_eq!(since("17"), Ok(Since::Size(17)));
        assert_eq!(since("1970-01-02"), Ok(Since::Time(86_400_000)));
        assert!(since("-17").is_err() && since("soon").is_err());
    }

    #[test]
    fn a_schedule_is_a_number_and_a_unit() {
        assert_eq!(every("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(every("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "1", "h", "0s", "1hh", "-1h", "1.5h", "99999999999999999999d"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}
