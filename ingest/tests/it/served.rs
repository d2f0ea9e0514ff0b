//! A gateway with a real spool behind it, for tests over real connections.

use std::io::Write;
use std::sync::Arc;

use flate2::{Compression, write::GzEncoder};
use ingest::{Auth, Config, Error, Gateway, Sink, serve};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use schemas::{Event, Message, Offset, Partition, Place, Tenant, Timestamp};
use serde_json::Value;
use spool::{Record, Spool};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A gateway on a port of its own.
pub(crate) struct Served {
    pub(crate) dir: TempDir,
    pub(crate) spool: Spool,
    pub(crate) address: String,
    pub(crate) client: Client,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

impl Served {
    pub(crate) async fn new(config: Config) -> Self {
        Self::with(config, spool::Config::default(), None).await
    }

    /// `tenant` is who may come without a key; with `None` there are keys for `acme`.
    pub(crate) async fn with(config: Config, limits: spool::Config, keys: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(&dir.path().join("spool"), limits).unwrap();
        let auth = match keys {
            Some(name) => Auth::keys(&dir.path().join(name)).unwrap(),
            None => Auth::loopback(Tenant::new("acme").unwrap()),
        };
        let sink = Sink::spool(spool.clone()).unwrap();
        Self::run(dir, spool, Gateway::new(config, sink, auth, 7).unwrap()).await
    }

    /// A gateway made elsewhere, which writes to `spool`.
    pub(crate) async fn run(dir: TempDir, spool: Spool, gateway: Gateway) -> Self {
        let gateway = Arc::new(gateway);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(vec![listener], gateway, cancel.clone()));
        Self { dir, spool, address, client: Client::new(), cancel, task }
    }

    pub(crate) fn request(&self) -> RequestBuilder {
        let url = format!("http://{}/v1/events", self.address);
        self.client.post(url).header("content-type", "application/json")
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        parts(self.request().body(body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.client.get(format!("http://{}{path}", self.address)).send().await;
        let response = response.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// What a plain socket is answered, until the other side closes it.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        // Whoever is refused may be hung up on while it still speaks. A reset is an end, too.
        socket.write_all(request).await.ok();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok();
        String::from_utf8(answer).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.spool.read(self.spool.start(), usize::MAX).unwrap()
    }
}

pub(crate) async fn parts(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")))
}

pub(crate) fn event(record: &Record) -> Event<'_> {
    let (offset, timestamp) = (Offset(record.offset), Timestamp::default());
    let (key, value) = (record.key.as_deref(), Some(record.value.as_slice()));
    let message = Message { offset, timestamp, key, value };
    schemas::read(&message, Place { partition: Partition(0), partitions: 1 }).unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap()
}
