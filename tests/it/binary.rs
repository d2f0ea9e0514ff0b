//! Runs the binary.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use schemas::tlog::{KeyName, LogSigner};

/// The binary with these arguments, and a key for the logs of the sealers that are given none.
pub(crate) fn chancery(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    command.args(args).env_remove("RUST_LOG").env_remove("CHANCERY_KEY");
    command.env("CHANCERY_LOG_KEY", log_key().to_text());
    // Many stores here have logs of one name: what one run saw is not for the next.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let state = format!("{}/state-{}-{run}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    command.env("XDG_STATE_HOME", state);
    command
}

/// The key of the tests' logs.
pub(crate) fn log_key() -> LogSigner {
    let key = schemas::signature::SigningKey::from_bytes(&[42; 32]);
    LogSigner::new(KeyName::new("tests.example/log").unwrap(), key)
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    chancery(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs it to its end, which must be this one; what it wrote to standard output.
pub(crate) fn expect(exit: i32, args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many events of the store `verify` has checked, all of them good.
pub(crate) fn verified(dir: &str) -> u64 {
    let report: serde_json::Value =
        serde_json::from_str(&expect(0, &["verify", dir, "--json"])).unwrap();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    report["events"].as_u64().unwrap()
}

/// A process of the binary that runs until it is told to stop.
pub(crate) struct Service {
    child: Child,
    /// What it said first, if it was waited for.
    url: String,
}

impl Service {
    /// Starts it.
    #[cfg(feature = "services")]
    pub(crate) fn start(args: &[&str]) -> Self {
        Self { child: chancery(args).spawn().unwrap(), url: String::new() }
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn listening(args: &[&str]) -> Self {
        Self::listening_with(args, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn listening_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = chancery(args);
        command.envs(variables.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let url = loop {
            let from = seen.len();
            assert_ne!(errors.read_line(&mut seen).unwrap(), 0, "it ended: {seen}");
            if let Some(url) = seen[from..].strip_prefix("listening on ") {
                break url.trim().to_owned();
            }
        };
        // So that it never waits for somebody to read its logs, and a failed test shows them.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        Self { child, url }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Sends a signal and waits for the end; the exit code, if it was not killed.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// `up` on `dir`, which seals at its end only.
pub(crate) fn up(dir: &Path) -> Service {
    up_with(dir, "sealer.segment_age_max_ms=600000")
}

/// `up` on `dir` with a setting.
pub(crate) fn up_with(dir: &Path, setting: &str) -> Service {
    let dir = dir.to_str().unwrap();
    Service::listening(&["up", "--listen", "127.0.0.1:0", "--set", setting, "--dir", dir])
}
