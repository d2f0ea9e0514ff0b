//! SHELL: the gateway: from a request's body to the sink, and from the sink's outcome to the answer.
//!
//! One lock covers "plan, hand to the sink, remember": so the order of admission is the order on the log, for each
//! session and for all. It is never held while anything waits; hashing and parsing happen before it is taken.

#![expect(clippy::disallowed_methods, reason = "admissions say when they were made")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Shared;
use schemas::{Micros, SessionId};
use spool::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::admit::{self, Admitted, Answer, Door, Outcome, Pending, Plan, State};
use crate::auth::{Auth, Credential};
use crate::config::Config;
use crate::draft::{self, Intake, uuid_v7};
use crate::error::Error;
use crate::gunzip::gunzip;
use crate::metrics::{Metrics, wide};
use crate::produce::{Job, Sink};
use crate::random::Random;
use crate::refusal::Refusal;

/// Takes events and answers for them.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) auth: Auth,
    pub(crate) sink: Sink,
    pub(crate) metrics: Metrics,
    epoch: i64,
    state: Mutex<State<Wait>>,
    /// A permit is a byte of a request under way.
    budget: Arc<Semaphore>,
}

/// How to wait for one message of a request.
#[derive(Clone, Debug)]
struct Wait {
    outcome: Shared<oneshot::Receiver<Arc<[bool]>>>,
    index: usize,
}

/// An event that is durable.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) event_id: String,
    pub(crate) event_digest: String,
    pub(crate) session_made: Option<String>,
}

/// A request whose events are with the sink.
pub(crate) struct Submitted {
    answers: Vec<Answer<Wait>>,
    outcome: Shared<oneshot::Receiver<Arc<[bool]>>>,
}

/// Bytes taken from the budget; given back when dropped.
pub(crate) struct Reservation {
    budget: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Takes more bytes, or says that there are too many under way.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let busy = || Refusal::unavailable("too many bytes of requests are under way");
        let count = u32::try_from(bytes).map_err(|_| busy())?;
        let more = Arc::clone(&self.budget).try_acquire_many_owned(count).map_err(|_| busy())?;
        self.permit.merge(more);
        Ok(())
    }
}

