//! A disk that is soon full: a file system of its own where the test may mount one, else a limit that the gateway keeps.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the spool is, until it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Of one megabyte. Only root may mount; which of the two it is, is printed.
    pub(crate) fn new(path: &Path) -> Self {
        std::fs::create_dir(path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "chancery-test"];
        let mounted = Command::new("mount").args(mount).arg(path).status();
        let mounted = mounted.is_ok_and(|status| status.success());
        eprintln!("the spool has {}", if mounted { "a disk of 1 MB" } else { "a limit of 1 MB" });
        Self { path: path.to_owned(), mounted }
    }

    /// The gateway's arguments: the folder, and the limit where that is all there is.
    pub(crate) fn spool(&self) -> Vec<&str> {
        let limit = ["--set", "ingest.spool_bytes_max=1000000"];
        let limit = if self.mounted { &[][..] } else { &limit };
        [&[self.path.to_str().unwrap()], limit].concat()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _unmounted = Command::new("umount").arg(&self.path).status();
        }
    }
}
