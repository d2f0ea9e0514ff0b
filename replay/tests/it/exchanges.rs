//! HTTP exchanges come out byte for byte, or it is said why not.

use std::collections::BTreeMap;

use replay::{ExportOptions, ExportedExchanges, export_exchanges};
use schemas::{ContextPrefix, Cut, Digest, SpanId};
use serde_json::{Value, json};

use crate::kit::chat::{Sender, owned};
use crate::kit::writer::Writer;
use crate::kit::{Objects, empty, kinds, report, store};

const MESSAGE: &str = r#"{"role":"user","content":"Paris?"}"#;
const REQUEST: &str = r#"{ "model": "m", "messages": [{"role":"user","content":"Paris?"}] }"#;
const RESPONSE: &str = "data: {\"delta\":\"sun\"}\n\ndata: [DONE]\n\n";

fn body(bytes: &[u8], how: &str, what: Value) -> Value {
    json!({"size": bytes.len(), "sha256": Digest::of(bytes).to_string(), how: what})
}

fn asked() -> String {
    let at = REQUEST.find(MESSAGE).unwrap();
    let cut = Cut::new(REQUEST, &[(at..at + MESSAGE.len(), 0)]).unwrap();
    let body = body(REQUEST.as_bytes(), "cut", cut.to_json());
    json!({"method": "POST", "target": "/../../v1", "headers": [["a", "b"]], "headers_dropped": ["x-api-key"], "body": body})
        .to_string()
}

/// A whole exchange, and one that was killed after its request.
async fn recorded(frame: &[u8]) -> Objects {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "../../s");
    let asked = asked();
    let contents = [("user", "message", MESSAGE), ("", "http", asked.as_str())];
    for killed in [false, true] {
        let span = Some(SpanId([1 + u8::from(killed); 8]));
        let start = chat.event_with("llm.call", &contents, |it| {
            (it.phase, it.span_id) = ("start".into(), span);
        });
        if killed {
            break;
        }
        let answered = json!({"status": 200, "headers": [], "headers_dropped": [], "ended": "complete",
            "first_byte_us": 1, "last_byte_us": 2, "body": body(RESPONSE.as_bytes(), "zstd", 3.into())})
        .to_string();
        let answer = chat.writer.body("assistant", "message", br#"{"content":"sun"}"#);
        let raw = chat.writer.body("", "raw", frame);
        let http = chat.writer.body("", "http", answered.as_bytes());
        let mut envelope = chat.writer.envelope("../../s", "llm.call");
        (envelope.phase, envelope.span_id) = ("end".into(), span);
        envelope.context_prefix = Some(ContextPrefix { event_digest: start, count: 2 });
        envelope.contents = [&answer.0, &raw.0, &http.0].map(owned).to_vec();
        chat.send(&envelope, &[answer.1, raw.1, http.1]);
    }
    let sent = chat.sent;
    writer.seal(&sent).await;
    assert_eq!(kinds(&report(&objects).await), [""; 0]);
    objects
}

async fn exported(objects: &Objects) -> (ExportedExchanges, Vec<Value>, BTreeMap<String, Vec<u8>>) {
    let (mut index, mut files) = (Vec::new(), BTreeMap::new());
    let file = |name: &str, bytes: &[u8]| {
        files.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    };
    let options = ExportOptions::default();
    let exported = export_exchanges(&store(objects), options, &mut index, file).await.unwrap();
    let lines = String::from_utf8(index).unwrap();
    (exported, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), files)
}

#[tokio::test]
async fn bodies_come_out_as_they_went_over_the_wire() {
    let objects = recorded(&zstd::bulk::compress(RESPONSE.as_bytes(), 3).unwrap()).await;
    let (exported, lines, files) = exported(&objects).await;
    assert_eq!((exported.sessions, exported.missing), (1, 0));
    let requests = lines.iter().filter(|line| !line["request"].is_null());
    let names: Vec<&str> =
        requests.map(|line| line["request"]["body"]["file"].as_str().unwrap()).collect();
    assert_eq!((names.len(), lines.len()), (2, 2));
    assert_eq!((&lines[0]["ended"], &lines[1]["ended"]), (&json!(true), &json!(false)));
    assert!(names.iter().all(|name| files[*name] == REQUEST.as_bytes()));
    let answered = lines.iter().find(|line| !line["response"].is_null()).unwrap();
    let response = &answered["response"];
    assert_eq!(files[response["body"]["file"].as_str().unwrap()], RESPONSE.as_bytes());
    assert_eq!((&response["status"], &response["ended"]), (&json!(200), &json!("complete")));
    assert_eq!(answered["request"]["headers_dropped"], json!(["x-api-key"]));
    // Whatever agents call themselves and what they ask for, files are named by numbers.
    let plain = |name: &String| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    assert!(files.keys().all(plain), "{:?}", files.keys());
}

#[tokio::test]
async fn a_body_that_cannot_be_put_together_is_said() {
    let objects = recorded(b"no frame").await;
    let (exported, lines, files) = exported(&objects).await;
    assert_eq!(exported.missing, 1);
    let answered = lines.iter().find(|line| !line["response"].is_null()).unwrap();
    assert_eq!(answered["response"]["body"]["missing"], "its frame is damaged");
    assert!(files.values().all(|bytes| bytes == REQUEST.as_bytes()));
}
