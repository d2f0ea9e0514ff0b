//! `chancery verify`: everything that a store by itself can show, and what earlier runs and the user's trust add to that.
#![expect(clippy::disallowed_methods, reason = "a shell: retention is judged by the clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anchor::timestamp::Roots;
use indicatif::{ProgressBar, ProgressStyle};
use replay::emit::terminal;
use replay::{
    Finding, Kind, LogOptions, LogReport, Progress, Report, Sample, Source, Sources, Store,
    VerifyOptions,
};
use schemas::tlog::{Checkpoint, Policy, SignedCheckpoint};
use schemas::{Digest, Seconds};
use serde::Deserialize;

use crate::bundle::{roots, stamped, trust};
use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::log_key;
use crate::output::{notice, stdout};
use crate::read::{failure, open};
use crate::remembered::{Memory, Remembered, address};
use crate::watch;

/// Checks everything that was sealed.
pub(crate) async fn run(args: cli::Verify) -> anyhow::Result<Exit> {
    if args.checkpoint.is_some() {
        return Err(Exit::Usage.error("--checkpoint is for bundles"));
    }
    let verifier = Verifier::new(&args)?;
    if args.watch {
        return watch::run(&verifier, &args).await;
    }
    let bar = bar();
    let told = |read: Progress| bar.inc(read.bytes);
    let verified = verifier.once(Some(&told)).await;
    bar.finish_and_clear();
    let report = verified?;
    let exit = verifier.exit(&report);
    let written = stdout(|out| {
        if args.json.json {
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)
        } else {
            terminal::report(&report, out)
        }
    });
    if report.partitions == 0 {
        notice("there is no chain here, and so nothing to verify; is it the right store?");
    }
    // The verdict stands, whether or not somebody reads all of it.
    match written.map_err(anyhow::Error::from) {
        Err(error) if !crate::output::is_closed(&error) => Err(error),
        _ => Ok(exit),
    }
}

/// What is verified, and how.
#[derive(Debug)]
pub(crate) struct Verifier {
    store: Store,
    pub(crate) address: String,
    args: cli::VerifyHow,
    /// Whether versions and locks are looked at: as was asked for, and as the store has any.
    storage: bool,
    sources: Option<Arc<Sources>>,
    trust: Option<Policy>,
    /// Whom to believe about time.
    roots: Option<Roots>,
    memory: Option<Memory>,
}

impl Verifier {
    fn new(args: &cli::Verify) -> anyhow::Result<Self> {
        let (store, how) = (open(&args.store)?, args.how.clone());
        let storage = how.storage && store.has_versions();
        if how.storage && !storage {
            notice(
                "the store is a folder: it has neither versions nor locks that could be looked at",
            );
        }
        let memory = Memory::open(how.state.as_deref());
        if memory.is_none() {
            notice("nothing is remembered: there is no home for it; --state names a folder");
        }
        let sources = how.sources.as_deref().map(sources).transpose()?;
        let trust = how.trust.as_deref().map(trust).transpose()?;
        let roots = how.roots.as_deref().map(roots).transpose()?;
        let address = address(&args.store);
        Ok(Self { store, address, args: how, storage, sources, trust, roots, memory })
    }

    /// Verifies once, and remembers what was seen.
    pub(crate) async fn once(
        &self,
        progress: Option<&(dyn Fn(Progress) + Sync)>,
    ) -> anyhow::Result<Report> {
        let now = now()?;
        let (mut remembered, mut expected) = (Vec::new(), None);
        if let Some(memory) = &self.memory {
            remembered = memory.all()?;
            expected = memory.log_of(&self.address)?;
        }
        let seen: Vec<Checkpoint> =
            remembered.into_iter().map(|one| one.checkpoint.checkpoint).collect();
        let judge = |stamp: &[u8], of: &Digest| stamped(stamp, of, self.roots.as_ref());
        let log = LogOptions {
            trust: self.trust.as_ref(),
            remembered: &seen,
            expected: expected.as_ref(),
            fresh_hours: self.args.fresh,
            stamps: Some(&judge),
        };
        let options = VerifyOptions {
            jobs: self.args.jobs,
            now: Some(now),
            storage: self.storage,
            sources: self.sources.as_ref(),
            log,
            since: self.args.since,
            sample: self.args.sample.map(sample).transpose()?,
            progress,
        };
        let report = replay::verify(&self.store, options).await.map_err(failure)?;
        match &report.log {
            Some(log) => {
                // The verdict stands, and the next run cannot tell whether the log has gone on from it.
                if let Err(error) = self.remember(&report, log, now) {
                    notice(format_args!("what was seen of the log is not remembered: {error:#}"));
                }
            }
            None if self.trust.is_some() => {
                notice("the store has no log of segments: whom you trust is not asked");
            }
            None => {}
        }
        self.explain(&report);
        if report.log.is_none() && (options.since.is_some() || options.sample.is_some()) {
            notice("the store has no log of segments: every segment was read");
        }
        Ok(report)
    }

    /// Who made a store anew finds it to be another than it was, and must be told how to say so.
    fn explain(&self, report: &Report) {
        let is_new = |finding: &Finding| matches!(finding.kind, Kind::RolledBack | Kind::Rewritten);
        if let (Some(memory), true) = (&self.memory, report.findings.iter().any(is_new)) {
            let folder = memory.folder().display();
            notice(format_args!(
                "what earlier runs saw is remembered in {folder}; only if it is no more true on purpose, remove it there"
            ));
        }
    }

    /// A log of which nothing is wrong is remembered.
    fn remember(&self, report: &Report, log: &LogReport, now: Seconds) -> anyhow::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let Some(checkpoint) = SignedCheckpoint::parse(log.checkpoint.as_bytes()).ok() else {
            return Ok(());
        };
        if !log.ok {
            return Ok(());
        }
        let origin = checkpoint.checkpoint.origin.clone();
        let before = memory.of(&origin)?.and_then(|before| before.good);
        let all = report.ok && report.unread == 0;
        let good = if all { Some((log.size, now)) } else { before };
        memory.put(&Remembered { good, checkpoint })?;
        memory.found_in(&self.address, &origin)
    }

    /// How a run ends the command.
    pub(crate) fn exit(&self, report: &Report) -> Exit {
        let unseen =
            (self.args.storage && !self.storage) || (self.trust.is_some() && report.log.is_none());
        match (report.ok, report.partitions) {
            // Nothing was looked at, most likely because the address is another than was meant: that is not good.
            (true, 0) => Exit::Incomplete,
            // What was asked for could not be looked at.
            (true, _) if unseen => Exit::Incomplete,
            (true, _) => Exit::Good,
            (false, _) => Exit::Evidence,
        }
    }
}

/// The time.
pub(crate) fn now() -> anyhow::Result<Seconds> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Seconds(i64::try_from(now)?))
}

/// So many segments, which nobody can know before.
fn sample(count: u64) -> anyhow::Result<Sample> {
    Ok(Sample { count, seed: log_key::random()? })
}

/// The keys of sources, from a file of `[[source]]` tables.
fn sources(path: &Path) -> anyhow::Result<Arc<Sources>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        source: Vec<Source>,
    }
    let what = || format!("cannot take the sources of {}", path.display());
    let text = std::fs::read_to_string(path).or_exit(Exit::Usage, what())?;
    let file: File = toml::from_str(&text).or_exit(Exit::Usage, what())?;
    Sources::new(file.source).map(Arc::new).or_exit(Exit::Usage, what())
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {bytes} verified, {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
