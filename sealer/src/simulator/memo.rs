//! What Parquet has done once for the same inputs is remembered: a run writes segments of two rows and seventy columns, and
//! would spend all its time in the compressor's set-up.
//!
//! The work itself is the real one, and its key is everything that goes into it.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use schemas::{Digest, Place};

use crate::adopt::Segment;
use crate::batch::Batch;
use crate::chain::Head;
use crate::claims::Claims;
use crate::encode::{Encoded, Terms};
use crate::error::Error;

/// Entries that are kept of each kind; then it begins anew.
const ENTRIES_MAX: usize = 8192;

/// Results by the digest of their inputs.
#[derive(Debug)]
pub(super) struct Memo<T>(RefCell<HashMap<Digest, T>>);

impl<T: Clone> Memo<T> {
    pub(super) fn new() -> Self {
        Self(RefCell::default())
    }

    /// What is known for `key`; else `make` says it, and also whether it may be kept.
    pub(super) fn of<E>(
        &self,
        key: Digest,
        make: impl FnOnce() -> Result<(T, bool), E>,
    ) -> Result<T, E> {
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(known.clone());
        }
        let (made, keep) = make()?;
        let mut kept = self.0.borrow_mut();
        if kept.len() >= ENTRIES_MAX {
            kept.clear();
        }
        if keep {
            kept.insert(key, made.clone());
        }
        Ok(made)
    }
}

thread_local! {
    static ENCODED: Memo<Option<Encoded>> = Memo::new();
    static SEGMENTS: Memo<Segment> = Memo::new();
}

/// How segments are encoded.
type Encode = fn(&Batch, &Head, &Terms, &[u8; 32], &mut Claims) -> Result<Option<Encoded>, Error>;

/// As `work`, which is the sealer's own. What changes the claims is not kept.
pub(crate) fn encode(
    work: Encode,
) -> impl Fn(&Batch, &Head, &Terms, &[u8; 32], &mut Claims) -> Result<Option<Encoded>, Error> {
    move |batch, head, terms, seed, claims| {
        let inputs = format!("{batch:?} {head:?} {terms:?} {seed:?} {claims:?}");
        ENCODED.with(|memo| {
            memo.of(Digest::of(inputs.as_bytes()), || {
                let before = claims.clone();
                let encoded = work(batch, head, terms, seed, claims)?;
                Ok((encoded, *claims == before))
            })
        })
    }
}

/// As `read`, which makes a segment of an object's bytes, its place and its key.
pub(crate) fn segment(
    read: fn(&Bytes, Place, String) -> Result<Segment, String>,
) -> impl Fn(&Bytes, Place, String) -> Result<Segment, String> {
    move |bytes, place, key| {
        let inputs = format!("{} {place:?} {key}", Digest::of(bytes));
        SEGMENTS.with(|memo| {
            memo.of(Digest::of(inputs.as_bytes()), || Ok((read(bytes, place, key)?, true)))
        })
    }
}
