//! SHELL: claim checks: bodies put to the object store, under their class's lock, before an event refers to them.
//!
//! A body's key has its salted digest, so nobody else writes it: an object that is there is one of ours, put by a try whose
//! answer was lost, and is compared. An object whose event never came stays; nothing refers to it, and its lock ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use schemas::{Digest, Micros, Seconds};
use store::{Created, Lock, Retention, Store};
use tokio::sync::Semaphore;

use crate::claim::Claim;
use crate::class;
use crate::config::Config;
use crate::error::Error;
use crate::metrics::wide;
use crate::refusal::Refusal;

/// Bodies of all requests that are on their way to the store at a time.
const PUTS_MAX: usize = 16;
/// Tries of one body.
const TRIES_MAX: usize = 3;
/// How long a request waits for all of its bodies.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The store for bodies that a sink would not take.
#[derive(Clone, Debug)]
pub struct Claims {
    store: Store,
    retention: Retention,
    slots: Arc<Semaphore>,
}

impl Claims {
    /// `retention` says how bodies are locked.
    #[must_use]
    pub fn new(store: Store, retention: Retention) -> Self {
        Self { store, retention, slots: Arc::new(Semaphore::new(PUTS_MAX)) }
    }

    /// Whether each class has a lock.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Error> {
        for class in class::names(config) {
            let locked = self.retention.lock(class, Seconds(0));
            locked.map_err(|source| Error::Retention { class: class.to_owned(), source })?;
        }
        Ok(())
    }

    /// Puts the bodies; when it returns they are in the store, or one of them is not known to be.
    pub(crate) async fn put(
        &self,
        claims: Vec<Claim>,
        config: &Config,
        now: Micros,
    ) -> Result<(), Refusal> {
        let puts = claims.into_iter().map(|claim| async move {
            let lock =
                self.retention.lock(claim.class.name(config), Seconds(now.0.div_euclid(1_000_000)));
            let lock = lock.map_err(|error| Refusal::unavailable(error.to_string()))?;
            self.put_one(claim, lock).await
        });
        let late = |_| Refusal::unavailable("the store does not answer");
        tokio::time::timeout(WAIT_MAX, try_join_all(puts)).await.map_err(late)?.map(drop)
    }

    async fn put_one(&self, claim: Claim, lock: Lock) -> Result<(), Refusal> {
        let Claim { key, data, .. } = claim;
        let data = Bytes::from(data);
        let stopping = |_| Refusal::unavailable("the gateway is stopping");
        let _slot = self.slots.acquire().await.map_err(stopping)?;
        for left in (0..TRIES_MAX).rev() {
            match self.store.create(&key, data.clone(), Some(lock)).await {
                Ok(Created::New) => return Ok(()),
                Ok(Created::Exists) => return self.compare(&key, &data).await,
                // Whether it is there nobody knows: the next try finds out.
                Err(error) => tracing::warn!(%error, key, left, "a body could not be put"),
            }
        }
        Err(Refusal::unavailable("the store does not take a body"))
    }

    async fn compare(&self, key: &str, data: &[u8]) -> Result<(), Refusal> {
        match self.store.size_and_sha256(key).await {
            Ok(Some(found)) if found == (wide(data.len()), Digest::of(data)) => Ok(()),
            Ok(_) => {
                tracing::error!(key, "the object is not the body that its key names");
                Err(Refusal::unavailable("the store holds another object in a body's place"))
            }
            Err(error) => {
                tracing::warn!(%error, key, "a body could not be compared");
                Err(Refusal::unavailable("the store does not answer"))
            }
        }
    }
}
