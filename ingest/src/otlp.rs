//! SHELL: OTLP: what SDKs export, over HTTP and gRPC, answered when it is durable.
//!
//! A request is decoded off the async threads, after its shape was weighed, and read by `capture`. What is wrong with one
//! span for good is rejected by itself (partial success); what is only too much just now is a 503, which clients repeat.

mod answer;
mod grpc;
mod http;
mod message;
mod weigh;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use capture::Happening;

use crate::auth::Credential;
use crate::budget::Reservation;
use crate::gateway::{Begun, Gateway, Request, off_thread};
use crate::inflate::{Encoding, inflate};
use crate::load::Load;
use crate::metrics::wide;
use crate::otlp::message::{Format, Signal};
use crate::refusal::{Code, Refusal};

/// Events of a request that are rejected one by one; beyond, all of it is.
const REJECTED_MAX: usize = 64;

/// The paths of OTLP, for both of its transports.
pub(crate) fn router() -> Router<Arc<Gateway>> {
    let mut router = Router::new();
    for signal in Signal::ALL {
        router = router
            .route(
                signal.path(),
                post(async move |state, request| http::export(state, signal, request).await),
            )
            .route(
                signal.method(),
                post(async move |state, request| grpc::export(state, signal, request).await),
            );
    }
    router
}

/// A request that was received.
pub(crate) struct Export {
    pub(crate) signal: Signal,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) body: Bytes,
    pub(crate) credential: Credential,
    pub(crate) reservation: Reservation,
}

/// What became of a request: all is durable but what is rejected for good.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) rejected: u64,
    pub(crate) why: Option<String>,
}

/// A request that was read.
struct Opened {
    taken: Taken,
    happenings: Arc<Vec<Happening>>,
    /// How the gateway began to take them, if there are any.
    begun: Option<Result<Begun, Refusal>>,
}

impl Export {
    /// Takes it; returns when what it says is durable.
    pub(crate) async fn take(self, gateway: &Arc<Gateway>) -> Result<Taken, Refusal> {
        if self.signal == Signal::Metrics {
            return Ok(Taken::default());
        }
        let credential = self.credential.clone();
        let here = Arc::clone(gateway);
        let Opened { mut taken, mut happenings, mut begun } =
            off_thread(move || self.open(&here)).await?;
        for _ in 0..=REJECTED_MAX {
            let Some(first) = begun else { return Ok(taken) };
            let outcome = async { gateway.wait(gateway.finish(first?).await?).await };
            let Err(refusal) = outcome.await else { return Ok(taken) };
            let Some(index) = refusal.event.filter(|_| refusal.code.is_for_good()) else {
                return Err(refusal);
            };
            if index >= happenings.len() {
                return Err(refusal);
            }
            Arc::make_mut(&mut happenings).remove(index);
            taken.rejected = taken.rejected.saturating_add(1);
            taken.why.get_or_insert(refusal.message);
            let reservation = gateway.budget.reserve()?;
            let rest = request(&happenings, credential.clone(), reservation);
            let gateway = Arc::clone(gateway);
            let again = move || Ok(rest.map(|request| gateway.begin(request)));
            begun = off_thread(again).await?;
        }
        Err(Refusal::new(Code::InvalidBody, "too many of its events cannot be taken"))
    }

    /// Reads it and begins to take what it says.
    fn open(self, gateway: &Arc<Gateway>) -> Result<Opened, Refusal> {
        let credential = self.credential.clone();
        let (read, reservation) = self.read(&gateway.config)?;
        let taken = Taken { rejected: read.rejected, why: read.why };
        let happenings = Arc::new(read.happenings);
        let request = request(&happenings, credential, reservation);
        let begun = request.map(|request| gateway.begin(request));
        Ok(Opened { taken, happenings, begun })
    }

    fn read(self, config: &crate::Config) -> Result<(capture::otlp::Read, Reservation), Refusal> {
        let Self { signal, format, encoding, mut body, mut reservation, .. } = self;
        if encoding != Encoding::Identity {
            body = inflate(&body, encoding, config, |bytes| reservation.grow(bytes))?.into();
        }
        let read = message::read(signal, format, &body, config, |bytes| reservation.grow(bytes))?;
        Ok((read, reservation))
    }
}

/// The request to admit them, if there are any.
fn request(
    happenings: &Arc<Vec<Happening>>,
    credential: Credential,
    reservation: Reservation,
) -> Option<Request> {
    let load = Load::Happenings(Arc::clone(happenings));
    let request = Request { load, capture_point: "otlp", credential, reservation };
    (!happenings.is_empty()).then_some(request)
}

impl Taken {
    /// As the field of a response: what was rejected, and why.
    pub(crate) fn partial(self) -> Option<(i64, String)> {
        let rejected = i64::try_from(self.rejected).unwrap_or(i64::MAX);
        (rejected > 0).then(|| (rejected, self.why.unwrap_or_default()))
    }
}

/// Bytes that decoded messages take, roughly: for the budget.
pub(crate) fn decoded_bytes(messages: usize) -> usize {
    const MESSAGE_BYTES: u64 = 128;
    usize::try_from(wide(messages).saturating_mul(MESSAGE_BYTES)).unwrap_or(usize::MAX)
}
