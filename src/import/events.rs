//! The events a session becomes: what a live agent would have sent, in order, one at a time.
//!
//! Core. A model call repeats the whole history before it, so the events of a long session together are far larger
//! than its line; they are made one by one and never held together.

use schemas::{Digest, Hasher, Micros};
use serde::Serialize;
use serde_json::value::RawValue;

use super::session::{Message, Role, Session, ToolCall};

/// One event in the JSON form of the gateway's HTTP door.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    session_id: &'a str,
    kind: &'static str,
    occurred_at: String,
    capture_source: &'static str,
    session_seq: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_event_count: Option<usize>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Content<'a>>,
}

impl Event<'_> {
    /// Whether it carries a whole context.
    pub(crate) fn is_model_call(&self) -> bool {
        self.kind == "llm.call"
    }
}

/// A body and what it is.
#[derive(Debug, Serialize)]
struct Content<'a> {
    role: &'static str,
    kind: &'static str,
    media_type: &'static str,
    #[serde(flatten)]
    data: Data<'a>,
}

/// A body's content: a text as such, or JSON whose exact text is the content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Data<'a> {
    Json(&'a RawValue),
    Text(String),
}

/// What stands for an event until it is made; the numbers are indexes of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    User(usize),
    Model(usize),
    Tool(usize),
    Config(usize),
    End,
}

/// The events of one session; an iterator.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    session: &'a Session<'a>,
    tenant: Option<&'a str>,
    /// Time of messages that have none.
    time: Micros,
    steps: Vec<Step>,
    /// Steps that were made; also the next `session_seq`.
    made: usize,
    /// `states[i]` covers the session's id and the first `i` messages.
    states: Vec<Digest>,
}

impl<'a> Events<'a> {
    /// The events of `session`; `time` is when they happened where the line does not say.
    pub(crate) fn new(session: &'a Session<'a>, tenant: Option<&'a str>, time: Micros) -> Self {
        let steps = plan(&session.messages);
        let first = session.messages.first().and_then(|message| message.time);
        let time = session.time.or(first).unwrap_or(time);
        Self { session, tenant, time, steps, made: 0, states: states(session) }
    }

    /// How many events there are in all.
    pub(crate) fn total(&self) -> usize {
        self.steps.len()
    }

