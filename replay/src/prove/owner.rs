//! SHELL. Whose session is meant and where it is: in which chain of the log, or among what is sealed and not enrolled yet.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use schemas::tlog::Entry;
use schemas::{EnrolledRecord, Epoch, KafkaKey, Offset, Partition, SessionId, Topic, partition_of};

use crate::command::one_tenant;
use crate::decode::Segment;
use crate::error::Error;
use crate::fetch::{Shelf, Store};
use crate::load;
use crate::prove::find::{Owner, Sought, find};
use crate::prove::log::Chain;
use crate::prove::run::overlaps;
use crate::prove::{JOBS, Maker, segment, unprovable};
use crate::select::{self, Wanted};

impl<'a> Maker<'a> {
    /// Whether a chain is one of those that the options leave.
    fn is_chosen(&self, topic: &Topic, partition: Partition) -> bool {
        self.options.topic.as_ref().is_none_or(|chosen| chosen == topic)
            && self.options.partition.is_none_or(|chosen| chosen == partition)
    }

    fn chains(&self) -> impl Iterator<Item = &'a Chain> {
        let chosen = self.log.chains.iter().filter(|((topic, p), _)| self.is_chosen(topic, *p));
        chosen.map(|(_, chain)| chain)
    }

    /// The event's row: chain, link, owner and offset.
    pub(super) async fn find(
        &self,
        sought: Sought,
        owner: &Owner,
    ) -> Result<(&'a Chain, usize, KafkaKey, Offset), Error> {
        let mut places: Vec<(&Chain, usize, &EnrolledRecord)> = Vec::new();
        for chain in self.chains() {
            places.extend(records(chain).map(|(at, record)| (chain, at, record)));
        }
        // The most likely first; a stable sort, so that the first of several copies is found.
        places.sort_by_key(|(_, _, record)| sought.distance(&record.segment));
        let mut found = stream::iter(places)
            .map(|(chain, at, record)| async move {
                let segment = segment(self.store, record).await?;
                let row = find_in(segment, &record.key, sought, owner).await?;
                Ok::<_, Error>(row.map(|(key, offset)| (chain, at, key, offset)))
            })
            .buffered(JOBS);
        while let Some(row) = found.next().await {
            if let Some(row) = row? {
                return Ok(row);
            }
        }
        drop(found);
        for waiting in self.waiting(|_| true).await? {
            let Some(segment) = waiting.open(self.store).await? else { continue };
            if find_in(segment, &waiting.key, sought, owner).await?.is_some() {
                return Err(Error::NotEnrolled { what: waiting.key });
            }
        }
        Err(unprovable("there is no such event in this store"))
    }

    /// Tenant and session.
    pub(super) async fn owner(&self, id: &str) -> Result<KafkaKey, Error> {
        let none = || Error::NoSession { session: id.to_owned() };
        if let Some(tenant) = &self.options.tenant {
            let session = SessionId::new(id).map_err(|_| none())?;
            return Ok(KafkaKey { tenant: tenant.clone(), session });
        }
        let wanted = Wanted::Ids(vec![id.to_owned()]);
        let mut keys = BTreeSet::new();
        for chain in self.chains() {
            for (_, record) in records(chain) {
                let segment = segment(self.store, record).await?;
                keys.extend(named(segment, &record.key, &wanted).await?);
            }
        }
        one_tenant(keys.iter(), id)?;
        if let Some(key) = keys.pop_first() {
            return Ok(key);
        }
        for waiting in self.waiting(|_| true).await? {
            let Some(segment) = waiting.open(self.store).await? else { continue };
            if !named(segment, &waiting.key, &wanted).await?.is_empty() {
                return Err(Error::NotEnrolled { what: waiting.key });
            }
        }
        Err(none())
    }

    /// The chains that may hold a key, by the numbers of partitions that their openings tell of.
    fn candidates(&self, key: &KafkaKey) -> Vec<&'a Chain> {
        let bytes = key.to_bytes();
        let holds = |chain: &&Chain| {
            chain.links.iter().any(|link| match &link.entry {
                Entry::Opening(opening) => {
                    partition_of(&bytes, opening.chain.partitions) == opening.chain.partition
                }
                _ => false,
            })
        };
        self.chains().filter(holds).collect()
    }

    /// The only chain that may hold a key.
    pub(super) fn only_chain(&self, key: &KafkaKey) -> Result<&'a Chain, Error> {
        match self.candidates(key).as_slice() {
            [chain] => Ok(chain),
            [] => Err(unprovable("no partition in the log can hold this session")),
            several => {
                let several = several.len();
                Err(unprovable(&format!(
                    "{several} partitions may hold this session: name topic and partition"
                )))
            }
        }
    }

    /// The only chain that holds messages of a session.
    pub(super) async fn chain_with(&self, key: &KafkaKey) -> Result<&'a Chain, Error> {
        let candidates = self.candidates(key);
        if let [chain] = candidates.as_slice() {
            return Ok(chain);
        }
        let wanted = Wanted::Keys(vec![key.session_key()]);
        let mut with: Vec<&Chain> = Vec::new();
        for chain in candidates {
            for (_, record) in records(chain) {
                let segment = segment(self.store, record).await?;
                if !named(segment, &record.key, &wanted).await?.is_empty() {
                    with.push(chain);
                    break;
                }
            }
        }
        match with.as_slice() {
            [chain] => Ok(chain),
            [] => Err(Error::NoSession { session: key.session.to_string() }),
            _ => Err(unprovable("the session is in several partitions: name topic and partition")),
        }
    }

    /// Refuses where a segment of the chain is not enrolled yet that may have messages of these times; of the session,
    /// where `of_session`.
    pub(super) async fn nothing_waits(
        &self,
        key: &KafkaKey,
        chain: &Chain,
        times: Option<&Range<i64>>,
        of_session: bool,
    ) -> Result<(), Error> {
        let place = chain.links.first().and_then(|link| link.entry.partition());
        let wanted = Wanted::Keys(vec![key.session_key()]);
        for waiting in self.waiting(|at| Some(at) == place).await? {
            let Some(segment) = waiting.open(self.store).await? else { continue };
            if times.is_some_and(|times| !overlaps(&segment.record, times)) {
                continue;
            }
            if !of_session || !named(segment, &waiting.key, &wanted).await?.is_empty() {
                return Err(Error::NotEnrolled { what: waiting.key });
            }
        }
        Ok(())
    }

    /// Segments that are sealed and not in the log.
    async fn waiting(
        &self,
        of: impl Fn((&Topic, Partition)) -> bool,
    ) -> Result<Vec<Waiting>, Error> {
        let enrolled: BTreeSet<&str> = self
            .log
            .chains
            .values()
            .flat_map(records)
            .map(|(_, record)| record.key.as_str())
            .collect();
        let mut waiting = Vec::new();
        for (topic, partition) in self.store.catalogue().await?.partitions {
            if !self.is_chosen(&topic, partition) || !of((&topic, partition)) {
                continue;
            }
            let shelf = Arc::new(load::shelf(self.store, topic, partition).await?);
            for (&at, _) in shelf.places.iter().filter(|(_, present)| present.segment) {
                let key = shelf.segment_key(at.0, at.1);
                if !enrolled.contains(key.as_str()) {
                    waiting.push(Waiting { shelf: shelf.clone(), at, key });
                }
            }
        }
        Ok(waiting)
    }
}

