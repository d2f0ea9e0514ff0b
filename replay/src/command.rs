//! SHELL. `trace` and what it shares with `export`: finding sessions in a store and reading them whole.

use std::collections::{BTreeMap, HashSet};

use schemas::{KafkaKey, SessionId, Tenant, TraceId, partition_of};

use crate::error::Error;
use crate::fetch::{Shelf, Store};
use crate::joined::{self, OTHERS_MAX, OTHERS_ROWS_MAX, Sought};
use crate::load::{self, Gathered, Index};
use crate::select::Wanted;
use crate::session::Session;
use crate::trace::Trace;
use crate::tree::Told;

/// The trace of one session. Without a tenant the id alone has to name it.
///
/// # Errors
/// No such session, several of it, or a store that cannot be read.
pub async fn trace(store: &Store, tenant: Option<&Tenant>, session: &str) -> Result<Trace, Error> {
    let session = read(store, tenant, session).await?;
    Ok(tokio::task::spawn_blocking(move || Trace::of(&session)).await?)
}

/// The trace of one session, and of what other sessions of its tenant tell of its trace ids.
///
/// # Errors
/// As [`trace`].
pub async fn trace_joined(
    store: &Store,
    tenant: Option<&Tenant>,
    session: &str,
) -> Result<Trace, Error> {
    let own = read(store, tenant, session).await?;
    let mut sought = Sought::of(&own);
    let others = others(store, &mut sought).await?;
    let joined = tokio::task::spawn_blocking(move || join(Some(&own), &others, &sought)).await?;
    joined.ok_or_else(|| Error::NoSession { session: session.to_owned() })
}

/// What all sessions tell of one trace. Without a tenant the id alone has to name it.
///
/// # Errors
/// No such trace, several tenants that have it, or a store that cannot be read.
pub async fn trace_of_id(
    store: &Store,
    tenant: Option<&Tenant>,
    trace: TraceId,
) -> Result<Trace, Error> {
    let mut sought = Sought::one(trace, tenant.cloned());
    let others = others(store, &mut sought).await?;
    one_tenant(others.iter().map(|session| &session.key), &trace.to_string())?;
    let joined = tokio::task::spawn_blocking(move || join(None, &others, &sought)).await?;
    let joined = joined.map(|joined| Trace { trace_id: Some(trace), ..joined });
    joined.ok_or_else(|| Error::NoTrace { trace: trace.to_string() })
}

/// One trace of a session and of what others say. Without a session the first of the others is it.
fn join(session: Option<&Session>, others: &[Session], sought: &Sought) -> Option<Trace> {
    let traces: &HashSet<TraceId> = &sought.traces;
    let other = |other| Told { session: other, other: None, traces: Some(traces) };
    let mut told: Vec<Told<'_>> = others.iter().map(other).collect();
    if let Some(session) = session {
        told.insert(0, Told { session, other: None, traces: None });
    }
    let first = told.first()?.session;
    for told in told.iter_mut().skip(1) {
        told.other = Some(told.session.key.session.as_str().into());
    }
    let mut trace = Trace::joined(&told, first);
    if told.len() > 1 || session.is_none() {
        trace.checks.push(
            "of other sessions only the events of its traces are shown, and their holes".to_owned(),
        );
    }
    trace.checks.extend(sought.notes.iter().cloned());
    Some(trace)
}

/// The other sessions that have events of traces, within bounds.
async fn others(store: &Store, sought: &mut Sought) -> Result<Vec<Session>, Error> {
    let found = joined::find(store, sought).await?;
    let (mut keys, mut rows, known) = (Vec::new(), 0_u64, found.0.len());
    for (key, own) in found.0 {
        rows = rows.saturating_add(own);
        if keys.len() < OTHERS_MAX && rows <= OTHERS_ROWS_MAX {
            keys.push(key);
        }
    }
    if keys.len() < known {
        let left = known - keys.len();
        sought.notes.push(format!(
            "not joined: {left} of {known} sessions that have events of its traces (at most {OTHERS_MAX} with \
             {OTHERS_ROWS_MAX} rows are)"
        ));
    }
    if keys.is_empty() { Ok(Vec::new()) } else { read_all(store, &keys).await }
}

