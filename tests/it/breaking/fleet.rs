//! The processes under test: a gateway and sealers, each started again when it ends, as a supervisor would.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::stack::{Stack, signal};
use crate::binary::chancery;

/// The exit code for servers that are away: whoever ends so is started again. Any other is a failure of the test.
const INFRASTRUCTURE: i32 = 5;
const LOOK: Duration = Duration::from_millis(50);
/// A gateway that does not listen after so many looks never will.
const LOOKS: usize = 1200;

const SETTINGS: &str = "\
[ingest]
retention_class = 'development'
spool_patience_ms = 1000
[sealer]
retention_class = 'development'
segment_age_max_ms = 300
segment_rows_max = 200
retry_wait_max_ms = 1000
stall_max_ms = 5000
[retention]
mode = 'governance'
classes.development = 1
";

/// One process: how it is started, and where it logs.
struct Process {
    name: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Child,
    frozen: bool,
}

/// All of them.
pub(crate) struct Fleet {
    folder: PathBuf,
    processes: Vec<Process>,
    /// Times that somebody ended because a server was away.
    pub(crate) gave_up: u64,
}

/// The gateway is the first.
pub(crate) const INGEST: usize = 0;
/// Sealers: one that seals everything, and two that share everything by a group and so race with the first.
pub(crate) const SEALERS: std::ops::RangeInclusive<usize> = 1..=3;

/// Where the processes find the servers, through proxies or not.
pub(crate) struct Servers<'a> {
    pub(crate) stack: &'a Stack,
    /// Brokers for the gateway.
    pub(crate) front: String,
    /// The S3 endpoint for the sealers.
    pub(crate) endpoint: String,
    pub(crate) topic: &'a str,
    pub(crate) store: &'a str,
}

impl Fleet {
    /// Starts them. `spool` is the gateway's folder and settings for when Kafka is away.
    pub(crate) fn start(folder: &Path, keys: &str, spool: &[&str], at: &Servers<'_>) -> Self {
        let settings = folder.join("settings.toml");
        std::fs::write(&settings, SETTINGS).unwrap();
        let settings = settings.to_str().unwrap();
        let common = ["--topic", at.topic, "--config", settings, "--kafka"];
        let ingest = ["--keys", keys, "--listen", "127.0.0.1:0", "--spool"];
        let ingest = [&["ingest"], &common[..], &[&at.front], &ingest, spool].concat();
        let brokers = at.stack.variable("CHANCERY_TEST_KAFKA");
        let sealer = [&["sealer"], &common[..], &[brokers, "--store", at.store]].concat();
        let by_group = ["sealer.assignment=group", "kafka.properties.session.timeout.ms=6000"];
        let group = [&sealer[..], &["--set", by_group[0], "--set", by_group[1]]].concat();
        let mut environment = at.stack.environment.clone();
        environment.push(("AWS_ENDPOINT_URL".to_owned(), at.endpoint.clone()));
        let start = |name, arguments: &[&str]| {
            let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
            Process::start(name, arguments, environment.clone(), folder)
        };
        let processes = vec![
            start("ingest", &ingest),
            start("sealer-all", &sealer),
            start("sealer-group-1", &group),
            start("sealer-group-2", &group),
        ];
        Self { folder: folder.to_owned(), processes, gave_up: 0 }
    }

    /// The gateway's address, when it listens.
    pub(crate) async fn url(&mut self) -> String {
        for _ in 0..LOOKS {
            let text = std::fs::read_to_string(&self.processes[INGEST].log).unwrap();
            let told = text.lines().rev().find_map(|line| line.strip_prefix("listening on "));
            if let Some(url) = told {
                return url.trim().to_owned();
            }
            self.tend();
            tokio::time::sleep(LOOK).await;
        }
        self.fail("the gateway does not listen")
    }

    pub(crate) fn name(&self, which: usize) -> &'static str {
        self.processes[which].name
    }

    /// SIGKILL, whatever it is doing, and a start.
    pub(crate) fn kill(&mut self, which: usize) {
        let process = &mut self.processes[which];
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        process.restart();
    }

    /// Stops it from running, or lets it go on as if nothing had been.
    pub(crate) fn freeze(&mut self, which: usize, frozen: bool) {
        let process = &mut self.processes[which];
        if process.frozen != frozen {
            signal(if frozen { "-STOP" } else { "-CONT" }, process.child.id());
            process.frozen = frozen;
        }
    }

    /// What a supervisor does: starts again who gave up because a server was away.
    pub(crate) fn tend(&mut self) {
        for which in 0..self.processes.len() {
            let process = &mut self.processes[which];
            let Some(status) = process.child.try_wait().unwrap() else { continue };
            if status.code() != Some(INFRASTRUCTURE) {
                self.fail(&format!("{} ended by itself: {status}", self.name(which)));
            }
            self.processes[which].restart();
            self.gave_up += 1;
        }
    }

    /// SIGTERM to the gateway, which must end well; it is not started again.
    pub(crate) fn end_ingest(&mut self) {
        self.end(INGEST);
    }

    /// SIGTERM to the sealers, which must end well.
    pub(crate) fn end_sealers(&mut self) {
        SEALERS.for_each(|which| self.end(which));
    }

    fn end(&mut self, which: usize) {
        let process = &mut self.processes[which];
        signal("-TERM", process.child.id());
        let status = process.child.wait().unwrap();
        if status.code() != Some(0) {
            self.fail(&format!("{} did not end well: {status}", self.name(which)));
        }
    }

    /// Fails with the end of each log.
    pub(crate) fn fail(&self, why: &str) -> ! {
        for process in &self.processes {
            let text = std::fs::read(&process.log).unwrap_or_default();
            let end =
                String::from_utf8_lossy(&text[text.len().saturating_sub(4000)..]).into_owned();
            eprintln!("--- {}\n{end}", process.log.display());
        }
        panic!("{why}; the ends of the logs in {} are above", self.folder.display());
    }
}

impl Process {
    fn start(
        name: &'static str,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = spawn(&arguments, &environment, &log);
        Self { name, arguments, environment, log, child, frozen: false }
    }

    fn restart(&mut self) {
        let old = self.log.with_extension("before.log");
        std::fs::rename(&self.log, old).unwrap();
        self.child = spawn(&self.arguments, &self.environment, &self.log);
        self.frozen = false;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn spawn(arguments: &[String], environment: &[(String, String)], log: &Path) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command: Command = chancery(&arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let log = File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
