//! SHELL: one partition being sealed: a batch fills while the one before is encoded and the one before that is put.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::Offset;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::batch::{Batch, Cut};
use crate::chain::Head;
use crate::clock;
use crate::error::Error;
use crate::lane::Lane;
use crate::message::Message;
use crate::origin::Origin;
use crate::pipeline::{Pipeline, written_at};
use crate::seal::Sealed;
use crate::source::{Chunk, Extent, Feed, Position};
use crate::watch::Watch;

/// How often the log's end is asked for.
pub(crate) const LOOK_MS: u64 = 10_000;

/// A partition being sealed.
pub(crate) struct Worker {
    lane: Lane,
    cut: Cut,
    /// The rest of a chunk, behind the batch that is full.
    waiting: std::vec::IntoIter<Message>,
    /// The batch that fills.
    open: Batch,
    /// Where the feed is: all that the source holds before this was taken from it. A chunk that begins elsewhere is
    /// refused, so that nothing is ever a gap but what the client passed over while reading on from the chain's end.
    position: Position,
    /// Messages before this were sealed by another while the feed had them already; any other that comes back is an error.
    adopted: Offset,
    /// What lies before this is sealed.
    next: Offset,
    under_way: Pipeline,
    watch: Watch,
    looking: Option<JoinHandle<Result<Extent, Error>>>,
    look_at_ms: u64,
}

impl Worker {
    pub(crate) fn new(lane: Lane, head: Head, cut: Cut, stall_max_ms: u64) -> Self {
        let now = clock::monotonic_ms();
        lane.metrics.at(&lane.origin, head.next);
        Self {
            cut,
            waiting: Vec::new().into_iter(),
            open: Batch::new(head.next),
            position: Position { offset: head.next, leader_epoch: head.leader_epoch },
            adopted: Offset(0),
            next: head.next,
            under_way: Pipeline::new(lane.clone(), head),
            watch: Watch::new(stall_max_ms, now),
            looking: None,
            look_at_ms: now,
            lane,
        }
    }

    /// Until the source ends, which is after a shutdown, or the partition is another's. What is under way then is dropped, as
    /// by a crash.
    pub(crate) async fn work(
        mut self,
        revoked: &CancellationToken,
        mut topic: watch::Receiver<Vec<Origin>>,
    ) -> Result<(), Error> {
        let mut feed = self.read().await?;
        let mut ended = false;
        loop {
            self.fill()?;
            let full = self.open.is_full(&self.cut);
            let due = self.open.due_at_ms(&self.cut);
            let ready = !self.open.is_empty() && (ended || full);
            let room = self.under_way.has_room();
            if room && (ready || due.is_some_and(|due| due <= clock::monotonic_ms())) {
                self.begin()?;
                continue;
            }
            if ended && self.open.is_empty() && self.under_way.is_idle() {
                return Ok(());
            }
            if full {
                self.watch.not_asked(clock::monotonic_ms());
            }
            self.measure();
            let due = due.filter(|_| room).unwrap_or(u64::MAX);
            tokio::select! {
                sealed = self.under_way.step() => if let Some(sealed) = sealed? {
                    self.sealed(&sealed);
                },
                chunk = feed.recv(), if !full && !ended => match chunk {
                    None => ended = true,
                    Some(chunk) => self.take(chunk?)?,
                },
                extent = of(&mut self.looking) => if self.is_stalled(extent) && !ended {
                    drop(feed);
                    feed = self.read().await?;
                },
                () = revoked.cancelled() => return Ok(()),
                () = changed(&mut topic, &self.lane.origin) => {
                    return Err(Error::Unsettled { what: "the topic has changed".to_owned() });
                }
                () = until(due.min(self.look_at_ms)) => self.look(),
            }
        }
    }

