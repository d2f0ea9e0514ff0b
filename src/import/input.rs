//! What is imported: a file or standard input, read line by line and checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use schemas::{Digest, Micros};

use super::lines::{Line, Lines};
use super::session::Session;
use crate::exit::{Exit, OrExit};

/// Most sessions of one import: memory for knowing that each is there once.
const SESSIONS_MAX: usize = 4_000_000;

/// Where sessions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
}

impl Input {
    /// A path, or `-`.
    pub(crate) fn new(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Bytes, where they can be known.
    pub(crate) fn size(&self) -> anyhow::Result<Option<u64>> {
        match self {
            Self::File(path) => Ok(Some(metadata(path)?.len())),
            Self::Stdin => Ok(None),
        }
    }

    /// When the sessions were, where they do not say: the same for the same file.
    pub(crate) fn time(&self, now: SystemTime) -> anyhow::Result<Micros> {
        let time = match self {
            Self::File(path) => metadata(path)?.modified()?,
            Self::Stdin => now,
        };
        let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Ok(Micros(i64::try_from(micros)?))
    }

    /// The lines that hold sessions, each checked; ends at the first that does not.
    pub(crate) fn lines(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>> + use<>> {
        let from: Box<dyn BufRead> = match self {
            Self::File(path) => Box::new(BufReader::new(open(path)?)),
            Self::Stdin => Box::new(io::stdin().lock()),
        };
        let (name, mut seen) = (self.name(), HashMap::new());
        let checked = move |line: anyhow::Result<Line>| {
            let line = line.with_context(|| format!("cannot import {name}"))?;
            let wrong = || format!("cannot import line {} of {name}", line.number);
            check(&line, &mut seen).or_exit(Exit::Usage, wrong())?;
            Ok(line)
        };
        Ok(Lines::new(from).map(checked))
    }
}

/// A session, whole, and not one that was there before: two lines of a session would be sent side by side.
fn check(line: &Line, seen: &mut HashMap<Digest, usize>) -> anyhow::Result<()> {
    let session = Session::parse(&line.text)?;
    let id = session.id.as_str();
    if let Some(first) = seen.insert(Digest::of(id.as_bytes()), line.number) {
        anyhow::bail!("its session_id {id:?} is that of line {first}; make one line of both");
    }
    if seen.len() > SESSIONS_MAX {
        anyhow::bail!("it is one session more than {SESSIONS_MAX}; split the input");
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).or_exit(Exit::Usage, format!("cannot open {}", path.display()))
}

fn metadata(path: &Path) -> anyhow::Result<std::fs::Metadata> {
    std::fs::metadata(path).or_exit(Exit::Usage, format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<anyhow::Result<Line>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Input::new(file.path()).lines().unwrap().collect()
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = r#"{"session_id":"a","messages":[]}"#;
        let lines = lines(&format!("{good}\n\n{{}}\n"));
        assert_eq!(lines[0].as_ref().unwrap().number, 1);
        let error = lines[1].as_ref().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("line 3 of") && text.ends_with("it has no session_id"), "{text}");
        assert_eq!(Exit::of(error), Exit::Usage);
    }

    #[test]
    fn a_session_on_two_lines_is_refused() {
        let line = r#"{"session_id":"a","messages":[]}"#;
        let lines = lines(&format!("{line}\n{line}\n"));
        let error = format!("{:#}", lines[1].as_ref().unwrap_err());
        assert!(error.contains("is that of line 1"), "{error}");
    }

    #[test]
    fn the_time_of_a_file_is_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let time = UNIX_EPOCH + std::time::Duration::from_secs(7);
        file.as_file().set_modified(time).unwrap();
        let later = UNIX_EPOCH + std::time::Duration::from_secs(9);
        assert_eq!(Input::new(file.path()).time(later).unwrap(), Micros(7_000_000));
        assert_eq!(Input::Stdin.time(later).unwrap(), Micros(9_000_000));
    }
}
