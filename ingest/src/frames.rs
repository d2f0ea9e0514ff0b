//! SHELL: what the values of each topic begin with, and what the frames of events that come as Avro name.
//!
//! A topic with Confluent framing has its ids from the registry when the gateway starts; then no outage of the registry
//! matters to what is written.

#![expect(
    clippy::disallowed_methods,
    reason = "a registry that is away is asked again after a while"
)]

use std::time::Duration;

use registry::{Kind, Registry};
use schemas::{Digest, Framing, PUBLISHED, Published, SchemaId};
use tokio::runtime::Handle;

use crate::class::Class;
use crate::refusal::Refusal;

/// Wait before the registry is asked again; doubles up to the second.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The frames of the topics, that of each retention class, and the registry, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    registry: Option<Registry>,
    /// For each class, what a schema is called on its topic; empty where topics have single-object framing.
    ids: Vec<Vec<(Digest, SchemaId)>>,
}

impl Frames {
    /// Topics with single-object framing. With a registry, events may come with Confluent frames all the same.
    #[must_use]
    pub fn single_object(registry: Option<Registry>) -> Self {
        Self { registry, ids: Vec::new() }
    }

    /// Topics with Confluent framing: registers every published schema for each of them, the topic of the gateway's own
    /// retention class first, the others in the order of their classes' names. A registry that is away is asked again, for
    /// as long as it takes.
    ///
    /// # Errors
    /// The registry refuses.
    pub async fn confluent(registry: Registry, topics: &[String]) -> Result<Self, registry::Error> {
        let mut ids = Vec::new();
        for topic in topics {
            let mut of_topic = Vec::new();
            for schema in PUBLISHED {
                let id = register(&registry, topic, schema).await?;
                tracing::info!(topic, %id, schema = %schema.digest, "schema registered");
                of_topic.push((schema.digest, id));
            }
            ids.push(of_topic);
        }
        Ok(Self { registry: Some(registry), ids })
    }

    /// How the topics' values are framed.
    pub(crate) fn framing(&self) -> Framing {
        if self.ids.is_empty() { Framing::SingleObject } else { Framing::Confluent }
    }

    /// What a value of this schema begins with on the topic of this class.
    pub(crate) fn frame(&self, class: Class, schema: &Published) -> Vec<u8> {
        let ids = self.ids.get(class.0).into_iter().flatten();
        let mut id = ids.filter(|(digest, _)| *digest == schema.digest).map(|(_, id)| id);
        id.next().map_or_else(|| schema.frame().to_vec(), |id| id.frame().to_vec())
    }

    /// The published schema that an id in an event's frame stands for. Waits for the registry: not for an async thread.
    pub(crate) fn named(&self, id: SchemaId) -> Result<Option<&'static Published>, Refusal> {
        let none =
            || Refusal::body("Confluent frames are not taken here: there is no schema registry");
        let registry = self.registry.as_ref().ok_or_else(none)?;
        Handle::current().block_on(registry.published(id)).map_err(|error| {
            tracing::warn!(%id, %error, "an event's schema could not be looked up");
            Refusal::unavailable("the schema registry does not tell what schema the event has")
        })
    }
}

async fn register(
    registry: &Registry,
    topic: &str,
    schema: &'static Published,
) -> Result<SchemaId, registry::Error> {
    let mut wait = WAIT_MIN;
    loop {
        match registry.register(topic, schema).await {
            Err(error) if error.kind() == Kind::Transient => {
                let wait_ms = wait.as_millis();
                tracing::warn!(topic, %error, wait_ms, "the schema is not registered yet");
            }
            done => return done,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_an_id_is_framed_as_a_single_object() {
        let schema = Published::LATEST;
        let mut frames = Frames::single_object(None);
        assert_eq!(frames.frame(Class(0), &schema), schema.frame());
        frames.ids = vec![vec![(schema.digest, SchemaId(7))], vec![(schema.digest, SchemaId(8))]];
        assert_eq!(frames.frame(Class(1), &schema), [0, 0, 0, 0, 8]);
        assert_eq!(frames.framing(), Framing::Confluent);
    }
}
