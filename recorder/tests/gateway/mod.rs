//! A gateway's door as far as a recorder sees it: a real socket, answers that a test chose beforehand, and what was taken.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use recorder::{Agent, Config, Recorder, Target};

/// What the door does with a request.
pub(crate) enum Act {
    /// Takes it.
    Take,
    /// Says 503 and takes nothing.
    Unavailable,
    /// Takes it, and cuts the connection before it has answered.
    TakeAndCut,
    /// Answers with this status and error, and takes nothing.
    Refuse(u16, &'static str),
    /// Says it has a request, waits to be let go on, and takes it.
    Hold(Sender<()>, Receiver<()>),
}

/// The door.
pub(crate) struct Door {
    url: String,
    acts: Arc<Mutex<VecDeque<Act>>>,
    taken: Arc<Mutex<Vec<Vec<u8>>>>,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl Door {
    /// Opens it. What is not in `acts` is taken.
    pub(crate) fn open(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let acts = Arc::new(Mutex::new(VecDeque::from(acts)));
        let door = Self { url, acts, taken: Arc::default(), authorizations: Arc::default() };
        let (acts, taken) = (door.acts.clone(), door.taken.clone());
        let authorizations = door.authorizations.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some((messages, authorization)) = request(stream.as_ref().unwrap()) else {
                    continue;
                };
                authorizations.lock().unwrap().push(authorization);
                let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Take);
                answer(stream.unwrap(), act, messages, &taken);
            }
        });
        door
    }

    /// A recorder that sends here, without waiting for company.
    pub(crate) fn recorder(&self, change: impl FnOnce(&mut Config)) -> Recorder {
        let key = Some("chk_secret".to_owned());
        let target = Target::Ingest { url: self.url.clone(), key };
        let agent = Agent { name: "bot".to_owned(), ..Agent::default() };
        let mut config = Config::new(target, "acme", agent);
        (config.linger_ms, config.backoff_max_ms) = (0, 1);
        change(&mut config);
        Recorder::start(config).unwrap()
    }

    /// The messages that were taken so far, in order.
    pub(crate) fn taken(&self) -> Vec<Vec<u8>> {
        self.taken.lock().unwrap().clone()
    }

    /// The credentials that were presented.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.authorizations.lock().unwrap().clone()
    }
}

/// An act that holds a request: what tells that it has come, and what lets it go on.
pub(crate) fn hold() -> (Act, Receiver<()>, Sender<()>) {
    let ((come, has_come), (go, may_go)) = (channel(), channel());
    (Act::Hold(come, may_go), has_come, go)
}

/// Reads a request: its messages and its credential.
fn request(stream: &TcpStream) -> Option<(Vec<Vec<u8>>, String)> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization, mut media) = (0, String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            assert!(line.starts_with("POST /v1/events HTTP/1.1"), "{line}");
            continue;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = value.to_owned(),
            "content-type" => media = value.to_owned(),
            _ => {}
        }
    }
    assert_eq!(media, "application/vnd.chancery.avro-frames");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (mut rest, mut messages) = (body.as_slice(), Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let (message, after) = after.split_at(usize::try_from(u32::from_be_bytes(*head)).unwrap());
        messages.push(message.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    Some((messages, authorization))
}

fn answer(mut stream: TcpStream, act: Act, messages: Vec<Vec<u8>>, taken: &Mutex<Vec<Vec<u8>>>) {
    let accepted = format!(r#"{{"accepted":{}}}"#, messages.len());
    let (status, text) = match act {
        Act::Take => (200, accepted.as_str()),
        Act::TakeAndCut => return taken.lock().unwrap().extend(messages),
        Act::Unavailable => (503, "{}"),
        Act::Refuse(status, text) => (status, text),
        Act::Hold(come, may_go) => {
            come.send(()).unwrap();
            may_go.recv().unwrap();
            (200, accepted.as_str())
        }
    };
    if status == 200 {
        taken.lock().unwrap().extend(messages);
    }
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nRetry-After: 0\r\n");
    // A client that is gone is one of the things that are tried.
    write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len()).ok();
}
