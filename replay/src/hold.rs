//! SHELL. Legal holds on everything that a session's trace rests on: its segments, their records, the openings of their
//! epochs and its bodies, each in the version that was enrolled.
//!
//! S3 keeps one hold for a version, whoever put it there: segments are shared with other sessions, and so are their holds.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use schemas::{Digest, Epoch, Offset, SessionKey, Tenant};
use serde::Serialize;
use store::S3;

use crate::command::find;
use crate::error::{Error, causes};
use crate::fetch::{Shelf, Store};
use crate::load::{self, Index};

/// Objects asked for at once.
const AT_ONCE: usize = 8;

/// What is done about holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Puts one on every object.
    Add,
    /// Takes it away.
    Remove,
    /// Says where one is.
    List,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// The opening of an epoch.
    Opening,
    /// The record of a segment.
    Record,
    /// A segment.
    Segment,
    /// A claim-checked body.
    Body,
}

/// An object that a session's trace rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its key.
    pub object: String,
    /// The version that was enrolled; none where it is gone.
    pub version: Option<String>,
    /// Whether it has a hold now; none where that could not be found out.
    pub held: Option<bool>,
    /// Whether it had another state before.
    pub changed: bool,
    /// Why the hold is not as it was asked for.
    pub error: Option<String>,
}

/// Adds, removes or lists the holds of one session. What was asked for and could not be done is told object by object.
///
/// # Errors
/// No such session, several of it, a store without holds, or one that cannot be read.
pub async fn hold(
    store: &Store,
    tenant: Option<&Tenant>,
    session: &str,
    hold: Hold,
) -> Result<Vec<Object>, Error> {
    let none = |why| Error::NoHolds { why };
    let s3 = store.objects().s3().ok_or(none("the store is a folder, and only S3 has them"))?;
    let bucket = s3.bucket().await;
    let bucket = bucket
        .map_err(|source| Error::Read { key: "the bucket".to_owned(), source: Box::new(source) })?;
    if !bucket.lock {
        return Err(none("the bucket was made without object lock"));
    }
    let mut rests = BTreeSet::new();
    for (shelf, index) in find(store, tenant, session, true).await? {
        rests.extend(rests_on(store, &shelf, &index).await?);
    }
    let done = stream::iter(rests).map(|(kind, key, version)| apply(s3, hold, kind, key, version));
    Ok(done.buffered(AT_ONCE).collect().await)
}

/// What an object is, its key, and the version that was enrolled.
type Rest = (ObjectKind, String, Option<String>);

/// The objects that sessions rest on in one partition.
async fn rests_on(store: &Store, shelf: &Shelf, index: &Index) -> Result<Vec<Rest>, Error> {
    let mut rests = Vec::new();
    let epochs: BTreeSet<Epoch> = index.places.keys().map(|(epoch, _)| *epoch).collect();
    for epoch in epochs {
        let opening = load::opening(store, shelf, epoch).await?;
        let version = opening.and_then(|(_, pinned)| pinned.version).map(|v| v.version);
        rests.push((ObjectKind::Opening, shelf.epoch_key(epoch), version));
    }
    for (&at, sessions) in &index.places {
        rests.extend(at_place(store, shelf, at, sessions).await?);
    }
    Ok(rests)
}

async fn at_place(
    store: &Store,
    shelf: &Shelf,
    at: (Epoch, Offset),
    sessions: &[SessionKey],
) -> Result<Vec<Rest>, Error> {
    let (key, record_key) = (shelf.segment_key(at.0, at.1), shelf.record_key(at.0, at.1));
    let record = load::record(store, shelf, at).await?;
    let version = match &record {
        Some((record, _)) => store.original(&key, record.sha256).await?,
        // Nothing says which of its versions is the original: the one that was read is the one there is.
        None => shelf.only_version(&key),
    };
    let beside = record.and_then(|(_, pinned)| pinned.version);
    let mut rests = vec![
        (ObjectKind::Segment, key, version.map(|v| v.version)),
        (ObjectKind::Record, record_key, beside.map(|v| v.version)),
    ];
    for (body, sha256) in bodies(store, shelf, at, sessions).await? {
        let version = match sha256 {
            Some(sha256) => store.original(&body, sha256).await?,
            None => None,
        };
        rests.push((ObjectKind::Body, body, version.map(|v| v.version)));
    }
    Ok(rests)
}

/// The bodies of these sessions that a segment lists, by key.
async fn bodies(
    store: &Store,
    shelf: &Shelf,
    at: (Epoch, Offset),
    sessions: &[SessionKey],
) -> Result<BTreeMap<String, Option<Digest>>, Error> {
    let Some(segment) = load::fetch(store, shelf, at).await?.segment else {
        return Ok(BTreeMap::new());
    };
    let claims = segment.footer.claims(&segment.record);
    let key = shelf.segment_key(at.0, at.1);
    let claims = claims.map_err(|why| Error::Damaged { key, why: why.to_owned() })?;
    let of_session = claims.iter().filter(|claim| sessions.contains(&claim.session));
    Ok(of_session.map(|claim| (claim.key(), claim.object.map(|(_, sha256)| sha256))).collect())
}

async fn apply(
    s3: &S3,
    hold: Hold,
    kind: ObjectKind,
    object: String,
    version: Option<String>,
) -> Object {
    let mut done = Object { kind, object, version, held: None, changed: false, error: None };
    let Some(version) = done.version.as_deref() else {
        done.error = Some("it is gone".to_owned());
        return done;
    };
    match s3.hold(&done.object, Some(version)).await {
        Ok(held) => done.held = Some(held),
        Err(error) => {
            done.error = Some(causes(&error));
            return done;
        }
    }
    let asked = match hold {
        Hold::Add => true,
        Hold::Remove => false,
        Hold::List => return done,
    };
    if done.held != Some(asked) {
        match s3.set_hold(&done.object, Some(version), asked).await {
            Ok(()) => (done.held, done.changed) = (Some(asked), true),
            Err(error) => done.error = Some(causes(&error)),
        }
    }
    done
}
