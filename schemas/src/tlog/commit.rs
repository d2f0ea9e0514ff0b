//! Commits: what appends entries to the log, one object for each size that it grew from.

use std::fmt::Write as _;

use crate::digest::Digest;
use crate::lines::{Lines, RecordError};
use crate::tlog::entry::Entry;
use crate::tlog::key::KeyName;
use crate::tlog::tile::{ENTRY_BYTES_MAX, bundle, split_bundle};

/// Most entries of a commit.
pub const COMMIT_ENTRIES_MAX: usize = 256;
/// Largest commit.
pub const COMMIT_BYTES_MAX: u64 = 17 << 20;

/// Entries, and the tree that they make of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Which log.
    pub origin: KeyName,
    /// Entries before.
    pub start: u64,
    /// Root of the tree with these entries.
    pub root: Digest,
    /// At least one, at most [`COMMIT_ENTRIES_MAX`]; a key change is the last.
    pub entries: Vec<Entry>,
}

impl Commit {
    const KIND: &'static str = "chancery/commit@v1";

    /// Entries after.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = String::new();
        let _infallible = write!(
            head,
            "{}\norigin {}\nstart {}\nnext {}\nroot {}\n\n",
            Self::KIND,
            self.origin,
            self.start,
            self.next(),
            self.root,
        );
        let texts: Vec<String> = self.entries.iter().map(Entry::to_string).collect();
        [head.into_bytes(), bundle(texts.iter().map(String::as_str))].concat()
    }

    /// Reads a commit. Whether its root follows is for who has the tree before.
    ///
    /// # Errors
    /// Anything that is not exactly such an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let wrong = |why: &str| RecordError { kind: Self::KIND, why: why.to_owned() };
        let end = bytes.windows(2).position(|pair| pair == b"\n\n");
        let end = end.ok_or_else(|| wrong("its head does not end"))? + 1;
        let (head, rest) = bytes.split_at_checked(end).ok_or_else(|| wrong("it is cut"))?;
        let head = std::str::from_utf8(head).map_err(|_| wrong("it is not UTF-8"))?;
        let mut lines = Lines::new(Self::KIND, head)?;
        let (origin, start) = (lines.value("origin")?, lines.value("start")?);
        let next: u64 = lines.value("next")?;
        let root = lines.value("root")?;
        let entries = rest.strip_prefix(b"\n").unwrap_or_default();
        let count = next.saturating_sub(start);
        let entries = split_bundle(entries, count).map_err(|error| wrong(error.0))?;
        let entries: Vec<Entry> =
            entries.into_iter().map(Entry::parse).collect::<Result<_, _>>()?;
        let (changes, last) = (|one: &Entry| matches!(one, Entry::KeyChange(_)), entries.len());
        if !(1..=COMMIT_ENTRIES_MAX).contains(&last) {
            return Err(wrong("it has no entries, or more than 256"));
        }
        if entries.iter().take(last - 1).any(changes) {
            return Err(wrong("a key change is not its last entry"));
        }
        let commit = Self { origin, start, root, entries };
        let same = commit.to_bytes() == bytes;
        same.then_some(commit).ok_or_else(|| wrong("it is not spelled as it must be"))
    }

    /// Whether an entry fits into the log.
    #[must_use]
    pub fn fits(entry: &Entry) -> bool {
        entry.to_string().len() <= ENTRY_BYTES_MAX
    }
}
