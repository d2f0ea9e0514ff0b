//! The sealer's stages one after the other, each with the machine to itself: consume, encode on one thread, put.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use schemas::{Offset, Partition, Place};
use sealer::{Batch, Claims, Encoded, Head, Terms, encode};
use store::{Created, Store};

use crate::batches::cut;
use crate::clock::{Of, Spent, timed};
use crate::figure::wide;
use crate::kafka::Topic;
use crate::seal::opening;
use crate::servers::{self, CLASS, Servers};

/// The full segments of a topic, and what each stage took for them.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    pub(crate) segments: usize,
    /// Bytes of their messages.
    pub(crate) topic_bytes: u64,
    /// Where each partition's last full segment ends.
    pub(crate) until: Vec<Offset>,
    /// Reading all of the topic.
    pub(crate) consume: Spent,
    pub(crate) encode: Spent,
    pub(crate) put: Spent,
    /// What the S3 server took of the processor for the puts.
    pub(crate) put_server: Duration,
}

impl Stages {
    pub(crate) fn measure(servers: &Servers, topic: &Topic, store: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        // The reading alone, with the batches that a sealer would cut, which are dropped.
        let (read, consume) = timed(Of::Process, || batches(topic, |_, _| Ok(())))?;
        read?;
        all.consume = consume;
        let lock = servers::lock()?;
        let terms = Terms {
            retention_class: CLASS.to_owned(),
            writer: "bench".to_owned(),
            lock: Some(lock),
        };
        let mut heads = heads(topic.partitions)?;
        let mut objects: Vec<(String, Bytes)> = Vec::new();
        batches(topic, |partition, batch| {
            let head = heads.get_mut(usize::try_from(partition.0)?).context("no such partition")?;
            let (encoded, spent) = timed(Of::Thread, || {
                encode(&batch, head, &terms, &[7; 32], &mut Claims::default())
            })?;
            let Encoded { bytes, record } =
                encoded?.context("an event has a claim-checked body")?;
            *head = head.after(&record).map_err(anyhow::Error::msg)?;
            all.encode += spent;
            all.topic_bytes += wide(batch.bytes());
            objects.push((record.key, bytes));
            Ok(())
        })?;
        all.segments = objects.len();
        all.until = heads.iter().map(|head| head.next).collect();
        let store = Store::open(store)?;
        let runtime = tokio::runtime::Runtime::new()?;
        let [_, before] = servers.processor()?;
        let put = async {
            for (key, object) in objects {
                let created = store.create(&key, object, Some(lock)).await?;
                anyhow::ensure!(created == Created::New, "{key} is taken");
            }
            Ok(())
        };
        let (put, spent) = timed(Of::Process, || runtime.block_on(put))?;
        put?;
        let [_, after] = servers.processor()?;
        (all.put, all.put_server) = (spent, after.saturating_sub(before));
        Ok(all)
    }
}

/// Reads the topic into full batches, cut as the sealer cuts; what is left of each partition is dropped.
fn batches(
    topic: &Topic,
    mut each: impl FnMut(Partition, Batch) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let cut = cut();
    let mut open: Vec<Batch> = (0..topic.partitions).map(|_| Batch::new(Offset(0))).collect();
    topic.read(|partition, message| {
        let open = open.get_mut(usize::try_from(partition.0)?).context("no such partition")?;
        open.push(message, 0)?;
        if open.is_full(&cut) {
            let next = open.next();
            each(partition, std::mem::replace(open, Batch::new(next)))?;
        }
        Ok(())
    })
}

fn heads(partitions: u32) -> anyhow::Result<Vec<Head>> {
    let head = |partition| {
        let place = Place { partition: Partition(partition), partitions };
        Ok(Head::opened(&opening(place)?))
    };
    (0..partitions).map(head).collect()
}