    /// `&mut` because what is under way may be sent to another thread, and not be shared with one.
    async fn read(&mut self) -> Result<Feed, Error> {
        let stop = self.lane.shutdown.clone();
        self.lane.source.read(&self.lane.origin, self.position, stop).await
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Error> {
        if chunk.from != self.position.offset {
            let what = format!("the source jumped from {} to {}", self.position.offset, chunk.from);
            return Err(Error::Unsettled { what });
        }
        self.watch.heard(&chunk, clock::monotonic_ms());
        self.position.offset = chunk.next();
        if let Some(last) = chunk.messages.last() {
            self.position.leader_epoch = last.leader_epoch;
            self.waiting = chunk.messages.into_iter();
        }
        Ok(())
    }

    /// Moves what waits into the open batch until that is full.
    fn fill(&mut self) -> Result<(), Error> {
        let now = clock::monotonic_ms();
        while !self.open.is_full(&self.cut) {
            let Some(message) = self.waiting.next() else { break };
            if message.offset < self.adopted {
                continue;
            }
            let partition = self.lane.origin.partition;
            let rewound = |source| Error::Rewound { partition, source };
            self.open.push(message, now).map_err(rewound)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let mut seed = [0; 32];
        let random = SystemRandom::new().fill(&mut seed);
        random.map_err(|_| Error::Config("the system gives no random bytes".to_owned()))?;
        let next = self.open.next();
        let batch = std::mem::replace(&mut self.open, Batch::new(next));
        self.under_way.begin(batch, seed, clock::now());
        Ok(())
    }

    fn sealed(&mut self, sealed: &Sealed) {
        self.lane.metrics.sealed(&self.lane.origin, sealed);
        self.next = sealed.head.next;
        if self.next > self.open.start() {
            self.adopted = self.next;
            self.open.adopt(self.next);
        }
        if let Some(enroller) = &self.lane.enroller {
            enroller.sealed(&sealed.head);
        }
    }

    /// Begins to ask for the log's end.
    fn look(&mut self) {
        let now = clock::monotonic_ms();
        if self.looking.is_some() || now < self.look_at_ms {
            return;
        }
        self.look_at_ms = now.saturating_add(LOOK_MS);
        let (source, origin) = (self.lane.source.clone(), self.lane.origin.clone());
        self.looking = Some(tokio::spawn(async move { source.extent(&origin).await }));
    }

    fn is_stalled(&mut self, extent: Result<Extent, Error>) -> bool {
        let origin = &self.lane.origin;
        let end = match extent {
            Ok(extent) => extent.end,
            Err(error) => {
                warn!(partition = %origin.partition, %error, "could not look at the log's end");
                return false;
            }
        };
        self.lane.metrics.lag(origin, self.next, end);
        let now = clock::monotonic_ms();
        let stalled = self.watch.look(end, self.position.offset, self.next, now);
        if stalled {
            let position = self.position.offset;
            warn!(partition = %origin.partition, %position, %end, "the partition gives nothing; assigned anew");
            self.lane.metrics.restarted(origin);
            self.watch.not_asked(now);
        }
        stalled
    }

    fn measure(&self) {
        let origin = &self.lane.origin;
        self.lane.metrics.open(origin, self.open.bytes());
        let open = || self.open.messages().first().or(self.waiting.as_slice().first());
        let written = self.under_way.since_ms().or_else(|| open().and_then(written_at));
        let now = clock::now().0.saturating_mul(1000);
        let age = match written {
            Some(written) => u64::try_from(now.saturating_sub(written)).unwrap_or_default(),
            None => self.watch.ahead_ms(clock::monotonic_ms()),
        };
        self.lane.metrics.oldest(origin, Duration::from_millis(age));
    }
}

/// The result of a task; never where there is none.
async fn of<T>(task: &mut Option<JoinHandle<Result<T, Error>>>) -> Result<T, Error> {
    let Some(running) = task else { return std::future::pending().await };
    let result = running.await.map_err(Error::Task).flatten();
    *task = None;
    result
}

/// Ends when the partition is described otherwise than `origin` says.
async fn changed(topic: &mut watch::Receiver<Vec<Origin>>, origin: &Origin) {
    while topic.borrow_and_update().contains(origin) {
        if topic.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

async fn until(at_ms: u64) {
    let left = at_ms.saturating_sub(clock::monotonic_ms());
    clock::wait(Duration::from_millis(left)).await;
}
