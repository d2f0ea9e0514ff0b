//! SHELL: a request's body on its way to the upstream: every frame goes on as it comes, and a reference to it is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::exchange::Exchange;
use super::pause::Pause;

/// The body. Dropped early, it leaves the exchange without the rest of it.
#[derive(Debug)]
pub(crate) struct Question {
    body: Body,
    pause: Pause,
    /// `None` where all of it was read and kept before.
    exchange: Option<Arc<Exchange>>,
}

/// Why the rest of a request does not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the client broke off its request")]
    Client,
    #[error("the client sent no more of its request (request_pause_ms)")]
    Late,
}

impl Question {
    pub(crate) fn new(body: Body, exchange: &Arc<Exchange>) -> Self {
        if body.is_end_stream() {
            exchange.asked();
        }
        let pause = Pause::new(exchange.route.upstream.request_pause_ms);
        Self { body, pause, exchange: Some(Arc::clone(exchange)) }
    }

    /// One that was kept whole.
    pub(crate) fn kept(body: Bytes) -> Self {
        Self { body: body.into(), pause: Pause::new(0), exchange: None }
    }
}

impl HttpBody for Question {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Some(exchange) = &this.exchange else {
            return polled.map_err(|_| Broken::Client);
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.pause.goes_on();
                if let Some(data) = frame.data_ref() {
                    exchange.asks(data);
                }
                if this.body.is_end_stream() {
                    exchange.asked();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(Broken::Client))),
            Poll::Ready(None) => {
                exchange.asked();
                Poll::Ready(None)
            }
            Poll::Pending => this.pause.poll(context).map(|()| Some(Err(Broken::Late))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
