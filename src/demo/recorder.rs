//! What an agent of the demo notes down: the events of one session, in the JSON form of the gateway's HTTP door.
//!
//! Core. It plays the part of an SDK: it counts, keeps time, makes ids, and sends the whole history with each model call.

use schemas::{Hasher, Micros};
use serde_json::{Map, Value, json};

/// The events of one session.
#[derive(Debug)]
pub(crate) struct Recorder {
    session_id: String,
    /// Fields of every event: who acts, on whose behalf.
    actor: Map<String, Value>,
    /// The conversation so far, as the model gets it.
    history: Vec<Value>,
    now: Micros,
    events: Vec<Value>,
}

/// An event's id, for events that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause(String);

impl Recorder {
    /// Begins a session at `now`; `actor` are the fields of every event.
    pub(crate) fn new(session_id: String, now: Micros, actor: Value) -> Self {
        let actor = object(actor);
        Self { session_id, actor, history: Vec::new(), now, events: Vec::new() }
    }

    /// From now on another agent acts: `actor` goes over what was.
    pub(crate) fn hand_over(&mut self, actor: Value) {
        self.actor.extend(object(actor));
    }

    /// Lets time pass.
    pub(crate) fn wait_ms(&mut self, ms: i64) {
        self.now = Micros(self.now.0 + ms * 1000);
    }

    /// Notes an event down; where it took time, the clock moves on by that.
    pub(crate) fn event(
        &mut self,
        kind: &str,
        cause: Option<&Cause>,
        fields: Value,
        contents: Vec<Value>,
    ) -> Cause {
        let seq = self.events.len();
        let id = event_id(&self.session_id, seq);
        let mut event = self.actor.clone();
        event.extend(object(json!({
            "event_id": id,
            "session_id": self.session_id,
            "kind": kind,
            "occurred_at": self.now.to_string(),
            "capture_source": "sdk",
            "session_seq": seq,
            "status": "ok",
        })));
        if let Some(Cause(id)) = cause {
            event.insert("causation_id".to_owned(), id.as_str().into());
        }
        event.extend(object(fields));
        let duration_us = event.get("duration_us").and_then(Value::as_i64);
        self.now = Micros(self.now.0 + duration_us.unwrap_or(1000));
        if !contents.is_empty() {
            event.insert("contents".to_owned(), contents.into());
        }
        self.events.push(event.into());
        Cause(id)
    }

    /// The user says something.
    pub(crate) fn user(&mut self, text: &str) -> Cause {
        let message = json!({"role": "user", "content": text});
        self.history.push(message.clone());
        self.event("user.message", None, json!({}), vec![content("user", "message", message)])
    }

    /// Sets the system message that model calls begin with.
    pub(crate) fn system(&mut self, text: &str) {
        self.history.insert(0, json!({"role": "system", "content": text}));
    }

    /// The model is called with everything so far and answers with `message`.
    pub(crate) fn model(
        &mut self,
        cause: &Cause,
        fields: Value,
        tools: Option<Value>,
        message: Value,
    ) -> Cause {
        self.history.push(message);
        let messages = self.history.iter().map(|message| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            content(role, "message", message.clone())
        });
        let tools = tools.map(|tools| content("system", "tool_definitions", tools));
        let contents = tools.into_iter().chain(messages).collect();
        self.event("llm.call", Some(cause), fields, contents)
    }

    /// A tool was called with `arguments` and gave `result`.
    pub(crate) fn tool(
        &mut self,
        cause: &Cause,
        (name, call_id): (&str, &str),
        fields: Value,
        arguments: Value,
        result: &str,
    ) -> Cause {
        let answer = json!({"role": "tool", "tool_call_id": call_id, "content": result});
        self.history.push(answer.clone());
        let mut all = object(json!({"tool_name": name, "tool_call_id": call_id}));
        all.extend(object(fields));
        let contents = vec![
            content("assistant", "tool_arguments", arguments),
            content("tool", "message", answer),
        ];
        self.event("tool.call", Some(cause), all.into(), contents)
    }

    /// Ends the session; its events.
    pub(crate) fn end(mut self) -> Vec<Value> {
        let count = self.events.len() + 1;
        self.event("session.end", None, json!({"session_event_count": count}), Vec::new());
        self.events
    }
}

/// A body that is JSON.
pub(crate) fn content(role: &str, kind: &str, json: Value) -> Value {
    json!({"role": role, "kind": kind, "media_type": "application/json", "json": json})
}

/// A body that is text.
pub(crate) fn text(role: &str, kind: &str, text: &str) -> Value {
    json!({"role": role, "kind": kind, "media_type": "text/plain; charset=utf-8", "text": text})
}

/// An assistant message that asks for tools: id, name and arguments of each.
pub(crate) fn asks(calls: &[(&str, &str, Value)]) -> Value {
    let call = |(id, name, arguments): &(&str, &str, Value)| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"id": id, "type": "function", "function": function})
    };
    let calls: Vec<Value> = calls.iter().map(call).collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

/// An assistant message that says something.
pub(crate) fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

/// Derived, so that an event sent again is the same event.
fn event_id(session_id: &str, seq: usize) -> String {
    let digest = Hasher::new("demo").lp(session_id.as_bytes()).len(seq).finish();
    let mut id = [0; 16];
    id.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    uuid::Uuid::new_v8(id).to_string()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_counted_timed_and_carries_its_history() {
        let mut agent = Recorder::new("s".to_owned(), Micros(0), json!({"agent_id": "a"}));
        agent.system("be kind");
        let asked = agent.user("hi");
        agent.wait_ms(5);
        let call = agent.model(&asked, json!({"duration_us": 2000}), None, says("hello"));
        agent.hand_over(json!({"agent_id": "b"}));
        agent.tool(&call, ("t", "c"), json!({"status": "error"}), json!({}), "no");
        let events = agent.end();
        assert_eq!(events[1]["contents"].as_array().unwrap().len(), 3);
        assert_eq!(events[1]["occurred_at"], "1970-01-01T00:00:00.006000Z");
        assert_eq!(events[2]["occurred_at"], "1970-01-01T00:00:00.008000Z");
        assert_eq!(events[2]["causation_id"], events[1]["event_id"]);
        assert_eq!([&events[1]["agent_id"], &events[2]["agent_id"]], ["a", "b"]);
        assert_eq!(events[2]["status"], "error");
        assert_eq!(
            (&events[3]["session_seq"], &events[3]["session_event_count"]),
            (&json!(3), &json!(4))
        );
    }
}
