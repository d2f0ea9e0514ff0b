//! A recorder against a door that takes, refuses, hangs and breaks, over a real socket.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod gateway;

use std::collections::HashSet;
use std::time::Duration;

use gateway::{Act, Door, hold};
use recorder::{
    Change, Content, Decision, Document, Error, Event, LlmAnswer, LlmRequest, Opening, Recorder,
    Session, ToolRequest,
};
use schemas::{Envelope, Offset, Partition, Place, Timestamp, read};
use serde_json::{Value, json};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// The messages as the format's own reader finds them. All are of one session.
fn events<'m>(session: &str, messages: &'m [Vec<u8>]) -> Vec<schemas::Event<'m>> {
    // Lives as long as the messages.
    let key: &[u8] = format!("acme/{session}").into_bytes().leak();
    let read = |value: &'m Vec<u8>| {
        let (offset, timestamp) = (Offset(0), Timestamp::default());
        let message =
            schemas::Message { offset, timestamp, key: Some(key), value: Some(value.as_slice()) };
        read(&message, Place { partition: Partition(0), partitions: 1 }).unwrap()
    };
    messages.iter().map(read).collect()
}

fn envelopes<'m>(session: &Session, messages: &'m [Vec<u8>]) -> Vec<Envelope<'m>> {
    events(session.id(), messages).into_iter().map(|event| event.envelope).collect()
}

