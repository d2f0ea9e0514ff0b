//! Sequences of requests with every kind of outcome, read back as a reader would.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::bench::{Bench, Sent, read};
use super::*;

/// What a content is to a reader.
type Seen = (String, String, String, Vec<u8>);

/// A reader of one partition, from its beginning.
#[derive(Default)]
struct Reader {
    bodies: HashMap<(Vec<u8>, Digest), Vec<u8>>,
    wholes: HashMap<Digest, Vec<Content<'static>>>,
}

impl Reader {
    /// Takes in the next message; returns the event's whole contents.
    fn take(&mut self, sent: &Sent) -> Vec<Seen> {
        let event = read(sent);
        for body in &event.bodies {
            self.bodies.insert((sent.0.clone(), body.digest), body.data.unwrap().to_vec());
        }
        let mut whole = match &event.envelope.context_prefix {
            Some(prefix) => {
                let count = usize::try_from(prefix.count).unwrap();
                self.wholes[&prefix.event_digest][..count].to_vec()
            }
            None => Vec::new(),
        };
        whole.extend(event.envelope.contents.iter().map(|content| Content {
            role: content.role.to_string().into(),
            kind: content.kind.to_string().into(),
            media_type: content.media_type.to_string().into(),
            ..*content
        }));
        if let Some(digest) = event.envelope.context_digest {
            let digests: Vec<Digest> = whole.iter().map(|content| content.digest).collect();
            assert_eq!(digest, context_digest(&digests));
        }
        let seen = whole.iter().map(|content| {
            let data = &self.bodies[&(sent.0.clone(), content.digest)];
            assert_eq!(u64::try_from(data.len()).unwrap(), content.size);
            let [role, kind, media] = [&content.role, &content.kind, &content.media_type];
            (role.to_string(), kind.to_string(), media.to_string(), data.clone())
        });
        let seen = seen.collect();
        self.wholes.insert(event.event_digest, whole);
        seen
    }
}

/// A content as JSON text, and as a reader should see it.
fn content(pick: u8) -> (String, Seen) {
    use base64::Engine;
    let role = ["", "user", "assistant"][usize::from(pick % 3)];
    let number = pick / 9;
    let (form, media, data) = match pick / 3 % 3 {
        0 => {
            let text = format!("tä\n\u{0}{}", "x".repeat(usize::from(number)));
            (format!("\"text\":{}", json!(text)), "text/plain", text.into_bytes())
        }
        1 => {
            let raw = format!("{{ \"n\":{number}.00, \"n\":[ ] }}");
            (format!("\"json\": {raw} "), "application/json", raw.into_bytes())
        }
        _ => {
            let data = vec![0xff, number];
            let text = base64::engine::general_purpose::STANDARD.encode(&data);
            (format!("\"data_base64\":\"{text}\""), "application/octet-stream", data)
        }
    };
    let seen = (role.to_owned(), "message".to_owned(), media.to_owned(), data);
    (format!("{{\"role\":\"{role}\",\"kind\":\"message\",{form}}}"), seen)
}

#[derive(Clone, Debug)]
struct Step {
    session: u8,
    is_call: bool,
    /// How much of the session's history it repeats, in 256ths.
    repeat: u8,
    new: Vec<u8>,
    attribute: Option<u8>,
    before: Option<u8>,
    durable: bool,
    /// Whether it reached the log although nobody could say so.
    is_stored: bool,
    /// Messages that stay in flight after this step.
    in_flight: usize,
    hours: i64,
}

fn step() -> impl Strategy<Value = Step> {
    let contents = (any::<bool>(), 128_u8.., proptest::collection::vec(0_u8..40, 0..4));
    let extra = (proptest::option::of(0_u8..3), proptest::option::of(0_u8..40));
    let fate = (proptest::bool::weighted(0.8), any::<bool>(), 0_usize..4, 0_i64..3);
    (0_u8..2, contents, extra, fate).prop_map(|(session, contents, extra, fate)| Step {
        session,
        is_call: contents.0,
        repeat: contents.1,
        new: contents.2,
        attribute: extra.0,
        before: extra.1,
        durable: fate.0,
        is_stored: fate.0 || fate.1,
        in_flight: fate.2,
        hours: fate.3,
    })
}

/// The JSON of a step's event, and the contents that a reader should see.
fn event(step: &Step, history: &[u8]) -> (String, Vec<Seen>) {
    let repeated = history.len() * usize::from(step.repeat) / 255;
    let picks = history[..repeated].iter().chain(&step.new);
    let (texts, mut seen): (Vec<String>, Vec<Seen>) = picks.map(|pick| content(*pick)).unzip();
    let kind = if step.is_call { "llm.call" } else { "tool.call" };
    let mut text = format!(
        "{{\"session_id\":\"s{}\",\"kind\":\"{kind}\",\"contents\":[{}]",
        step.session,
        texts.join(" , ")
    );
    if let Some(pick) = step.before {
        let value = json!({"text": format!("v{pick}")});
        let change = json!([{"target": "t", "op": "replace", "path": "/a", "before": value}]);
        text.push_str(&format!(",\"state_changes\":{change}"));
        let data = format!("v{pick}").into_bytes();
        seen.push((String::new(), "state_value".into(), "text/plain".into(), data));
    }
    if let Some(pick) = step.attribute {
        text.push_str(&format!(", \"my.own\" : [ {pick}.0 ]"));
        let data = format!("{{\"my.own\":[ {pick}.0 ]}}").into_bytes();
        seen.push((String::new(), "attributes".into(), "application/json".into(), data));
    }
    text.push('}');
    (text, seen)
}

proptest! {
    /// Two sessions, events in flight together, some of which never reach the log, bases that end: whatever is on the
    /// log is well formed, and gives every reader exactly the contents that were sent.
    #[test]
    fn a_reader_gets_the_contents_that_were_sent(steps in proptest::collection::vec(step(), 1..40)) {
        let mut bench = Bench::new();
        let mut reader = Reader::default();
        let mut histories = [Vec::new(), Vec::new()];
        let mut in_flight = std::collections::VecDeque::new();
        for step in steps {
            bench.now.0 += step.hours * 3_600_000_000;
            let history = &mut histories[usize::from(step.session)];
            let (text, expected) = event(&step, history);
            history.extend_from_slice(&step.new);
            let plan = bench.plan(text.as_bytes()).unwrap();
            for admitted in plan.messages {
                let sent = admitted.split();
                bench.state.commit([(&sent.2, 0)].into_iter(), &bench.config, |index| index);
                bench.state.count(1);
                if step.is_stored {
                    prop_assert_eq!(reader.take(&sent), expected.clone());
                }
                in_flight.push_back((sent, step.durable));
            }
            while in_flight.len() > step.in_flight {
                let (sent, durable) = in_flight.pop_front().unwrap();
                bench.settle(&sent, durable);
            }
        }
    }

    /// Whatever bytes come, there is an answer.
    #[test]
    fn no_body_makes_it_fail(body: Vec<u8>, text in "[\\[{\"a-c:,0-9\\\\ue+.}\\]\n ]{0,40}") {
        let _ = Bench::new().plan(&body);
        let _ = Bench::new().plan(text.as_bytes());
    }
}
