//! CORE. Who vouches for a log: the keys that a user gives, witnesses, and how fresh what they say is.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Seconds;
use schemas::tlog::{Checkpoint, KeyName, NoteSignature, Policy, VerifierKey};

use crate::finding::{Findings, Kind};
use crate::log::keys::Keys;
use crate::log::report::{LogReport, Newest, Sign};

/// Without being asked, this old is worth a warning: heartbeats and anchors are made hourly, and a day is a day.
const OLD_HOURS: u64 = 25;

/// The cosignatures of the log's checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Cosignatures {
    /// By size, the names of the witnesses that were given and have signed.
    by_size: BTreeMap<u64, BTreeSet<String>>,
    newest: Option<(Seconds, u64)>,
    right: u64,
    others: u64,
}

impl Cosignatures {
    /// Takes in a cosignature of a checkpoint, which lies under a key's id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        id: [u8; 4],
        checkpoint: &Checkpoint,
        policy: Option<&Policy>,
    ) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let line: NoteSignature = text.parse().map_err(|error| format!("{error}"))?;
        if line.to_string() != text {
            return Err("it is not spelled as it must be".to_owned());
        }
        if line.id() != id {
            return Err("it is of another key than its name says".to_owned());
        }
        let of = policy.into_iter().flat_map(|policy| &policy.witnesses);
        let known = |key: &VerifierKey| (key.name(), key.id()) == (line.name(), line.id());
        let Some(witness) = of.into_iter().find(|witness| known(&witness.key)) else {
            self.others += 1;
            return Ok(());
        };
        let at = line.check(&witness.key, &checkpoint.to_string()).map_err(|e| e.to_string())?;
        self.right += 1;
        self.by_size.entry(checkpoint.size).or_default().insert(witness.name.clone());
        let at = Seconds(i64::try_from(at).unwrap_or(i64::MAX));
        self.newest = self.newest.max(Some((at, checkpoint.size)));
        Ok(())
    }

    /// The largest size that as many witnesses have signed as are wanted.
    fn quorum(&self, policy: &Policy) -> Option<u64> {
        let met = |names: &BTreeSet<String>| {
            policy.is_met_by(&names.iter().map(String::as_str).collect())
        };
        self.by_size.iter().rev().find(|(_, names)| met(names)).map(|(size, _)| *size)
    }
}

/// Judges a log by whom the user trusts.
pub(crate) fn judge(
    policy: Option<&Policy>,
    origin: &KeyName,
    keys: &Keys,
    cosignatures: &Cosignatures,
    report: &mut LogReport,
    findings: &mut Findings,
) {
    let trust = &mut report.trust;
    (trust.cosignatures, trust.cosignatures_of_others) = (cosignatures.right, cosignatures.others);
    let Some(policy) = policy else { return };
    trust.given = true;
    let given = keys_of(policy, origin);
    trust.key = keys.trusted_by(&given).map(VerifierKey::to_string);
    let mut wrong = |why: String| findings.add(Kind::Untrusted, "log/checkpoint", why);
    match (&trust.key, given.is_empty()) {
        (None, true) => wrong(format!("none of the keys that were given is of the log {origin}")),
        (None, false) => wrong(
            "it is signed neither with a key that was given nor with one that key changes lead to from it".to_owned(),
        ),
        (Some(_), _) => {}
    }
    if policy.wants_witnesses() {
        trust.quorum_size = cosignatures.quorum(policy);
        match trust.quorum_size {
            None => wrong("no checkpoint has the cosignatures that were asked for".to_owned()),
            Some(size) if size < report.size => report.warnings.push(format!(
                "witnesses vouch for the first {size} entries of the log, and for none of the {} after them",
                report.size - size
            )),
            Some(_) => {}
        }
    }
}

/// The keys of this log that a user gives.
pub(crate) fn keys_of(policy: &Policy, origin: &KeyName) -> Vec<VerifierKey> {
    policy.logs.iter().filter(|key| key.name() == origin).cloned().collect()
}

/// How old the newest signs of life are, and which are too old.
pub(crate) fn freshness(
    heartbeat: Option<(Seconds, u64)>,
    cosignatures: &Cosignatures,
    timestamp: Option<(Seconds, u64)>,
    now: Option<Seconds>,
) -> Newest {
    let sign = |newest: Option<(Seconds, u64)>| newest.map(|(at, size)| Sign::new(size, at, now));
    Newest {
        heartbeat: sign(heartbeat),
        cosignature: sign(cosignatures.newest),
        timestamp: sign(timestamp),
    }
}

/// Says which signs of life are older than they should be: in words, or as findings where the user said how old they may be.
pub(crate) fn stale(
    newest: &Newest,
    wanted: [(bool, &'static str); 3],
    fresh_hours: Option<u64>,
    warnings: &mut Vec<String>,
    findings: &mut Findings,
) {
    let hours = fresh_hours.unwrap_or(OLD_HOURS);
    let signs = [newest.heartbeat, newest.cosignature, newest.timestamp];
    for (sign, (is_wanted, what)) in signs.into_iter().zip(wanted) {
        let why = match sign {
            Some(sign) if sign.is_older(hours) => {
                let age = sign.age.unwrap_or(0) / 3600;
                format!("the newest {what} is {age} hours old, that of size {}", sign.size)
            }
            None if is_wanted => format!("there is no {what}"),
            _ => continue,
        };
        if fresh_hours.is_some() {
            findings.add(Kind::Stale, "log/checkpoint", why);
        } else {
            warnings.push(why);
        }
    }
}

/// What there is to say of links that wait to be enrolled, the oldest of this time: a finding where the user said how old things
/// may be.
pub(crate) fn waiting(
    oldest_ms: Option<i64>,
    now: Option<Seconds>,
    fresh_hours: Option<u64>,
) -> Option<(Option<Kind>, String)> {
    let oldest = Sign::new(0, Seconds(oldest_ms?.div_euclid(1000)), now);
    let hours = fresh_hours.unwrap_or(OLD_HOURS);
    let why = format!(
        "segments wait to be enrolled whose last message is {} hours old: does a sealer enrol?",
        oldest.age.unwrap_or(0) / 3600
    );
    oldest.is_older(hours).then_some((fresh_hours.map(|_| Kind::Stale), why))
}
