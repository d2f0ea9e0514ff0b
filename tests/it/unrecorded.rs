//! Kafka stopped and killed under the proxy for model APIs, with no spool beside it: what passes and is not on record is told of,
//! to the exchange; where a route fails closed, nothing passes.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binary::{Service, expect};
use crate::broker::{Stack, each_event};
use crate::services::create_topic;

const TOPIC: &str = "exchanges";
/// Exchanges of the open route before each trouble, in it, and after it.
const EXCHANGES: usize = 5;
const SAID: &str = r#"{"id":"r","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

/// An API that answers everything, and which models it was asked for.
fn api() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::default());
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || answer(&stream.unwrap(), &log));
        }
    });
    (url, asked)
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        log.lock().unwrap().push(body["model"].as_str().unwrap().to_owned());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        let mut writer = stream;
        write!(writer, "{head} {}\r\n\r\n{SAID}", SAID.len()).unwrap();
    }
}

/// An agent with both routes.
struct Agent {
    url: String,
    key: String,
    http: reqwest::Client,
    /// What it has asked each route so far: the model's name says which and when.
    open: usize,
    closed: usize,
}

impl Agent {
    /// Asks for the model; status and body of the answer.
    async fn ask(&self, route: &str, model: &str) -> (u16, String) {
        let body = json!({"model": model, "messages": [{"role": "user", "content": model}]});
        let request = self.http.post(format!("{}/llm/{route}/v1/chat/completions", self.url));
        let request = request.header("content-type", "application/json");
        let request = request.header("x-chancery-key", &self.key).body(body.to_string());
        let answer = request.send().await.unwrap();
        let (status, waits) = (answer.status(), answer.headers().contains_key("retry-after"));
        assert_eq!(waits, status == 503);
        (status.as_u16(), answer.text().await.unwrap())
    }

    /// What passes untouched, recorded or not.
    async fn pass(&mut self) {
        for _ in 0..EXCHANGES {
            let model = format!("open-{}", self.open);
            assert_eq!(self.ask("open", &model).await, (200, SAID.to_owned()));
            self.open += 1;
        }
    }

    /// Waits until what has passed last is on the topic.
    fn recorded(&self, brokers: &str) {
        let last = self.open.saturating_sub(EXCHANGES) as u64..self.open as u64;
        while !last.clone().collect::<BTreeSet<_>>().is_subset(&Record::read(brokers).seqs) {}
    }

    /// One exchange of the closed route; whether it passed.
    async fn try_closed(&mut self) -> bool {
        let model = format!("closed-{}", self.closed);
        self.closed += 1;
        match self.ask("closed", &model).await {
            (200, said) => said == SAID,
            (503, why) => {
                let why: Value = serde_json::from_str(&why).unwrap();
                assert_eq!(why["error"]["code"], "unavailable");
                false
            }
            other => panic!("{other:?}"),
        }
    }

    /// How many exchanges of the open route are not on record, as the gateway counts.
    async fn unrecorded(&self) -> usize {
        let text =
            reqwest::get(format!("{}/metrics", self.url)).await.unwrap().text().await.unwrap();
        let line = r#"chancery_ingest_llm_unrecorded_total{route="open","#;
        let lines = text.lines().filter(|it| it.starts_with(line));
        lines.map(|it| it.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    /// Waits until all that passed while Kafka was away is known to be lost, so many in all; then nothing passes the closed route.
    async fn lose(&mut self, count: usize, asked: &Mutex<Vec<String>>) {
        while self.unrecorded().await != count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let before = asked.lock().unwrap().len();
        assert!(!self.try_closed().await, "it passed, and is not on record");
        assert_eq!(asked.lock().unwrap().len(), before, "it was forwarded");
    }
}

/// What the topic says of the exchanges.
#[derive(Default)]
struct Record {
    /// Numbers of the open route's exchanges.
    seqs: BTreeSet<u64>,
    /// Models of requests that are on record, at least as begun.
    models: BTreeSet<String>,
    /// Exchanges that events tell are not on record, by route, and the highest count of them in any event.
    told: [u64; 2],
    dropped: u64,
}

impl Record {
    fn read(brokers: &str) -> Self {
        let mut record = Self::default();
        each_event(brokers, TOPIC, |event| {
            let envelope = &event.envelope;
            record.models.extend(envelope.request_model.iter().map(ToString::to_string));
            let is_open = envelope.producer_id.as_deref().unwrap().ends_with("/llm/open");
            if envelope.kind == "producer.gap" {
                let body = event.bodies.iter().find_map(|body| body.data).unwrap();
                let reason: Value = serde_json::from_slice(body).unwrap();
                record.told[usize::from(is_open)] += reason["exchanges"].as_u64().unwrap();
            }
            if is_open {
                record.seqs.extend(envelope.producer_seq);
                record.dropped = record.dropped.max(envelope.producer_dropped.unwrap());
            }
        });
        record
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_that_pass_while_kafka_is_away_are_told_of_and_closed_routes_pass_none() {
    let stack = Stack::up();
    let (brokers, folder) = (stack.brokers(), tempfile::tempdir().unwrap());
    create_topic(&brokers, TOPIC).await;
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    let (url, asked) = api();
    let (open, closed) = (format!("open={url}"), format!("closed={url}"));
    let ingest = ["ingest", "--kafka", &brokers, "--topic", TOPIC, "--keys", &keys];
    let routes = ["--listen", "127.0.0.1:0", "--llm-proxy", &open, "--llm-proxy", &closed];
    let settings =
        ["--set", "ingest.llm.closed.on_failure=closed", "--set", "kafka.message_timeout_ms=2000"];
    let ingest = Service::listening(&[&ingest[..], &routes, &settings].concat());
    let (key, http) = (key.trim().to_owned(), reqwest::Client::new());
    let mut agent = Agent { url: ingest.url(), key, http, open: 0, closed: 0 };

    // A broker that answers nothing, with its connections open; then one that is gone.
    let mut lost = 0;
    for is_killed in [false, true] {
        agent.pass().await;
        agent.recorded(&brokers);
        assert!(agent.try_closed().await);
        let again = is_killed.then(|| stack.kill());
        if !is_killed {
            stack.signal("-STOP");
        }
        agent.pass().await;
        lost += EXCHANGES;
        agent.lose(lost, &asked).await;
        match again {
            Some(mut again) => stack.start(&mut again),
            None => stack.signal("-CONT"),
        }
        while !agent.try_closed().await {}
    }
    agent.pass().await;
    assert_eq!(ingest.end("-TERM"), Some(0));

    let record = Record::read(&brokers);
    let (all, lost) = (agent.open as u64, lost as u64);
    let missing = (0..all).filter(|seq| !record.seqs.contains(seq)).count() as u64;
    let [_, told] = record.told;
    eprintln!(
        "of {all} exchanges {missing} are not on record; {lost} were lost, {told} are told of"
    );
    // What the stopped broker still had in its hands may be there all the same; never is there less than what is told.
    assert!(missing >= EXCHANGES as u64 && missing <= lost, "{missing}");
    assert!(told >= lost, "{told}");
    assert_eq!(record.dropped, lost);
    for model in asked.lock().unwrap().iter().filter(|model| model.starts_with("closed-")) {
        assert!(record.models.contains(model), "{model} was forwarded");
    }
}
