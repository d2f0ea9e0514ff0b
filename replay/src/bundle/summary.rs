//! CORE. A bundle in short, in numbers and in words: what it claims and what nobody can read out of it. Not whether it holds.

use std::fmt;

use schemas::tlog::Entry;
use schemas::{Claim, Claimed, Digest, Envelope, Micros, Seconds, ShownContent};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::emit::escape::escaped;

/// Name and version of what makes bundles.
pub(crate) fn writer() -> String {
    format!("chancery/{}", env!("CARGO_PKG_VERSION"))
}

/// A link and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its number among the log's entries, from 0.
    pub entry: u64,
    /// `record` or `opening`.
    pub link: &'static str,
    /// Its epoch.
    pub epoch: u32,
    /// First offset.
    pub start: u64,
    /// First offset after it; of an opening, its first.
    pub next: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, link, epoch, start, next } = self;
        match *link {
            "record" => write!(f, "the record of offsets {start} to {next} (not included)")?,
            _ => write!(f, "the opening of epoch {epoch} at offset {start}")?,
        }
        write!(f, ", entry {entry} of the log")
    }
}

/// A bundle in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) claim: Claim,
    pub(crate) root: Digest,
    pub(crate) first: Option<Place>,
    pub(crate) last: Option<Place>,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) raw: u64,
    /// Of the event, where one is claimed: its kind, when it began, its offset.
    pub(crate) event: Option<(String, Micros, u64)>,
    /// When the log itself said that the last link was the last.
    pub(crate) heartbeat: Option<Seconds>,
    /// Whether it says too that the source held nothing more: else something may have waited to be sealed.
    pub(crate) nothing_waited: bool,
    /// Least time of the last record's messages.
    pub(crate) last_min: Option<i64>,
    /// Greatest time of a shown record's messages.
    pub(crate) greatest: Option<i64>,
}

impl Summary {
    /// Of a bundle.
    pub(crate) fn of(bundle: &Bundle) -> Self {
        let records = bundle.links.iter().filter_map(|link| match &link.entry {
            Entry::Record(record) => Some(&record.segment),
            _ => None,
        });
        let (mut events, mut raw, mut event) = (0, 0, None);
        for (_, row) in bundle.rows() {
            match &row.content {
                ShownContent::Raw(..) => raw += 1,
                ShownContent::Event(shown) => {
                    events += 1;
                    event = Envelope::from_bytes(&shown.envelope)
                        .map(|e| (e.kind.to_string(), e.occurred_at, row.offset.0));
                }
            }
        }
        Self {
            claim: bundle.claim.clone(),
            root: bundle.checkpoint.checkpoint.root,
            first: bundle.links.first().and_then(place),
            last: bundle.links.last().and_then(place),
            records: u64::try_from(records.clone().count()).unwrap_or(u64::MAX),
            events,
            raw,
            event: event.filter(|_| matches!(bundle.claim.what, Claimed::Event(_))),
            heartbeat: bundle.heartbeat.as_ref().map(|(heartbeat, _)| heartbeat.at),
            nothing_waited: bundle.heartbeat.iter().any(|(heartbeat, _)| {
                let told = heartbeat.beats.iter().find(|b| b.partition == bundle.claim.partition);
                told.is_some_and(|beat| beat.end.is_some_and(|end| end <= beat.next))
            }),
            last_min: records.clone().next_back().and_then(|record| record.time_min),
            greatest: records.filter_map(|record| record.time_max).max(),
        }
    }

    /// Who it is about, spelled so that no terminal is deceived.
    pub(crate) fn session(&self) -> String {
        let key = &self.claim.key;
        format!("session {} of tenant {}", escaped(key.session.as_str()), key.tenant)
    }

    /// The links in words.
    fn run(&self) -> String {
        let records = counted(self.records, "record");
        format!(
            "{records} of partition {} of topic {}, from {} to {}, as of checkpoint {} of log {}",
            self.claim.partition,
            self.claim.topic,
            name(&self.first),
            name(&self.last),
            self.claim.size,
            self.claim.origin,
        )
    }

