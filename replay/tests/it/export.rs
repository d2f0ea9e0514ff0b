//! Chats go in as `import` sends them and come out with the same text.

use crate::kit::chat::Sender;
use crate::kit::writer::Writer;
use crate::kit::{Objects, empty, report, store};
use proptest::prelude::*;
use replay::{ExportForm, ExportOptions, Filter, export, sessions};
use serde_json::Value;

/// Sends one line as `import` does: see the crate's description of it.
fn send(chat: &mut Sender<'_>, messages: &[String], rest: &str, folds: &[bool]) {
    let attributes = format!("{{{rest}}}");
    chat.event("session.start", &[("", "attributes", &attributes)]);
    let role = |text: &str| {
        let message: Value = serde_json::from_str(text).unwrap();
        message["role"].as_str().unwrap().to_owned()
    };
    let last_call = messages.iter().rposition(|text| role(text) == "assistant");
    for (at, text) in messages.iter().enumerate() {
        match role(text).as_str() {
            "assistant" => chat.call(text, folds[at % folds.len()], |_| {}),
            "user" => chat.says("user.message", "user", text),
            "tool" => chat.says("tool.call", "tool", text),
            _ if last_call.is_some_and(|last| at < last) => {
                // Carried by a later model call alone.
                let (content, body) = chat.writer.body("system", "message", text.as_bytes());
                let content = crate::kit::chat::owned(&content);
                chat.messages.push(content.clone());
                // Its body has to be sent once: here with an event that says nothing else of it.
                let mut envelope = chat.writer.envelope(&chat.session, "state.change");
                envelope.contents.push(content);
                chat.send(&envelope, &[body]);
            }
            _ => chat.says("config.change", "system", text),
        }
    }
    chat.event("session.end", &[]);
}

async fn exported(objects: &Objects, form: ExportForm, sessions: &[&str]) -> Vec<String> {
    let sessions = sessions.iter().map(|id| (*id).to_owned()).collect();
    let options = ExportOptions { sessions, form, ..ExportOptions::default() };
    let mut out = Vec::new();
    export(&store(objects), options, &mut out).await.unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn message() -> impl Strategy<Value = String> {
    let role = prop_oneof![Just("system"), Just("user"), Just("assistant"), Just("tool")];
    let said = prop_oneof![
        Just("\"yes\"".to_owned()),
        Just("\"no\"".to_owned()),
        Just("null".to_owned()),
        Just("[ {\"type\": \"text\",\"text\":\"\\u00e9 é\"} ]".to_owned()),
        Just("\"1.0e5 \\/ \"".to_owned()),
    ];
    (role, said, any::<bool>()).prop_map(|(role, said, spaced)| {
        if spaced {
            format!("{{ \"content\" : {said}, \"role\": \"{role}\",  \"n\": 1.50 }}")
        } else {
            format!("{{\"role\":\"{role}\",\"content\":{said}}}")
        }
    })
}

fn chats() -> impl Strategy<Value = Vec<Vec<String>>> {
    proptest::collection::vec(proptest::collection::vec(message(), 0..9), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn chats_come_back_as_they_were(
        chats in chats(),
        folds in proptest::collection::vec(any::<bool>(), 1..5),
        cut in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let objects: Objects = empty();
            let mut writer = Writer::new(&objects).await;
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (number, messages) in chats.iter().enumerate() {
                let id = format!("s-{number}");
                let rest = "\"label\":{\"b\": 1,\"a\":2.0},\"x\":null";
                let mut chat = Sender::new(&mut writer, &id);
                send(&mut chat, messages, rest, &folds);
                sent.push(chat.sent);
                let messages = messages.join(",");
                expected.push(format!("{{\"session_id\":\"{id}\",\"messages\":[{messages}],{rest}}}"));
            }
            // Sessions interleave, over several segments.
            let mut mixed = Vec::new();
            while sent.iter().any(|events| !events.is_empty()) {
                for events in &mut sent {
                    mixed.extend(events.drain(..cut.min(events.len())));
                }
            }
            for part in mixed.chunks(7) {
                writer.seal(part).await;
            }
            prop_assert_eq!(report(&objects).await.findings, []);
            let mut lines = exported(&objects, ExportForm::OpenAiChat, &[]).await;
            lines.sort();
            prop_assert_eq!(lines, expected);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn events_come_out_one_a_line_with_their_bodies() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    chat.event("llm.call", &[("user", "message", "{\"a\":\n1.0}"), ("", "text", "plain")]);
    let mut sent = chat.sent;
    sent.push((b"acme/s-1".to_vec(), None));
    writer.seal(&sent).await;
    let lines = exported(&objects, ExportForm::Events, &["s-1"]).await;
    assert!(lines[0].contains("\"json\":{\"a\": 1.0}"), "{}", lines[0]);
    let event: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(event["contents"][1]["text"], "plain");
    assert_eq!(event["envelope"]["kind"], "llm.call");
    assert_eq!(event["offset"], 0);
    let raw: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((&raw["raw"], lines.len()), (&Value::from("tombstone"), 2));
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_filtered() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut sent = Vec::new();
    for (id, agent, tool, status) in
        [("s-1", "planner", "weather", "ok"), ("s-2", "writer", "mail", "error")]
    {
        let mut chat = Sender::new(&mut writer, id);
        chat.event_with("session.start", &[], |envelope| envelope.session_seq = Some(0));
        chat.event_with("llm.call", &[], |envelope| {
            envelope.agent_name = Some(agent.into());
            envelope.usage_input_tokens = Some(7);
            envelope.session_seq = Some(3);
        });
        for phase in ["start", "end"] {
            chat.event_with("tool.call", &[], |envelope| {
                envelope.tool_name = Some(tool.into());
                envelope.phase = phase.into();
                envelope.status = status.into();
            });
        }
        chat.sent.push((format!("acme/{id}").into_bytes(), None));
        sent.extend(chat.sent);
    }
    writer.seal(&sent).await;
    let store = store(&objects);
    let listed = async |filter: Filter| {
        let found = sessions(&store, &filter).await.unwrap();
        found.into_iter().map(|session| session.session_id).collect::<Vec<_>>()
    };
    let all = Filter::default();
    assert_eq!(listed(all.clone()).await, ["s-2", "s-1"]);
    assert_eq!(listed(Filter { limit: Some(1), ..all.clone() }).await, ["s-2"]);
    assert_eq!(listed(Filter { agent: Some("planner".into()), ..all.clone() }).await, ["s-1"]);
    assert_eq!(listed(Filter { tool: Some("mail".into()), ..all.clone() }).await, ["s-2"]);
    assert_eq!(listed(Filter { status: Some("error".into()), ..all.clone() }).await, ["s-2"]);
    let first = &sessions(&store, &all).await.unwrap()[1];
    assert_eq!((first.events, first.model_calls, first.tool_calls), (4, 1, 1));
    assert_eq!((first.input_tokens, first.holes, first.ended), (7, 3, false));
    assert_eq!(first.agent.as_deref(), Some("planner"));
}
