//! SHELL: one partition for as long as the process lives: loaded, sealed, and, where it has stopped, waited for until an
//! operator has opened a new epoch.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::batch::Cut;
use crate::clock;
use crate::epoch;
use crate::error::{Error, ErrorKind, causes};
use crate::head;
use crate::lane::Lane;
use crate::origin::Origin;
use crate::stop::Stop;
use crate::worker::{LOOK_MS, Worker};

/// The wait before a partition that failed is loaded again; each further time it is twice as long, up to the second.
const RELOAD_WAIT: Duration = Duration::from_secs(1);
const RELOAD_WAIT_MAX: Duration = Duration::from_secs(16);

/// How a partition is sealed, besides its lane.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) cut: Cut,
    pub(crate) stall_max_ms: u64,
    /// The topic's partitions as they are described now.
    pub(crate) topic: watch::Receiver<Vec<Origin>>,
    /// Cancelled when the partition is another process's.
    pub(crate) revoked: CancellationToken,
}

/// Seals a partition until a shutdown, or until it is another's.
///
/// # Errors
/// Why the partition stands still, where it does when the shutdown comes.
pub(crate) async fn keep(mut lane: Lane, terms: Terms) -> Result<(), Error> {
    let mut wait = RELOAD_WAIT;
    loop {
        let ended = once(&mut lane, &terms).await;
        lane.source.leave(&lane.origin).await;
        let Err(failed) = ended else { return Ok(()) };
        if terms.revoked.is_cancelled() {
            return Ok(());
        }
        if lane.shutdown.is_cancelled() || !lane.source.outlives_a_stop() {
            return Err(failed);
        }
        let origin = &lane.origin;
        lane.metrics.restarted(origin);
        if failed.kind() == ErrorKind::Corrupt {
            error!(partition = %origin.partition, error = %causes(&failed), "the partition has stopped");
            lane.metrics.stopped(origin, true);
            if !resumed(&lane, &terms, &failed).await {
                return if terms.revoked.is_cancelled() { Ok(()) } else { Err(failed) };
            }
            wait = RELOAD_WAIT;
        } else {
            warn!(partition = %origin.partition, error = %causes(&failed), "the partition is loaded again");
            clock::wait(wait).await;
            wait = (wait * 2).min(RELOAD_WAIT_MAX);
        }
    }
}

async fn once(lane: &mut Lane, terms: &Terms) -> Result<(), Error> {
    let partition = lane.origin.partition;
    let origins = lane.source.origins().await?;
    if let Some(origin) = origins.into_iter().find(|origin| origin.partition == partition) {
        lane.origin = origin;
    }
    let head = tokio::select! {
        head = head::load(lane, clock::now()) => head?,
        () = terms.revoked.cancelled() => return Ok(()),
    };
    if let Some(enroller) = &lane.enroller {
        enroller.confirm(&head).await?;
    }
    lane.metrics.stopped(&lane.origin, false);
    let worker = Worker::new(lane.clone(), head, terms.cut, terms.stall_max_ms);
    worker.work(&terms.revoked, terms.topic.clone()).await
}

/// Waits for what lets the partition go on; false where a shutdown came first.
async fn resumed(lane: &Lane, terms: &Terms, failed: &Error) -> bool {
    let origin = &lane.origin;
    let newest = || epoch::newest(&lane.store, &origin.topic, origin.partition);
    let mut stopped_in = newest().await.ok();
    loop {
        tokio::select! {
            () = clock::wait(Duration::from_millis(LOOK_MS)) => {}
            () = lane.shutdown.cancelled() => return false,
            () = terms.revoked.cancelled() => return false,
        }
        if let Ok(extent) = lane.source.extent(origin).await {
            lane.metrics.behind(origin, extent.end, Duration::from_millis(LOOK_MS));
        }
        if matches!(failed, Error::Stopped { stop: Stop::Compacted, .. }) {
            return true;
        }
        match newest().await {
            Ok(now) if stopped_in.is_some_and(|before| before != now) || now.is_none() => {
                info!(partition = %origin.partition, "looking again");
                return true;
            }
            Ok(now) => stopped_in = stopped_in.or(Some(now)),
            Err(error) => {
                warn!(partition = %origin.partition, %error, "could not look for a newer epoch")
            }
        }
    }
}
