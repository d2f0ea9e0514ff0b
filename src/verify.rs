//! `chancery verify`: everything that a store by itself can show.
#![expect(clippy::disallowed_methods, reason = "a shell: retention is judged by the clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use replay::emit::terminal;
use replay::{Progress, Source, Sources, VerifyOptions};
use schemas::Seconds;
use serde::Deserialize;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::{notice, stdout};
use crate::read::{failure, open};

/// Partitions verified at once.
const JOBS: usize = 4;

/// Checks everything that was sealed.
pub(crate) async fn run(args: cli::Verify) -> anyhow::Result<Exit> {
    if args.checkpoint.is_some() || args.roots.is_some() {
        return Err(Exit::Usage.error("--checkpoint and --roots are for bundles"));
    }
    let store = open(&args.store)?;
    let bar = bar();
    let told = |read: Progress| bar.inc(read.bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = Some(Seconds(i64::try_from(now)?));
    let sources = args.sources.as_deref().map(sources).transpose()?;
    let storage = args.storage && store.has_versions();
    if args.storage && !storage {
        notice("the store is a folder: it has neither versions nor locks that could be looked at");
    }
    let options = VerifyOptions {
        jobs: JOBS,
        now,
        storage,
        sources: sources.as_ref(),
        progress: Some(&told),
        ..VerifyOptions::default()
    };
    let verified = replay::verify(&store, options).await;
    bar.finish_and_clear();
    let report = verified.map_err(failure)?;
    let exit = match (report.ok, report.partitions) {
        // Nothing was looked at, most likely because the address is another than was meant: that is not good.
        (true, 0) => Exit::Incomplete,
        // What was asked for could not be looked at.
        (true, _) if args.storage && !storage => Exit::Incomplete,
        (true, _) => Exit::Good,
        (false, _) => Exit::Evidence,
    };
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