impl Gateway {
    /// A gateway whose admissions say `gateway_epoch`, which must be greater than that of any before it with the same
    /// `gateway_id`: the time of the start in microseconds will do.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn new(config: Config, sink: Sink, auth: Auth, gateway_epoch: i64) -> Result<Self, Error> {
        config.check()?;
        let budget = Arc::new(Semaphore::new(config.in_flight_bytes_max));
        let (metrics, state) = (Metrics::new(), Mutex::new(State::new()));
        Ok(Self { config, auth, sink, metrics, epoch: gateway_epoch, state, budget })
    }

    pub(crate) fn reserve(&self) -> Result<Reservation, Refusal> {
        let busy = |_| Refusal::unavailable("the gateway is stopping");
        let budget = Arc::clone(&self.budget);
        let permit = Arc::clone(&budget).try_acquire_many_owned(0).map_err(busy)?;
        Ok(Reservation { budget, permit })
    }

    /// Bytes of requests under way.
    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.config.in_flight_bytes_max.saturating_sub(self.budget.available_permits())
    }

    /// Reads the request and hands its events to the sink, all of them or none. Takes time: not for an async thread.
    pub(crate) fn submit(
        self: Arc<Self>,
        body: &Bytes,
        is_gzip: bool,
        credential: &Credential,
        mut reservation: Reservation,
    ) -> Result<Submitted, Refusal> {
        if !is_gzip {
            return self.submit_plain(body, credential, reservation);
        }
        let body = gunzip(body, &self.config, |bytes| reservation.grow(bytes))?;
        self.submit_plain(&body, credential, reservation)
    }

    fn submit_plain(
        self: Arc<Self>,
        body: &[u8],
        credential: &Credential,
        reservation: Reservation,
    ) -> Result<Submitted, Refusal> {
        let now = now();
        let mut random = Random::new();
        let session = uuid::Uuid::from_bytes(uuid_v7(now, random.draw()?)).to_string();
        let session = SessionId::new(&session).map_err(|e| Refusal::unavailable(e.to_string()))?;
        let config = &self.config;
        let intake = Intake { config, tenant: &credential.tenant, now, session: &session };
        let mut drafts = draft::drafts(body, &intake, &mut || random.draw())?;
        let door = Door {
            config,
            credential_id: &credential.id,
            gateway_epoch: self.epoch,
            now,
            event_bytes_max: config.event_bytes_max.min(self.sink.event_bytes_max),
        };
        let unknown = self.state().unknown(&drafts, &door);
        admit::salt(&mut drafts, &unknown);

        let mut state = self.state();
        let plan = state.plan(drafts, &door)?;
        Arc::clone(&self).send(&mut state, plan, now, reservation)
    }

    /// Hands the plan to the sink and remembers it, under the lock that made it.
    fn send(
        self: Arc<Self>,
        state: &mut MutexGuard<'_, State<Wait>>,
        plan: Plan<Wait>,
        now: Micros,
        reservation: Reservation,
    ) -> Result<Submitted, Refusal> {
        let (answered, outcome) = oneshot::channel();
        let outcome = outcome.shared();
        let (messages, pending) = split(plan.messages, now, &self.metrics);
        if messages.is_empty() {
            return Ok(Submitted { answers: plan.answers, outcome });
        }
        let kept = pending.clone();
        let bytes = messages.iter().map(|message| message.value.len()).sum();
        let gateway = Arc::clone(&self);
        let done = Box::new(move |durable: Vec<bool>| {
            gateway.settle(kept, &durable, bytes);
            // If nobody waits any more, the client has gone; its events are as durable as any.
            drop(answered.send(durable.into()));
            drop(reservation);
        });
        self.sink.send(Job { messages, done }).map_err(Refusal::unavailable)?;
        let wait = |index| Wait { outcome: outcome.clone(), index };
        state.commit(&pending, &self.config, wait);
        Ok(Submitted { answers: plan.answers, outcome })
    }

    fn settle(&self, messages: Vec<Pending>, durable: &[bool], bytes: usize) {
        let good = durable.iter().filter(|durable| **durable).count();
        self.metrics.events("accepted", good);
        self.metrics.events("unavailable", durable.len().saturating_sub(good));
        if good == durable.len() {
            self.metrics.bytes.inc_by(wide(bytes));
        }
        let mut state = self.state();
        for (message, durable) in messages.into_iter().zip(durable) {
            state.settle(message, *durable, &self.config);
        }
    }

    /// Waits until every event is durable.
    pub(crate) async fn wait(&self, submitted: Submitted) -> Result<Vec<Accepted>, Refusal> {
        let mut accepted = Vec::with_capacity(submitted.answers.len());
        let mut repeated = 0;
        for answer in submitted.answers {
            let durable = match answer.outcome {
                Outcome::Message(index) => {
                    Wait { outcome: submitted.outcome.clone(), index }.durable().await
                }
                Outcome::InFlight(wait) => {
                    repeated += 1;
                    wait.durable().await
                }
                Outcome::Durable => {
                    repeated += 1;
                    true
                }
            };
            if !durable {
                return Err(Refusal::unavailable("the log did not confirm the events"));
            }
            accepted.push(Accepted {
                event_id: answer.event_id.to_string(),
                event_digest: answer.event_digest.to_string(),
                session_made: answer.session_made,
            });
        }
        self.metrics.events("repeated", repeated);
        Ok(accepted)
    }

    fn state(&self) -> MutexGuard<'_, State<Wait>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait {
    /// A message that was dropped without an outcome is not durable.
    async fn durable(self) -> bool {
        let outcome = self.outcome.await;
        outcome.ok().and_then(|durable| durable.get(self.index).copied()).unwrap_or(false)
    }
}

fn split(admitted: Vec<Admitted>, now: Micros, metrics: &Metrics) -> (Vec<Message>, Vec<Pending>) {
    let timestamp_ms = now.0.div_euclid(1000);
    let message = |admitted: Admitted| {
        metrics.bodies(admitted.bodies_inline, admitted.bodies_by_digest);
        let (key, value, pending) = admitted.split();
        (Message { timestamp_ms, key: Some(key), value }, pending)
    };
    admitted.into_iter().map(message).unzip()
}

fn now() -> Micros {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
