//! SHELL: the server that takes the spans, as a process of its own.
#![expect(
    clippy::disallowed_methods,
    reason = "a process that starts or stops is looked at again after a while"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tempfile::TempDir;

use crate::clock::{now, processor_of};
use crate::figure::wide;

const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Who takes the spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chancery,
    /// The Collector, without queue and batches, which would answer before Kafka does.
    Collector {
        compression: &'static str,
    },
}

/// A running server, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it asks of clients.
    pub(crate) key: Option<String>,
    /// Its settings.
    _dir: TempDir,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [
        Self::Chancery,
        Self::Collector { compression: "none" },
        Self::Collector { compression: "lz4" },
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chancery => "chancery ingest",
            Self::Collector { compression: "none" } => "OpenTelemetry Collector",
            Self::Collector { .. } => "OpenTelemetry Collector, lz4",
        }
    }

    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Chancery => "chancery",
            Self::Collector { compression } => compression,
        }
    }

    /// Spans in a message of the topic.
    pub(crate) fn spans(self, value: &[u8]) -> anyhow::Result<u64> {
        if self == Self::Chancery {
            return Ok(1);
        }
        let request = ExportTraceServiceRequest::decode(value)?;
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        Ok(wide(scopes.map(|scope| scope.spans.len()).sum()))
    }
}

impl Server {
    pub(crate) fn start(kind: Kind, brokers: &str, topic: &str) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (mut command, key) = match kind {
            Kind::Chancery => {
                let (command, key) = chancery(&dir, brokers, topic, address)?;
                (command, Some(key))
            }
            Kind::Collector { compression } => {
                (collector(&dir, brokers, topic, address, compression)?, None)
            }
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("cannot start the server")?;
        let mut server = Self { child, address, key, _dir: dir };
        let started = now();
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(server.child.try_wait()?.is_none(), "{kind:?} has ended");
            anyhow::ensure!(started.elapsed() < START_MAX, "{kind:?} does not listen");
            thread::sleep(PAUSE);
        }
        Ok(server)
    }

    pub(crate) fn processor(&self) -> anyhow::Result<Duration> {
        processor_of(&self.child.id().to_string())
    }

    /// Has it end what it has begun.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let started = now();
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(started.elapsed() < STOP_MAX, "the server does not stop");
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn chancery(
    dir: &TempDir,
    brokers: &str,
    topic: &str,
    address: SocketAddr,
) -> anyhow::Result<(Command, String)> {
    let binary = std::env::current_exe()?.with_file_name("chancery");
    anyhow::ensure!(binary.exists(), "{} is not built", binary.display());
    let keys = dir.path().join("keys.toml");
    let key = ingest::keys::create(&keys, "bench")?;
    let mut command = Command::new(binary);
    command.args(["ingest", "--kafka", brokers, "--topic", topic, "--listen"]);
    command.arg(address.to_string()).arg("--keys").arg(keys);
    Ok((command, key))
}

fn collector(
    dir: &TempDir,
    brokers: &str,
    topic: &str,
    address: SocketAddr,
    compression: &str,
) -> anyhow::Result<Command> {
    let binary = std::env::var("CHANCERY_OTELCOL").context("CHANCERY_OTELCOL is not set")?;
    let settings = dir.path().join("settings.yaml");
    let mut file = std::fs::File::create(&settings)?;
    write!(
        file,
        "receivers:\n  otlp:\n    protocols:\n      http: {{endpoint: '{address}', max_request_body_size: 67108864}}\n\
         exporters:\n  kafka:\n    brokers: ['{brokers}']\n    traces: {{topic: '{topic}', encoding: otlp_proto}}\n    \
         producer: {{required_acks: -1, compression: {compression}, max_message_bytes: 1000000}}\n    \
         sending_queue: {{enabled: false}}\n    retry_on_failure: {{enabled: false}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [kafka]}}\n"
    )?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(settings);
    Ok(command)
}
