//! What is under way of a partition: one segment is put, and meanwhile the next is encoded.
//!
//! Where the chain will end is known as soon as its last segment is encoded. So the next is encoded after an end that is
//! still to come, and put only once that has come: `seal` encodes again what another sealer was faster than.

use std::pin::Pin;

use schemas::{Seconds, TimestampType};

use crate::batch::Batch;
use crate::chain::Head;
use crate::draft::Draft;
use crate::error::Error;
use crate::lane::Lane;
use crate::message::Message;
use crate::seal::{Sealed, seal};

/// The batches of a partition that are cut and not sealed: two at most.
pub(crate) struct Pipeline {
    lane: Lane,
    /// The end of the chain.
    head: Head,
    /// Its end once what is being sealed is sealed.
    end: Head,
    encoding: Option<Stage<Option<Draft>>>,
    /// Waits for its turn to be sealed. `None` while another is encoded.
    encoded: Option<Draft>,
    sealing: Option<Stage<Sealed>>,
}

/// Work that goes on as long as somebody waits for it.
struct Stage<T> {
    work: Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>,
    /// When the batch's first message was written, by its own timestamp.
    since_ms: Option<i64>,
}

impl Pipeline {
    pub(crate) fn new(lane: Lane, head: Head) -> Self {
        Self { lane, end: head.clone(), head, encoding: None, encoded: None, sealing: None }
    }

    /// Whether another batch may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.encoding.is_none() && self.encoded.is_none()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.has_room() && self.sealing.is_none()
    }

    /// When the oldest message that is under way was written.
    pub(crate) fn since_ms(&self) -> Option<i64> {
        let sealing = self.sealing.as_ref().and_then(|stage| stage.since_ms);
        let encoding = || self.encoding.as_ref().and_then(|stage| stage.since_ms);
        sealing.or_else(encoding).or_else(|| self.encoded.as_ref().and_then(since_ms))
    }

    /// Begins with the batch after the last one; there must be room. `seed` is random and used once.
    pub(crate) fn begin(&mut self, batch: Batch, seed: [u8; 32], now: Seconds) {
        assert!(self.has_room(), "one batch is encoded at a time");
        let (lane, end) = (self.lane.clone(), self.end.clone());
        let since_ms = batch.messages().first().and_then(written_at);
        let work = async move { Draft::new(&lane, end, batch, seed, now).await.map(Some) };
        self.encoding = Some(Stage { work: Box::pin(work), since_ms });
    }

    /// Goes on until a batch is sealed, or room is made for another. May be dropped at any time and called again.
    pub(crate) async fn step(&mut self) -> Result<Option<Sealed>, Error> {
        let sealed = tokio::select! {
            biased; // a run of the simulator is the same every time
            sealed = done(&mut self.sealing) => {
                let sealed = sealed?;
                self.head = sealed.head.clone();
                self.end = sealed.head.clone();
                Some(sealed)
            }
            encoded = done(&mut self.encoding) => {
                self.encoded = encoded?;
                None
            }
        };
        self.advance();
        Ok(sealed)
    }

    /// Seals what is encoded, if its turn has come.
    fn advance(&mut self) {
        if self.sealing.is_some() {
            return;
        }
        let Some(draft) = self.encoded.take() else { return };
        let (lane, head, since_ms) = (self.lane.clone(), self.head.clone(), since_ms(&draft));
        if draft.is_after(&head) {
            self.end = draft.end();
            let work = async move { seal(&lane, head, draft).await };
            self.sealing = Some(Stage { work: Box::pin(work), since_ms });
        } else {
            // Here rather than by `seal`, or the next batch would be encoded after an end that never comes.
            let work = async move { draft.after(&lane, &head).await };
            self.encoding = Some(Stage { work: Box::pin(work), since_ms });
        }
    }
}

/// What a stage comes to; never where there is none.
async fn done<T>(stage: &mut Option<Stage<T>>) -> Result<T, Error> {
    let Some(running) = stage else { return std::future::pending().await };
    let result = running.work.as_mut().await;
    *stage = None;
    result
}

fn since_ms(draft: &Draft) -> Option<i64> {
    draft.batch().messages().first().and_then(written_at)
}

/// When a message was written, where it says so.
pub(crate) fn written_at(message: &Message) -> Option<i64> {
    let time = message.timestamp;
    (time.kind != TimestampType::None).then_some(time.millis)
}
