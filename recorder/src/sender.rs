//! SHELL: the thread that sends: one batch at a time, the same bytes again until it is known what became of them.
//!
//! One at a time keeps the order of every session, and lets a batch refer to all that the batches before it carried.

#![expect(clippy::disallowed_methods, reason = "a batch lingers, and attempts are spaced")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::Config;
use crate::door::{Answer, Next, Verdict};
use crate::encode::{Identity, Message, encode};
use crate::http::Http;
use crate::kafka::Kafka;
use crate::queue::{Item, Ticket};
use crate::shared::Shared;
use crate::source::{self, Random};

/// Milliseconds before the first attempt that follows a failed one; doubled with each.
const BACKOFF_MIN_MS: u64 = 100;
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Where messages go.
pub(crate) enum Door {
    /// To a gateway.
    Http(Http),
    /// To a topic.
    Kafka(Box<Kafka>),
}

/// Sends what is queued.
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: Identity,
    pub(crate) door: Door,
    pub(crate) random: Random,
    pub(crate) linger: Duration,
    pub(crate) backoff_max_ms: u64,
    pub(crate) trouble: Trouble,
}

/// What has been logged: once is enough.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    is_out: bool,
    has_refused: bool,
}

impl Sender {
    /// Sends until all is sent and nobody records any more, or until that takes too long.
    pub(crate) async fn run(mut self, config: &Config) {
        let shared = Arc::clone(&self.shared);
        let drained = async {
            shared.dropped.cancelled().await;
            sleep(Duration::from_millis(config.drain_timeout_ms)).await;
        };
        tokio::select! {
            () = self.send_all() => {}
            () = shared.abandoned.cancelled() => {}
            () = drained => {}
        }
        let stats = shared.queue().stats();
        if stats.pending > 0 {
            tracing::error!(pending = stats.pending, "recording ended, and events were not sent");
        }
    }

    async fn send_all(&mut self) {
        let (events_max, bytes_max) = self.shared.batch;
        while self.ready().await {
            let items = self.shared.queue().take_batch(events_max, bytes_max);
            let count = items.len();
            let messages = self.encoded(items);
            self.deliver(messages).await;
            self.shared.settle(count, source::now());
        }
    }

    /// Waits for a batch; `false` where there will be none.
    async fn ready(&self) -> bool {
        let (events_max, bytes_max) = self.shared.batch;
        loop {
            {
                let mut queue = self.shared.queue();
                queue.pay(source::now(), source::event_id);
                if !queue.is_empty() {
                    break;
                }
                if queue.is_closed {
                    return false;
                }
            }
            self.shared.wake.notified().await;
        }
        let linger = sleep(self.linger);
        tokio::pin!(linger);
        while !self.shared.queue().is_urgent(events_max, bytes_max) {
            tokio::select! {
                () = &mut linger => break,
                () = self.shared.wake.notified() => {}
            }
        }
        true
    }

    /// Makes the messages. An event that cannot be one is refused here.
    fn encoded(&mut self, items: Vec<Item>) -> Vec<Message> {
        let mut messages = Vec::with_capacity(items.len());
        for item in items {
            let random = &mut self.random;
            match encode(item, &self.identity, source::now(), &mut || random.draw()) {
                Ok(message) => messages.push(message),
                Err((ticket, why)) => self.refuse(&ticket, &why),
            }
        }
        messages
    }

    /// Sends until every message is acknowledged or refused.
    async fn deliver(&mut self, mut messages: Vec<Message>) {
        let (mut limit, mut failures) = (messages.len(), 0_u32);
        while !messages.is_empty() {
            let count = limit.clamp(1, messages.len());
            let batch = messages.get(..count).unwrap_or_default();
            let answer = match &mut self.door {
                Door::Http(http) => http.send(batch).await,
                Door::Kafka(kafka) => kafka.send(batch).await,
            };
            let next = answer.next;
            self.settle(&mut messages, answer);
            match next {
                Next::Now => (limit, failures) = (limit.saturating_mul(2), 0),
                Next::Half => limit = count.div_ceil(2),
                Next::Wait(after) => {
                    failures = failures.saturating_add(1);
                    sleep(after.map_or_else(|| self.backoff(failures), within_reason)).await;
                }
            }
        }
    }

    /// Takes away the messages of which it is known what became of them.
    fn settle(&mut self, messages: &mut Vec<Message>, answer: Answer) {
        let why = answer.why.unwrap_or_default();
        if let Next::Wait(_) = answer.next {
            self.shared.queue().failed(&why);
            if !std::mem::replace(&mut self.trouble.is_out, true) {
                tracing::error!(why, "events are not taken: they wait, and then they are dropped");
            }
        } else if std::mem::take(&mut self.trouble.is_out) {
            tracing::info!("events are taken again");
        }
        let rest = messages.split_off(answer.verdicts.len().min(messages.len()));
        let sent = std::mem::replace(messages, rest);
        let mut again = Vec::new();
        for (message, verdict) in sent.into_iter().zip(answer.verdicts) {
            match verdict {
                Verdict::Again => again.push(message),
                Verdict::Refused => self.refuse(&message.ticket, &why),
                Verdict::Acknowledged => {
                    let Message { ticket, receipt, .. } = message;
                    ticket.state.memory().acknowledge(receipt);
                    self.shared.queue().acknowledge(ticket.cost);
                }
            }
        }
        again.append(messages);
        *messages = again;
    }

    fn refuse(&mut self, ticket: &Ticket, why: &str) {
        self.shared.queue().refuse(ticket, why);
        if std::mem::replace(&mut self.trouble.has_refused, true) {
            tracing::debug!(why, "an event was refused");
        } else {
            tracing::error!(why, "an event was refused: it is lost, as the session will say");
        }
    }

    /// Twice as long with each failure, and up to half less, so that clients do not come back all at once.
    fn backoff(&mut self, failures: u32) -> Duration {
        let doubled = BACKOFF_MIN_MS.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let most = doubled.min(self.backoff_max_ms).max(1);
        let [random, ..] = self.random.draw().unwrap_or_default();
        Duration::from_millis(most - most * u64::from(random) / 512)
    }
}

fn within_reason(after: Duration) -> Duration {
    after.min(RETRY_AFTER_MAX)
}