/// A segment that is sealed and not in the log.
struct Waiting {
    shelf: Arc<Shelf>,
    at: (Epoch, Offset),
    key: String,
}

impl Waiting {
    async fn open(&self, store: &Store) -> Result<Option<Arc<Segment>>, Error> {
        Ok(load::fetch(store, &self.shelf, self.at).await?.segment)
    }
}

fn records(chain: &Chain) -> impl Iterator<Item = (usize, &EnrolledRecord)> {
    chain.links.iter().enumerate().filter_map(|(at, link)| match &link.entry {
        Entry::Record(record) => Some((at, &**record)),
        _ => None,
    })
}

async fn find_in(
    segment: Arc<Segment>,
    key: &str,
    sought: Sought,
    owner: &Owner,
) -> Result<Option<(KafkaKey, Offset)>, Error> {
    let owner = owner.clone();
    let found = tokio::task::spawn_blocking(move || find(&segment, sought, &owner)).await?;
    found.map_err(|breach| Error::Damaged { key: key.to_owned(), why: breach.why })
}

async fn named(
    segment: Arc<Segment>,
    key: &str,
    wanted: &Wanted,
) -> Result<BTreeSet<KafkaKey>, Error> {
    let wanted = wanted.clone();
    let found = tokio::task::spawn_blocking(move || select::sessions(&segment, &wanted)).await?;
    let found = found.map_err(|breach| Error::Damaged { key: key.to_owned(), why: breach.why })?;
    Ok(found.into_iter().map(|named| named.key).collect())
}
