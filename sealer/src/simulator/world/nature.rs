//! What is nobody's doing: messages come, retention passes, logs are cut or made anew, and an intruder plants objects.

use bytes::Bytes;
use schemas::{Offset, Timestamp, TimestampType};

use super::World;
use crate::batch::Batch;
use crate::chain::Head;
use crate::encode::{Terms, encode};
use crate::message::Message;
use crate::simulator::actor::P0;
use crate::simulator::memo;

/// Offsets that a run may append.
const OFFSETS_MAX: u64 = 12;

impl World {
    /// Something that is nobody's doing.
    pub(super) fn happen(&mut self) {
        let extent = self.setting.log.extent(P0);
        let room = self.audit.history.len() < usize::try_from(OFFSETS_MAX).unwrap();
        let yes = |may: bool, weight| if may { weight } else { 0 };
        let weights = [
            yes(room, 30),
            yes(room, 8),
            yes(self.weather.retention && extent.start < extent.end, 5),
            6,
            yes(self.weather.plants && self.audit.planted.len() < 2, 6),
            yes(self.weather.truncates && extent.start < extent.end, 3),
            yes(self.weather.recreates, 2),
        ];
        match self.dice.weigh(&weights) {
            Some(0) => self.append(),
            Some(1) => self.mark(),
            Some(2) => {
                let start = extent.start.0 + 1 + u64::try_from(self.dice.roll(3)).unwrap();
                self.note(format_args!("retention passes {start}"));
                self.setting.log.held(P0, |held| held.delete_before(start.min(extent.end.0)));
            }
            Some(3) => {
                let offset = self.dice.roll(usize::try_from(extent.end.0).unwrap() + 1);
                self.hint = self.dice.percent(60).then_some(Offset(u64::try_from(offset).unwrap()));
                let hint = self.hint;
                self.note(format_args!("the committed offset is {hint:?}"));
                self.setting.log.held(P0, |held| held.hint = hint);
            }
            Some(4) => self.plant(),
            Some(5) => {
                let lost = 1 + u64::try_from(self.dice.roll(2)).unwrap();
                let end = (extent.end.0.saturating_sub(lost)).max(extent.start.0);
                self.note(format_args!("the log is truncated to {end}"));
                self.audit.truncated = true;
                self.version += 1;
                self.setting.log.held(P0, |held| held.truncate(end));
            }
            _ => {
                self.version += 1;
                self.note(format_args!("the topic is re-created"));
                self.hint = None;
                self.setting.log.with(|state| {
                    state.topic_id = format!("id-{}", self.version + 1);
                    state.logs.clear();
                });
            }
        }
    }

    fn append(&mut self) {
        let offset = self.setting.log.extent(P0).end;
        let text = format!("message {offset} of {}", self.version);
        self.note(format_args!("{text}"));
        let message = message(offset, self.dice.percent(85).then_some(text.as_bytes()));
        self.remember(offset, Some(message.clone()));
        self.setting.log.held(P0, |held| held.append(message));
    }

    fn mark(&mut self) {
        let offset = self.setting.log.extent(P0).end;
        self.note(format_args!("marker {offset}"));
        self.remember(offset, None);
        self.setting.log.held(P0, |held| held.end += 1);
    }

    fn remember(&mut self, offset: Offset, what: Option<Message>) {
        let topic_id = self.setting.log.origins().swap_remove(0).topic_id.unwrap();
        self.audit.history.entry((topic_id, offset.0)).or_default().push(what);
    }

    /// An intruder plants an object: at the next segment's key or behind it, junk or a segment that is well formed.
    fn plant(&mut self) {
        let Some(tip) = self.audit.tip().cloned() else { return };
        let behind = u64::try_from([0, 0, 0, 1, 3][self.dice.roll(5)]).unwrap();
        let head = Head { next: Offset(tip.next.0 + behind), ..tip };
        let key = head.segment_key().to_string();
        // Of two segments planted one behind the other, only the last is compared: that is for a verifier to find.
        let junk = self.dice.percent(40) || self.audit.is_invaded();
        let bytes = if junk { Bytes::from_static(b"junk") } else { self.invent(&head) };
        self.audit.planted.insert(key.clone());
        if self.setting.gates.create(&key, bytes).is_err() {
            self.audit.planted.remove(&key);
            return;
        }
        self.note(format_args!("planted: {key}"));
    }

    /// A well-formed segment after `head`: what the source holds, or will hold, but for the last row.
    fn invent(&mut self, head: &Head) -> Bytes {
        let mut batch = Batch::new(head.next);
        let rows = 1 + u64::try_from(self.dice.roll(3)).unwrap();
        let held = self.setting.log.held(P0, |held| held.messages.clone());
        for offset in head.next.0..head.next.0 + rows {
            let last = offset + 1 == head.next.0 + rows;
            let true_one = held.get(&offset).filter(|_| !last).cloned();
            batch
                .push(true_one.unwrap_or_else(|| message(Offset(offset), Some(b"invented"))), 0)
                .unwrap();
        }
        let terms = Terms {
            retention_class: "standard".to_owned(),
            writer: "intruder/1".to_owned(),
            lock: None,
        };
        let encoded =
            memo::encode(encode)(&batch, head, &terms, &[99; 32], &mut Default::default());
        encoded.unwrap().unwrap().bytes
    }
}

fn message(offset: Offset, value: Option<&[u8]>) -> Message {
    Message {
        offset,
        timestamp: Timestamp { kind: TimestampType::LogAppendTime, millis: 7 },
        key: Some(b"acme/s".to_vec()),
        headers: Vec::new(),
        value: value.map(<[u8]>::to_vec),
        leader_epoch: None,
    }
}
