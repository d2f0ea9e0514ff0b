//! SHELL: the answers of an HTTP/2 connection, and whether its client takes them. `stall` sees a socket that takes nothing; a
//! client that opens no window leaves nothing to be written to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The answers of one connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taking(Arc<Mutex<Vec<Weak<Held>>>>);

/// Since when an answer has had something that its client did not take; `None` while it has nothing.
#[derive(Debug)]
struct Held(Mutex<Option<Instant>>);

/// An answer. It is asked for its next part once the client has room for it.
#[derive(Debug)]
struct Watched {
    body: Body,
    held: Arc<Held>,
}

impl Taking {
    /// The same answer, watched.
    pub(crate) fn watch(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let held = Arc::new(Held(Mutex::new(Some(Instant::now()))));
        let mut all = lock(&self.0);
        all.retain(|held| held.strong_count() > 0);
        all.push(Arc::downgrade(&held));
        Body::new(Watched { body, held })
    }

    /// Returns once the client has left an answer waiting for so long.
    pub(crate) async fn stalls(&self, limit: Duration) {
        loop {
            let oldest = {
                let all = lock(&self.0);
                all.iter().filter_map(Weak::upgrade).filter_map(|held| *lock(&held.0)).min()
            };
            let now = Instant::now();
            let end = oldest.unwrap_or(now) + limit;
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        *lock(&self.held.0) = polled.is_ready().then(Instant::now);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
