//! SHELL: a small TOML file of this program's own: replaced as a whole, under a lock, and told when it changed.
//!
//! What stands in it is not looked at here.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Changes whenever the file is replaced: modification time, size, inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(i64, i64, u64, u64);

impl Stamp {
    /// That of the file as it is now; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self(file.mtime(), file.mtime_nsec(), file.size(), file.ino()))
    }
}

/// What the file says. No file says nothing.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(source) => return Err(failed("read", path)(source)),
    };
    let malformed = |source| Error::Malformed { path: path.to_owned(), source };
    toml::from_str(&text).map_err(|source| malformed(Box::new(source)))
}

/// Rewrites the file under a lock, so that of two changes at a time none is lost.
pub(crate) fn change<T: DeserializeOwned + Serialize + Default>(
    path: &Path,
    change: impl FnOnce(&mut T) -> Result<(), Error>,
) -> Result<(), Error> {
    let lock = beside(path, "lock");
    let file = private().create(true).truncate(false).open(&lock).map_err(failed("lock", &lock))?;
    file.lock().map_err(failed("lock", &lock))?;
    let mut content: T = read(path)?;
    change(&mut content)?;
    let text = toml::to_string(&content).map_err(io::Error::other);
    replace(path, &text.map_err(failed("write", path))?).map_err(failed("write", path))
}

/// Makes a file that only its owner may read, and that was not there.
pub(crate) fn create(path: &Path, text: &str) -> Result<(), Error> {
    let make = || {
        let mut file = private().create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync_folder(path)
    };
    make().map_err(failed("create", path))
}

/// Replaces the file: a crash leaves the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path, "new");
    let mut file = private().create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}
