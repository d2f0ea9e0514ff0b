//! SHELL: work that keeps a processor busy, away from the threads that others wait on.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::Error;

/// Does `work` on a thread for such; in place on a runtime of one thread, which has nobody else to hold up and whose runs
/// are then the same every time.
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::Task)
}
