//! Finds where a partition's chain ends in the store, or opens its first epoch.
//!
//! Start-up adopts what the store holds; it never encodes anything to compare.

use bytes::Bytes;
use schemas::{
    Chain, EnrolledRecord, Epoch, EpochOpening, Framing, ObjectKey, Offset, Partition, Place,
    Seconds, TerminalObject, Topic,
};
use store::{Created, Store};
use tracing::{info, warn};

use crate::chain::Head;
use crate::check::{check, enrolled};
use crate::error::Error;

/// Largest segment that is read.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Largest record, opening or terminal object that is read.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// What a partition of the source is, as far as the chain is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Kafka's cluster id.
    pub cluster: Option<String>,
    /// Kafka's topic id.
    pub topic_id: Option<String>,
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// Partitions of the topic.
    pub partitions: u32,
}

impl Origin {
    fn chain(&self, epoch: Epoch) -> Chain {
        Chain {
            cluster: self.cluster.clone(),
            topic_id: self.topic_id.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            partitions: self.partitions,
            framing: Framing::SingleObject,
            epoch,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place { partition: self.partition, partitions: self.partitions }
    }

    pub(crate) fn wrong(&self, key: impl ToString, why: impl Into<String>) -> Error {
        Error::Chain { partition: self.partition, key: key.to_string(), why: why.into() }
    }
}

/// The head of the partition's chain; where there is none, epoch 0 is opened at `start`. `hint` is an offset near the end,
/// such as a committed one: only a place to begin looking.
///
/// # Errors
/// The store failed, or what stands at the end of the chain does not belong there.
pub async fn find(
    store: &Store,
    origin: &Origin,
    start: Offset,
    hint: Offset,
    now: Seconds,
) -> Result<Head, Error> {
    let Some(opening) = last_opening(store, origin).await? else {
        return open_first(store, origin, start, now).await;
    };
    let opened = Head::opened(&opening);
    let Some(key) = last_segment(store, &opened, hint).await? else {
        info!(partition = %origin.partition, next = %opened.next, "chain adopted, no segment yet");
        return Ok(opened);
    };
    let bytes = store
        .get(&key, SEGMENT_BYTES_MAX)
        .await?
        .ok_or_else(|| origin.wrong(&key, "it is listed but not there"))?;
    let record = adopt(origin, &key, &bytes)?;
    if record.segment.chain != opened.chain {
        return Err(origin.wrong(&key, "its cluster, topic, partition or epoch is another"));
    }
    put_record(store, &record).await?;
    info!(partition = %origin.partition, next = %record.segment.next, total = record.segment.total, "chain adopted");
    Ok(Head::at(&record))
}

/// Reads a segment found in the store, checks all of it and gives its record.
pub(crate) fn adopt(origin: &Origin, key: &str, bytes: &Bytes) -> Result<EnrolledRecord, Error> {
    if TerminalObject::is_at_head_of(bytes) {
        return Err(origin.wrong(key, "the epoch was ended here"));
    }
    let segment = check(bytes, origin.place());
    let segment = segment.map_err(|why| origin.wrong(key, why.to_string()))?;
    let chain = &segment.chain;
    let named =
        ObjectKey::Segment(chain.topic.clone(), chain.partition, chain.epoch, segment.start)
            .to_string();
    if named != key {
        return Err(origin.wrong(key, format!("its record belongs to {named}")));
    }
    Ok(enrolled(segment, key.to_owned(), bytes))
}

async fn last_opening(store: &Store, origin: &Origin) -> Result<Option<EpochOpening>, Error> {
    let folder = format!("epochs/{}/{:05}", origin.topic, origin.partition.0);
    let keys = store.list(&folder, None).await?;
    let Some(key) = keys.last() else { return Ok(None) };
    let Some(ObjectKey::Epoch(_, _, epoch)) = ObjectKey::parse(key) else {
        return Err(origin.wrong(key, "its name is not an epoch's"));
    };
    let bytes = store
        .get(key, TEXT_BYTES_MAX)
        .await?
        .ok_or_else(|| origin.wrong(key, "it is listed but not there"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| origin.wrong(key, "it is not UTF-8"))?;
    let opening =
        EpochOpening::parse(text).map_err(|error| origin.wrong(key, error.to_string()))?;
    if opening.chain != origin.chain(epoch) {
        return Err(origin.wrong(
            key,
            "the chain was opened for another cluster, topic id, or number of partitions",
        ));
    }
    Ok(Some(opening))
}

async fn open_first(
    store: &Store,
    origin: &Origin,
    start: Offset,
    now: Seconds,
) -> Result<Head, Error> {
    let opening = EpochOpening {
        chain: origin.chain(Epoch(0)),
        start,
        total: 0,
        reason: "genesis".to_owned(),
        opened_at: now,
        prev: None,
        missing: Vec::new(),
        abandoned: Vec::new(),
    };
    let key = ObjectKey::Epoch(origin.topic.clone(), origin.partition, Epoch(0)).to_string();
    match store.create(&key, Bytes::from(opening.to_string()), None).await? {
        Created::New => {
            info!(partition = %origin.partition, %start, "epoch opened");
            Ok(Head::opened(&opening))
        }
        // A rival opened it between our listing and our write: its opening is the one.
        Created::Exists => match last_opening(store, origin).await? {
            Some(opening) => Ok(Head::opened(&opening)),
            None => Err(origin.wrong(key, "it is taken but not listed")),
        },
    }
}

/// Key of the epoch's last segment. Looks from `hint` on first, and over the whole epoch only where nothing is there.
async fn last_segment(store: &Store, opened: &Head, hint: Offset) -> Result<Option<String>, Error> {
    let chain = &opened.chain;
    let folder = format!("segments/{}/{:05}/{:010}", chain.topic, chain.partition.0, chain.epoch.0);
    let from =
        ObjectKey::Segment(chain.topic.clone(), chain.partition, chain.epoch, hint).to_string();
    let near = store.list(&folder, Some(&from)).await?;
    if let Some(key) = near.last() {
        return Ok(Some(key.clone()));
    }
    Ok(store.list(&folder, None).await?.pop())
}

/// Puts a record beside its segment. What stands there already and differs is a verifier's finding, and no reason to stop.
pub(crate) async fn put_record(store: &Store, record: &EnrolledRecord) -> Result<(), Error> {
    let segment = &record.segment;
    let chain = &segment.chain;
    let key = ObjectKey::Record(chain.topic.clone(), chain.partition, chain.epoch, segment.start)
        .to_string();
    let text = Bytes::from(record.to_string());
    if store.create(&key, text.clone(), None).await? == Created::Exists
        && store.get(&key, TEXT_BYTES_MAX).await? != Some(text)
    {
        warn!(%key, "the record beside the segment is not the segment's; verify will report it");
    }
    Ok(())
}
