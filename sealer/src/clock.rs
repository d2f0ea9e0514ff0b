//! SHELL: the sealer's only look at the clock.
#![expect(clippy::disallowed_methods, reason = "this is the shell that gives the core its time")]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemas::Seconds;
use tokio::time::Instant;

/// Waits.
pub(crate) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Milliseconds on a clock that never goes back; its zero means nothing.
pub(crate) fn monotonic_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Wall-clock time.
pub(crate) fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