/// Some sessions, each whole, in one pass.
async fn read_all(store: &Store, keys: &[KafkaKey]) -> Result<Vec<Session>, Error> {
    let wanted = Wanted::Keys(keys.iter().map(KafkaKey::session_key).collect());
    let mut parts: BTreeMap<KafkaKey, Vec<Gathered>> = BTreeMap::new();
    for (topic, partition) in store.catalogue().await?.partitions {
        let shelf = load::shelf(store, topic, partition).await?;
        let index = load::index(store, &shelf, &wanted).await?;
        load::gather(store, &shelf, &index, async |part| {
            parts.entry(part.key.clone()).or_default().push(part);
            Ok(())
        })
        .await?;
    }
    let mut sessions = Vec::new();
    for parts in parts.into_values() {
        sessions.extend(load::assemble(store, parts).await?);
    }
    Ok(sessions)
}

/// One session, whole.
///
/// # Errors
/// As [`trace`].
pub async fn read(store: &Store, tenant: Option<&Tenant>, session: &str) -> Result<Session, Error> {
    let found = find(store, tenant, session, false).await?;
    let mut parts: Vec<Gathered> = Vec::new();
    for (shelf, index) in &found {
        load::gather(store, shelf, index, async |part| {
            parts.push(part);
            Ok(())
        })
        .await?;
    }
    let none = || Error::NoSession { session: session.to_owned() };
    load::assemble(store, parts).await?.ok_or_else(none)
}

/// The partitions that have rows of one session, and where; hidden ones too, `of_versions`.
pub(crate) async fn find(
    store: &Store,
    tenant: Option<&Tenant>,
    session: &str,
    of_versions: bool,
) -> Result<Vec<(Shelf, Index)>, Error> {
    let none = || Error::NoSession { session: session.to_owned() };
    let key = match tenant {
        None => None,
        Some(tenant) => {
            let session = SessionId::new(session).map_err(|_| none())?;
            Some(KafkaKey { tenant: tenant.clone(), session })
        }
    };
    let wanted = match &key {
        None => Wanted::Ids(vec![session.to_owned()]),
        Some(key) => Wanted::Keys(vec![key.session_key()]),
    };
    let catalogue = match of_versions {
        true => store.catalogue_of_versions().await?,
        false => store.catalogue().await?,
    };
    let mut found: Vec<(Shelf, Index)> = Vec::new();
    for (topic, partition) in catalogue.partitions {
        let shelf = match of_versions {
            true => load::shelf_of_versions(store, topic, partition).await?,
            false => load::shelf(store, topic, partition).await?,
        };
        if let Some(key) = &key
            && !may_hold(store, &shelf, key).await?
        {
            continue;
        }
        let index = load::index(store, &shelf, &wanted).await?;
        if !index.sessions.is_empty() {
            found.push((shelf, index));
        }
    }
    let keys = found.iter().flat_map(|(_, index)| index.sessions.values());
    one_tenant(keys.map(|(key, _)| key), session)?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

pub(crate) fn one_tenant<'a>(
    keys: impl Iterator<Item = &'a KafkaKey>,
    session: &str,
) -> Result<(), Error> {
    let mut tenants: Vec<String> = keys.map(|key| key.tenant.to_string()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    if tenants.len() > 1 {
        return Err(Error::Ambiguous { session: session.to_owned(), tenants });
    }
    Ok(())
}

/// Whether a key can lie in a partition; yes, where an opening cannot be read.
async fn may_hold(store: &Store, shelf: &Shelf, key: &KafkaKey) -> Result<bool, Error> {
    for &epoch in &shelf.epochs {
        let Some((opening, _)) = load::opening(store, shelf, epoch).await? else {
            return Ok(true);
        };
        if partition_of(&key.to_bytes(), opening.chain.partitions) == shelf.partition {
            return Ok(true);
        }
    }
    Ok(shelf.epochs.is_empty())
}
