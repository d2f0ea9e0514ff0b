//! SHELL: an answer's body on its way to the client: every frame goes on as it comes, and a reference to it is kept.
//!
//! On a fail-closed route its end waits until it is on record: a client never takes an answer for complete that is not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use capture::llm::Ended;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::exchange::Exchange;
use super::pause::Pause;

/// The body. Dropped before its end, it ends the exchange: the client has gone.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Incoming,
    exchange: Arc<Exchange>,
    pause: Pause,
    cut: CancellationToken,
    cutting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    end: End,
}

/// How near the end is.
#[derive(Debug)]
enum End {
    /// More may come.
    Far,
    /// It waits for the record, with the last frame if that tells the client that it is the last.
    Held(oneshot::Receiver<bool>, Option<Frame<Bytes>>),
    /// It is for this reason that no more comes. What came before goes out first.
    Breaks(Option<Broken>),
    Over,
}

/// Why the rest of an answer does not come; the client sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the upstream broke off its answer")]
    Upstream,
    #[error("the upstream sent no more of its answer (answer_pause_ms)")]
    Late,
    #[error("the gateway stops")]
    Stopped,
    #[error("the exchange could not be recorded")]
    Unrecorded,
}

impl Answer {
    pub(crate) fn new(body: Incoming, exchange: Arc<Exchange>, cut: CancellationToken) -> Self {
        let pause = Pause::new(exchange.route.answer_pause_ms());
        Self { body, exchange, pause, cut, cutting: None, end: End::Far }
    }

    /// The upstream's answer is complete.
    fn complete(
        &mut self,
        last: Option<Frame<Bytes>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.exchange.route.is_closed() {
            self.end = End::Over;
            self.exchange.over(Ended::Complete, None);
            return Poll::Ready(last.map(Ok));
        }
        let (told, durable) = oneshot::channel();
        self.exchange.over(Ended::Complete, Some(told));
        self.end = End::Held(durable, last);
        self.poll_held(context)
    }

    fn poll_held(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let End::Held(durable, last) = &mut self.end else { return Poll::Ready(None) };
        let is_durable = ready!(Pin::new(durable).poll(context)).unwrap_or(false);
        if !is_durable {
            return self.breaks(Broken::Unrecorded, context);
        }
        let last = last.take();
        self.end = End::Over;
        Poll::Ready(last.map(Ok))
    }

    fn broken(
        &mut self,
        ended: Ended,
        why: Broken,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.exchange.over(ended, None);
        self.breaks(why, context)
    }

    /// An error takes what is not sent yet with it; a pause has it sent.
    fn breaks(
        &mut self,
        why: Broken,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.end = End::Breaks(Some(why));
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_silence(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.pause.poll(context).is_ready() {
            return self.broken(Ended::Timeout, Broken::Late, context);
        }
        let cut = &self.cut;
        let cutting = self.cutting.get_or_insert_with(|| Box::pin(cut.clone().cancelled_owned()));
        match cutting.as_mut().poll(context) {
            Poll::Ready(()) => self.broken(Ended::GatewayStopped, Broken::Stopped, context),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.end {
            End::Far => {}
            End::Breaks(why) => return Poll::Ready(why.take().map(Err)),
            End::Held(..) => return self.poll_held(context),
            End::Over => return Poll::Ready(None),
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause.goes_on();
                let is_kept = frame.data_ref().is_none_or(|data| self.exchange.answers(data));
                if !is_kept && self.exchange.route.is_closed() {
                    return self.broken(Ended::UpstreamCut, Broken::Unrecorded, context);
                }
                if self.body.is_end_stream() {
                    return self.complete(Some(frame), context);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => self.broken(Ended::UpstreamCut, Broken::Upstream, context),
            Poll::Ready(None) => self.complete(None, context),
            Poll::Pending => self.poll_silence(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Over)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let End::Held(_, Some(frame)) = &self.end
            && let Some(data) = frame.data_ref()
        {
            hint = SizeHint::with_exact(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if matches!(self.end, End::Far) {
            self.exchange.over(Ended::ClientAbort, None);
        }
    }
}
