//! How a command ends: the exit codes, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

/// The table for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  good
  1  a judgement went against you
  2  usage: the command line, a setting or an input is wrong
  3  evidence failed verification
  4  could not check everything
  5  infrastructure: a disk, a broker, a store or a network";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Good,
    /// What was to be judged is not as it must be: a deployment that cannot be trusted.
    Wrong,
    /// The command line, a setting or an input is wrong: change it.
    Usage,
    /// Something sealed is not what it must be: wake a human.
    Evidence,
    /// What was checked is good, but not everything could be.
    Incomplete,
    /// A disk, a broker, a store or a network failed: try again.
    Infrastructure,
    /// As the command ended that this one ran.
    Of(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Wrong => 1,
            Exit::Usage => 2,
            Exit::Evidence => 3,
            Exit::Incomplete => 4,
            Exit::Infrastructure => 5,
            Exit::Of(code) => code,
        })
    }
}

impl Exit {
    /// How an error ends the command: as the outermost [`Because`] says, else as infrastructure.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<Because>().map_or(Self::Infrastructure, |because| because.exit)
    }

    /// An error of its own that ends the command in this way.
    pub(crate) fn error(self, what: impl Into<String>) -> anyhow::Error {
        Because { exit: self, what: what.into() }.into()
    }

    /// `error`, met while doing `what`, as one that ends the command in this way.
    pub(crate) fn because(
        self,
        error: impl Into<anyhow::Error>,
        what: impl Into<String>,
    ) -> anyhow::Error {
        error.into().context(Because { exit: self, what: what.into() })
    }
}

/// What was being done, and how its failure ends the command.
#[derive(Debug)]
struct Because {
    exit: Exit,
    what: String,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Because {}

/// Marks a result's error with how it ends the command.
pub(crate) trait OrExit<T> {
    /// Says `what` was being done, and how its failure ends the command.
    fn or_exit(self, exit: Exit, what: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit, what: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| exit.because(error, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_the_command_as_its_outermost_mark_says() {
        let plain = || anyhow::anyhow!("cause");
        assert_eq!(Exit::of(&plain()), Exit::Infrastructure);
        let marked = Err::<(), _>(plain()).or_exit(Exit::Usage, "reading").unwrap_err();
        assert_eq!(Exit::of(&marked.context("outer")), Exit::Usage);
        let again = Err::<(), _>(Exit::Usage.error("inner")).or_exit(Exit::Evidence, "outer");
        let again = again.unwrap_err();
        assert_eq!(Exit::of(&again), Exit::Evidence);
        assert_eq!(format!("{again:#}"), "outer: inner");
    }
}
