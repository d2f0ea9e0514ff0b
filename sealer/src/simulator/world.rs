//! One run: who does what next, what the store and the source do meanwhile, and the audit after every step.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use schemas::{Offset, Timestamp, TimestampType, Topic};

use crate::batch::Batch;
use crate::chain::Head;
use crate::encode::{Terms, encode};
use crate::memory::Log;
use crate::message::Message;
use crate::simulator::actor::{Life, P0, Setting, operator, sealer};
use crate::simulator::audit::{Audit, Violation};
use crate::simulator::dice::Dice;
use crate::simulator::faulty::{Asked, Broken, Fate, Gates};
use crate::simulator::memo;

/// Slots for processes: sealers first, then an operator.
const SEALERS_MAX: usize = 3;
const OPERATORS: usize = 2;
/// Steps of a run before all is left to settle.
const STEPS_MAX: usize = 260;
/// Steps that it may then take to seal all there is.
const SETTLE_MAX: usize = 3_000;
/// Offsets that a run may append.
const OFFSETS_MAX: u64 = 12;

/// What is done wrong on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) store: Broken,
    pub(super) commits_first: bool,
}

/// What happens in a run, in so many of a hundred where it is a number.
#[derive(Clone, Debug)]
struct Weather {
    faults: usize,
    crashes: usize,
    stale: bool,
    retention: bool,
    plants: bool,
    truncates: bool,
    recreates: bool,
    sealers: usize,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) violation: Option<Violation>,
    /// Of all that happened, in order.
    pub(super) trace_hash: u64,
    pub(super) trace: Vec<String>,
    pub(super) epochs: usize,
    pub(super) segments: usize,
}

struct World {
    dice: Dice,
    weather: Weather,
    setting: Setting,
    slots: Vec<Option<Life>>,
    audit: Audit,
    /// What the sealers last committed, or the world last set.
    hint: Option<Offset>,
    version: u64,
    hasher: DefaultHasher,
    trace: Option<Vec<String>>,
}

/// Runs `seed`; `told` keeps the trace.
pub(super) async fn run(seed: u64, mistake: Mistake, told: bool) -> Outcome {
    let mut world = World::new(seed, mistake, told);
    let violation = world.live().await.err();
    Outcome {
        violation,
        trace_hash: world.hasher.finish(),
        trace: world.trace.take().unwrap_or_default(),
        epochs: world.audit.epochs(),
        segments: world.audit.segments(),
    }
}

impl World {
    fn new(seed: u64, mistake: Mistake, told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let weather = Weather {
            faults: [0, 8, 25, 50][dice.roll(4)],
            crashes: [0, 3, 8][dice.roll(3)],
            stale: dice.percent(40),
            retention: dice.percent(50),
            plants: dice.percent(30),
            truncates: dice.percent(10),
            recreates: dice.percent(8),
            sealers: 1 + dice.roll(SEALERS_MAX),
        };
        let setting = Setting {
            gates: Gates::new(mistake.store),
            log: Log::new(&Topic::new("t").unwrap(), 1),
            believed: Default::default(),
            rows_max: 1 + dice.roll(3),
            commits_first: mistake.commits_first,
        };
        Self {
            dice,
            setting,
            slots: (0..SEALERS_MAX + OPERATORS).map(|_| None).collect(),
            weather,
            audit: Audit::default(),
            hint: None,
            version: 0,
            hasher: DefaultHasher::new(),
            trace: told.then(Vec::new),
        }
    }

    async fn live(&mut self) -> Result<(), Violation> {
        self.note(format_args!("{:?}", self.weather.clone()));
        for _ in 0..STEPS_MAX {
            self.step().await?;
        }
        self.settle().await
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        let line = what.to_string();
        line.hash(&mut self.hasher);
        if let Some(trace) = &mut self.trace {
            trace.push(line);
        }
    }

    async fn step(&mut self) -> Result<(), Violation> {
        let shut = self.setting.gates.shut();
        let waits = |which: fn(&Asked) -> bool| shut.iter().filter(|one| which(&one.2)).count();
        let (turns, store) =
            (waits(|asked| *asked == Asked::Turn), waits(|asked| *asked != Asked::Turn));
        let late = self.setting.gates.late();
        let alive = self.slots.iter().flatten().count();
        let weights = [
            20 * store,
            8 * turns,
            if alive * 2 > shut.len() * 2 { 15 } else { 0 },
            6,
            3 * late,
            if alive > 0 { self.weather.crashes } else { 0 },
            if alive == 0 { 60 } else { 5 },
        ];
        match self.dice.weigh(&weights) {
            Some(0) => self.answer(&shut, false)?,
            Some(1) => self.answer(&shut, true)?,
            Some(2) => self.pass_time().await?,
            Some(3) => self.happen(),
            Some(4) => {
                let (index, arrives) = (self.dice.roll(late), self.dice.percent(80));
                let key = self.setting.gates.settle(index, arrives);
                self.note(format_args!("late put {key}, arrives: {arrives}"));
            }
            Some(5) => {
                let who = self.dice.roll(self.slots.len());
                self.note(format_args!("{who} crashes"));
                self.slots[who] = None;
            }
            _ => self.start()?,
        }
        self.look()
    }