    fn make(&self, step: Step) -> Event<'a> {
        match step {
            Step::Start => self.start(),
            Step::User(at) => Event {
                contents: self.message(at).into_iter().collect(),
                ..self.event("user.message", at)
            },
            Step::Config(at) => Event {
                contents: self.message(at).into_iter().collect(),
                ..self.event("config.change", at)
            },
            Step::Model(at) => Event {
                operation: Some("chat"),
                contents: (0..=at).filter_map(|at| self.message(at)).collect(),
                ..self.event("llm.call", at)
            },
            Step::Tool(at) => self.tool(at),
            Step::End => {
                let last = self.session.messages.len().saturating_sub(1);
                let event_id = event_id(self.states.last(), "session.end", b"");
                let session_event_count = Some(self.total());
                Event { event_id, session_event_count, ..self.event("session.end", last) }
            }
        }
    }

    fn start(&self) -> Event<'a> {
        let attributes = self.session.attributes.as_deref();
        let bytes = attributes.map_or("", RawValue::get).as_bytes();
        let event_id = event_id(self.states.first(), "session.start", bytes);
        let content = |raw| Content {
            role: "",
            kind: "attributes",
            media_type: "application/json",
            data: Data::Json(raw),
        };
        let contents = attributes.map(content).into_iter().collect();
        let occurred_at = self.time.to_string();
        Event { event_id, occurred_at, contents, ..self.event("session.start", 0) }
    }

    fn tool(&self, at: usize) -> Event<'a> {
        let answer = self.session.messages.get(at);
        let id = answer.and_then(|message| message.tool_call_id.as_deref());
        let asked = id.and_then(|id| self.asked(id, at));
        let function = asked.and_then(|(_, call)| call.function.as_ref());
        let arguments = function.and_then(|function| function.arguments).map(arguments);
        let named = function.and_then(|function| function.name.as_deref());
        Event {
            causation_id: asked.map(|(asker, _)| event_id(self.after(asker), "llm.call", b"")),
            tool_name: named.or_else(|| answer.and_then(|message| message.name.as_deref())),
            tool_call_id: id,
            contents: arguments.into_iter().chain(self.message(at)).collect(),
            ..self.event("tool.call", at)
        }
    }

    /// The latest call with this id before message `at`, and the message that asks for it.
    fn asked(&self, id: &str, at: usize) -> Option<(usize, &'a ToolCall<'a>)> {
        let before = self.session.messages.get(..at)?.iter().enumerate().rev();
        let mut calls =
            before.flat_map(|(asker, message)| message.tool_calls.iter().map(move |c| (asker, c)));
        calls.find(|(_, call)| call.id.as_deref() == Some(id))
    }

    /// An event about message `at` without anything particular to its kind.
    fn event(&self, kind: &'static str, at: usize) -> Event<'a> {
        let time = self.session.messages.get(at).and_then(|message| message.time);
        Event {
            event_id: event_id(self.after(at), kind, b""),
            tenant: self.tenant,
            session_id: self.session.id.as_str(),
            kind,
            occurred_at: time.unwrap_or(self.time).to_string(),
            capture_source: "import",
            session_seq: self.made,
            session_event_count: None,
            status: "ok",
            causation_id: None,
            operation: None,
            tool_name: None,
            tool_call_id: None,
            contents: Vec::new(),
        }
    }

    fn message(&self, at: usize) -> Option<Content<'a>> {
        let message = self.session.messages.get(at)?;
        Some(Content {
            role: message.role.as_str(),
            kind: "message",
            media_type: "application/json",
            data: Data::Json(message.raw),
        })
    }

    fn after(&self, at: usize) -> Option<&Digest> {
        self.states.get(at + 1)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let event = self.make(*self.steps.get(self.made)?);
        self.made += 1;
        Some(event)
    }
}

/// One step for each message, but none for a system message that a later model call carries.
fn plan(messages: &[Message<'_>]) -> Vec<Step> {
    let calls = messages.iter().rposition(|message| message.role == Role::Assistant);
    let step = |(at, message): (usize, &Message<'_>)| match message.role {
        Role::User => Some(Step::User(at)),
        Role::Assistant => Some(Step::Model(at)),
        Role::Tool => Some(Step::Tool(at)),
        Role::System => calls.is_none_or(|last| last < at).then_some(Step::Config(at)),
    };
    let steps = messages.iter().enumerate().filter_map(step);
    std::iter::once(Step::Start).chain(steps).chain([Step::End]).collect()
}

/// A tool call's arguments: the text that the API's string holds, or the JSON as it was.
fn arguments(raw: &RawValue) -> Content<'_> {
    let data = serde_json::from_str(raw.get()).map_or(Data::Json(raw), Data::Text);
    Content { role: "assistant", kind: "tool_arguments", media_type: "application/json", data }
}

fn states(session: &Session<'_>) -> Vec<Digest> {
    let first = Hasher::new("import").lp(session.id.as_str().as_bytes()).finish();
    let next = |state: &mut Digest, message: &Message<'_>| {
        let raw = message.raw.get().as_bytes();
        *state = Hasher::new("import").bytes(&state.0).lp(raw).finish();
        Some(*state)
    };
    std::iter::once(first).chain(session.messages.iter().scan(first, next)).collect()
}

