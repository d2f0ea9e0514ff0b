//! The traffic as the sealer's batches: made one at a time, so that memory stays bounded.

use schemas::Offset;
use sealer::{Batch, Config, Cut};

use crate::corpus::Corpus;
use crate::topic::{Form, Message, Topic};
use crate::traffic::Traffic;

/// Seed of the one traffic that every step but the gateway's is given.
pub(crate) const SEED: u64 = 1;

/// The messages of the topic, in order.
#[derive(Debug)]
pub(crate) struct Messages<'c> {
    traffic: Traffic<'c>,
    topic: Topic,
}

impl<'c> Messages<'c> {
    pub(crate) fn new(corpus: &'c Corpus, copies: usize, form: Form) -> anyhow::Result<Self> {
        Ok(Self { traffic: Traffic::new(corpus, copies, SEED), topic: Topic::new(form)? })
    }
}

impl Iterator for Messages<'_> {
    type Item = anyhow::Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.traffic.next()?;
        Some(self.topic.write(&event))
    }
}

/// The next batch, cut as the sealer cuts; `None` at the end.
pub(crate) fn next_batch(
    messages: &mut Messages<'_>,
    start: Offset,
) -> anyhow::Result<Option<Batch>> {
    let cut = cut();
    let mut batch = Batch::new(start);
    while !batch.is_full(&cut) {
        let Some(message) = messages.next().transpose()? else { break };
        batch.push(message.at(batch.next()), 0)?;
    }
    Ok((!batch.is_empty()).then_some(batch))
}

/// When the sealer cuts.
pub(crate) fn cut() -> Cut {
    let config = Config::default();
    Cut {
        bytes_max: config.segment_bytes_max,
        age_max_ms: config.segment_age_max_ms,
        rows_max: config.segment_rows_max,
    }
}