    /// Opens a gate, and lets whoever waited there go on to the next.
    fn answer(&mut self, shut: &[(u64, usize, Asked)], turn: bool) -> Result<(), Violation> {
        let fitting: Vec<_> = shut.iter().filter(|one| (one.2 == Asked::Turn) == turn).collect();
        let (id, who, asked) = fitting[self.dice.roll(fitting.len())];
        let fate = self.fate(asked);
        match asked {
            Asked::Put(key, _) => self.note(format_args!("{who} puts {key}: {fate:?}")),
            Asked::Get(key) => self.note(format_args!("{who} gets {key}: {fate:?}")),
            Asked::List(folder) => self.note(format_args!("{who} lists {folder}: {fate:?}")),
            Asked::Turn => self.note(format_args!("{who} has its turn")),
        }
        self.setting.gates.open(*id, fate);
        self.poll(*who)
    }

    fn fate(&mut self, asked: &Asked) -> Fate {
        match asked {
            Asked::Turn => Fate::Done,
            Asked::List(_) if self.weather.stale && self.dice.percent(20) => {
                Fate::Stale(1 + self.dice.roll(4))
            }
            _ if !self.dice.percent(self.weather.faults) => Fate::Done,
            Asked::Put(..) => [Fate::Lost, Fate::Unsaid, Fate::Unsaid, Fate::Late, Fate::Conflict]
                [self.dice.roll(5)],
            Asked::Get(_) | Asked::List(_) => Fate::Lost,
        }
    }

    fn poll(&mut self, who: usize) -> Result<(), Violation> {
        let mut context = Context::from_waker(Waker::noop());
        let Some(life) = &mut self.slots[who] else { return Ok(()) };
        if let Poll::Ready(ended) = life.as_mut().poll(&mut context) {
            self.slots[who] = None;
            match ended {
                Ok(()) => self.note(format_args!("{who} is done")),
                Err(error) => self.note(format_args!("{who} stops: {error}")),
            }
        }
        Ok(())
    }

    async fn pass_time(&mut self) -> Result<(), Violation> {
        self.note(format_args!("time passes"));
        tokio::time::advance(Duration::from_secs(2)).await;
        (0..self.slots.len()).try_for_each(|who| self.poll(who))
    }

    fn start(&mut self) -> Result<(), Violation> {
        let who = self.dice.roll(self.weather.sealers + OPERATORS);
        let who =
            if who < self.weather.sealers { who } else { SEALERS_MAX + who - self.weather.sealers };
        if self.slots[who].is_some() {
            return Ok(());
        }
        self.note(format_args!("{who} starts"));
        self.begin(who)
    }

    fn begin(&mut self, who: usize) -> Result<(), Violation> {
        let setting = self.setting.clone();
        let dice = Dice::new(self.dice.next());
        self.slots[who] = Some(match who {
            0..SEALERS_MAX => Box::pin(tokio::task::unconstrained(sealer(setting, who, dice))),
            _ => Box::pin(tokio::task::unconstrained(operator(setting, who))),
        });
        self.poll(who)
    }

    /// Something that is nobody's doing.
    fn happen(&mut self) {
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

    /// `check(store, source)`, after every step.
    fn look(&mut self) -> Result<(), Violation> {
        for (key, bytes) in self.setting.gates.created_after(self.audit.seen) {
            self.audit.created(&key, &bytes, &self.setting.log)?;
        }
        for head in self.setting.believed.take() {
            self.audit.acknowledged(&head)?;
        }
        let hint = self.setting.log.extent(P0).hint;
        if hint != self.hint && !self.setting.commits_first {
            self.audit.forgotten(hint.unwrap_or_default())?;
        }
        self.hint = hint;
        Ok(())
    }

    /// Nothing breaks any more: one sealer, with an operator where it stops, seals all there is.
    async fn settle(&mut self) -> Result<(), Violation> {
        self.note(format_args!("quiet"));
        self.slots.iter_mut().for_each(|slot| *slot = None);
        while self.setting.gates.late() > 0 {
            let arrives = self.dice.percent(50);
            let key = self.setting.gates.settle(0, arrives);
            self.note(format_args!("late put {key}, arrives: {arrives}"));
            self.look()?;
        }
        (self.weather.faults, self.weather.stale) = (0, false);
        for _ in 0..SETTLE_MAX {
            if self.is_settled() {
                return Ok(());
            }
            // One at a time: an operator looks, then a sealer goes on until it has sealed all or stops.
            let who = match self.slots[0] {
                None => SEALERS_MAX,
                Some(_) => 0,
            };
            if self.slots[who].is_none() {
                self.begin(who)?;
            }
            match self.setting.gates.shut() {
                shut if shut.is_empty() => self.pass_time().await?,
                shut => {
                    let turn = shut.iter().all(|one| one.2 == Asked::Turn);
                    self.answer(&shut, turn)?;
                }
            }
            self.look()?;
            if who == SEALERS_MAX && self.slots[who].is_none() {
                self.begin(0)?;
            }
        }
        self.audit.whole(&self.setting.log)?;
        Err("the partition did not come to rest".to_owned())
    }

    /// Whether all that the source holds is sealed, and not only by an intruder.
    fn is_settled(&mut self) -> bool {
        let log = &self.setting.log;
        let Some(tip) = self.audit.tip() else { return false };
        let last = log.held(P0, |held| held.messages.keys().next_back().copied());
        let reached = tip.chain.topic_id == log.origins()[0].topic_id
            && last.is_none_or(|last| tip.next.0 > last);
        let settled = reached && self.audit.whole(log).is_ok();
        if reached && !settled {
            // What was planted at the end is found by the next start.
            self.slots[0] = None;
        }
        settled
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