/// An id that covers the whole conversation up to the event, so that a repeated import repeats it, and a session
/// that was changed or has grown repeats only what is the same.
fn event_id(state: Option<&Digest>, kind: &str, bytes: &[u8]) -> String {
    let state = state.copied().unwrap_or_default();
    let digest = Hasher::new("import").bytes(&state.0).lp(kind.as_bytes()).lp(bytes).finish();
    let mut id = [0; 16];
    id.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    uuid::Uuid::new_v8(id).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LINE: &str = r#"{"session_id":"s","reward":1.0,"messages":[
        {"role":"system","content":"be kind"},
        {"role":"user","content":"hi"},
        {"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"look","arguments":"{\"a\": 1}"}},{"id":"c2","function":{"name":"see","arguments":{"b":2}}}]},
        {"role":"tool","tool_call_id":"c1","content":"x"},
        {"role":"tool","tool_call_id":"c2","content":"y"},
        {"role":"assistant","content":"done"},
        {"role":"system","content":"new rules"},
        {"role":"tool","tool_call_id":"c9","name":"stray","content":"z"}]}"#;

    fn events(line: &str) -> Vec<Value> {
        let session = Session::parse(line).unwrap();
        let events = Events::new(&session, None, Micros(0));
        let total = events.total();
        let events: Vec<_> = events.collect();
        assert_eq!(events.len(), total);
        events.into_iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    fn ids(line: &str) -> Vec<String> {
        events(line).iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_session_becomes_what_a_live_agent_would_have_sent() {
        let events = events(LINE);
        let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
        let expected = [
            "session.start",
            "user.message",
            "llm.call",
            "tool.call",
            "tool.call",
            "llm.call",
            "config.change",
            "tool.call",
            "session.end",
        ];
        assert_eq!(kinds, expected);
        let seqs: Vec<_> = events.iter().map(|event| event["session_seq"].clone()).collect();
        assert_eq!(Value::from(seqs), json!([0, 1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(events[8]["session_event_count"], 9);
        assert_eq!(events[0]["contents"][0]["json"], json!({"reward": 1.0}));
        let sizes: Vec<_> =
            [2, 5].map(|at| events[at]["contents"].as_array().unwrap().len()).into();
        assert_eq!(sizes, [3, 6]);
    }

    #[test]
    fn a_tool_call_names_its_tool_its_arguments_and_its_cause() {
        let events = events(LINE);
        let call =
            |at: usize| (events[at]["tool_name"].clone(), events[at]["tool_call_id"].clone());
        assert_eq!(call(3), (json!("look"), json!("c1")));
        assert_eq!(call(7), (json!("stray"), json!("c9")));
        assert_eq!(events[3]["contents"][0]["text"], "{\"a\": 1}");
        assert_eq!(events[4]["contents"][0]["json"], json!({"b": 2}));
        assert_eq!(events[3]["contents"][1]["role"], "tool");
        assert_eq!(events[3]["causation_id"], events[2]["event_id"]);
        assert_eq!(events[7]["contents"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_message_goes_out_as_it_came_in() {
        let message = r#"{"role":"user",  "content":"\u00e9\/é", "n":1.0e2}"#;
        let line = format!(r#"{{"session_id":"s","messages":[{message}]}}"#);
        let session = Session::parse(&line).unwrap();
        let sent = Events::new(&session, None, Micros(0)).nth(1).unwrap();
        assert!(serde_json::to_string(&sent).unwrap().contains(&format!(r#""json":{message}"#)));
    }

    #[test]
    fn an_import_repeats_its_ids_and_a_grown_session_those_of_its_beginning() {
        let (short, long) = (
            r#"{"session_id":"s","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            r#"{"session_id":"s","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"a"}]}"#,
        );
        assert_eq!(ids(short), ids(short));
        assert_eq!(ids(short)[..3], ids(long)[..3]);
        assert_ne!(ids(short)[3], ids(long)[4]);
        let other = short.replace(r#""s""#, r#""t""#);
        assert!(ids(short).iter().all(|id| !ids(&other).contains(id)));
        assert!(ids(long).iter().all(|id| id.as_bytes()[14] == b'8'));
    }

    #[test]
    fn messages_have_their_own_times_or_the_lines_or_the_one_given() {
        let time =
            |line: &str, at: usize| events(line)[at]["occurred_at"].as_str().unwrap().to_owned();
        let line = r#"{"session_id":"s","created":1,"messages":[{"role":"user","timestamp":2},{"role":"user"}]}"#;
        assert_eq!(time(line, 0), "1970-01-01T00:00:01.000000Z");
        assert_eq!(time(line, 1), "1970-01-01T00:00:02.000000Z");
        assert_eq!(time(line, 2), "1970-01-01T00:00:01.000000Z");
        assert_eq!(time(LINE, 1), "1970-01-01T00:00:00.000000Z");
    }
}
