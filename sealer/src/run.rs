//! SHELL: one task a partition: find the head, fill a batch while the one before is sealed, seal what is left at the end.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::Offset;
use store::Store;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::batch::{Batch, Cut};
use crate::chain::Head;
use crate::clock;
use crate::config::Config;
use crate::error::Error;
use crate::head::{self, Origin};
use crate::message::Message;
use crate::metrics::Metrics;
use crate::seal::{Sealed, Sealing};
use crate::source::{Feed, Source};

/// Seals every partition of `source` into `store` until `shutdown`, then seals what is left and returns.
///
/// A partition that cannot go on stops alone; the others go on until they are told to stop.
///
/// # Errors
/// The first error that stopped a partition, once all have ended.
pub async fn run(
    source: Source,
    store: Store,
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let origins = source.origins().await?;
    let cut = config.cut(origins.len());
    let serving = serve(&source, &shutdown);
    let mut partitions = JoinSet::new();
    for origin in origins {
        let sealing = Sealing {
            store: store.clone(),
            source: source.clone(),
            origin,
            terms: config.terms(),
            retry_wait_max_ms: config.retry_wait_max_ms,
            shutdown: shutdown.clone(),
        };
        partitions.spawn(partition(sealing, cut, metrics.clone()));
    }
    let mut first = Ok(());
    while let Some(ended) = partitions.join_next().await {
        if let Err(stopped) = ended.map_err(Error::Task).flatten() {
            error!(error = %stopped, "a partition has stopped");
            metrics.stopped();
            first = first.and(Err(stopped));
        }
    }
    shutdown.cancel();
    if let Some(serving) = serving {
        serving.await.map_err(Error::Task)?;
    }
    first
}

fn serve(source: &Source, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    let Source::Kafka(kafka) = source else { return None };
    let (kafka, stop) = (kafka.clone(), stop.clone());
    Some(tokio::task::spawn_blocking(move || kafka.serve(&stop)))
}

async fn partition(sealing: Sealing, cut: Cut, metrics: Metrics) -> Result<(), Error> {
    let origin = sealing.origin.clone();
    let extent = sealing.source.extent(&origin).await?;
    let head = head::find(&sealing.store, &origin, extent.start, extent.hint, clock::now()).await?;
    if extent.start > head.next {
        return Err(Error::Lost {
            partition: origin.partition,
            next: head.next,
            start: extent.start,
        });
    }
    let feed = sealing.source.read(&origin, head.next, sealing.shutdown.clone())?;
    Worker {
        waiting: Vec::new().into_iter(),
        open: Batch::new(head.next),
        adopted: Offset(0),
        head: Some(head),
        sealing,
        cut,
        metrics,
        under_way: None,
    }
    .work(feed, &origin)
    .await
}

/// A partition being sealed.
struct Worker {
    sealing: Sealing,
    cut: Cut,
    metrics: Metrics,
    /// The rest of a chunk, behind the batch that is full.
    waiting: std::vec::IntoIter<Message>,
    /// The batch that fills.
    open: Batch,
    /// Messages before this were sealed by another while the feed had them already; any other that comes back is an error.
    adopted: Offset,
    /// The chain's end; `None` while a batch is being sealed after it.
    head: Option<Head>,
    under_way: Option<JoinHandle<Result<Sealed, Error>>>,
}

impl Worker {
    async fn work(mut self, mut feed: Feed, origin: &Origin) -> Result<(), Error> {
        let mut ended = false;
        loop {
            self.fill(origin)?;
            let full = self.open.is_full(&self.cut);
            let due = self.open.due_at_ms(&self.cut);
            let ready = !self.open.is_empty() && (ended || full);
            if self.under_way.is_none()
                && (ready || due.is_some_and(|due| due <= clock::monotonic_ms()))
            {
                self.begin()?;
                continue;
            }
            if ended && self.open.is_empty() && self.under_way.is_none() {
                return Ok(());
            }
            self.metrics.open(
                origin,
                self.open.bytes(),
                due.map(|due| due.saturating_sub(self.cut.age_max_ms)),
            );
            tokio::select! {
                sealed = under_way(&mut self.under_way) => self.sealed(sealed?)?,
                chunk = feed.recv(), if !full && !ended => match chunk {
                    None => ended = true,
                    Some(chunk) => self.waiting = chunk?.into_iter(),
                },
                () = due_in(due), if self.under_way.is_none() && due.is_some() => {}
            }
        }
    }

    /// Moves what waits into the open batch until that is full.
    fn fill(&mut self, origin: &Origin) -> Result<(), Error> {
        let now = clock::monotonic_ms();
        while !self.open.is_full(&self.cut) {
            let Some(message) = self.waiting.next() else { break };
            if message.offset < self.adopted {
                continue;
            }
            let rewound = |source| Error::Rewound { partition: origin.partition, source };
            self.open.push(message, now).map_err(rewound)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let Some(head) = self.head.take() else { return Ok(()) };
        let batch = std::mem::replace(&mut self.open, Batch::new(Offset(0)));
        self.open = Batch::new(batch.next());
        let mut seed = [0; 32];
        let random = SystemRandom::new().fill(&mut seed);
        random.map_err(|_| Error::Config("the system gives no random bytes".to_owned()))?;
        let sealing = self.sealing.clone();
        self.under_way = Some(tokio::spawn(async move { sealing.seal(head, batch, seed).await }));
        Ok(())
    }

    fn sealed(&mut self, sealed: Sealed) -> Result<(), Error> {
        self.under_way = None;
        self.metrics.sealed(&self.sealing.origin, &sealed);
        if sealed.head.next > self.open.start() {
            self.adopted = sealed.head.next;
            self.open.adopt(sealed.head.next);
        }
        self.head = Some(sealed.head);
        Ok(())
    }
}

/// The result of what is under way; never where nothing is.
async fn under_way(task: &mut Option<JoinHandle<Result<Sealed, Error>>>) -> Result<Sealed, Error> {
    match task {
        Some(task) => task.await.map_err(Error::Task).flatten(),
        None => std::future::pending().await,
    }
}

async fn due_in(due_ms: Option<u64>) {
    let left = due_ms.map_or(0, |due| due.saturating_sub(clock::monotonic_ms()));
    clock::wait(Duration::from_millis(left)).await;
}
