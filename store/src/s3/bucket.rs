//! SHELL: how a bucket is set up.

use schemas::{LockMode, Seconds};

use super::request::Request;
use super::xml::Element;
use super::{S3, is_unset, parse};
use crate::error::Error;
use crate::lock;

/// How a bucket is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What is overwritten or deleted stays as a version.
    pub versioning: bool,
    /// Versions can be locked.
    pub lock: bool,
    /// The lock of objects that come without one.
    pub default_retention: Option<DefaultRetention>,
    /// The server's clock, where it told.
    pub clock: Option<Seconds>,
}

/// The lock that a bucket gives to objects that come without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// Who may remove it before its time.
    pub mode: LockMode,
    /// For how many days; a year has 365.
    pub days: u32,
}

impl S3 {
    /// How the bucket is set up.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn bucket(&self) -> Result<Bucket, Error> {
        let ask = |doing, query| Request { doing, query, ..Request::get("") };
        let versions = [("versioning", "")];
        let answer = self.bucket.send(&ask("read the versioning of", &versions)).await?;
        let versioning = parse("read the versioning of", "", &answer)?;
        let lock = [("object-lock", "")];
        let lock = match self.bucket.send(&ask("read the lock settings of", &lock)).await {
            Ok(answer) => Some(parse("read the lock settings of", "", &answer)?),
            Err(error) if is_unset(&error) => None,
            Err(error) => return Err(error),
        };
        let enabled = |lock: &Element| lock.text("ObjectLockEnabled") == Some("Enabled");
        Ok(Bucket {
            versioning: versioning.text("Status") == Some("Enabled"),
            lock: lock.as_ref().is_some_and(enabled),
            default_retention: lock.as_ref().and_then(default_retention),
            clock: answer.header("date").and_then(seconds_of_http),
        })
    }
}

fn default_retention(lock: &Element) -> Option<DefaultRetention> {
    let default = lock.child("Rule")?.child("DefaultRetention")?;
    let number = |name| default.text(name).and_then(|text| text.parse::<u32>().ok());
    let days = number("Days").or_else(|| number("Years").map(|years| years.saturating_mul(365)))?;
    Some(DefaultRetention { mode: lock::mode_of_s3(default.text("Mode")?)?, days })
}

/// A time as HTTP writes it: `Tue, 24 Nov 2026 11:45:19 GMT`.
fn seconds_of_http(text: &str) -> Option<Seconds> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let time = time::PrimitiveDateTime::parse(text, &format).ok()?;
    Some(Seconds(time.assume_utc().unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_retention_is_read_in_days_and_in_years() {
        let parse = |rule: &str| {
            let rule =
                format!("<DefaultRetention><Mode>COMPLIANCE</Mode>{rule}</DefaultRetention>");
            let all =
                format!("<ObjectLockConfiguration><Rule>{rule}</Rule></ObjectLockConfiguration>");
            default_retention(&Element::parse(all.as_bytes()).unwrap()).map(|found| found.days)
        };
        assert_eq!(parse("<Days>30</Days>"), Some(30));
        assert_eq!(parse("<Years>6</Years>"), Some(2190));
        assert_eq!(parse("<Days>many</Days>"), None);
    }

    #[test]
    fn a_server_s_clock_is_read() {
        let at: Seconds = "2026-11-24T11:45:19Z".parse().unwrap();
        assert_eq!(seconds_of_http("Tue, 24 Nov 2026 11:45:19 GMT"), Some(at));
        assert_eq!(seconds_of_http("2026-11-24T11:45:19Z"), None);
    }
}
