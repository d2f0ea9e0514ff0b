//! CORE. What a bundle that holds proves, by whose word, since when at the latest, and what it does not: in words.

use schemas::{Claimed, Seconds};
use serde::Serialize;

use crate::bundle::summary::{Place, Summary, time};

/// Who stands for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Whether the verifier was told whom to trust.
    pub asked: bool,
    /// Keys of the log that it trusts and that signed.
    pub keys: Vec<String>,
    /// Witnesses that it trusts and that signed, and when.
    pub witnesses: Vec<(String, Seconds)>,
    /// Cosignatures of others.
    pub unknown_cosignatures: u64,
    /// Time-stamps.
    pub stamps: Vec<Stamp>,
}

/// A time-stamp and what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its name in the bundle.
    pub name: String,
    /// When, where it was looked at.
    pub at: Option<Seconds>,
    /// Who signed, as the certificate says.
    pub authority: Option<String>,
    /// The trusted root that vouches for that.
    pub root: Option<String>,
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// `event`, `session` or `absent`.
    pub claim: &'static str,
    /// Owner of the session.
    pub tenant: String,
    /// The session.
    pub session_id: String,
    /// The event, where one is claimed.
    pub event: Option<String>,
    /// Begin of the time of an absence.
    pub from: Option<String>,
    /// Its end, not included.
    pub to: Option<String>,
    /// The log.
    pub origin: String,
    /// Size of the checkpoint.
    pub size: u64,
    /// Its root.
    pub root: String,
    /// `topic/partition`.
    pub partition: String,
    /// The first link that is shown.
    pub first: Option<Place>,
    /// The last.
    pub last: Option<Place>,
    /// Segments that are shown.
    pub records: u64,
    /// Events of the session that are shown.
    pub events: u64,
    /// Messages of the session that are no events.
    pub raw: u64,
    /// Bodies that are disclosed.
    pub disclosed: u64,
    /// Bodies that are named and not disclosed.
    pub withheld: u64,
    /// Whether a key that the verifier was given signed.
    pub vouched: bool,
    /// Since when at the latest, RFC 3339: the earliest word of somebody who is trusted.
    pub since: Option<String>,
    /// What is proven.
    pub proven: Vec<String>,
    /// By whose word.
    pub by: Vec<String>,
    /// What is not.
    pub not_proven: Vec<String>,
    /// When the bundle was made, by its maker's clock.
    pub made_at: String,
    /// What made it.
    pub writer: String,
}

impl Statement {
    pub(crate) fn new(summary: &Summary, vouched: Vouched) -> Self {
        let claim = &summary.claim;
        let (event, range) = match &claim.what {
            Claimed::Event(event) => (Some(event.to_string()), None),
            Claimed::Session => (None, None),
            Claimed::Absent(range) => (None, Some(range)),
        };
        let since = since(&vouched);
        Self {
            claim: claim.what.as_str(),
            tenant: claim.key.tenant.to_string(),
            session_id: claim.key.session.to_string(),
            event,
            from: range.map(|range| time(range.start)),
            to: range.map(|range| time(range.end)),
            origin: claim.origin.to_string(),
            size: claim.size,
            root: summary.root.to_string(),
            partition: format!("{}/{}", claim.topic, claim.partition),
            first: summary.first.clone(),
            last: summary.last.clone(),
            records: summary.records,
            events: summary.events,
            raw: summary.raw,
            disclosed: claim.disclosed,
            withheld: claim.withheld,
            vouched: !vouched.keys.is_empty(),
            since: since.as_ref().map(|(at, _)| at.to_string()),
            proven: summary.claimed(),
            by: by(&vouched, since),
            not_proven: summary.limits(),
            made_at: claim.made_at.to_string(),
            writer: claim.writer.clone(),
        }
    }
}

/// The earliest word of a witness or authority that is trusted.
fn since(vouched: &Vouched) -> Option<(Seconds, String)> {
    let witnesses = vouched.witnesses.iter().map(|(name, at)| (*at, format!("witness {name}")));
    let stamps = vouched.stamps.iter().filter(|stamp| stamp.root.is_some());
    let stamps = stamps.filter_map(|stamp| Some((stamp.at?, stamp.authority.clone()?)));
    witnesses.chain(stamps).min()
}

fn by(vouched: &Vouched, since: Option<(Seconds, String)>) -> Vec<String> {
    let mut by: Vec<String> =
        vouched.keys.iter().map(|key| format!("The log's key signed: {key}.")).collect();
    if !vouched.asked {
        by.push("Nobody outside vouches for the log's key: no key was given to check the signature with, so that whoever made this bundle may have made the log, too.".to_owned());
    }
    let witnesses = vouched.witnesses.iter();
    by.extend(witnesses.map(|(name, at)| {
        format!("Witness {name} signed at {at}: it has seen the log only grow until there.")
    }));
    if vouched.unknown_cosignatures > 0 {
        let unknown = vouched.unknown_cosignatures;
        by.push(format!("{unknown} cosignatures are of witnesses that the given file does not name; they count for nothing."));
    }
    by.extend(vouched.stamps.iter().map(|Stamp { name, at, authority, root }| {
        let (at, authority) = (at.map(|at| at.to_string()), authority.as_deref().unwrap_or(name));
        match (at, root) {
            (Some(at), Some(root)) => format!("{authority} stamped the checkpoint at {at}, certified by {root}."),
            (Some(at), None) => format!("Somebody who goes by {authority} stamped the checkpoint at {at}; no root was given that vouches for that."),
            (None, _) => format!("The time-stamp {name} was not looked at."),
        }
    }));
    by.push(match since {
        Some((at, who)) => format!("It stood in the log at {at} at the latest, by {who}."),
        None => "Since when it stands in the log nobody outside says: there is no cosignature or time-stamp that is trusted.".to_owned(),
    });
    by
}
