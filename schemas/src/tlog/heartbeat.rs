//! Heartbeats: how far each partition was at a time, so that silence can be told from loss.

use std::fmt;
use std::ops::Range;

use crate::digest::Digest;
use crate::id::{Epoch, Offset, Partition, Topic};
use crate::lines::{Lines, RecordError, Seconds, canonical, dash};

/// Most partitions of one heartbeat; a topic with more has several at a time.
pub const HEARTBEAT_PARTITIONS_MAX: u32 = 256;

/// What is enrolled of some partitions of a topic at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The topic.
    pub topic: Topic,
    /// Its partitions that are told of, at most [`HEARTBEAT_PARTITIONS_MAX`].
    pub range: Range<u32>,
    /// When, by the sealer's clock.
    pub at: Seconds,
    /// Those of which anything is enrolled, ascending.
    pub beats: Vec<Beat>,
}

/// How far one partition was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The partition.
    pub partition: Partition,
    /// Its newest enrolled epoch.
    pub epoch: Epoch,
    /// First offset that no enrolled segment covers.
    pub next: Offset,
    /// Leaf hash of the last enrolled link of its chain.
    pub leaf: Digest,
    /// Where the source's log ended, where it could be asked.
    pub end: Option<Offset>,
}

impl Heartbeat {
    pub(crate) const KIND: &'static str = "chancery/heartbeat@v1";

    /// Parses the text of a heartbeat.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let wrong = |why: &str| RecordError { kind: Self::KIND, why: why.to_owned() };
        let mut lines = Lines::new(Self::KIND, text)?;
        let mut heartbeat = Self {
            topic: lines.value("topic")?,
            range: lines.value("from")?..lines.value("to")?,
            at: lines.value("at")?,
            beats: Vec::new(),
        };
        let partitions = heartbeat.range.end.saturating_sub(heartbeat.range.start);
        if !(1..=HEARTBEAT_PARTITIONS_MAX).contains(&partitions) {
            return Err(wrong("it tells of no partitions, or of more than 256"));
        }
        for line in lines.lines.by_ref() {
            let beat = read(line).ok_or_else(|| wrong("an unknown line"))?;
            let after = heartbeat.beats.last().is_none_or(|last| last.partition < beat.partition);
            if !after || !heartbeat.range.contains(&beat.partition.0) {
                return Err(wrong("a partition is not in its place"));
            }
            heartbeat.beats.push(beat);
        }
        canonical(Self::KIND, heartbeat, text)
    }
}

fn read(line: &str) -> Option<Beat> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["partition", partition, epoch, next, leaf, end] = words.as_slice() else { return None };
    Some(Beat {
        partition: Partition(partition.parse().ok()?),
        epoch: Epoch(epoch.parse().ok()?),
        next: Offset(next.parse().ok()?),
        leaf: leaf.parse().ok()?,
        end: if *end == "-" { None } else { Some(Offset(end.parse().ok()?)) },
    })
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        writeln!(
            f,
            "{}\ntopic {}\nfrom {start}\nto {end}\nat {}",
            Self::KIND,
            self.topic,
            self.at
        )?;
        for Beat { partition, epoch, next, leaf, end } in &self.beats {
            writeln!(f, "partition {partition} {epoch} {next} {leaf} {}", dash(end.as_ref()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_read_only_as_it_is_printed() {
        let beat = |partition, end| Beat {
            partition: Partition(partition),
            epoch: Epoch(1),
            next: Offset(20),
            leaf: Digest([9; 32]),
            end,
        };
        let heartbeat = Heartbeat {
            topic: Topic::new("events").unwrap(),
            range: 0..3,
            at: Seconds(1_790_000_000),
            beats: vec![beat(0, None), beat(2, Some(Offset(21)))],
        };
        let text = heartbeat.to_string();
        assert_eq!(Heartbeat::parse(&text), Ok(heartbeat));
        for wrong in [
            text.replace("to 3", "to 2"),
            text.replace("to 3", "to 257"),
            text.replace("partition 2", "partition 0"),
            text.replace(" 21\n", " 021\n"),
            format!("{text}more\n"),
        ] {
            assert!(Heartbeat::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
