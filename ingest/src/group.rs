//! SHELL: messages that go to the spool together, and the answers that wait for that.

use std::sync::Arc;

use spool::{Message, Spool};

use crate::batch::{Batch, Fate};
use crate::produce::{Done, Health};

/// A group reaches this, or is one request.
pub(crate) const GROUP_BYTES_MAX: usize = 8 << 20;

/// Messages that become durable with one fsync, and who waits for them.
#[derive(Default)]
pub(crate) struct Group {
    messages: Vec<Message>,
    bytes: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// What is known of each message of a request; [`Fate::Away`] for those that are in the group.
    fates: Vec<Fate>,
    done: Done,
}

impl Group {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add(&mut self, messages: Vec<Message>, done: Done) {
        self.waiting.push(Waiting { fates: vec![Fate::Away; messages.len()], done });
        self.bytes += messages.iter().map(|message| message.value.len()).sum::<usize>();
        self.messages.extend(messages);
    }

    /// Adds what was not delivered of a batch that the client had.
    pub(crate) fn take_back(&mut self, batch: &Arc<Batch>) {
        let Some(unanswered) = batch.take_back() else { return };
        let is_ours = |fate: &Fate| matches!(fate, Fate::Away | Fate::Open);
        for (message, _) in
            batch.messages.iter().zip(&unanswered.fates).filter(|(_, fate)| is_ours(fate))
        {
            self.bytes += message.value.len();
            self.messages.push(message.clone());
        }
        let known = |fate| if is_ours(&fate) { Fate::Away } else { fate };
        let fates = unanswered.fates.into_iter().map(known).collect();
        self.waiting.push(Waiting { fates, done: unanswered.done });
    }

    /// Writes all of it, or nothing, and answers.
    pub(crate) fn append(self, spool: &Spool, health: &Health) {
        let is_durable = append(spool, self.messages, health);
        for Waiting { fates, done } in self.waiting {
            let durable = |fate| fate == Fate::Delivered || (fate == Fate::Away && is_durable);
            done(fates.into_iter().map(durable).collect());
        }
    }
}

/// Appends to the spool, with one fsync.
fn append(spool: &Spool, messages: Vec<Message>, health: &Health) -> bool {
    if messages.is_empty() {
        return true;
    }
    let count = messages.len();
    match spool.append(messages) {
        Ok(offsets) => {
            tracing::debug!(offset_first = offsets.start, count, "appended");
            health.succeeded();
            true
        }
        Err(error) => {
            health.failed(error.to_string());
            false
        }
    }
}
