//! SHELL. The objects of claim-checked bodies: whether they are there, as their segments list them.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};
use schemas::{Digest, Salt};

use crate::claim::Claim;
use crate::due::{Due, NEVER_THERE};
use crate::error::Error;
use crate::fetch::Store;
use crate::finding::{Findings, Kind};
use crate::storage::Storage;
use crate::version::{Pinned, Versions, oldest_first, put};

/// Whether a claim-checked body is there, as its segment lists it; without a salt it is encrypted and only its bytes count.
pub(crate) async fn check_claim(
    store: &Store,
    claim: Claim,
    salt: Option<Salt>,
    expired: bool,
) -> Result<Option<(String, &'static str)>, Error> {
    let key = claim.key();
    let Some((size, sha256)) = claim.object else { return Ok(Some((key, NEVER_THERE))) };
    let due = Due { size, sha256, digest: claim.digest, salt, lock: None, expired };
    let fault = match read(store, &key, None, salt).await? {
        None if expired => None,
        None => Some("it is gone"),
        Some(body) => body.fault(&due),
    };
    Ok(fault.map(|why| (key, why)))
}

/// What an object was found to hold.
enum Body {
    Read {
        size: u64,
        sha256: Digest,
        /// Digest of its content with the salt, where there is one.
        content: Option<Digest>,
    },
    /// The store answers, and does not give it.
    Withheld,
}

impl Body {
    fn fault(&self, due: &Due) -> Option<&'static str> {
        let Self::Read { size, sha256, content } = self else {
            return Some("the store does not give it");
        };
        if (*size, *sha256) != (due.size, due.sha256) {
            return Some("its bytes are not those that its segment lists");
        }
        let other = content.is_some_and(|digest| digest != due.digest);
        other.then_some("its digest is not that of its salt and bytes")
    }
}

/// These bodies may be larger than what is held in memory, and so are hashed as they come.
async fn read(
    store: &Store,
    key: &str,
    version: Option<&str>,
    salt: Option<Salt>,
) -> Result<Option<Body>, Error> {
    let mut object = Context::new(&SHA256);
    let mut content = salt.map(|salt| {
        let mut context = Context::new(&SHA256);
        context.update(b"chancery.body.v1\0");
        context.update(&salt.0);
        context
    });
    let size = store.stream(key, version, |chunk| {
        object.update(chunk);
        if let Some(content) = &mut content {
            content.update(chunk);
        }
    });
    match size.await {
        Ok(Some(size)) => {
            let content = content.map(digest);
            Ok(Some(Body::Read { size, sha256: digest(object), content }))
        }
        Ok(None) => Ok(None),
        Err(Error::Read { .. }) if store.answers().await => Ok(Some(Body::Withheld)),
        Err(error) => Err(error),
    }
}

fn digest(context: Context) -> Digest {
    let mut digest = Digest::ZERO;
    digest.0.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

/// One pass over all versions under `bodies/`: those that segments list against what is due, the others counted.
pub(crate) async fn bodies(
    store: &Store,
    storage: &mut Storage<'_>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let due = std::mem::take(&mut storage.bodies);
    let mut found = BTreeMap::new();
    // Only what is listed or has several versions is kept: a body that is neither says nothing.
    let mut last: Option<(String, Versions)> = None;
    let (mut unlisted, mut plain) = (0, 0);
    let mut keep = |(key, mut versions): (String, Versions)| {
        let listed = due.contains_key(&key);
        unlisted += u64::from(!listed);
        if listed || versions.list.len() > 1 || versions.list.iter().any(|v| v.is_delete_marker) {
            oldest_first(&mut versions);
            found.insert(key, versions);
        } else {
            plain += 1;
        }
    };
    store
        .each_version("bodies/", |version| {
            if last.as_ref().is_some_and(|(key, _)| *key != version.key) {
                last.take().into_iter().for_each(&mut keep);
            }
            let (_, versions) =
                last.get_or_insert_with(|| (version.key.clone(), Versions::default()));
            put(versions, version);
        })
        .await?;
    last.into_iter().for_each(&mut keep);
    storage.counts.unlisted_bodies += unlisted;
    storage.counts.versions += plain;
    for (key, due) in &due {
        let versions = found.remove(key).unwrap_or_default();
        body(store, key, due, &versions, storage, findings).await?;
    }
    for (key, versions) in found {
        let pinned = Pinned::oldest(&versions);
        storage.others(&key, &pinned, false, findings);
    }
    Ok(())
}

async fn body(
    store: &Store,
    key: &str,
    due: &Due,
    versions: &Versions,
    storage: &mut Storage<'_>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut pinned = Pinned::oldest(versions);
    let mut fault = None;
    for (at, version) in versions.list.iter().enumerate().filter(|(_, v)| !v.is_delete_marker) {
        let Some(body) = read(store, key, Some(&version.version), due.salt).await? else {
            continue;
        };
        fault = body.fault(due);
        if fault.is_none() {
            pinned = Pinned::at(versions, at);
            break;
        }
    }
    storage.others(key, &pinned, due.expired, findings);
    if pinned.version.is_none() {
        // Bytes that were put behind a server's back may be read though no version of them is listed.
        fault = match read(store, key, None, due.salt).await? {
            Some(body) => body.fault(due).or(Some("it is in no version of its key")),
            None if due.expired => None,
            None => Some("it is gone"),
        };
    }
    if let Some(why) = fault {
        findings.add(Kind::Body, key, why);
    }
    storage.locked(key, &pinned, due.lock, findings).await
}
