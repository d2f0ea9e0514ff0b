//! SHELL: the Kafka broker and the S3 server that `tests/stack/stack.sh` started, and what they take of the processor.

use std::time::Duration;

use anyhow::Context;
use schemas::{LockMode, Seconds};
use store::{Lock, Retention};

use crate::clock;

/// The retention class of everything that is sealed here.
pub(crate) const CLASS: &str = "standard";

/// Where the servers are.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) brokers: String,
    /// `host:port`.
    pub(crate) s3: String,
    bucket: String,
    /// Folder of all servers.
    stack: String,
    /// Process ids of the broker and of the S3 server.
    processes: [String; 2],
}

impl Servers {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let stack = variable("CHANCERY_TEST_STACK")?;
        let process = |name: &str| {
            let path = format!("{stack}/{name}.pid");
            let id = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"));
            id.map(|id| id.trim().to_owned())
        };
        let endpoint = variable("AWS_ENDPOINT_URL")?;
        let s3 = endpoint.strip_prefix("http://").context("AWS_ENDPOINT_URL is not http://")?;
        Ok(Self {
            brokers: variable("CHANCERY_TEST_KAFKA")?,
            s3: s3.to_owned(),
            bucket: variable("CHANCERY_TEST_S3_BUCKET")?,
            processes: [process("kafka")?, process("s3")?],
            stack,
        })
    }

    /// The address of a store in the bucket.
    pub(crate) fn store(&self, name: &str) -> String {
        format!("s3://{}/{name}", self.bucket)
    }

    /// Bytes of a topic's log, as they lie on the broker's disk.
    pub(crate) fn topic_bytes(&self, topic: &str) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for broker in std::fs::read_dir(&self.stack)?.collect::<Result<Vec<_>, _>>()? {
            if !broker.file_name().to_string_lossy().starts_with("kafka-")
                || !broker.path().is_dir()
            {
                continue;
            }
            for partition in std::fs::read_dir(broker.path())?.collect::<Result<Vec<_>, _>>()? {
                let name = partition.file_name().to_string_lossy().into_owned();
                let is_it = name.rsplit_once('-').is_some_and(|(of, _)| of == topic);
                if !is_it {
                    continue;
                }
                for file in std::fs::read_dir(partition.path())? {
                    let file = file?;
                    if file.path().extension().is_some_and(|ending| ending == "log") {
                        bytes += file.metadata()?.len();
                    }
                }
            }
        }
        anyhow::ensure!(bytes > 0, "the log of {topic} is not in {}", self.stack);
        Ok(bytes)
    }

    /// What the broker and the S3 server have had of the processor so far.
    pub(crate) fn processor(&self) -> anyhow::Result<[Duration; 2]> {
        let [kafka, s3] = &self.processes;
        Ok([clock::processor_of(kafka)?, clock::processor_of(s3)?])
    }
}

pub(crate) fn retention() -> anyhow::Result<Retention> {
    Ok(Retention::new(Some(LockMode::Compliance), [(CLASS.to_owned(), 400)].into())?)
}

/// The lock of a segment that is written now.
pub(crate) fn lock() -> anyhow::Result<Lock> {
    Ok(retention()?.lock(CLASS, Seconds(clock::unix_seconds()?))?)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: run this through tests/stack/stack.sh run --"))
}
