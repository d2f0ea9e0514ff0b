//! SHELL: a chain of many segments in the bucket, without sealing them all: the last ones are real, and before them stand
//! small objects at the keys of segments, which a sealer that starts has no reason to read.

use anyhow::Context;
use bytes::Bytes;
use schemas::{Digest, EnrolledRecord, Epoch, EpochOpening, ObjectKey, Offset, Partition};
use sealer::{Batch, Claims, Encoded, Head, Terms, encode};
use store::{Created, Store};
use tokio::task::JoinSet;

use crate::batches::Messages;
use crate::corpus::Corpus;
use crate::figure::wide;
use crate::kafka::Topic;
use crate::servers::{self, CLASS, Servers};
use crate::started;
use crate::table;
use crate::topic::Form;

/// Segments that are real.
const REAL: u64 = 10;
/// Messages of each segment.
const ROWS: u64 = 100;
/// Writes that are under way at one time.
const WRITES: usize = 64;

/// A chain that covers its topic to the end.
pub(crate) struct Chain {
    pub(crate) topic: Topic,
    /// Address of its store.
    pub(crate) store: String,
    pub(crate) segments: u64,
    pub(crate) first: Offset,
    /// Where the last segment begins, and where it ends.
    pub(crate) last: Offset,
    pub(crate) next: Offset,
}

impl Chain {
    pub(crate) fn new(servers: &Servers, corpus: &Corpus, segments: u64) -> anyhow::Result<Self> {
        table::progress(format_args!("making a chain of {segments} segments"));
        let name = format!("recovery-{segments}");
        let mut topic = Topic::create(&servers.brokers, &name, 1)?;
        let address = servers.store(&name);
        // A sealer's own first start opens the epoch: only so is the opening of this very topic.
        started::start(servers, &name, &address, &[Offset(0)], None)?;
        let first_real = segments.saturating_sub(REAL) * ROWS;
        for _ in 0..first_real {
            topic.send(0, b"", b"early")?;
        }
        let (messages, next) = real(&mut topic, corpus, Offset(first_real))?;
        topic.flush()?;
        let store = Store::open(&address)?;
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let opened = Head::opened(&opening(&store, &name).await?);
            early(&store, &opened, first_real / ROWS).await?;
            let (total, prev) = match first_real {
                0 => (0, opened.prev),
                // Of a record that nobody will look for.
                _ => (first_real, Digest::of(b"early")),
            };
            let head = Head { next: Offset(first_real), total, prev, ..opened };
            last(&store, head, messages).await
        })?;
        let last = Offset(next.0 - ROWS);
        Ok(Self { topic, store: address, segments, first: Offset(0), last, next })
    }
}

/// Fills the end of the topic with events, and gives them back as a sealer would get them.
fn real(
    topic: &mut Topic,
    corpus: &Corpus,
    start: Offset,
) -> anyhow::Result<(Vec<sealer::Message>, Offset)> {
    let mut messages = Vec::new();
    let mut next = start;
    for message in Messages::new(corpus, usize::MAX, Form::Deduplicated)? {
        let message = message?.at(next);
        let key = message.key.as_deref().unwrap_or_default();
        let value = message.value.as_deref().unwrap_or_default();
        topic.send(message.timestamp.millis, key, value)?;
        messages.push(message);
        next = Offset(next.0 + 1);
        if wide(messages.len()) == REAL * ROWS {
            break;
        }
    }
    Ok((messages, next))
}

async fn opening(store: &Store, topic: &str) -> anyhow::Result<EpochOpening> {
    let key = ObjectKey::Epoch(schemas::Topic::new(topic)?, Partition(0), Epoch(0)).to_string();
    let text = store.get(&key, 1 << 20).await?.context("no epoch was opened")?;
    EpochOpening::parse(std::str::from_utf8(&text)?).map_err(anyhow::Error::msg)
}

/// Puts something at the first keys.
async fn early(store: &Store, opened: &Head, segments: u64) -> anyhow::Result<()> {
    let mut under_way = JoinSet::new();
    for number in 0..segments {
        while under_way.len() >= WRITES
            && let Some(written) = under_way.join_next().await
        {
            written??;
        }
        let head = Head { next: Offset(number * ROWS), ..opened.clone() };
        let (store, key) = (store.clone(), head.segment_key().to_string());
        under_way.spawn(async move {
            let created = store.create(&key, Bytes::from_static(b"early"), None).await?;
            anyhow::ensure!(created == Created::New, "{key} is taken");
            Ok(())
        });
    }
    while let Some(written) = under_way.join_next().await {
        written??;
    }
    Ok(())
}

/// Puts real segments, each with its record.
async fn last(store: &Store, mut head: Head, messages: Vec<sealer::Message>) -> anyhow::Result<()> {
    let lock = servers::lock()?;
    let terms =
        Terms { retention_class: CLASS.to_owned(), writer: "bench".to_owned(), lock: Some(lock) };
    let mut messages = messages.into_iter().peekable();
    while messages.peek().is_some() {
        let mut batch = Batch::new(head.next);
        for message in messages.by_ref().take(usize::try_from(ROWS)?) {
            batch.push(message, 0)?;
        }
        let encoded = encode(&batch, &head, &terms, &[7; 32], &mut Claims::default())?;
        let Encoded { bytes, record } = encoded.context("an event has a claim-checked body")?;
        store.create(&record.key, bytes, Some(lock)).await?;
        let text = Bytes::from(record.to_string());
        store.create(&head.record_key().to_string(), text, Some(lock)).await?;
        head = after(&head, &record)?;
    }
    Ok(())
}

fn after(head: &Head, record: &EnrolledRecord) -> anyhow::Result<Head> {
    head.after(record).map_err(anyhow::Error::msg)
}
