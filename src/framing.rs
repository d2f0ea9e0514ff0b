//! How the topics of a deployment are framed, and the registry that knows what Confluent frames name.

use ingest::Frames;
use registry::Registry;
use schemas::Framing;

use crate::exit::{Exit, OrExit};
use crate::output::notice;
use crate::sections::Sections;

/// `user:password` for the registry, over what its URL says.
const CREDENTIALS: &str = "CHANCERY_REGISTRY_AUTH";

/// What a gateway's values begin with. With Confluent framing it waits until the registry has given an id for each topic.
pub(crate) async fn frames(sections: &Sections) -> anyhow::Result<Frames> {
    let registry = open(sections)?;
    let Some(registry) = registry.as_ref().filter(|_| is_confluent(sections)) else {
        return Ok(Frames::single_object(registry));
    };
    let others = sections.ingest.topics.values().cloned();
    let topics: Vec<String> = std::iter::once(sections.kafka.topic.clone()).chain(others).collect();
    notice("asking the schema registry for the topics' ids");
    let frames = Frames::confluent(registry.clone(), &topics).await;
    frames.or_exit(Exit::Infrastructure, "the schema is not registered")
}

/// The consumer, told how its topic is framed.
pub(crate) fn consumer(kafka: sealer::Kafka, sections: &Sections) -> anyhow::Result<sealer::Kafka> {
    let registry = open(sections)?.filter(|_| is_confluent(sections));
    Ok(registry.map_or_else(|| kafka.clone(), |registry| kafka.clone().with_registry(registry)))
}

fn is_confluent(sections: &Sections) -> bool {
    sections.kafka.framing == Framing::Confluent
}

fn open(sections: &Sections) -> anyhow::Result<Option<Registry>> {
    if sections.registry.url.is_empty() {
        let why = "kafka.framing = confluent needs registry.url";
        return if is_confluent(sections) { Err(Exit::Usage.error(why)) } else { Ok(None) };
    }
    let credentials = std::env::var(CREDENTIALS).ok();
    let registry = Registry::new(&sections.registry, credentials.as_deref());
    registry.map(Some).or_exit(Exit::Usage, "settings [registry]")
}
