//! Servers of a test's own, so that it may kill them: Kafka and S3, by `tests/stack/stack.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/stack.sh");

/// The servers, until it is dropped.
pub(crate) struct Stack {
    dir: PathBuf,
    /// What `stack.sh` says of them, for those who use them.
    pub(crate) environment: Vec<(String, String)>,
}

impl Stack {
    /// Starts so many brokers, and the S3 server that the environment names.
    pub(crate) fn up(folder: &Path, brokers: &str) -> Self {
        let dir = folder.join("stack");
        let kind = std::env::var("CHANCERY_TEST_S3_KIND").unwrap_or("seaweedfs".to_owned());
        let up = ["up", "--brokers", brokers, "--s3", &kind, dir.to_str().unwrap()];
        assert!(Command::new(SCRIPT).args(up).status().unwrap().success(), "no servers");
        let text = std::fs::read_to_string(dir.join("env")).unwrap();
        let exports = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let environment =
            exports.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { dir, environment }
    }

    /// What `stack.sh` exports under this name.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("the stack has no {name}")).1
    }

    /// Kills a server with SIGKILL.
    pub(crate) fn kill(&self, server: &str) {
        signal("-KILL", self.pid(server));
    }

    /// Kills a server with SIGKILL, if it lives, and returns when it answers again.
    pub(crate) fn restart(&self, server: &str) {
        let mut restart = Command::new(SCRIPT);
        restart.args(["restart", server]).env("CHANCERY_TEST_STACK", &self.dir);
        assert!(restart.status().unwrap().success(), "{server} did not come back");
    }

    /// Stops a server from doing anything, its connections open, or lets it go on.
    pub(crate) fn signal(&self, signal_name: &str, server: &str) {
        signal(signal_name, self.pid(server));
    }

    fn pid(&self, server: &str) -> u32 {
        let text = std::fs::read_to_string(self.dir.join(format!("{server}.pid"))).unwrap();
        text.trim().parse().unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _stopped = Command::new(SCRIPT).arg("down").arg(&self.dir).status();
    }
}

/// Sends a signal to a process that is there.
pub(crate) fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "no process {pid} to get {name}");
}
