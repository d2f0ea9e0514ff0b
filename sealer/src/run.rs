//! SHELL: the partitions that are this process's, each in a task of its own, and the topic that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::Partition;
use schemas::tlog::{LogSigner, Policy};
use store::{Retention, Store};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::anchors::Anchors;
use crate::clock;
use crate::config::{Assignment, Config, LogConfig};
use crate::enrol::Desk;
use crate::enroller::{Enroller, Enrolment};
use crate::error::Error;
use crate::group::Assigned;
use crate::lane::{Keeping, Lane};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::partition::{Terms, keep};
use crate::source::Source;
use crate::worker::LOOK_MS;

/// Who enrols what is sealed in the log of segments, and how.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// The log's keys, of one name.
    pub signers: Vec<LogSigner>,
    /// Its settings.
    pub config: LogConfig,
    /// Whose cosignatures are asked for.
    pub policy: Policy,
}

/// Seals the partitions of `source` that `config` assigns into `store` until `shutdown`, then seals what is left and
/// returns. Nothing is locked where `retention` is `None`, and
/// nothing enrolled where `enrolling` is.
///
/// A partition that cannot go on stops alone; the others go on, and so does it once an operator has opened a new epoch.
///
/// # Errors
/// The source did not answer at the start, a setting that cannot work, or why a partition stands still at the end.
pub async fn run(
    source: Source,
    store: Store,
    config: Config,
    retention: Option<Retention>,
    enrolling: Option<Enrolling>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let keeping = Keeping { class: config.retention_class.clone(), retention };
    // Said at once, not when the first segment is sealed.
    keeping.record_lock(clock::now())?;
    let origins = source.origins().await?;
    let (finish, mut enroller, mut enrolment) = (CancellationToken::new(), None, None);
    let mut anchoring = None;
    if let (Some(enrolling), Some(origin)) = (enrolling, origins.first()) {
        let Enrolling { signers, config, policy } = enrolling;
        let (store, topic, keeping) = (store.clone(), origin.topic.clone(), keeping.clone());
        let desk = Desk { store, topic, keeping, signers };
        let anchors = Anchors::new(desk.clone(), &config, &policy, metrics.anchors.clone())?;
        let (told, task) = Enrolment::new(desk, source.clone(), config, metrics.log.clone());
        enroller = Some(told);
        enrolment = Some(tokio::spawn(task.run(finish.clone())));
        anchoring = Some(tokio::spawn(anchors.run(finish.clone())));
    }
    let (described, topic) = watch::channel(origins);
    let (assigned, serving) = assignment(&source, &config, &topic, &shutdown)?;
    let watching = tokio::spawn(describe(source.clone(), described, shutdown.clone()));
    let partitions = Partitions {
        source,
        store,
        keeping,
        config,
        metrics,
        topic,
        shutdown: shutdown.clone(),
        enroller,
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    let ended = partitions.follow(assigned).await;
    shutdown.cancel();
    finish.cancel();
    for task in serving.into_iter().chain([watching]).chain(enrolment).chain(anchoring) {
        task.await.map_err(Error::Task)?;
    }
    ended
}

/// Which partitions are this process's: `None` for all that there are.
type Ours = Option<watch::Receiver<Assigned>>;

fn assignment(
    source: &Source,
    config: &Config,
    topic: &watch::Receiver<Vec<Origin>>,
    stop: &CancellationToken,
) -> Result<(Ours, Vec<JoinHandle<()>>), Error> {
    let wrong = |why: &str| Error::Config(format!("sealer.assignment: {why}"));
    let mut serving = Vec::new();
    let mut serve = |serve: Box<dyn FnOnce(&CancellationToken) + Send>| {
        let stop = stop.clone();
        serving.push(tokio::task::spawn_blocking(move || serve(&stop)));
    };
    if let Source::Kafka(kafka) = source {
        let kafka = kafka.clone();
        serve(Box::new(move |stop| kafka.serve(stop)));
    }
    let ours = match (config.assignment, source) {
        (Assignment::All, _) => None,
        (Assignment::Static, _) => {
            let named: Assigned = config.partitions.iter().copied().map(Partition).collect();
            let there = u32::try_from(topic.borrow().len()).unwrap_or(u32::MAX);
            if named.is_empty() || named.iter().any(|partition| partition.0 >= there) {
                return Err(wrong(&format!(
                    "sealer.partitions must name some of 0 to {}",
                    there.saturating_sub(1)
                )));
            }
            Some(watch::channel(named).1)
        }
        (Assignment::Group, Source::Kafka(kafka)) => {
            let (group, assigned) = kafka.join()?;
            serve(Box::new(move |stop| group.serve(stop)));
            Some(assigned)
        }
        (Assignment::Group, _) => return Err(wrong("only Kafka has groups")),
    };
    Ok((ours, serving))
}

/// Keeps `described` up to date until `stop`.
async fn describe(source: Source, described: watch::Sender<Vec<Origin>>, stop: CancellationToken) {
    let wait = || clock::wait(Duration::from_millis(LOOK_MS));
    while stop.run_until_cancelled(wait()).await.is_some() {
        match source.origins().await {
            Ok(now) => drop(described.send_if_modified(|before| {
                let modified = *before != now;
                *before = now;
                modified
            })),
            Err(error) => warn!(%error, "could not look at the topic"),
        }
    }
}

/// The partitions that run.
struct Partitions {
    source: Source,
    store: Store,
    keeping: Keeping,
    config: Config,
    metrics: Metrics,
    topic: watch::Receiver<Vec<Origin>>,
    shutdown: CancellationToken,
    enroller: Option<Enroller>,
    /// Each with what takes it away.
    running: BTreeMap<Partition, CancellationToken>,
    tasks: JoinSet<(Partition, Result<(), Error>)>,
}

impl Partitions {
    /// Runs what is assigned until all has ended after a shutdown.
    async fn follow(mut self, mut assigned: Ours) -> Result<(), Error> {
        let mut first = Ok(());
        let mut topic = self.topic.clone();
        // Even after a shutdown: the embedded log is sealed to its end.
        self.adjust(&assigned);
        loop {
            if !self.shutdown.is_cancelled() {
                self.adjust(&assigned);
            }
            let waits = assigned.is_some() && !self.shutdown.is_cancelled();
            tokio::select! {
                ended = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let Some(ended) = ended else { continue };
                    let (partition, ended) = ended.map_err(Error::Task)?;
                    if self.running.get(&partition).is_some_and(CancellationToken::is_cancelled) {
                        self.running.remove(&partition);
                        continue;
                    }
                    // It ended by itself, and is not begun again: after a shutdown, or for good.
                    first = first.and(ended);
                    if self.tasks.is_empty() {
                        return first;
                    }
                }
                () = assignment_changed(&mut assigned), if waits => {}
                () = heard(&mut topic), if !self.shutdown.is_cancelled() => {}
                () = self.shutdown.cancelled(), if self.tasks.is_empty() => return first,
            }
        }
    }

    /// Begins what is ours and does not run, and takes away what runs and is not ours.
    fn adjust(&mut self, assigned: &Ours) {
        let there: Vec<Origin> = self.topic.borrow().clone();
        let ours: BTreeSet<Partition> = match assigned {
            None => there.iter().map(|origin| origin.partition).collect(),
            Some(assigned) => assigned.borrow().clone(),
        };
        for (partition, revoked) in &self.running {
            if !ours.contains(partition) && assigned.is_some() {
                revoked.cancel();
                self.metrics.forget(*partition);
            }
        }
        let new = |origin: &&Origin| ours.contains(&origin.partition);
        for origin in there.iter().filter(new) {
            if !self.running.contains_key(&origin.partition) {
                self.begin(origin.clone(), ours.len());
            }
        }
    }

    fn begin(&mut self, origin: Origin, partitions: usize) {
        let (partition, revoked) = (origin.partition, CancellationToken::new());
        let lane = Lane {
            store: self.store.clone(),
            source: self.source.clone(),
            origin,
            keeping: self.keeping.clone(),
            retry_wait_max_ms: self.config.retry_wait_max_ms,
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
            enroller: self.enroller.clone(),
        };
        let terms = Terms {
            cut: self.config.cut(partitions),
            stall_max_ms: self.config.stall_max_ms,
            topic: self.topic.clone(),
            revoked: revoked.clone(),
        };
        self.running.insert(partition, revoked);
        self.tasks.spawn(async move { (partition, keep(lane, terms).await) });
    }
}

async fn assignment_changed(assigned: &mut Ours) {
    let Some(assigned) = assigned else { return std::future::pending().await };
    heard(assigned).await;
}

/// Pending for ever once nobody is left to say anything else.
async fn heard<T>(said: &mut watch::Receiver<T>) {
    if said.changed().await.is_err() {
        std::future::pending().await
    }
}