fn kinds(envelopes: &[Envelope<'_>]) -> Vec<String> {
    envelopes.iter().map(|envelope| envelope.kind.to_string()).collect()
}

fn account(event: &schemas::Event<'_>) -> Value {
    serde_json::from_slice(event.bodies[0].data.unwrap()).unwrap()
}

#[test]
fn a_session_of_every_kind_is_whole_and_in_order() {
    let door = Door::open(vec![]);
    let recorder = door.recorder(|_| {});
    let principal = Some(("user".to_owned(), "u-1".to_owned()));
    let session = recorder.session_with(Opening { principal, ..Opening::default() }).unwrap();
    session.user_message("Where is my order?");
    let call = session.llm_call(LlmRequest::of_chat(
        "openai",
        &json!({"model": "m", "stop": ["x"], "messages": [{"role": "user", "content": "Where?"}]}),
    ));
    let cause = Some(call.id());
    call.finish(LlmAnswer::of_chat(&json!({
        "choices": [{"message": {"role": "assistant", "content": "Here."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    })));
    session.policy_decision(Decision { decision: "allow".into(), cause, ..Decision::default() });
    let tool =
        ToolRequest { name: "search".into(), arguments: json!({"q": 1}), ..ToolRequest::default() };
    session.tool_call(tool.clone()).finish("one hit");
    session.tool_call(tool.clone()).fail("not_found", "no such thing");
    session.tool_call(tool).deny("not today");
    session.retrieval("q", [Document { text: Some("t".to_owned()), ..Document::default() }]);
    session.state_change([Change { after: Some(json!(1)), ..Change::default() }]);
    session.evaluation("quality", Some(0.5), None);
    session.handoff("other-bot", "go on");
    session.agent_message("Bye.");
    session.llm_called(LlmRequest::default(), LlmAnswer::default());
    session.end("ok");
    let stats = recorder.close(LONG).unwrap();
    assert_eq!((stats.recorded, stats.acknowledged, stats.pending_bytes), (18, 18, 0));

    let messages = door.taken();
    let events = events(session.id(), &messages);
    for (index, event) in events.iter().enumerate() {
        let (envelope, index) = (&event.envelope, Some(u64::try_from(index).unwrap()));
        assert_eq!((envelope.session_seq, envelope.producer_seq), (index, index));
        assert_eq!(envelope.principal_id.as_deref(), Some("u-1"));
        assert_eq!((envelope.producer_dropped, event.admission), (Some(0), None));
    }
    for pair in events.windows(2) {
        assert_eq!(pair[1].envelope.prev_event_digest, Some(pair[0].event_digest));
    }
    let end = &events[3].envelope;
    assert_eq!((&*end.phase, &*end.status, end.usage_input_tokens), ("end", "ok", Some(3)));
    assert_eq!(end.causation_id, Some(events[2].envelope.event_id));
    assert_eq!(end.request_model.as_deref(), Some("m"));
    assert_eq!(events[17].envelope.session_event_count, Some(18));
    let sent: HashSet<String> = door.authorizations().into_iter().collect();
    assert_eq!(sent, HashSet::from(["Bearer chk_secret".to_owned()]));
}

#[test]
fn a_body_is_sent_again_until_it_is_acknowledged_and_then_never() {
    let door = Door::open(vec![Act::Unavailable, Act::TakeAndCut, Act::Unavailable]);
    let recorder = door.recorder(|config| config.linger_ms = 60_000);
    let session = recorder.session();
    session.user_message("hi");
    session.user_message("hi");
    recorder.flush(LONG).unwrap();
    session.user_message("hi");
    let stats = recorder.close(LONG).unwrap();
    assert_eq!((stats.acknowledged, stats.refused, stats.dropped), (4, 0, 0));

    let messages = door.taken();
    assert_eq!(messages[..3], messages[3..6], "what is sent again are the same bytes");
    let events = events(session.id(), &messages);
    let carried: Vec<usize> = events.iter().map(|event| event.bodies.len()).collect();
    assert_eq!(carried, [0, 1, 1, 0, 1, 1, 0]);
    assert_eq!(events[6].envelope.contents[0].digest, events[1].bodies[0].digest);
}

#[test]
fn a_conversation_is_folded_onto_what_was_acknowledged() {
    let door = Door::open(vec![]);
    let recorder = door.recorder(|_| {});
    let session = recorder.session();
    let said: Vec<Content> = (0..9).map(|n| Content::text("user", format!("{n}"))).collect();
    for count in [3, 6, 9] {
        let messages = said[..count].to_vec();
        session.llm_called(LlmRequest { messages, ..LlmRequest::default() }, LlmAnswer::default());
        recorder.flush(LONG).unwrap();
    }
    let messages = door.taken();
    let events = events(session.id(), &messages);
    for (before, event) in [(1, 2), (2, 3)] {
        let prefix = events[event].envelope.context_prefix.clone().unwrap();
        assert_eq!(prefix.event_digest, events[before].event_digest);
        assert_eq!(
            (prefix.count, events[event].bodies.len()),
            (3 * u64::try_from(before).unwrap(), 3)
        );
    }
}

#[test]
fn a_full_queue_drops_counts_and_says_which() {
    let (act, has_come, go) = hold();
    let door = Door::open(vec![act]);
    let recorder = door.recorder(|config| config.queue_bytes_max = 64 << 10);
    let session = recorder.session();
    has_come.recv().unwrap();
    let text = "x".repeat(10_000);
    for _ in 0..20 {
        session.user_message(text.as_str());
    }
    let full = recorder.stats();
    assert!(full.dropped > 10, "{full:?}");
    assert!(full.pending_bytes <= 64 << 10);
    go.send(()).unwrap();
    recorder.flush(LONG).unwrap();
    session.end("ok");
    let stats = recorder.close(LONG).unwrap();
    assert_eq!((stats.dropped, stats.refused, stats.pending), (full.dropped, 0, 0));
    assert_eq!(stats.recorded, stats.acknowledged + stats.dropped);

    let messages = door.taken();
    let events = events(session.id(), &messages);
    let gaps: Vec<_> = events.iter().filter(|e| e.envelope.kind == "producer.gap").collect();
    assert_eq!(gaps.len(), 1);
    let lost = account(gaps[0]);
    assert_eq!(lost["lost_events"], full.dropped);
    assert_eq!(lost["lost"][0]["reason"], "no_room");
    assert_eq!(gaps[0].envelope.producer_dropped, Some(full.dropped));
    let there: HashSet<u64> = events.iter().filter_map(|e| e.envelope.session_seq).collect();
    let [first, last] =
        ["session_seq_first", "session_seq_last"].map(|end| lost["lost"][0][end].as_u64().unwrap());
    let missing: Vec<u64> = (0..21).filter(|seq| !there.contains(seq)).collect();
    assert_eq!(missing, (first..=last).collect::<Vec<_>>());
    let count = events.last().unwrap().envelope.session_event_count.unwrap();
    assert_eq!(count, u64::try_from(events.len()).unwrap() + full.dropped);
}

#[test]
fn an_event_that_is_refused_is_counted_and_named_and_the_others_arrive() {
    let blames = r#"{"error":{"code":"invalid_field","message":"no","event":2}}"#;
    let blames_none = r#"{"error":{"code":"too_large","message":"too much"}}"#;
    let acts =
        [(413, blames_none), (400, "not a gateway"), (400, blames)].map(|(s, t)| Act::Refuse(s, t));
    let door = Door::open(Vec::from(acts));
    let recorder = door.recorder(|config| config.linger_ms = 60_000);
    let session = recorder.session();
    for number in 0..5 {
        session.user_message(format!("{number}"));
    }
    let stats = recorder.close(LONG).unwrap();
    assert_eq!((stats.recorded, stats.acknowledged, stats.refused), (7, 6, 1));
    assert_eq!(stats.last_error.as_deref(), Some("400 Bad Request: no"));

    let messages = door.taken();
    let events = events(session.id(), &messages);
    let seqs: Vec<u64> = events.iter().filter_map(|event| event.envelope.session_seq).collect();
    assert_eq!(seqs, [0, 1, 3, 4, 5, 6]);
    let lost = &account(events.last().unwrap())["lost"][0];
    assert_eq!((&lost["reason"], &lost["session_seq_first"]), (&json!("refused"), &json!(2)));
}

#[test]
fn a_gateway_that_refuses_everything_is_not_asked_for_ever() {
    let no = || Act::Refuse(400, r#"{"error":{"code":"invalid_field","message":"no","event":0}}"#);
    let door = Door::open((0..4).map(|_| no()).collect());
    let recorder = door.recorder(|_| {});
    let session = recorder.session();
    recorder.flush(LONG).unwrap();
    session.user_message("hi");
    let stats = recorder.close(LONG).unwrap();
    assert_eq!(stats.recorded, stats.refused + stats.acknowledged);
    assert!(stats.recorded < 8, "{stats:?}");
}

#[test]
fn a_call_that_nobody_ends_is_cancelled_and_one_that_panics_failed() {
    let door = Door::open(vec![]);
    let recorder = door.recorder(|_| {});
    let session = recorder.session();
    drop(session.llm_call(LlmRequest::default()));
    let panics = session.clone();
    let thread = std::thread::spawn(move || {
        let _call = panics.tool_call(ToolRequest::default());
        panic!("as it does");
    });
    assert!(thread.join().is_err());
    recorder.close(LONG).unwrap();
    let messages = door.taken();
    let envelopes = envelopes(&session, &messages);
    assert_eq!(
        kinds(&envelopes),
        ["session.start", "llm.call", "llm.call", "tool.call", "tool.call"]
    );
    let ends = [2, 4].map(|at| (&*envelopes[at].status, envelopes[at].error_type.as_deref()));
    assert_eq!(ends, [("cancelled", Some("abandoned")), ("error", Some("panic"))]);
    assert!(envelopes[2].duration_us.is_some());
}

#[test]
fn a_session_is_one_by_its_id_and_one_that_goes_on_does_not_count() {
    let door = Door::open(vec![]);
    let recorder = door.recorder(|_| {});
    let opening = || Opening { id: Some("s-1".to_owned()), ..Opening::default() };
    let session = recorder.session_with(opening()).unwrap();
    let again = recorder.session_with(opening()).unwrap();
    again.user_message("hi");
    recorder.resume("s-1").unwrap().user_message("hi");
    recorder.flush(LONG).unwrap();
    drop((session, again));
    let session = recorder.resume("s-1").unwrap();
    session.end("ok");
    assert!(recorder.resume("").is_err());
    recorder.close(LONG).unwrap();
    let messages = door.taken();
    let envelopes = envelopes(&session, &messages);
    let seqs: Vec<_> = envelopes.iter().map(|envelope| envelope.session_seq).collect();
    assert_eq!(seqs, [Some(0), Some(1), Some(2), None]);
    assert_eq!(envelopes[3].session_event_count, None);
}

#[test]
fn what_cannot_be_sent_is_said_and_recording_goes_on() {
    // A port at which nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let target = recorder::Target::Ingest { url, key: None };
    let recorder =
        Recorder::start(recorder::Config::new(target, "acme", recorder::Agent::default())).unwrap();
    let session = recorder.session();
    let Err(Error::Unfinished { stats }) = recorder.close(Duration::from_millis(300)) else {
        panic!("nobody is there");
    };
    assert_eq!((stats.recorded, stats.pending), (1, 1));
    assert!(stats.last_error.is_some());
    session.record(Event::new("x"));
    assert_eq!((recorder.stats().recorded, recorder.stats().dropped), (2, 1));
}

#[test]
fn flushing_needs_no_particular_executor() {
    let door = Door::open(vec![Act::Unavailable]);
    let recorder = door.recorder(|config| config.linger_ms = 60_000);
    let _session = recorder.session();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let stats = runtime.block_on(recorder.flushed());
    assert_eq!((stats.acknowledged, stats.pending), (1, 0));
}

#[test]
fn secrets_are_not_shown() {
    let target =
        recorder::Target::Ingest { url: "http://h".to_owned(), key: Some("chk_1_s".into()) };
    let mut config = recorder::Config::new(target, "acme", recorder::Agent::default());
    assert!(!format!("{config:?}").contains("chk_1_s"));
    let properties = [("sasl.password".to_owned(), "hunter2".to_owned())].into();
    let (brokers, topic) = (String::new(), String::new());
    config.target = recorder::Target::Kafka { brokers, topic, properties };
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", Content::from("prompt")).contains("prompt"));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let start = |change: fn(&mut recorder::Config)| {
        let target = recorder::Target::Ingest { url: "http://h".to_owned(), key: None };
        let mut config = recorder::Config::new(target, "acme", recorder::Agent::default());
        change(&mut config);
        Recorder::start(config).unwrap_err().to_string()
    };
    assert!(start(|config| config.tenant = "No".to_owned()).contains("tenant"));
    assert!(start(|config| config.queue_bytes_max = 1).contains("queue_bytes_max"));
    let ftp = |config: &mut recorder::Config| {
        config.target = recorder::Target::Ingest { url: "ftp://h".to_owned(), key: None };
    };
    assert!(start(ftp).contains("url"));
}
