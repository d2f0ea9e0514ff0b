//! SHELL: the task that has checkpoints vouched for from outside: cosigned by witnesses, and time-stamped. Nobody waits for it;
//! what fails is tried again at the next turn, and its age shows in the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use anchor::{Authority, Error as Failed, Witness};
use bytes::Bytes;
use schemas::tlog::{
    Checkpoint, LogKey, Node, Policy, SignedCheckpoint, consistency_ranges, fold, nodes,
};
use schemas::{Digest, Seconds};
use store::Created;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::LogConfig;
use crate::enrol::Desk;
use crate::error::{Error, causes};
use crate::metrics::AnchorMetrics;
use crate::tail::{CHECKPOINT_BYTES_MAX, wrong};

/// A signature line, or a time-stamp.
const ANCHOR_BYTES_MAX: u64 = 64 << 10;
/// A witness that says what it saw last is asked again from there, so often.
const ASKS_MAX: usize = 2;

/// Who vouches, and how far each has.
#[derive(Debug)]
pub(crate) struct Anchors {
    desk: Desk,
    witnesses: Vec<Watching>,
    authorities: BTreeMap<String, Authority>,
    witness_interval: Duration,
    timestamp_interval: Duration,
    metrics: AnchorMetrics,
}

/// A witness, and the size that it saw last as far as this process knows.
#[derive(Debug)]
struct Watching {
    name: String,
    id: [u8; 4],
    witness: Witness,
    seen: u64,
}

/// The newest checkpoint.
struct Newest {
    signed: SignedCheckpoint,
    bytes: Bytes,
}

impl Anchors {
    /// # Errors
    /// A setting that cannot work.
    pub(crate) fn new(
        desk: Desk,
        config: &LogConfig,
        policy: &Policy,
        metrics: AnchorMetrics,
    ) -> Result<Self, Error> {
        let unusable = |error: Failed| Error::Config(format!("log: {error}"));
        let asked = policy.witnesses.iter().filter(|witness| witness.url.is_some());
        let ca = config.witness_ca.as_deref();
        let watching = |one: &schemas::tlog::Witness| {
            let witness = Witness::new(one, ca, config.witness_timeout_ms).map_err(unusable)?;
            Ok(Watching { name: one.name.clone(), id: one.key.id(), witness, seen: 0 })
        };
        let mut authorities = BTreeMap::new();
        for (name, config) in &config.authorities {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
                let why =
                    format!("log.authorities: the name {name:?} must match [a-z0-9-]{{1,64}}");
                return Err(Error::Config(why));
            }
            authorities.insert(name.clone(), Authority::new(config).map_err(unusable)?);
        }
        Ok(Self {
            desk,
            witnesses: asked.map(watching).collect::<Result<_, Error>>()?,
            authorities,
            witness_interval: Duration::from_millis(config.witness_interval_ms.max(1)),
            timestamp_interval: Duration::from_millis(config.timestamp_interval_ms.max(1)),
            metrics,
        })
    }

    /// Has checkpoints vouched for until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let turn = self.witness_interval.min(self.timestamp_interval);
        let mut stamp_in = Duration::ZERO;
        while stop.run_until_cancelled(clock::wait(turn)).await.is_some() {
            stamp_in = stamp_in.saturating_sub(turn);
            let newest = match self.newest().await {
                Ok(Some(newest)) => newest,
                Ok(None) => continue,
                Err(error) => {
                    warn!(%error, "no checkpoint to have vouched for");
                    continue;
                }
            };
            self.cosign(&newest).await;
            if stamp_in.is_zero() && self.stamp(&newest).await {
                stamp_in = self.timestamp_interval;
            }
        }
    }

    async fn newest(&self) -> Result<Option<Newest>, Error> {
        let key = LogKey::Checkpoint.to_string();
        let Some(bytes) = self.desk.store.get(&key, CHECKPOINT_BYTES_MAX).await? else {
            return Ok(None);
        };
        let signed = SignedCheckpoint::parse(&bytes).map_err(|error| wrong(&key, error.0))?;
        let ours = self.desk.signers.iter().any(|key| signed.check(&key.verifier()).is_ok());
        let newest = Newest { signed, bytes };
        if ours { Ok(Some(newest)) } else { Err(wrong(&key, "it is signed with none of the keys")) }
    }

    async fn cosign(&mut self, newest: &Newest) {
        let checkpoint = &newest.signed.checkpoint;
        for watching in &mut self.witnesses {
            let (name, size) = (watching.name.clone(), checkpoint.size);
            match watching.cosign(&self.desk, newest).await {
                Ok(None) => {}
                Ok(Some(time)) => {
                    self.metrics.cosigned(&name, time);
                    info!(witness = %name, size, "checkpoint cosigned");
                }
                Err(why) => {
                    self.metrics.failed(&name);
                    match why {
                        Why::Refused(error) => {
                            error!(witness = %name, size, %error, "a witness does not vouch for the log");
                        }
                        Why::Not(why) => {
                            warn!(witness = %name, size, why, "the checkpoint is not cosigned yet");
                        }
                    }
                }
            }
        }
    }

    /// Whether every authority has stamped it.
    async fn stamp(&self, newest: &Newest) -> bool {
        let (size, digest) = (newest.signed.checkpoint.size, Digest::of(&newest.bytes));
        let mut all = true;
        for (name, authority) in &self.authorities {
            let key = LogKey::Timestamp(size, name.clone());
            match self.stamp_by(authority, &key, &digest).await {
                Ok(None) => {}
                Ok(Some(time)) => {
                    self.metrics.stamped(name, time);
                    info!(authority = %name, size, "checkpoint time-stamped");
                }
                Err(why) => {
                    all = false;
                    self.metrics.failed(name);
                    warn!(authority = %name, size, why, "the checkpoint is not time-stamped yet");
                }
            }
        }
        all
    }

    async fn stamp_by(
        &self,
        authority: &Authority,
        key: &LogKey,
        digest: &Digest,
    ) -> Result<Option<Seconds>, String> {
        let key = key.to_string();
        if self
            .desk
            .store
            .get(&key, ANCHOR_BYTES_MAX)
            .await
            .map_err(|error| causes(&error))?
            .is_some()
        {
            return Ok(None);
        }
        let answer = authority.stamp(digest).await.map_err(|error| causes(&error))?;
        keep(&self.desk, &key, answer.response.into()).await.map_err(|error| causes(&error))?;
        Ok(Some(answer.stamped.time))
    }
}

