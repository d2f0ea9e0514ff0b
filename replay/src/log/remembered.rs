//! CORE. Whether the log is a continuation of what an earlier run saw.

use schemas::tlog::{Checkpoint, KeyName};

use crate::finding::{Findings, Kind};
use crate::log::growth::Growth;

/// Compares a log with the checkpoint of it that is remembered, and gives the size of that. `published` is the size of the
/// newest checkpoint, where that is right; `followed` is whether all commits could be.
pub(crate) fn continues(
    remembered: &[Checkpoint],
    origin: &KeyName,
    growth: &Growth,
    published: Option<u64>,
    followed: bool,
    findings: &mut Findings,
) -> Option<u64> {
    let before = remembered.iter().find(|one| one.origin == *origin)?;
    let size = before.size;
    let mut wrong = |kind, why: String| findings.add(kind, "log/checkpoint", why);
    match growth.at(size) {
        Some(at) if at.root == before.root => {}
        Some(_) => {
            wrong(Kind::Rewritten, format!("an earlier run saw another root for size {size}"));
            return None;
        }
        // The commit that could not be followed is a finding already.
        None if growth.size() < size && !followed => return None,
        None if growth.size() < size => {
            let is = growth.size();
            wrong(
                Kind::RolledBack,
                format!("an earlier run saw {size} entries, and there are {is}"),
            );
            return None;
        }
        None => {
            wrong(
                Kind::Rewritten,
                format!("an earlier run saw size {size}, and no commit ends there"),
            );
            return None;
        }
    }
    if let Some(published) = published.filter(|published| *published < size) {
        let why = format!("it is of size {published}, and an earlier run saw one of size {size}");
        wrong(Kind::RolledBack, why);
        return None;
    }
    Some(size)
}
