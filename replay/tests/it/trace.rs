//! Traces of sessions that a test writer sealed.

use crate::kit::chat::Sender;
use crate::kit::writer::Writer;
use crate::kit::{Objects, empty, kinds, report, store};
use replay::emit::terminal::TerminalOptions;
use replay::{Error, Filter, Trace, emit, sessions, trace};
use schemas::Tenant;

async fn conversation() -> Objects {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    chat.event("session.start", &[]);
    chat.says("user.message", "user", r#"{"role":"user","content":"weather in Paris?"}"#);
    let asks = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}},{"id":"c2","type":"function","function":{"name":"delete","arguments":"{}"}}]}"#;
    chat.call(asks, false, |envelope| {
        envelope.agent_name = Some("planner".into());
        envelope.agent_version = Some("7".into());
        envelope.principal_id = Some("u-1".into());
        envelope.request_model = Some("gpt".into());
        envelope.usage_input_tokens = Some(12);
        envelope.usage_output_tokens = Some(5);
        envelope.status = "ok".into();
    });
    let tool = |envelope: &mut schemas::Envelope<'static>| {
        envelope.tool_name = Some("weather".into());
        envelope.tool_call_id = Some("c1".into());
        envelope.tool_effect = Some("read".into());
    };
    let result = r#"{"role":"tool","tool_call_id":"c1","content":"sunny"}"#;
    chat.event_with(
        "tool.call",
        &[("", "tool_arguments", "{}"), ("tool", "message", result)],
        tool,
    );
    let change = chat.writer.body("", "state_value", br#"{"status":"open","n":1}"#);
    let after = chat.writer.body("", "state_value", br#"{"status":"closed","n":1}"#);
    let mut envelope = chat.writer.envelope("s-1", "state.change");
    envelope.state_changes.push(schemas::StateChange {
        target: "ticket".into(),
        op: "replace".into(),
        path: "/7".into(),
        from: None,
        before: Some(change.0.digest),
        after: Some(after.0.digest),
    });
    envelope.contents = vec![crate::kit::chat::owned(&change.0), crate::kit::chat::owned(&after.0)];
    chat.send(&envelope, &[change.1, after.1]);
    let first = std::mem::take(&mut chat.sent);
    // The same event told again: other salts and nonce, a context in full.
    chat.says("user.message", "user", r#"{"role":"user","content":"thanks"}"#);
    chat.call(r#"{"role":"assistant","content":"welcome"}"#, true, |_| {});
    let again = chat.sent.last().cloned().unwrap();
    chat.sent.push(again);
    chat.event_with("session.end", &[], |envelope| {
        envelope.session_seq = Some(9);
        envelope.status = "ok".into();
    });
    chat.sent.push((b"acme/s-1".to_vec(), Some(b"garbage".to_vec())));
    let second = std::mem::take(&mut chat.sent);
    writer.seal(&first).await;
    writer.seal(&second).await;
    objects
}

async fn traced(objects: &Objects) -> Trace {
    trace(&store(objects), None, "s-1").await.unwrap()
}

#[tokio::test]
async fn what_the_test_writer_wrote_verifies_clean() {
    let report = report(&conversation().await).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.events, report.raw, report.segments), (9, 1, 2));
}

#[tokio::test]
async fn a_trace_has_turns_calls_and_what_came_of_them() {
    let trace = traced(&conversation().await).await;
    let kinds: Vec<Vec<String>> = trace
        .turns
        .iter()
        .map(|turn| turn.steps.iter().map(|s| s.event.envelope().kind.to_string()).collect())
        .collect();
    let first = ["session.start", "user.message", "llm.call", "state.change"];
    assert_eq!(kinds, [&first[..], &["user.message", "llm.call", "session.end"]]);
    let call = &trace.turns[0].steps[2];
    assert_eq!((call.known, call.answer, call.contents.len()), (0, 1, 2));
    assert_eq!(call.requests[0].call.arguments, r#"{"city":"Paris"}"#);
    assert_eq!(call.children[0].event.envelope().tool_call_id.as_deref(), Some("c1"));
    let change = &trace.turns[0].steps[3].changes[0].fields;
    assert_eq!((change.len(), change[0].path.as_str()), (1, "/status"));
    let second = &trace.turns[1].steps[1];
    assert_eq!((second.known, second.answer, second.contents.len()), (2, 3, 4));
    assert_eq!((trace.totals.repeats, trace.totals.model_calls), (1, 2));
    assert_eq!((trace.totals.tool_calls, trace.totals.input_tokens), (1, 12));
}

#[tokio::test]
async fn holes_are_shown() {
    let trace = traced(&conversation().await).await;
    let holes: Vec<&str> = trace.holes.iter().map(|hole| hole.reason.as_str()).collect();
    for expected in ["undecodable message: frame", "session_seq 0-8", "delete (c2) was asked for"] {
        assert!(holes.iter().any(|hole| hole.contains(expected)), "{expected}: {holes:?}");
    }
    assert_eq!(holes.len(), 3, "{holes:?}");
}

#[tokio::test]
async fn a_trace_fits_the_terminal() {
    let trace = traced(&conversation().await).await;
    let mut out = Vec::new();
    emit::terminal::trace(&trace, &mut out, TerminalOptions::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for expected in
        ["turn 2", "weather", "sunny", "\"open\" → \"closed\"", "planner 7", "holes (3)"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut out = Vec::new();
    emit::json::trace(&trace, &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["turns"][0]["steps"][2]["requests"][0]["name"], "weather");
}

#[tokio::test]
async fn hostile_strings_do_not_reach_the_terminal() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let hostile = "\u{1b}[2J\u{202e}evil\u{7}\r\u{9b}31m\u{2028}";
    let mut chat = Sender::new(&mut writer, hostile);
    let message = serde_json::json!({"role": "user", "content": hostile, "tool_calls": [
        {"id": hostile, "function": {"name": hostile, "arguments": hostile}}]});
    chat.event_with(
        hostile,
        &[(hostile, "message", &message.to_string()), ("", hostile, hostile)],
        |e| {
            for field in [
                &mut e.agent_name,
                &mut e.tool_name,
                &mut e.error_type,
                &mut e.principal_id,
                &mut e.policy_id,
            ] {
                *field = Some(hostile.into());
            }
            e.status = hostile.into();
            e.capture_fidelity = hostile.into();
        },
    );
    let sent = chat.sent;
    writer.seal(&sent).await;
    let trace = trace(&store(&objects), None, hostile).await.unwrap();
    for full in [false, true] {
        let mut out = Vec::new();
        let options = TerminalOptions { full, ..TerminalOptions::default() };
        emit::terminal::trace(&trace, &mut out, options).unwrap();
        let text = String::from_utf8(out).unwrap();
        let bad =
            |c: &char| (c.is_control() && *c != '\n') || ('\u{2028}'..='\u{202e}').contains(c);
        assert_eq!(text.chars().find(bad), None, "{text}");
    }
}

#[tokio::test]
async fn an_id_of_two_tenants_needs_its_tenant() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut sent = Vec::new();
    for tenant in ["acme", "other"] {
        let mut envelope = writer.envelope("s-1", "user.message");
        envelope.tenant = tenant.into();
        sent.push(Writer::message(&envelope, &[]).0);
    }
    writer.seal(&sent).await;
    assert_eq!(kinds(&report(&objects).await), [""; 0]);
    let store = store(&objects);
    assert!(matches!(trace(&store, None, "s-1").await, Err(Error::Ambiguous { .. })));
    let other = Tenant::new("other").unwrap();
    assert_eq!(trace(&store, Some(&other), "s-1").await.unwrap().totals.rows, 1);
    assert!(matches!(trace(&store, None, "s-2").await, Err(Error::NoSession { .. })));
}

#[tokio::test]
async fn an_abandoned_object_is_no_hole() {
    let objects = crate::kit::loaded("store-epochs").await;
    let session = sessions(&store(&objects), &Filter::default()).await.unwrap().remove(0);
    let trace = trace(&store(&objects), None, &session.session_id).await.unwrap();
    assert_eq!((session.events, trace.totals.rows), (6, 6));
    let holes: Vec<&str> = trace.holes.iter().map(|hole| hole.reason.as_str()).collect();
    assert_eq!(holes, ["there is no session.end: it goes on, or its end was lost"]);
}
