//! CORE. A session as one chat, the inverse of `import`: every message once, in order, with the text it came with.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

use crate::emit::json::verbatim;
use crate::session::{Body, Content, Session, SessionEvent};

/// A chat as `import` takes it, one line.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    messages: Vec<Bytes>,
    /// The other keys of the line, in their order.
    rest: Vec<(String, Box<RawValue>)>,
}

impl Chat {
    pub(crate) fn of(session: &Session) -> Self {
        let mut chat = Self::default();
        for (_, event) in session.events() {
            chat.push(event);
        }
        chat
    }

    fn push(&mut self, event: &SessionEvent) {
        let envelope = event.envelope();
        match &*envelope.kind {
            "llm.call" => {
                let messages = messages(event.whole());
                let continues = envelope.phase == "end" && envelope.context_prefix.is_none();
                if continues { self.messages.extend(messages) } else { self.call(messages) }
            }
            "user.message" | "tool.call" | "agent.message" | "config.change" => {
                self.messages.extend(messages(event.whole()));
            }
            "session.start" => {
                let kept = event.contents.iter().filter(|content| content.kind == "attributes");
                let objects = kept.filter_map(|content| match &content.body {
                    Body::Clear(bytes) => members(bytes),
                    _ => None,
                });
                let own = |key: &str| key == "session_id" || key == "messages";
                self.rest.extend(objects.flatten().filter(|(key, _)| !own(key)));
            }
            _ => {}
        }
    }

    /// A model call's whole context is authoritative where it continues what is known; otherwise what it adds is appended.
    fn call(&mut self, whole: Vec<Bytes>) {
        let mut context = whole.iter();
        if self.messages.iter().all(|known| context.any(|message| message == known)) {
            self.messages = whole;
            return;
        }
        let mut known: HashMap<&Bytes, usize> = HashMap::new();
        for message in &self.messages {
            *known.entry(message).or_default() += 1;
        }
        let mut added = Vec::new();
        for message in &whole {
            match known.get_mut(message) {
                Some(left) if *left > 0 => *left -= 1,
                _ => added.push(message.clone()),
            }
        }
        self.messages.extend(added);
    }

    /// The line, without its end.
    pub(crate) fn line(&self, session_id: &str) -> String {
        let mut line = format!("{{\"session_id\":{},\"messages\":[", json!(session_id));
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                line.push(',');
            }
            line.push_str(
                &verbatim(message).map_or_else(|| "null".to_owned(), |raw| raw.to_string()),
            );
        }
        line.push(']');
        for (key, value) in &self.rest {
            line.push_str(&format!(",{}:{}", json!(key), value));
        }
        line.push('}');
        line
    }
}

/// The messages among contents: as they are, or made of a plain text; one that is not to be had says so.
fn messages(contents: &[std::sync::Arc<Content>]) -> Vec<Bytes> {
    contents.iter().filter_map(|content| message(content)).collect()
}

fn message(content: &Content) -> Option<Bytes> {
    let is_text = content.kind == "text" && !content.role.is_empty();
    if content.kind != "message" && !is_text {
        return None;
    }
    let instead = |why: &str| {
        let digest = content.digest.to_string();
        let note = json!({"role": content.role, "content": null, "chancery": {"body": digest, "absent": why}});
        Some(Bytes::from(note.to_string()))
    };
    match &content.body {
        Body::Absent(why) => instead(why),
        Body::Encrypted(key) => instead(&format!("encrypted with {key}")),
        Body::Clear(bytes) if !is_text && verbatim(bytes).is_some() => Some(bytes.clone()),
        Body::Clear(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            Some(Bytes::from(json!({"role": content.role, "content": text}).to_string()))
        }
    }
}

/// The members of a JSON object, values verbatim.
fn members(bytes: &[u8]) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                members.push((key, verbatim(value.get().as_bytes()).unwrap_or(value)));
            }
            Ok(members)
        }
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let members = from.deserialize_map(Members).ok()?;
    from.end().ok().map(|()| members)
}
