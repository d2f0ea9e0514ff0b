//! The openings of a partition's epochs: the newest is found, the first is written.

use bytes::Bytes;
use schemas::{Epoch, EpochOpening, ObjectKey, Offset, Partition, Seconds, Topic};
use store::{Created, Store};
use tracing::info;

use crate::error::Error;
use crate::lane::Lane;
use crate::origin::Origin;
use crate::stop::Stop;

/// Largest record, opening or terminal object that is read.
pub(crate) const TEXT_BYTES_MAX: u64 = 1 << 20;

/// The newest epoch; `None` where none was opened.
///
/// Epochs are numbered without holes: an opening behind a hole was planted and is not followed.
pub(crate) async fn newest(
    store: &Store,
    topic: &Topic,
    partition: Partition,
) -> Result<Option<Epoch>, store::Error> {
    let folder = format!("epochs/{topic}/{:05}", partition.0);
    let mut count = 0;
    let mut after = None;
    loop {
        let page = store.page(&folder, after.as_deref()).await?;
        for key in &page.keys {
            if ObjectKey::parse(key)
                == Some(ObjectKey::Epoch(topic.clone(), partition, Epoch(count)))
            {
                count = count.saturating_add(1);
            }
        }
        match page.keys.into_iter().next_back().filter(|_| page.full) {
            Some(last) => after = Some(last),
            None => return Ok(count.checked_sub(1).map(Epoch)),
        }
    }
}

/// The opening of the newest epoch.
pub(crate) async fn last(
    store: &Store,
    topic: &Topic,
    partition: Partition,
    origin: &Origin,
) -> Result<Option<EpochOpening>, Error> {
    match newest(store, topic, partition).await? {
        Some(epoch) => read(store, topic, partition, epoch, origin).await,
        None => Ok(None),
    }
}

async fn read(
    store: &Store,
    topic: &Topic,
    partition: Partition,
    epoch: Epoch,
    origin: &Origin,
) -> Result<Option<EpochOpening>, Error> {
    let key = ObjectKey::Epoch(topic.clone(), partition, epoch).to_string();
    let Some(bytes) = store.get(&key, TEXT_BYTES_MAX).await? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| origin.wrong(&key, "it is not UTF-8"))?;
    let opening =
        EpochOpening::parse(text).map_err(|error| origin.wrong(&key, error.to_string()))?;
    let chain = &opening.chain;
    if (&chain.topic, chain.partition, chain.epoch) != (topic, partition, epoch) {
        return Err(origin.wrong(&key, "it is of another topic, partition or epoch"));
    }
    Ok(Some(opening))
}

/// Opens epoch 0 at `start`, unless a rival does: then its opening is the one.
pub(crate) async fn open_first(
    lane: &Lane,
    start: Offset,
    now: Seconds,
) -> Result<EpochOpening, Error> {
    siblings_agree(lane).await?;
    let origin = &lane.origin;
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
    let text = Bytes::from(opening.to_string());
    let created = lane.store.create(&key, text, lane.keeping.record_lock(now)?).await?;
    if created == Created::New {
        info!(partition = %origin.partition, %start, "epoch opened");
        return Ok(opening);
    }
    let (topic, partition) = (&origin.topic, origin.partition);
    let rivals = read(&lane.store, topic, partition, Epoch(0), origin).await?;
    rivals.ok_or_else(|| Error::Unsettled { what: format!("{key} is taken, but reads as absent") })
}

/// A partition that nobody has sealed may begin only where its siblings' chains are of the same topic with as many
/// partitions: else it is new because the topic grew, or the topic is another.
async fn siblings_agree(lane: &Lane) -> Result<(), Error> {
    let origin = &lane.origin;
    for sibling in (0..origin.partitions).map(Partition).filter(|one| *one != origin.partition) {
        let Some(opening) = last(&lane.store, &origin.topic, sibling, origin).await? else {
            continue;
        };
        let ours = Origin { partition: sibling, ..origin.clone() };
        if let Some(stop @ (Stop::Recreated { .. } | Stop::Partitions { .. })) =
            ours.differs_from(&opening.chain)
        {
            return Err(origin.stopped(stop));
        }
    }
    Ok(())
}
