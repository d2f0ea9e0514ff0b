//! One run: who does what next, what the store and the source do meanwhile, and the audit after every step.

mod nature;

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use schemas::{Offset, Topic};

use crate::error::Error;
use crate::memory::Log;
use crate::simulator::actor::{Life, P0, Setting, operator, sealer};
use crate::simulator::audit::{Audit, Violation};
use crate::simulator::dice::Dice;
use crate::simulator::faulty::{Asked, Broken, Fate, Gates};

/// Slots for processes: sealers first, then an operator.
const SEALERS_MAX: usize = 3;
const OPERATORS: usize = 2;
/// Steps of a run before all is left to settle.
const STEPS_MAX: usize = 260;
/// Steps that it may then take to seal all there is.
const SETTLE_MAX: usize = 3_000;

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
            Asked::Put(key, ..) => self.note(format_args!("{who} puts {key}: {fate:?}")),
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
                // Nobody touches the log but sealers: what they write is always what it must be.
                Err(error @ Error::Log { .. }) => return Err(format!("{who} stops: {error}")),
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
        let enrolled = self.audit.enrolled.tip() == Some((tip.chain.epoch, tip.next));
        let settled = reached && self.audit.whole(log).is_ok() && enrolled;
        if reached && self.audit.whole(log).is_err() {
            // What was planted at the end is found by the next start.
            self.slots[0] = None;
        }
        settled
    }
}