/// Why there is no cosignature.
enum Why {
    /// The witness says that the log was rewritten.
    Refused(Failed),
    /// Anything else, which may pass.
    Not(String),
}

impl Watching {
    /// When the witness signed; `None` where it had signed already.
    async fn cosign(&mut self, desk: &Desk, newest: &Newest) -> Result<Option<Seconds>, Why> {
        let not = |error: Error| Why::Not(causes(&error));
        let checkpoint = &newest.signed.checkpoint;
        let key = LogKey::Cosignature(checkpoint.size, self.id).to_string();
        let there = desk.store.get(&key, ANCHOR_BYTES_MAX).await;
        if there.map_err(|error| not(error.into()))?.is_some() {
            self.seen = checkpoint.size;
            return Ok(None);
        }
        for _ in 0..ASKS_MAX {
            let proof = consistency(desk, self.seen, checkpoint).await.map_err(not)?;
            match self.witness.cosign(self.seen, &proof, &newest.signed).await {
                Ok(cosignature) => {
                    self.seen = checkpoint.size;
                    let line = Bytes::from(cosignature.line.to_string());
                    keep(desk, &key, line).await.map_err(not)?;
                    return Ok(Some(cosignature.time));
                }
                // It has seen more already: the next checkpoint is cosigned.
                Err(Failed::Size { size, .. }) if size > checkpoint.size => return Ok(None),
                Err(Failed::Size { size, .. }) => self.seen = size,
                Err(error @ Failed::Inconsistent { .. }) => return Err(Why::Refused(error)),
                Err(error) => return Err(Why::Not(causes(&error))),
            }
        }
        Err(Why::Not("it names another size each time".to_owned()))
    }
}

/// What is written once and never again; whoever came first is as good.
async fn keep(desk: &Desk, key: &str, bytes: Bytes) -> Result<(), Error> {
    let lock = desk.keeping.record_lock(clock::now())?;
    let (Created::New | Created::Exists) = desk.store.create(key, bytes, lock).await?;
    Ok(())
}

/// The proof that the log of `old` entries is the beginning of the checkpoint's, out of the tiles.
async fn consistency(desk: &Desk, old: u64, checkpoint: &Checkpoint) -> Result<Vec<Digest>, Error> {
    let mut proof = Vec::new();
    for range in consistency_ranges(old, checkpoint.size) {
        let mut roots = Vec::new();
        for node in nodes(&range) {
            roots.push(root(desk, &node, checkpoint.size).await?);
        }
        proof.extend(fold(&roots));
    }
    Ok(proof)
}

async fn root(desk: &Desk, node: &Node, size: u64) -> Result<Digest, Error> {
    let missing = || wrong("log/tile", "the tree has not what a proof needs");
    let tile = node.tile(size).ok_or_else(missing)?;
    node.root(&desk.tile(tile).await?).ok_or_else(missing)
}
