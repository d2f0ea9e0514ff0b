//! What earlier runs of `verify` saw of logs, one small file for each: the log must be a continuation of it for ever.
//!
//! A file's first line is `<size> <time>` of the last run that read everything and found nothing wrong, or `-`; after it stands
//! the newest checkpoint of which the log itself was right, as it was signed.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use schemas::tlog::{KeyName, SignedCheckpoint};
use schemas::{Digest, Seconds};

use crate::exit::{Exit, OrExit};

/// Longest name of a file; what is longer is named by its hash.
const NAME_BYTES_MAX: usize = 200;
/// The folder of the logs that were found in stores.
const STORES: &str = ".stores";

/// What is remembered of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The last run that read everything and found nothing wrong: the log's size, and when.
    pub(crate) good: Option<(u64, Seconds)>,
    /// The newest checkpoint that was right.
    pub(crate) checkpoint: SignedCheckpoint,
}

impl Remembered {
    /// Reads a file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, note) = text.split_once('\n')?;
        let good = match first.split_once(' ') {
            Some((size, time)) => Some((size.parse().ok()?, time.parse().ok()?)),
            None if first == "-" => None,
            None => return None,
        };
        let read = Self { good, checkpoint: SignedCheckpoint::parse(note.as_bytes()).ok()? };
        (read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.good {
            Some((size, time)) => writeln!(f, "{size} {time}")?,
            None => writeln!(f, "-")?,
        }
        write!(f, "{}", self.checkpoint.note)
    }
}

/// The folder of these files.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// The folder that is given, or the user's own; `None` where the user has no home.
    pub(crate) fn open(given: Option<&Path>) -> Option<Self> {
        let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let own = || {
            let state = of("XDG_STATE_HOME");
            state.or_else(|| of("HOME").map(|home| home.join(".local/state")))
        };
        let folder = given.map(Path::to_owned).or_else(|| own().map(|own| own.join("chancery")))?;
        Some(Self { folder })
    }

    /// Where the files lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is remembered of a log.
    pub(crate) fn of(&self, origin: &KeyName) -> anyhow::Result<Option<Remembered>> {
        self.read(&self.folder.join(file_name(origin.as_str())))
    }

    /// What is remembered of all logs.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Remembered>> {
        let what = || format!("cannot list {}", self.folder.display());
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.or_exit(Exit::Usage, what())?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.or_exit(Exit::Usage, what())?.path();
            let is_own =
                path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
            if is_own && path.is_file() {
                all.extend(self.read(&path)?);
            }
        }
        Ok(all)
    }

    /// Remembers a log, unless more of it is remembered.
    pub(crate) fn put(&self, seen: &Remembered) -> anyhow::Result<()> {
        let checkpoint = &seen.checkpoint.checkpoint;
        let before = self.of(&checkpoint.origin)?;
        if before.is_some_and(|one| one.checkpoint.checkpoint.size > checkpoint.size) {
            return Ok(());
        }
        write(&self.folder, &file_name(checkpoint.origin.as_str()), &seen.to_string())
    }

    /// The log that an earlier run found in a store.
    pub(crate) fn log_of(&self, store: &str) -> anyhow::Result<Option<KeyName>> {
        let path = self.folder.join(STORES).join(Digest::of(store.as_bytes()).to_string());
        let what = || format!("cannot read {}", path.display());
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.or_exit(Exit::Usage, what())?;
                KeyName::new(text.trim_end()).map(Some).or_exit(Exit::Usage, what())
            }
        }
    }

    /// Notes which log a store has.
    pub(crate) fn found_in(&self, store: &str, origin: &KeyName) -> anyhow::Result<()> {
        let name = Digest::of(store.as_bytes()).to_string();
        write(&self.folder.join(STORES), &name, &format!("{origin}\n"))
    }

    fn read(&self, path: &Path) -> anyhow::Result<Option<Remembered>> {
        let what = || format!("cannot read {}, which an earlier run remembered", path.display());
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.or_exit(Exit::Usage, what())?,
        };
        let read = Remembered::parse(&text);
        read.map(Some).ok_or_else(|| Exit::Usage.error(format!("{}: it was changed", what())))
    }
}

/// The store, by a name that does not depend on where the command was called.
pub(crate) fn address(store: &str) -> String {
    let path = Path::new(store).canonicalize().ok();
    path.map_or_else(|| store.to_owned(), |path| path.display().to_string())
}

/// Whole or not at all.
fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let what = || format!("cannot remember {name} in {}", folder.display());
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(folder.join(name)).map(drop).map_err(|error| error.error)
    });
    written.or_exit(Exit::Infrastructure, what())
}

/// Letters, digits and a few signs as they are, every other byte as `%` and two digits.
fn file_name(origin: &str) -> String {
    let escaped = |(at, byte): (usize, u8)| match byte {
        b'.' if at == 0 => "%2e".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).into(),
        byte => format!("%{byte:02x}"),
    };
    let name: String = origin.bytes().enumerate().map(escaped).collect();
    if name.len() <= NAME_BYTES_MAX { name } else { Digest::of(origin.as_bytes()).to_string() }
}

#[cfg(test)]
mod tests {
    use schemas::signature::SigningKey;
    use schemas::tlog::{Checkpoint, LogSigner};

    use super::*;

    fn seen(size: u64, good: Option<(u64, Seconds)>) -> Remembered {
        let origin = KeyName::new("example.org/log").unwrap();
        let signer = LogSigner::new(origin.clone(), SigningKey::from_bytes(&[1; 32]));
        let checkpoint = Checkpoint { origin, size, root: Digest([7; 32]) };
        let note = checkpoint.sign(&[&signer]);
        Remembered { good, checkpoint: SignedCheckpoint { checkpoint, note } }
    }

    #[test]
    fn what_was_seen_is_remembered_and_never_less() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::open(Some(&folder.path().join("a/b"))).unwrap();
        let origin = KeyName::new("example.org/log").unwrap();
        assert_eq!((memory.of(&origin).unwrap(), memory.all().unwrap()), (None, vec![]));
        let (first, second) = (seen(5, Some((5, Seconds(1_790_000_000)))), seen(9, None));
        for (put, kept) in [(&first, &first), (&second, &second), (&first, &second)] {
            memory.put(put).unwrap();
            assert_eq!(memory.of(&origin).unwrap().as_ref(), Some(kept));
        }
        memory.found_in("s3://b/p", &origin).unwrap();
        assert_eq!(memory.log_of("s3://b/p").unwrap(), Some(origin));
        assert_eq!(memory.log_of("s3://b/q").unwrap(), None);
        assert_eq!(memory.all().unwrap(), [second]);
    }

    #[test]
    fn a_file_is_read_only_as_it_was_written() {
        let text = seen(5, Some((5, Seconds(1_790_000_000)))).to_string();
        assert!(text.starts_with("5 2026-09-21T"), "{text}");
        assert!(Remembered::parse(&text).is_some());
        for wrong in [text.replace("5 2026", "05 2026"), text.replace("Z\n", "\n"), String::new()] {
            assert_eq!(Remembered::parse(&wrong), None);
        }
    }

    #[test]
    fn names_of_files_are_names_of_one_file() {
        assert_eq!(file_name("example.org/log"), "example.org%2flog");
        assert_eq!(file_name(".."), "%2e.");
        assert_eq!(file_name(&"/".repeat(100)).len(), 64);
    }
}
