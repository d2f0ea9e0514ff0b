//! SHELL: one machine with a log of segments, in a temporary folder: embedded log, store, sealer and key.

use std::path::PathBuf;

use anyhow::Context;
use schemas::signature::SigningKey;
use schemas::tlog::{KeyName, LogSigner, Policy};
use sealer::{Config, Enrolling, LogConfig, Metrics, Source};
use spool::Spool;
use store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::clock::{Of, Spent, timed};
use crate::topic::Message;

/// Events of a segment, where nothing else is said.
pub(crate) const ROWS: usize = 1_000;

/// A deployment. Its folder goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Deployment {
    dir: TempDir,
    pub(crate) spool: Spool,
    pub(crate) runtime: Runtime,
}

impl Deployment {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        let (spool, _) = Spool::open(&dir.path().join("spool"), spool::Config::default())?;
        Ok(Self { dir, spool, runtime: Runtime::new()? })
    }

    /// Folder of the store.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        let folder = self.folder();
        Ok(Store::open(folder.to_str().context("the folder's name is not UTF-8")?)?)
    }

    pub(crate) fn append(
        &self,
        messages: impl IntoIterator<Item = anyhow::Result<Message>>,
    ) -> anyhow::Result<()> {
        let messages = messages.into_iter().map(|message| {
            let Message { timestamp_ms, key, value } = message?;
            Ok(spool::Message { timestamp_ms, key: Some(key), value })
        });
        self.spool.append(messages.collect::<anyhow::Result<_>>()?)?;
        Ok(())
    }

    /// A sealer, until `stop`; one that enrols too, where an interval is given.
    pub(crate) fn sealer(
        &self,
        config: Config,
        interval_ms: Option<u64>,
        stop: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = Result<(), sealer::Error>> + Send + 'static> {
        let source = Source::Spool(self.spool.clone(), schemas::Topic::new("events")?);
        let enrolling = interval_ms.map(enrolling).transpose()?;
        let (store, metrics) = (self.store()?, Metrics::default());
        Ok(sealer::run(source, store, config, None, enrolling, metrics, stop))
    }

    /// Seals all there is, enrols it where that is wanted, and ends.
    pub(crate) fn seal(&self, rows: usize, enrols: bool) -> anyhow::Result<Spent> {
        let stop = CancellationToken::new();
        stop.cancel();
        let config = Config { segment_rows_max: rows, ..Config::default() };
        let sealer = self.sealer(config, enrols.then_some(1), stop)?;
        let (sealed, spent) = timed(Of::Process, || self.runtime.block_on(sealer))?;
        sealed?;
        Ok(spent)
    }
}

pub(crate) fn signer() -> anyhow::Result<LogSigner> {
    Ok(LogSigner::new(KeyName::new("bench.example/log")?, SigningKey::from_bytes(&[7; 32])))
}

/// The policy of whoever trusts the log's key.
pub(crate) fn policy() -> anyhow::Result<Policy> {
    Ok(Policy::parse(&format!("log {}\n", signer()?.verifier()))?)
}

fn enrolling(interval_ms: u64) -> anyhow::Result<Enrolling> {
    let config = LogConfig { interval_ms, ..LogConfig::default() };
    Ok(Enrolling { signers: vec![signer()?], config, policy: Policy::parse("")? })
}
