//! SHELL. `trace` and what it shares with `export`: finding sessions in a store and reading them whole.

use schemas::{KafkaKey, SessionId, Tenant, partition_of};

use crate::error::Error;
use crate::fetch::{Shelf, Store};
use crate::load::{self, Gathered, Index};
use crate::select::Wanted;
use crate::session::Session;
use crate::trace::Trace;

/// The trace of one session. Without a tenant the id alone has to name it.
///
/// # Errors
/// No such session, several of it, or a store that cannot be read.
pub async fn trace(store: &Store, tenant: Option<&Tenant>, session: &str) -> Result<Trace, Error> {
    let session = read(store, tenant, session).await?;
    Ok(tokio::task::spawn_blocking(move || Trace::of(&session)).await?)
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
