//! The recording library against the real gateway, which is killed while an agent records and comes back on its port.

use std::path::Path;
use std::time::Duration;

use ::recorder::{Agent, Config, LlmAnswer, LlmRequest, Recorder, Session, Target, ToolRequest};
use serde_json::{Value, json};

use crate::binary::{Service, expect, verified};

const LONG: Duration = Duration::from_secs(60);
const KILLS: usize = 5;
const TURNS: usize = 20;

/// `up` on a port of its own choosing, or on this one.
fn up(dir: &Path, listen: &str) -> Service {
    let setting = "sealer.segment_rows_max=40";
    let dir = dir.to_str().unwrap();
    Service::listening(&["up", "--listen", listen, "--set", setting, "--dir", dir])
}

fn recorder(url: String) -> Recorder {
    let agent = Agent { name: "bot".to_owned(), version: "1".to_owned(), ..Agent::default() };
    let mut config = Config::new(Target::Ingest { url, key: None }, "default", agent);
    (config.linger_ms, config.backoff_max_ms) = (1, 100);
    Recorder::start(config).unwrap()
}

/// One turn: the user asks, the model wants a tool, and then says something.
fn turn(session: &Session, messages: &mut Vec<Value>, number: usize) {
    messages.push(json!({"role": "user", "content": format!("question {number}")}));
    session.user_message(::recorder::Content::message(&messages[messages.len() - 1]));
    let id = format!("call_{number}");
    let function = json!({"name": "search", "arguments": "{}"});
    let asks = json!([{"id": id, "type": "function", "function": function}]);
    ask(session, messages, json!({"role": "assistant", "content": null, "tool_calls": asks}));
    let tool = ToolRequest {
        name: "search".into(),
        call_id: Some(id.clone().into()),
        arguments: json!({}),
        effect: Some("read".into()),
        ..ToolRequest::default()
    };
    session.tool_call(tool).finish(format!("hit {number}"));
    messages.push(json!({"role": "tool", "tool_call_id": id, "content": format!("hit {number}")}));
    ask(session, messages, json!({"role": "assistant", "content": format!("answer {number}")}));
}

fn ask(session: &Session, messages: &mut Vec<Value>, answer: Value) {
    let request = json!({"model": "m", "messages": messages});
    let call = session.llm_call(LlmRequest::of_chat("openai", &request));
    call.finish(LlmAnswer::of_chat(&json!({"choices": [{"message": answer}]})));
    messages.push(answer);
}

/// The trace of a session whose every event is there: no holes.
fn traced(dir: &str, session: &str) -> Value {
    let trace: Value =
        serde_json::from_str(&expect(0, &["trace", dir, session, "--json"])).unwrap();
    assert_eq!(trace["holes"], json!([]), "{trace}");
    trace
}

#[test]
fn what_an_agent_records_is_traced_without_holes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let up = up(&dir, "127.0.0.1:0");
    let recorder = recorder(up.url());
    let session = recorder.session();
    turn(&session, &mut Vec::new(), 1);
    session.end("ok");
    let stats = recorder.close(LONG).unwrap();
    assert_eq!((stats.acknowledged, stats.dropped, stats.refused), (9, 0, 0));
    assert_eq!(up.end("-TERM"), Some(0));

    let dir = dir.to_str().unwrap();
    assert_eq!(verified(dir), 9);
    traced(dir, session.id());
}

/// Recording goes on while the gateway dies and while it is dead: half of the turns fall into each.
#[test]
fn a_gateway_that_is_killed_costs_a_recorder_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let mut service = up(&dir, "127.0.0.1:0");
    let address = service.url().trim_start_matches("http://").to_owned();
    let recorder = recorder(service.url());
    let session = recorder.session();
    let mut messages = Vec::new();
    for kill in 0..KILLS {
        // It is there, and then it dies with requests under way.
        recorder.flush(LONG).unwrap();
        (0..TURNS / 2).for_each(|number| turn(&session, &mut messages, kill * TURNS + number));
        assert_eq!(service.end("-KILL"), None);
        (TURNS / 2..TURNS).for_each(|number| turn(&session, &mut messages, kill * TURNS + number));
        service = up(&dir, &address);
    }
    session.end("ok");
    let stats = recorder.close(LONG).unwrap();
    let recorded = u64::try_from(2 + KILLS * TURNS * 7).unwrap();
    assert_eq!((stats.acknowledged, stats.dropped, stats.refused), (recorded, 0, 0));
    assert_eq!(service.end("-TERM"), Some(0));

    let dir = dir.to_str().unwrap();
    // An event whose answer was lost may stand there twice; readers show it once.
    assert!(verified(dir) >= recorded);
    traced(dir, session.id());
}

#[cfg(feature = "services")]
#[tokio::test]
async fn what_goes_straight_to_a_topic_is_well_formed_at_its_place_and_in_order() {
    use std::collections::BTreeMap;

    use rdkafka::Message as _;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::{Offset, TopicPartitionList};

    use crate::services::{PARTITIONS, client, create_topic, variable};

    const SESSIONS: usize = 10;
    let brokers = variable("CHANCERY_TEST_KAFKA");
    let topic = format!("recorder-{}", uuid::Uuid::now_v7());
    create_topic(&brokers, &topic).await;
    let agent = Agent { name: "bot".to_owned(), ..Agent::default() };
    let properties = BTreeMap::new();
    let target = Target::Kafka { brokers: brokers.clone(), topic: topic.clone(), properties };
    let recorder = Recorder::start(Config::new(target, "acme", agent)).unwrap();
    let sessions: Vec<Session> = (0..SESSIONS).map(|_| recorder.session()).collect();
    sessions.iter().for_each(|session| turn(session, &mut Vec::new(), 1));
    recorder.flushed().await;
    sessions.iter().for_each(|session| turn(session, &mut Vec::new(), 1));
    let stats = recorder.close(LONG).unwrap();
    let recorded = u64::try_from(SESSIONS * 15).unwrap();
    assert_eq!((stats.acknowledged, stats.refused, stats.dropped), (recorded, 0, 0));

    let consumer: BaseConsumer = client(&brokers).set("group.id", "unused").create().unwrap();
    let mut places = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|partition| {
        places.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
    });
    consumer.assign(&places).unwrap();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..recorded {
        let message = consumer.poll(LONG).unwrap().unwrap();
        let (key, value) = (message.key(), message.payload());
        let (offset, timestamp) = (schemas::Offset(0), schemas::Timestamp::default());
        let partition = schemas::Partition(u32::try_from(message.partition()).unwrap());
        let place = schemas::Place { partition, partitions: PARTITIONS.unsigned_abs() };
        let message = schemas::Message { offset, timestamp, key, value };
        let event = schemas::read(&message, place).unwrap();
        assert_eq!(event.admission, None);
        let next = next.entry(event.envelope.session_id.to_string()).or_default();
        assert_eq!(event.envelope.session_seq, Some(*next));
        assert!(*next < 8 || event.bodies.is_empty(), "it was acknowledged before");
        *next += 1;
    }
    assert_eq!(next.len(), SESSIONS);
}
