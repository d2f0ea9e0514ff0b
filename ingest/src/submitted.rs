//! SHELL: events that are with the sink, and the wait until they are durable.

use std::sync::Arc;

use futures_util::future::Shared;
use schemas::EventId;
use tokio::sync::oneshot;

use crate::admit::{Answer, Outcome};
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// A request whose events are with the sink.
pub(crate) struct Submitted {
    pub(crate) answers: Vec<Answer<Wait>>,
    pub(crate) outcome: Shared<oneshot::Receiver<Arc<[bool]>>>,
}

/// How to wait for one message of a request.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) outcome: Shared<oneshot::Receiver<Arc<[bool]>>>,
    pub(crate) index: usize,
}

/// An event that is durable.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) event_id: String,
    pub(crate) event_digest: String,
    pub(crate) session_made: Option<String>,
}

impl Gateway {
    /// Waits until every event is durable.
    pub(crate) async fn wait(&self, submitted: Submitted) -> Result<Vec<Accepted>, Refusal> {
        let mut accepted = Vec::with_capacity(submitted.answers.len());
        let mut repeated = 0;
        for answer in submitted.answers {
            let durable = match answer.outcome {
                Outcome::Message(index) => {
                    Wait { outcome: submitted.outcome.clone(), index }.durable().await
                }
                Outcome::InFlight(wait) => {
                    repeated += 1;
                    wait.durable().await
                }
                Outcome::Durable => {
                    repeated += 1;
                    true
                }
            };
            if !durable {
                return Err(Refusal::unavailable("the log did not confirm the events"));
            }
            accepted.push(Accepted {
                event_id: answer.event_id.to_string(),
                event_digest: answer.event_digest.to_string(),
                session_made: answer.session_made,
            });
        }
        self.metrics.events("repeated", repeated);
        Ok(accepted)
    }
}

impl Submitted {
    /// The ids of its events, in their order.
    pub(crate) fn event_ids(&self) -> impl Iterator<Item = EventId> {
        self.answers.iter().map(|answer| answer.event_id)
    }
}

impl Wait {
    /// A message that was dropped without an outcome is not durable.
    async fn durable(self) -> bool {
        let outcome = self.outcome.await;
        outcome.ok().and_then(|durable| durable.get(self.index).copied()).unwrap_or(false)
    }
}
