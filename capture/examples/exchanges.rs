//! Reads HTTP exchanges as JSON lines and prints what was read of them as JSON lines, for `tests/capture/reading.py` to
//! compare with its own reading. With `time` it says what a reading costs instead.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is run by a test, which fails by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::io::{BufRead, Write};
use std::time::Instant;

use bytes::Bytes;
use capture::llm::{Answer, Answered, Ended, Headers, Request, ask};
use capture::{Content, Happening};
use schemas::Micros;
use serde_json::{Value, json};

/// Readings of one exchange, when they are timed.
const TIMES: u32 = 200;

fn main() {
    let is_timed = std::env::args().nth(1).as_deref() == Some("time");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let (request, answer) = (request(&exchange), answer(&exchange));
        let printed = if is_timed { time(&request, &answer) } else { read(request, answer) };
        writeln!(out, "{printed}").unwrap();
    }
}

fn request(exchange: &Value) -> Request {
    let text = |name: &str| exchange[name].as_str().unwrap().to_owned();
    Request {
        method: text("method"),
        target: text("target"),
        host: text("host"),
        headers: headers(&exchange["request_headers"]),
        body: bytes(&exchange["request"]),
        started: Micros(1_700_000_000_000_000),
        ..Request::default()
    }
}

fn answer(exchange: &Value) -> Answer {
    Answer {
        status: Some(u16::try_from(exchange["status"].as_u64().unwrap()).unwrap()),
        headers: headers(&exchange["response_headers"]),
        body: bytes(&exchange["response"]),
        first_byte_us: Some(1000),
        last_byte_us: Some(2000),
        duration_us: 2001,
        ended: if exchange["cut"] == true { Ended::UpstreamCut } else { Ended::Complete },
        ..Answer::default()
    }
}

fn headers(pairs: &Value) -> Headers {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |pair: &Value| (text(&pair[0]), text(&pair[1]).into_bytes());
    pairs.as_array().unwrap().iter().map(pair).collect()
}

fn bytes(hex: &Value) -> Bytes {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap();
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).unwrap();
    hex.as_str().unwrap().as_bytes().chunks(2).map(byte).collect()
}

fn read(request: Request, answer: Answer) -> Value {
    let asked = ask(request);
    let (clues, start) = (asked.clues().clone(), asked.start());
    let Answered { happening, continuation, .. } = asked.answer(answer);
    let prefixes: Vec<String> = clues.prefixes.iter().map(ToString::to_string).collect();
    json!({
        "start": shown(&start), "end": shown(&happening), "prefixes": prefixes,
        "continuation": continuation.map(|digest| digest.to_string()),
        "names": clues.names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>(),
    })
}

fn shown(happening: &Happening) -> Value {
    let contents: Vec<Value> = happening.contents.iter().map(content).collect();
    json!({ "envelope": happening.envelope.to_json_object(), "contents": contents })
}

fn content(content: &Content) -> Value {
    let Content { role, kind, media_type, data } = content;
    let data = match media_type.ends_with("+zstd") {
        true => zstd::decode_all(&**data).unwrap(),
        false => data.to_vec(),
    };
    let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "role": role, "kind": kind, "media_type": media_type, "data": hex })
}

fn time(request: &Request, answer: &Answer) -> Value {
    let mut parts = [u128::MAX; 2];
    for _ in 0..TIMES {
        let (request, answer) = (request.clone(), answer.clone());
        let start = Instant::now();
        let asked = ask(request);
        let middle = Instant::now();
        let answered = asked.answer(answer);
        let end = Instant::now();
        assert!(!answered.happening.contents.is_empty());
        parts =
            [parts[0].min((middle - start).as_nanos()), parts[1].min((end - middle).as_nanos())];
    }
    let [ask, answered] = parts;
    json!({ "request": request.body.len(), "response": answer.body.len(), "ask_ns": u64::try_from(ask).unwrap(), "answer_ns": u64::try_from(answered).unwrap() })
}