    /// The claim in words.
    pub(crate) fn claimed(&self) -> Vec<String> {
        let session = self.session();
        let (events, raw) = (counted(self.events, "event"), counted(self.raw, "message"));
        let messages = format!("{events} and {raw} that could not be decoded");
        match &self.claim.what {
            Claimed::Event(digest) => {
                let (kind, at, offset) = self.event.clone().unwrap_or_default();
                let kind = escaped(&kind);
                vec![format!(
                    "The event {digest} ({kind}, {at} by its source's clock) of {session} was sealed at offset {offset} of partition {} of topic {}: in {}, as of checkpoint {} of log {}.",
                    self.claim.partition,
                    self.claim.topic,
                    name(&self.first),
                    self.claim.size,
                    self.claim.origin,
                )]
            }
            Claimed::Session => {
                vec![format!("All messages of {session} in {}: {messages}.", self.run())]
            }
            Claimed::Absent(range) => {
                let (from, to) = (time(range.start), time(range.end));
                vec![
                    format!(
                        "No message of {session} has a time from {from} to {to} (not included), in {}.",
                        self.run()
                    ),
                    format!("These records have {messages} of that session from other times."),
                    self.reach(range.end),
                ]
            }
        }
    }

    /// How far an absence reaches.
    fn reach(&self, to: i64) -> String {
        if self.last_min.is_some_and(|min| min >= to) {
            return "The last record is of later messages: the whole time is covered.".to_owned();
        }
        let covers = |at: &Seconds| self.nothing_waited && at.0.saturating_mul(1000) >= to;
        let beat = self.heartbeat.filter(covers);
        if let Some(at) = beat {
            return format!(
                "At {at} nothing had been sealed after the last record and nothing waited to be, by the log's own heartbeat: the whole time is covered."
            );
        }
        let until = self.greatest.map_or_else(|| "no time".to_owned(), time);
        format!(
            "The records reach to {until} only: that nothing was sealed of the time after it, the maker says."
        )
    }

    /// What the claim does not say.
    pub(crate) fn limits(&self) -> Vec<String> {
        let mut limits = vec![
            "It shows what passed a capture point and was sealed. It cannot show that an agent did nothing besides.".to_owned(),
            "That the rows of each segment were sorted by session, that gaps are Kafka's own, and that no record is enrolled twice, shows only to whoever runs verify over the whole store.".to_owned(),
        ];
        limits.push(match &self.claim.monitor {
            Some(monitor) => format!(
                "The maker says that it last did so at {}, over {} entries of the log.",
                monitor.at, monitor.size
            ),
            None => "The maker does not say that it has done so.".to_owned(),
        });
        match &self.claim.what {
            Claimed::Event(_) => limits.push(
                "It says nothing of other events of the session, before, between or after.".to_owned(),
            ),
            Claimed::Session | Claimed::Absent(_) => limits.push(match self.heartbeat {
                Some(at) => format!("It says nothing of what was sealed after these records; by the log's own heartbeat, that was nothing until {at}."),
                None => "It says nothing of what was sealed before and after these records.".to_owned(),
            }),
        }
        limits.push("Times of events are by their sources' clocks, times of messages by the topic's: nothing here vouches for those clocks.".to_owned());
        if self.claim.withheld > 0 {
            limits.push(format!(
                "{} bodies are withheld. Their roles, kinds and sizes show, and where one is named twice; what they say does not.",
                self.claim.withheld
            ));
        }
        limits
    }
}

/// A number of things.
fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A link in words.
fn name(place: &Option<Place>) -> String {
    place.as_ref().map_or_else(String::new, Place::to_string)
}

fn place(link: &crate::bundle::Link) -> Option<Place> {
    let entry = link.proof.index;
    Some(match &link.entry {
        Entry::Opening(opening) => Place {
            entry,
            link: "opening",
            epoch: opening.chain.epoch.0,
            start: opening.start.0,
            next: opening.start.0,
        },
        Entry::Record(record) => Place {
            entry,
            link: "record",
            epoch: record.segment.chain.epoch.0,
            start: record.segment.start.0,
            next: record.segment.next.0,
        },
        Entry::Heartbeat(_) | Entry::KeyChange(_) => return None,
    })
}

/// Milliseconds as RFC 3339.
pub(crate) fn time(millis: i64) -> String {
    Micros(millis.saturating_mul(1000)).to_string()
}
