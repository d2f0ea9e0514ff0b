//! The processes of a run: sealers and operators. They do what `worker`, `partition` and the command do, with the code under
//! test, and without tasks, threads, clocks and true chance.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use schemas::{Offset, Partition, Seconds};
use store::Store;

use crate::batch::Batch;
use crate::chain::Head;
use crate::clock;
use crate::config::LogConfig;
use crate::enrol::Desk;
use crate::enroller::heartbeats;
use crate::error::{Error, ErrorKind};
use crate::head::load;
use crate::lane::Lane;
use crate::links::Confirmed;
use crate::memory::Log;
use crate::pipeline::Pipeline;
use crate::resume::{Resumed, Resumption};
use crate::simulator::dice::Dice;
use crate::simulator::enrolled::signer;
use crate::simulator::faulty::{Faulty, Gates};
use crate::source::Source;
use crate::stop::Stop;

pub(super) const P0: Partition = Partition(0);
/// When all of it happens.
const NOW: i64 = 1_790_000_000;

/// A process until it ends or is dropped, which is a crash.
pub(super) type Life = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// What every process is given.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) gates: Gates,
    pub(super) log: Log,
    /// Ends of the chain that sealers believe in; the audit takes them from here.
    pub(super) believed: Rc<RefCell<Vec<Head>>>,
    pub(super) rows_max: usize,
    /// A mistake: the offset is committed before the segment is put, and is the position after a restart.
    pub(super) commits_first: bool,
}

impl Setting {
    fn store(&self, who: usize) -> Store {
        Store::new(Arc::new(Faulty { gates: self.gates.clone(), who }), Path::default())
    }

    fn lane(&self, who: usize) -> Lane {
        Lane::of_memory(self.store(who), &self.log, P0)
    }
}

fn now(who: usize) -> Seconds {
    Seconds(NOW + i64::try_from(who).unwrap())
}

/// A sealer, which goes on after what passes and ends with what does not.
pub(super) async fn sealer(setting: Setting, who: usize, mut dice: Dice) -> Result<(), Error> {
    loop {
        let lane = setting.lane(who);
        match once(&setting, lane, who, &mut dice).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Err(error),
            _ => clock::wait(Duration::from_secs(1)).await,
        }
    }
}

async fn once(setting: &Setting, lane: Lane, who: usize, dice: &mut Dice) -> Result<(), Error> {
    let mut head = load(&lane, now(who)).await?;
    if setting.commits_first {
        let hint = setting.log.extent(P0).hint.unwrap_or_default();
        head.next = head.next.max(hint);
    } else {
        setting.believed.borrow_mut().push(head.clone());
    }
    let mut desk = Enrolling::new(setting, who);
    if !setting.commits_first {
        desk.confirm(&head).await?;
    }
    let mut end = head.clone();
    let mut open = Batch::new(head.next);
    let mut under_way = Pipeline::new(lane.clone(), head);
    loop {
        if dice.percent(40) && !setting.commits_first {
            desk.enrol(&end).await?;
        }
        if !open.is_empty() && under_way.has_room() {
            if setting.commits_first {
                setting.log.commit(P0, open.next());
            }
            let next = Batch::new(open.next());
            let seed = [u8::try_from(who).unwrap(); 32];
            under_way.begin(std::mem::replace(&mut open, next), seed, now(who));
        }
        // As the worker does: a batch fills while others are under way.
        tokio::select! {
            biased;
            sealed = under_way.step() => if let Some(sealed) = sealed? {
                if sealed.head.next > open.start() {
                    open.adopt(sealed.head.next);
                }
                end = sealed.head.clone();
                setting.believed.borrow_mut().push(sealed.head);
            },
            _ = setting.gates.turn(who), if open.is_empty() => {
                open = fetch(setting, &lane, open.start(), dice)?;
            }
        }
    }
}

/// What the task that enrols does, here between the steps of its sealer.
struct Enrolling {
    desk: Desk,
    now: Seconds,
    log: Option<crate::log::Log>,
}

impl Enrolling {
    fn new(setting: &Setting, who: usize) -> Self {
        let lane = setting.lane(who);
        let (topic, signers) = (lane.origin.topic, vec![signer()]);
        let desk = Desk { store: lane.store, topic, keeping: lane.keeping, signers };
        Self { desk, now: now(who), log: None }
    }

    async fn confirm(&mut self, head: &Head) -> Result<(), Error> {
        let mut log = self.desk.load(1).await?;
        self.desk.follow(&mut log).await?;
        let confirmed = self.desk.confirm(&log, head).await?;
        assert_eq!(confirmed, Confirmed::Whole, "what is enrolled was taken away by nobody");
        self.log = Some(log);
        Ok(())
    }

    async fn enrol(&mut self, head: &Head) -> Result<(), Error> {
        let mut log = match self.log.take() {
            Some(log) => log,
            None => self.desk.load(1).await?,
        };
        let (config, ends) = (LogConfig::default(), BTreeMap::new());
        let beats = |log: &crate::log::Log| heartbeats(log, 1, self.now, &config, &ends);
        match self.desk.enrol(&mut log, std::slice::from_ref(head), self.now, beats).await {
            Ok(_) => self.log = Some(log),
            Err(error @ Error::Log { .. }) => return Err(error),
            // The next time it is looked for anew.
            Err(_) => {}
        }
        Ok(())
    }
}

/// A batch from `from` on, as a broker would give it: one that has deleted that offset says so.
fn fetch(setting: &Setting, lane: &Lane, from: Offset, dice: &mut Dice) -> Result<Batch, Error> {
    let start = setting.log.extent(P0).start;
    if start > from {
        return Err(lane.origin.stopped(Stop::Overtaken { next: from, start }));
    }
    let mut batch = Batch::new(from);
    let rows = 1 + dice.roll(setting.rows_max);
    for message in setting.log.chunk(P0, from..Offset(u64::MAX)).messages.into_iter().take(rows) {
        batch.push(message, 0).unwrap();
    }
    Ok(batch)
}

/// An operator, who resumes the partition if it has stopped.
pub(super) async fn operator(setting: Setting, who: usize) -> Result<(), Error> {
    loop {
        let source = Source::Memory(setting.log.clone());
        let plan =
            Resumption::plan(source, setting.store(who), P0, "standard", None, None, now(who))
                .await?;
        let Some(plan) = plan else { return Ok(()) };
        if !matches!(plan.write().await?, Resumed::Moved(_)) {
            return Ok(());
        }
    }
}
