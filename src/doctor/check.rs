//! CORE: one thing that was checked: what was found, and where it is wrong, why that matters and what to do.

use std::fmt;

use serde::Serialize;

use crate::exit::Exit;
use crate::output::printable;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Ok,
    Wrong,
    Unchecked,
}

/// A check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) found: String,
    /// Why it matters; empty where all is well.
    pub(crate) why: &'static str,
    /// What to do; empty where all is well.
    pub(crate) remedy: String,
}

impl Check {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        let (verdict, found) = (Verdict::Ok, found.into());
        Self { check, verdict, found, why: "", remedy: String::new() }
    }

    pub(crate) fn wrong(
        check: &'static str,
        found: impl Into<String>,
        why: &'static str,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, verdict: Verdict::Wrong, found: found.into(), why, remedy: remedy.into() }
    }

    /// Could not be checked: `found` says what stood in the way.
    pub(crate) fn unchecked(
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (verdict, found, remedy) = (Verdict::Unchecked, found.into(), remedy.into());
        Self { check, verdict, found, why: "", remedy }
    }

    /// Could not be checked: an error stood in the way.
    pub(crate) fn failed(check: &'static str, error: impl Into<anyhow::Error>) -> Self {
        let remedy = "see whether the address, the credentials and their permissions are right";
        Self::unchecked(check, format!("{:#}", error.into()), remedy)
    }
}

/// One line; what servers said in it cannot make more of it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Wrong => "WRONG",
            Verdict::Unchecked => "could not check",
        };
        write!(f, "{verdict:15}  {}: {}", self.check, printable(&self.found))?;
        if !self.why.is_empty() {
            write!(f, ". Why it matters: {}", self.why)?;
        }
        if !self.remedy.is_empty() {
            write!(f, ". What to do: {}", self.remedy)?;
        }
        Ok(())
    }
}

/// How the command ends: what is wrong counts before what could not be checked.
pub(crate) fn exit(checks: &[Check]) -> Exit {
    let any = |verdict| checks.iter().any(|check| check.verdict == verdict);
    match (any(Verdict::Wrong), any(Verdict::Unchecked)) {
        (true, _) => Exit::Wrong,
        (false, true) => Exit::Incomplete,
        (false, false) => Exit::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_counts_before_what_could_not_be_checked() {
        let ok = Check::ok("versioning", "on");
        let wrong = Check::wrong("versioning", "off", "it is gone", "turn it on");
        let unchecked = Check::failed("versioning", anyhow::anyhow!("refused\nfor ever"));
        assert_eq!(exit(std::slice::from_ref(&ok)), Exit::Good);
        assert_eq!(exit(&[ok.clone(), unchecked.clone()]), Exit::Incomplete);
        assert_eq!(exit(&[unchecked.clone(), wrong.clone(), ok.clone()]), Exit::Wrong);
        assert_eq!(ok.to_string(), "ok               versioning: on");
        assert_eq!(
            wrong.to_string(),
            "WRONG            versioning: off. Why it matters: it is gone. What to do: turn it on"
        );
        assert_eq!(unchecked.to_string().lines().count(), 1);
    }
}
